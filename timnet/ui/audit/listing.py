"""The ranked list of an audit: filtered, searched and shown a page at a time, with one study chosen.

Owns which pair is chosen (`audit_film` in the session) and where the list goes from it. Of a whole archive's
list only the rows of one page go to the browser.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from timnet.cohorts import audits
from timnet.cohorts.audits import FINDING, REPORT, SENTENCE, SIDE, Kept
from timnet.counting import counted
from timnet.ui import cache, fold, notices, tables
from timnet.ui.audit.scoring import LINKED, Audit

PAGE, FIRST = 50, 500
"""Rows of a page of the list, and of those left out."""
ALL, OPEN, DONE = "All", "Open", "Done"
KINDS = {
    ALL: "Every reason",
    SIDE: "Swapped sides",
    SENTENCE: "A sentence against the X-ray",
    FINDING: "Finding not reported",
    REPORT: "Report of another patient?",
}
WHY = {SIDE: "sides", SENTENCE: "one sentence", FINDING: "finding", REPORT: "other patient?", "": ""}
CHOSEN = "audit_film"
_REFRESH = 30 * 10**9
"""Nanoseconds."""
_MISFIT = (
    "**Misfit** near 1: other patients' reports fit this X-ray better than its own, and the report fits "
    "other patients' X-rays better; 0.5: the own report fits no better than a stranger's."
)
_TURN = "audit_turn"
WIDTH = 380
"""Of the list, in pixels of the page."""
_HEIGHT = 485


@dataclass(frozen=True)
class Listed:
    """A list as it is filtered: the whole table, which of its rows are asked for, and the verdicts so far."""

    table: pd.DataFrame
    rows: NDArray[np.int64]
    judged: Mapping[str, str]
    """Study -> its verdict."""

    @property
    def chosen(self) -> int | None:
        """Return the row that is chosen; None where the list has none."""
        film = st.session_state.get(CHOSEN)
        if film is not None and len(found := np.flatnonzero(self.table["film"].to_numpy() == film)):
            return int(found[0])
        return int(self.rows[0]) if len(self.rows) else None

    def following(self, row: int) -> int | None:
        """Return the film of the next study of the list without a verdict; None where there is no other."""
        study = self.table["study"].iloc[row]
        others = self.rows[~self.table["study"].iloc[self.rows].isin([*self.judged, study]).to_numpy(bool)]
        after = others[others > row]
        ahead = after if len(after) else others
        return int(self.table["film"].iloc[ahead[0]]) if len(ahead) else None


def opened(audit: Audit, is_working: bool) -> Kept | None:
    """Return an audit's list with the reasons known so far; None while there is none."""
    # While reasons are worked out they are taken in now and then: an archive's list takes seconds to join.
    step = _REFRESH if is_working else 1
    folder = audit.folder
    classifier = str(audit.classifier.folder) if audit.classifier else None
    files = [path for end in ("parquet", "jsonl") for path in folder.glob(f"*.{end}")]
    stamp = tuple(sorted((path.name, path.stat().st_mtime_ns // step * step) for path in files))
    return _opened(str(folder), stamp, classifier)


@st.cache_resource(max_entries=2, show_spinner="Opening the list …")
def _opened(folder: str, stamp: tuple[tuple[str, int], ...], classifier: str | None) -> Kept | None:
    kept = audits.load(Path(folder))
    return kept and audits.explained(Path(folder), kept, Path(classifier) if classifier else None)


def narrowed(
    table: pd.DataFrame, judged: Iterable[str], kind: str, verdict: str, split: str, words: str
) -> NDArray[np.int64]:
    """Return the rows of a list that filters leave, in its order.

    Args:
        judged: studies that have a verdict.
        kind: of KINDS. A finding counts whatever else may be wrong.
        verdict: ALL, OPEN or DONE.
        split: one, or ALL.
        words: part of a study's name, in any case.
    """
    left = np.ones(len(table), bool)
    if kind == FINDING:
        left &= ((table["denied"] != "") | (table["not_named"] != "")).to_numpy(bool)
    elif kind != ALL:
        left &= (table["why"] == kind).to_numpy(bool)
    if verdict != ALL:
        left &= table["study"].isin(judged).to_numpy(bool) == (verdict == DONE)
    if split != ALL:
        left &= (table["split"] == split).to_numpy(bool)
    if words.strip():
        left &= table["study"].str.contains(words.strip(), case=False, regex=False).to_numpy(bool)
    return np.flatnonzero(left)


def choose(table: pd.DataFrame, judged: Mapping[str, str]) -> Listed:
    """Ask which part of the list is wanted."""
    splits = [ALL, *sorted(table["split"].dropna().unique())]
    if st.session_state.get("audit_split") not in splits:
        st.session_state["audit_split"] = ALL
    if st.session_state.get("audit_verdict") is None:
        st.session_state["audit_verdict"] = OPEN
    with st.container(horizontal=True, gap="xsmall"):
        kind = st.selectbox(
            "Why",
            list(KINDS),
            format_func=lambda each: KINDS[each],
            key="audit_kind",
            label_visibility="collapsed",
            on_change=first,
            width=238,
        )
        words = st.text_input(
            "Find a study",
            key="audit_words",
            placeholder="Find a study",
            label_visibility="collapsed",
            on_change=first,
        )
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        verdict = st.segmented_control(
            "Verdict",
            [OPEN, DONE, ALL],
            required=True,
            key="audit_verdict",
            label_visibility="collapsed",
            persist_state="session",
            on_change=first,
        )
        split = st.selectbox(
            "Split",
            splits,
            format_func=lambda each: "All splits" if each == ALL else f"Split {each}",
            key="audit_split",
            label_visibility="collapsed",
            persist_state="session",
            on_change=first,
        )
    return Listed(table, narrowed(table, judged, str(kind), str(verdict), str(split), words), judged)


def take_link(table: pd.DataFrame) -> None:
    """Open the study that the address or another choice of list asks for."""
    study = st.session_state.pop(LINKED, None)
    if study is None:
        return
    found = np.flatnonzero((table["study"] == study).to_numpy(bool))
    go(int(table["film"].iloc[found[0]]) if len(found) else None)
    if study and not len(found):
        notices.not_here("study", study)


def first() -> None:
    """Go to the first study of the list."""
    go(None)


def go(film: int | None) -> None:
    """Choose a pair by its film, None for the first of the list, and turn to its page."""
    st.session_state[CHOSEN] = film
    st.session_state[_TURN] = st.session_state.get(_TURN, 0) + 1


def show(audit: Audit, listed: Listed) -> None:
    """Show a page of the list; a row that is clicked is chosen."""
    pages = max(math.ceil(len(listed.rows) / PAGE), 1)
    chosen = listed.chosen
    place = int(np.searchsorted(listed.rows, chosen)) if chosen is not None else 0
    st.caption(f"{len(listed.rows):,} of {counted(len(listed.table), 'X-ray')}, the worst first")
    box = st.container()
    page = 1
    if pages > 1:
        # Another key where the list is to turn to what was chosen elsewhere; a reader turns it freely.
        turn = st.session_state.setdefault(_TURN, 0)
        at = min(place // PAGE + 1, pages)
        page = min(
            st.pagination(pages, default=at, key=f"audit_page_{turn}_{pages}", max_visible_pages=5), pages
        )
    st.caption(_MISFIT)
    rows = listed.rows[(page - 1) * PAGE : page * PAGE]
    if len(rows):
        with box:
            _table(audit, listed, rows, chosen, f"audit_list_{page}")


def _table(audit: Audit, listed: Listed, rows: NDArray[np.int64], chosen: int | None, key: str) -> None:
    part = listed.table.iloc[rows]
    films = [int(film) for film in part["film"]]

    def choose() -> None:
        picked = st.session_state[key].selection
        # A row is chosen at its left edge or by any of its cells; the same cell again gives none.
        if places := [*(row for row, _ in picked.cells), *picked.rows]:
            st.session_state[CHOSEN] = films[places[0]]

    given = [listed.judged.get(study, "") for study in part["study"]]
    table = pd.DataFrame({"#": rows + 1, "X-ray": cache.thumbnails(audit.cohort, films)})
    table["Study"] = part["study"].to_numpy()
    if any(given):
        table["Verdict"] = given
    table["Misfit"] = part["misfit"].to_numpy()
    table["Why"] = [WHY.get(why, "") for why in part["why"]]
    at = [int(np.flatnonzero(rows == chosen)[0])] if chosen in rows else []
    # What is chosen may have been chosen elsewhere: by a verdict, or by a link.
    st.session_state[key] = {"selection": {"rows": at, "cells": []}}
    tables.show(
        table,
        key,
        "Studies of the list, the worst first, with their misfit, why, and the verdict",
        height=_HEIGHT,
        row_height=48,
        on_select=choose,
        selection_mode=["single-row", "single-cell"],
        column_config={
            "#": st.column_config.NumberColumn("#", width=40),
            "X-ray": st.column_config.ImageColumn("X-ray", width=52),
            "Study": st.column_config.TextColumn("Study", width=70),
            "Misfit": st.column_config.ProgressColumn(
                "Misfit", min_value=0, max_value=1, format="%.2f", width=80
            ),
            "Why": st.column_config.TextColumn("Why", width=92),
            "Verdict": st.column_config.TextColumn("Verdict", width=90),
        },
    )


def left_out(table: pd.DataFrame) -> None:
    """Show what is not in the list, and why, once the reader opens it."""
    if not len(table):
        return
    part = fold.opened(f"{counted(len(table), 'X-ray')} left out (why?)", "info", "audit_left_out")
    if part is None:
        return
    reasons = table["reason"].value_counts()
    with part:
        tables.show(
            pd.DataFrame({"Why": reasons.index, "Number": reasons.to_numpy()}),
            "audit_left_out_reasons",
            "Why X-rays are not in the list, with how many of each",
        )
        shown = table.head(FIRST)[["study", "split", "reason"]]
        tables.show(
            shown.rename(columns=str.capitalize),
            "audit_left_out_studies",
            "Studies that are not in the list, with the reason",
        )
        if len(table) > FIRST:
            st.caption(f"The first {FIRST:,} of {len(table):,}.")
