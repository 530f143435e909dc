"""Every run there is, as one table that can be filtered; a click on a row opens that run above."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from timnet import config
from timnet.config import declared
from timnet.evaluation.metrics import MACRO
from timnet.training import runs
from timnet.ui import cache, notices, tables
from timnet.ui.fine_tune import run


def show(states: list[runs.State]) -> None:
    """Show every run there is, newest first, or those that the filters above it leave."""
    rows = []
    reached = _areas()
    for state in states:
        settings = state.settings
        tuned = settings if isinstance(settings, config.Finetune) else None
        rows.append(
            {
                "Run": state.folder.name,
                "State": run.STATES[state.name],
                "Cohort": tuned.cohort if tuned else ", ".join(getattr(settings, "cohorts", ())),
                "Task": tuned.task if tuned else "matching",
                "Initial weights": tuned.initialisation if tuned else getattr(settings, "image_weights", ""),
                "Layers to train": declared.word(config.Finetune, "mode", tuned.mode) if tuned else "",
                "Labels": f"{tuned.fraction * 100:g} %" if tuned else "none needed",
                "auROC": reached.get(state.folder.name),
                "Seed": settings.seed,
                "Submitted": time.strftime("%Y-%m-%d %H:%M", time.localtime(state.created)),
                "Reason": state.reason,
                "Note": runs.note(state.folder),
            }
        )
    table = pd.DataFrame(rows)
    for column, box in zip(("State", "Cohort", "Task", "Initial weights"), st.columns(4), strict=True):
        wanted = box.multiselect(
            column,
            sorted(table[column].unique()),
            key=f"ft_filter_{column.lower().replace(' ', '_')}",
            placeholder="all",
        )
        table = table[table[column].isin(wanted)] if wanted else table
    st.caption("Tick a row to open that run at the top of this page.")
    names = table["Run"].tolist()
    tables.show(
        table,
        "ft_history",
        "All runs on this computer",
        selection_mode="single-row",
        on_select=lambda: _open(names),
        column_config={"auROC": st.column_config.NumberColumn(format="%.3f")},
        placeholder="",
    )


def _open(names: Sequence[str]) -> None:
    # Before the page is drawn: only then can another run be chosen on it.
    rows = st.session_state["ft_history"].selection.rows
    if rows and rows[0] < len(names):
        st.session_state["ft_run"] = names[rows[0]]


def _areas() -> dict[str, float]:
    """Return the test auROC of each finished run; of several labels, their mean."""
    try:
        points = cache.points()
    except runs.RunError as error:
        # One damaged run takes no page away.
        st.caption(notices.plain(f"No auROC is shown: {error}."))
        return {}
    if points.empty:
        return {}
    areas = points[points["metric"] == "auROC"]
    mean = areas[areas["label"] == MACRO].set_index("run")["value"].to_dict()
    return areas.drop_duplicates("run").set_index("run")["value"].to_dict() | mean
