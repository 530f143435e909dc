"""Renaming and deleting the cohort in view, once the reader opens it and says so."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from timnet import config
from timnet.cohorts import upkeep
from timnet.cohorts.store import Cohort
from timnet.errors import TimnetError
from timnet.training import runs
from timnet.ui import demo, fold, notices


def show(cohort: Cohort) -> None:
    """Offer to rename or delete a cohort, with what is lost by it."""
    box = fold.opened("Rename or delete this cohort", "edit", "upkeep_open")
    if box is None:
        return
    with box:
        users = [state for state in runs.all_runs(config.checkpoints()) if cohort.name in _cohorts(state)]
        active = [state.folder.name for state in users if state.active]
        if active:
            st.info(f"A run is using it: {notices.plain(active[0])}. Stop it, or wait for its end.")
            return
        if users:
            st.caption(
                f"Runs that name this cohort: {len(users)}. Their networks stay; what their pages show of "
                "its X-rays, and going on or repeating them, needs the cohort under its present name."
            )
        with notices.sentences():
            _rename(cohort.name)
            _delete(cohort)


def _rename(name: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("New name", key=f"upkeep_name_{name}", max_chars=64)
        st.button("Rename", key="upkeep_rename", on_click=_renamed, args=(name,))
    if refused := st.session_state.pop("upkeep_refused", ""):
        st.error(notices.plain(refused), icon=":material/error:")


def _renamed(name: str) -> None:
    # Before the page is drawn: only then can another cohort be chosen on it.
    new = st.session_state[f"upkeep_name_{name}"].strip()
    try:
        upkeep.rename(name, new)
        st.session_state["cohort"] = new
    except TimnetError as error:
        st.session_state["upkeep_refused"] = str(error)


def _delete(cohort: Cohort) -> None:
    lost = upkeep.contents(cohort)
    summary = cohort.summary()
    films = (
        "the uploaded X-rays, of which this may be the only copy"
        if lost.uploaded
        else "no X-ray, as they stay in the folder they were imported from"
    )
    st.warning(
        f"Deleting removes {lost.bytes / 1e6:,.0f} MB: reports and labels (studies: {summary.studies:,}; "
        f"labels added in the app: {lost.labels:,}), what was prepared for searches and previews, "
        f"and {films}."
        + (" The demo comes back when the app is started again." if demo.simulated(cohort) else ""),
        icon=":material/warning:",
    )
    sure = st.checkbox(f"Delete {notices.plain(cohort.name)} for good", key=f"upkeep_sure_{cohort.name}")
    if st.button("Delete", key="upkeep_delete", icon=":material/delete:", disabled=not sure):
        upkeep.delete(cohort.name)
        st.rerun()


def _cohorts(state: runs.State) -> set[str]:
    """Return the names of the cohorts that a run learns from."""
    settings = state.settings
    listed = (settings.cohort,) if isinstance(settings, config.Finetune) else settings.cohorts
    return {Path(each).name for each in listed}
