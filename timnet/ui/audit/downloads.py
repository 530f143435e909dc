"""What one takes along of an audit: the verdicts and the list, with what each row comes from."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from timnet import spreadsheet
from timnet.cohorts import verdicts
from timnet.ui.audit.listing import Listed
from timnet.ui.audit.scoring import Asked

_CSV, _PARQUET = "text/csv", "application/vnd.apache.parquet"


def offer(asked: Asked, listed: Listed) -> None:
    """Offer the verdicts as CSV and Parquet, and the list as it is filtered as CSV."""
    cohort, network = asked.cohort, asked.network.name

    def judged() -> bytes:
        table = verdicts.standing(cohort.folder)
        return spreadsheet.safe_csv(spreadsheet.traced(table, cohort.name, {}))

    def ranked() -> bytes:
        table = listed.table.iloc[listed.rows]
        table = table.assign(verdict=table["study"].map(listed.judged).fillna(""))
        table.insert(0, "rank", listed.rows + 1)
        return spreadsheet.safe_csv(spreadsheet.traced(table, cohort.name, {"network": network}))

    parts: tuple[tuple[str, str, str, str, Callable[[], bytes]], ...] = (
        ("Verdicts (CSV)", "audit_csv", "verdicts.csv", _CSV, judged),
        (
            "Verdicts (Parquet)",
            "audit_parquet",
            "verdicts.parquet",
            _PARQUET,
            lambda: verdicts.to_parquet(cohort.folder),
        ),
        ("List (CSV)", "audit_list_csv", "audit.csv", _CSV, ranked),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, key, name, kind, written in parts:
            st.download_button(
                label,
                written,
                f"timnet-{cohort.name}-{name}",
                kind,
                key=key,
                on_click="ignore",
                icon=":material/download:",
            )
        st.caption("Without reports and X-rays.")
