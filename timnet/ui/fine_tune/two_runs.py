"""Two finished runs side by side: their settings, what they reached, and whether they differ.

A difference is tested on the films that both were tested on (DeLong); where those are others, or a run kept
no predictions, that is said instead.
"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
import streamlit as st

from timnet import config
from timnet.evaluation import predictions
from timnet.training import run_results
from timnet.training.runs import State
from timnet.ui import notices, tables
from timnet.ui.fine_tune import results


def show(states: list[State]) -> None:
    """Ask for two finished fine-tuning runs and compare them."""
    done = {
        state.folder.name: state
        for state in states
        if state.name == "done" and isinstance(state.settings, config.Finetune)
    }
    if len(done) < 2:
        return
    chosen = st.multiselect(
        "Compare two runs", list(done), max_selections=2, key="ft_compare", placeholder="choose two"
    )
    if len(chosen) < 2:
        return
    first, second = (done[name] for name in chosen)
    tables.show(_settings(first, second), "ft_compare_asked", "Settings in which the two runs differ")
    tables.show(
        _reached(first, second),
        "ft_compare_reached",
        "Test metrics of the two runs",
        column_config={
            name: st.column_config.NumberColumn(format="%.3f") for name in ("First", "Second", "Difference")
        },
        placeholder="undefined",
    )
    for line in _differences(first, second):
        st.markdown(line)


def _settings(first: State, second: State) -> pd.DataFrame:
    """Return the settings in which two runs differ."""
    one, other = asdict(first.settings), asdict(second.settings)
    rows = [(name, str(one[name]), str(other[name])) for name in one if one[name] != other[name]]
    return pd.DataFrame(rows, columns=["Setting", "First", "Second"])


def _reached(first: State, second: State) -> pd.DataFrame:
    """Return the metrics of two runs, of the labels that both have."""
    tables = [pd.DataFrame(run_results.result(state.folder)["test"]) for state in (first, second)]
    one, other = (table.assign(value=table["value"].astype(float)) for table in tables)
    both = one.merge(other, on=["label", "metric"], suffixes=("_one", "_other"))

    def interval(side: str) -> list[str]:
        low, high = both[f"low_{side}"], both[f"high_{side}"]
        return [
            "" if pd.isna(a) or pd.isna(b) else f"{a:.3f} to {b:.3f}" for a, b in zip(low, high, strict=True)
        ]

    return pd.DataFrame(
        {
            "Label": both["label"],
            "Metric": both["metric"],
            "First": both["value_one"],
            "95 % of the first": interval("one"),
            "Second": both["value_other"],
            "95 % of the second": interval("other"),
            "Difference": both["value_other"] - both["value_one"],
        }
    )


def _differences(first: State, second: State) -> list[str]:
    """Say of each label that both have whether the auROC differs."""
    try:
        kept = [results.kept(state.folder) for state in (first, second)]
    except predictions.PredictionsError as error:
        return [notices.plain(f"{error}.")]
    if kept[0] is None or kept[1] is None:
        return ["One of them kept no predictions: whether they differ cannot be tested."]
    one, other = (each.part(predictions.TEST) for each in kept if each is not None)
    if one.cohort != other.cohort or not np.array_equal(one.film_N, other.film_N):
        return ["They were tested on different X-rays: their results cannot be compared."]
    # SciPy's statistics take longer to import than the page to draw.
    from timnet.evaluation import auroc

    lines = []
    for label in (each for each in one.labels if each in other.labels):
        i, j = one.labels.index(label), other.labels.index(label)
        if not np.array_equal(one.truth_NL[:, i], other.truth_NL[:, j], equal_nan=True):
            lines.append(f"{notices.plain(label)}: the two were tested on other labels.")
            continue
        found = auroc.difference(one.truth_NL[:, i], one.logit_NL[:, i], other.logit_NL[:, j])
        if found.value != found.value:
            lines.append(f"{notices.plain(label)}: no auROC, the test X-rays are all of one class.")
            continue
        shown = "" if found.low <= 0 <= found.high else ": statistically significant (p < 0.05)"
        nothing = " An interval that holds 0 shows no difference." if not shown else ""
        lines.append(
            f"{notices.plain(label)}: auROC of the second minus that of the first "
            f"**{found.value:+.3f}** ({found.low:+.3f} to {found.high:+.3f}, DeLong){shown}.{nothing}"
        )
    return lines
