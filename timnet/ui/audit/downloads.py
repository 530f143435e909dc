"""What one takes along of an audit: the verdicts and the list, with what each row comes from."""

from __future__ import annotations

from functools import partial

import streamlit as st

from timnet import spreadsheet
from timnet.cohorts import verdicts
from timnet.ui import download
from timnet.ui.audit.listing import Listed
from timnet.ui.audit.scoring import Audit


def offer(audit: Audit, listed: Listed) -> None:
    """Offer the verdicts as CSV and Parquet, and the list as it is filtered as CSV."""
    cohort, network = audit.cohort, audit.network.name

    def judged() -> bytes:
        table = verdicts.standing(cohort.folder)
        return spreadsheet.safe_csv(spreadsheet.traced(table, cohort.name, {}))

    def ranked() -> bytes:
        table = listed.table.iloc[listed.rows]
        table = table.assign(verdict=table["study"].map(listed.judged).fillna(""))
        table.insert(0, "rank", listed.rows + 1)
        return spreadsheet.safe_csv(spreadsheet.traced(table, cohort.name, {"network": network}))

    stem = f"timnet-{cohort.name}"
    with st.container(horizontal=True, vertical_alignment="center"):
        download.offer("Verdicts (CSV)", judged, f"{stem}-verdicts.csv", "audit_csv")
        packed = partial(verdicts.to_parquet, cohort.folder)
        download.offer("Verdicts (Parquet)", packed, f"{stem}-verdicts.parquet", "audit_parquet")
        download.offer("List (CSV)", ranked, f"{stem}-audit.csv", "audit_list_csv")
        st.caption("Without reports and X-rays.")
