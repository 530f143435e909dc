"""Two classifiers on one film: their labels aligned, their numbers beside each other, both maps of a label.

Labels are the same where they differ in case, spaces, underscores and hyphens alone (`records.match_name`).
What only one network was asked for stays blank for the other: not asked is not 0. Each map is on its own
network's scale, since logits of two networks are no common unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from timnet.cohorts import records
from timnet.plots import bars
from timnet.ui import chart, notices, panels, tables, viewer
from timnet.ui.checkpoints import Checkpoint

if TYPE_CHECKING:
    from timnet.reading import Reading

FIRST, SECOND, DIFFERENCE = "first", "second", "Difference"


def choose(classifiers: list[Checkpoint], first: Checkpoint, key: str) -> Checkpoint | None:
    """Ask for a classifier to set beside the first; None where there is none or none is wanted."""
    others = {each.name: each for each in classifiers if each.name != first.name}
    if not others:
        return None
    box = st.popover("Compare", icon=":material/balance:", key=f"{key}_open")
    name = box.selectbox(
        "Compare with",
        list(others),
        index=None,
        placeholder="No other classifier",
        format_func=lambda each: others[each].title if each in others else each,
        key=key,
    )
    return others.get(str(name))


def aligned(first: Mapping[str, float], second: Mapping[str, float]) -> pd.DataFrame:
    """Return one row a label with both probabilities and second minus first, nan where only one was asked.

    Rows: the first's labels in its order, by its spelling, then those of the second alone.
    """
    rest = list(second)
    rows: list[tuple[str, float, float]] = []
    for label, probability in first.items():
        other = label if label in rest else records.match_name(label, rest)
        rows.append((label, probability, math.nan if other is None else second[other]))
        if other is not None:
            rest.remove(other)
    rows += [(label, math.nan, second[label]) for label in rest]
    table = pd.DataFrame(rows, columns=["label", FIRST, SECOND])
    return table.assign(**{DIFFERENCE: table[SECOND] - table[FIRST]})


def show(first: Reading, second: Reading, key: str) -> str:
    """Show two classifiers' numbers and maps of one film; return the label whose maps are shown."""
    one, other = first.checkpoint, second.checkpoint
    table = aligned(first.probabilities, second.probabilities).rename(columns={FIRST: one, SECOND: other})
    left, numbers = st.columns([3, 2], gap="large")
    chart.show(bars.compared(table), f"{key}_bars", "Probability of each label by either classifier", left)
    tables.show(
        table,
        f"{key}_table",
        "Probability of each label by either classifier, and the difference, as a table",
        numbers,
        height="content",
        column_config={
            "label": "Label",
            one: st.column_config.NumberColumn(format="%.3f"),
            other: st.column_config.NumberColumn(format="%.3f"),
            DIFFERENCE: st.column_config.NumberColumn(format="%+.3f"),
        },
    )
    numbers.caption(
        "No number: that classifier was not box for this label. Different probabilities need not mean "
        "disagreement: each network has its own calibration, and neither is calibrated for your patients."
    )
    options = list(first.maps)
    label = st.selectbox("Map of", options, key=f"{key}_both_map")
    label = label if label in first.maps else options[0]
    same = label if label in second.maps else records.match_name(label, second.maps)
    beside = (
        panels.painted(second, same, other)
        if same is not None
        else viewer.View(second.film, title=f"{other}: not box for this label")
    )
    viewer.show(panels.painted(first, label, one), beside, key=f"{key}_viewer")
    st.caption(
        "Each map from weak (dark) to strong (bright) evidence, on its own network's scale.  \n"
        f":material/info: {notices.MAP}"
    )
    return label
