"""What a curve answers: what a start saves, draw by draw, and how many labels a goal needs.

Owns the sentences under the curve. What the runs do not support is said in one sentence, not guessed.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import streamlit as st

from timnet.counting import counted
from timnet.evaluation.label_efficiency import forecast, savings
from timnet.plots import curves, look
from timnet.ui.efficiency import intervals
from timnet.ui.notices import plain

_COLUMNS: dict[str, Any] = {
    "initialisation": "Initial weights",
    "fraction": st.column_config.NumberColumn("Share of labels", format="percent"),
    "films": "X-rays",
    "mean": st.column_config.NumberColumn("Mean difference", format="%+.3f"),
    "low": st.column_config.NumberColumn("95 % low", format="%+.3f"),
    "high": st.column_config.NumberColumn("95 % high", format="%+.3f"),
    "draws": "Seeds",
    "interval": "Interval over",
}


def compared(points: pd.DataFrame) -> str | None:
    """Ask which start the others are compared with; None where there is no other."""
    starts = sorted(points["initialisation"].unique(), key=lambda name: (name not in look.NAMES, name))
    if len(starts) < 2:
        return None
    return st.selectbox("Compared with", starts, format_func=_name, key="eff_first", width=260)


def saved(points: pd.DataFrame, first: str, metric: str) -> None:
    """Say what every other start saves in labels."""
    for start in points["initialisation"].unique():
        if start != first:
            st.markdown(_reduction(points, start, first, metric))


def differences(points: pd.DataFrame, first: str | None, cohort: str, label: str, metric: str) -> None:
    """Show how every other start compares with the one chosen.

    Args:
        points: runs of one label and metric, as for `savings.differences`, each with its `run`.
    """
    if first is None:
        st.info(
            "Run the same shares and seeds from other initial weights to compare them here.",
            icon=":material/compare_arrows:",
        )
        return
    table, result = intervals.differences(
        savings.differences(points, first), points, first, cohort, label, metric
    )
    if table.empty:
        st.info("These initial weights have no seed in common: no paired comparison is possible.")
        return
    st.plotly_chart(
        curves.differences(table, metric, _name(first)),
        key="eff_differences",
        alt=f"Difference in {metric} to {_name(first)} against the share of labels, with 95 % intervals",
    )
    st.dataframe(
        table.assign(initialisation=table["initialisation"].map(_name)),
        hide_index=True,
        key="eff_differences_table",
        placeholder="one seed",
        column_config=_COLUMNS,
        alt="Mean difference and its 95 % interval for each start and share of labels",
    )
    st.caption(
        "Differences are between runs of the same seed. An interval that contains 0 shows no "
        f"difference. {result}"
    )


def labels_needed(points: pd.DataFrame, metric: str) -> None:
    """Ask for a goal and say how many labelled films each start needs for it."""
    goal = st.number_input(
        f"{metric} to reach", 0.5, 0.999, 0.9, 0.01, format="%.3f", key="eff_goal", width=200
    )
    for start, runs in points.groupby("initialisation"):
        try:
            found = forecast.needed(runs, goal)
        except forecast.ForecastError as error:
            st.markdown(f"**{plain(_name(start))}**: {plain(str(error).partition(': ')[2])}.")
            continue
        high = "no upper limit" if math.isinf(found.high) else f"{found.high:,.0f}"
        st.markdown(
            f"**{plain(_name(start))}**: about **{counted(round(found.films), 'X-ray')}** (95 % interval "
            f"{found.low:,.0f} to {high})."
        )
    st.caption(
        "An inverse power law fitted to the means and extrapolated; its interval comes from the "
        "seeds. It assumes that more X-rays of the same kind keep helping in the same way."
    )


def _reduction(points: pd.DataFrame, start: str, first: str, metric: str) -> str:
    try:
        found = savings.reduction(points, start, first)
    except savings.SavingsError as error:
        return f"{plain(str(error))}."
    name, other = plain(_name(start)), plain(_name(first))
    best = f"the best of {other} ({found.best:.3f} at {found.at:.1%} of the labels)"
    if found.needed is None or found.saved is None:
        return f"**{name}** does not reach {best} at any share that was run."
    interval = "" if found.low is None else f", 95 % interval {found.low:.0%} to {found.high:.0%}"
    compared = "fewer" if found.saved >= 0 else "more"
    return (
        f"**{name}** reaches {best} with {found.needed:.1%}: **{abs(found.saved):.1%} {compared} labels** "
        f"({counted(found.draws, 'seed')}{interval}; reached in {found.reached:.0%} of resampled seeds)."
    )


def _name(start: object) -> str:
    return look.NAMES.get(str(start), str(start))
