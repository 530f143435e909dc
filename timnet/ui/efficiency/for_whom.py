"""The points of a curve by sex, age and view: one sentence for the largest gap, a table, and its CSV.

Owns what is said where runs have no subgroups. The area under the ROC curve alone is measured by group.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from timnet import spreadsheet
from timnet.evaluation import metrics, subgroups
from timnet.evaluation.label_efficiency import curve
from timnet.plots import look
from timnet.training import run_results
from timnet.ui import cache, notices
from timnet.ui.efficiency import shipped

_COLUMNS: dict[str, Any] = {
    "initialisation": "Initial weights",
    "fraction": st.column_config.NumberColumn("Share of labels", format="percent"),
    "group": "Group",
    "images": "Test X-rays",
    **{
        key: st.column_config.NumberColumn(title, format="%.3f")
        for key, title in {"value": "auROC", "low": "95 % low", "high": "95 % high"}.items()
    },
    "draws": "Seeds",
    "note": "Note",
}


def show(points: pd.DataFrame, cohort: str, label: str) -> None:
    """Show the runs of a curve by group.

    Args:
        points: the runs, each with its `run` and `recipe`, of one cohort, task and recipe.
        label: whose auROC is shown.
    """
    if shipped.is_shipped(cohort):
        st.caption(shipped.NO_GROUPS)
        return
    found = cache.points(run_results.SUBGROUPS)
    if len(found):
        found = found[found["run"].isin(points["run"]) & (found["label"] == label)]
    if found.empty:
        st.caption("By sex, age and view: not measured by the version that made these runs.")
        return
    table = curve.by_group(found.replace({"initialisation": look.NAMES}))
    st.markdown(notices.plain(subgroups.largest_gap(metrics.records(table))))
    kinds = list(dict.fromkeys(found["kind"]))
    kind = st.segmented_control(
        "By", kinds, default=kinds[0], required=True, format_func=str.capitalize, key="eff_by"
    )
    st.dataframe(
        table[table["kind"] == kind],
        column_config=_COLUMNS,
        column_order=list(_COLUMNS),
        hide_index=True,
        placeholder="",
        key="eff_groups",
        alt=f"auROC by {kind} for each start and share of labels, with 95 % intervals and numbers of X-rays",
    )
    st.caption(
        "Means over seeds. Intervals cover the draw of labels (Student's over seeds) and the test patients "
        "(the mean of the runs' own intervals): the wider end of the two. Groups of fewer than "
        f"{subgroups.LEAST} X-rays, or without X-rays of both kinds, are not measured."
    )
    settings = {"task": points["task"].iloc[0], "recipe": points["recipe"].iloc[0]}
    st.download_button(
        "By sex, age and view (CSV)",
        lambda: spreadsheet.safe_csv(spreadsheet.traced(table, cohort, settings)),
        "timnet-label-efficiency-subgroups.csv",
        "text/csv",
        key="eff_groups_csv",
        on_click="ignore",
        icon=":material/download:",
    )
