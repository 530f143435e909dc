"""Faults of the cohort in view: the process that looks for them, and the list, from which a study is opened.

Owns the expander. The work is a process of its own (`cohorts.checks`): a closed tab loses nothing.
"""

from __future__ import annotations

import streamlit as st

from timnet import spreadsheet
from timnet.cohorts import checks
from timnet.cohorts.checks import KINDS, Kept
from timnet.cohorts.store import Cohort
from timnet.counting import counted
from timnet.ui import background, checkpoints, demo, download, filters, fold, notices, study_link, tables

_TABLE = "check_table"
_COLUMNS = {"kind": "Kind", "study": "Study", "split": "Split", "reason": "Reason", "score": "Score"}


def show(cohort: Cohort) -> None:
    """Offer to check a cohort, follow the check, or show what it found, once the reader opens it."""
    box = fold.opened("Check this cohort", "rule", "check_open")
    if box is None:
        return
    with box, notices.sentences():
        networks = {each.name: each for each in checkpoints.listed("timnet")}
        if not networks:
            st.info("Labels and X-rays are compared by a network; none is here yet.")
            return
        first = checkpoints.meant(list(networks.values()), demo.simulated(cohort)).name
        name = st.selectbox("Network", networks, list(networks).index(first), key="check_network", width=220)
        checkpoint = networks[name].folder
        place = checks.place(cohort, checkpoint)
        state = checks.state(place)
        if state.name == "working":
            background.follow(lambda: checks.state(place), background.phase)
        elif state.name == "complete" and (done := checks.load(place)) is not None:
            _list(cohort, done)
        else:
            st.caption(
                "Looks for labels that may be wrong, the same X-ray twice, X-rays that lie on their side or "
                "are mirrored, wrong views and empty reports, in the background. You can close the page."
            )
            if state.name == "stopped" and state.message:
                background.stopped(state, "It stopped; what was read of the X-rays is kept.")
            st.button(
                f"Check {counted(len(cohort), 'X-ray')}",
                key="check_start",
                icon=":material/play_arrow:",
                on_click=checks.start,
                args=(cohort, checkpoint),
            )


def _list(cohort: Cohort, done: Kept) -> None:
    counts = done.found["kind"].value_counts()
    kinds = [kind for kind in KINDS if kind in counts]
    for kind, reason in zip(done.unchecked["kind"], done.unchecked["reason"], strict=True):
        st.caption(notices.plain(f"Not checked ({KINDS[str(kind)]}): {reason}."))
    if not kinds:
        st.success("Nothing was found.", icon=":material/check:")
        return
    chosen = st.pills(
        "Kind",
        kinds,
        selection_mode="multi",
        format_func=lambda kind: f"{KINDS[kind].capitalize()}: {counts[kind]:,}",
        key="check_kinds",
    )
    table = done.found[done.found["kind"].isin(chosen or kinds)].reset_index(drop=True)

    def choose() -> None:
        if rows := st.session_state[_TABLE].selection.rows:
            open_study(cohort, str(table["study"][rows[0]]))

    tables.show(
        table.assign(kind=table["kind"].map(KINDS))[list(_COLUMNS)].rename(columns=_COLUMNS),
        _TABLE,
        "Faults found, one row each, with the reason",
        height=300,
        on_select=choose,
        selection_mode="single-row",
        column_config={"Score": st.column_config.NumberColumn(format="%.3f")},
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        download.offer(
            "List (CSV)",
            lambda: spreadsheet.safe_csv(spreadsheet.traced(table, cohort.name, {})),
            f"timnet-{cohort.name}-check.csv",
            "check_csv",
        )
        st.caption("What may be wrong, not what is: look at each. A click on a row opens its study.")


def open_study(cohort: Cohort, study: str) -> None:
    """Open a study on the page, without filters, which could hide it; for a widget's callback."""
    session = st.session_state
    for key in ("label", "split", "view", "sex", "report"):
        if key in session:
            session[key] = filters.ANY
    for key, value in (("explore_query", ""), ("age", filters.AGES)):
        if key in session:
            session[key] = value
    session["page"] = study_link.page(cohort, study)
    session["explore_open"] = study
