"""Where a film comes from: a file of the visitor's own, a cohort's study, or one of the demo films.

Owns the choice and its keys in the session: KEY_source, KEY_cohort, KEY_film, KEY_demo, KEY_against.
They last as long as the session, whatever page is open. At a visitor's first look an example is chosen.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import streamlit as st

from timnet.cohorts.records import CohortError, Study
from timnet.cohorts.store import Cohort
from timnet.films.film import Film
from timnet.ui import cache, demo
from timnet.ui import uploaded as own
from timnet.ui.uploaded import COHORT, UPLOAD

_UPLOADER = 400
"""Width in pixels of the page."""


@dataclass(frozen=True)
class Chosen:
    """A film, its study and cohort where it is a cohort's, and whether it is simulated."""

    film: Film | None
    study: Study | None = None
    simulated: bool = False
    cohort: Cohort | None = None
    name: str = ""
    """Of the study and its cohort; empty of an upload."""
    number: int | None = None
    """Of the film in its cohort."""


def choose(key: str) -> Chosen:
    """Ask for a film, in a bar that stands already; its `film` is None while there is none."""
    cohorts = demo.cohorts()
    examples = _examples_of(cohorts)
    _handed_over(key, cohorts)
    _first_look(key, examples)
    with st.container(width=_UPLOADER):
        file = own.upload(key)
    if cohorts:
        _cohorts(key, cohorts)
        _examples(key, examples)
    if file and st.session_state[f"{key}_source"] == COHORT:
        # The uploader still names the file, which is not what is shown.
        st.button(
            "Back to the upload", key=f"{key}_back", icon=":material/undo:", on_click=_use, args=(key, UPLOAD)
        )
    if st.session_state[f"{key}_source"] == UPLOAD or not cohorts:
        return Chosen(cache.uploaded(file.data, file.name) if file else None)
    cohort, row = cache.cohort(st.session_state[f"{key}_cohort"]), st.session_state[f"{key}_film"]
    study, film = cache.study_film(cohort, row)
    name = f"{cohort.name}, X-ray {row}: study {study.study}"
    return Chosen(film, study, demo.simulated(cohort), cohort, name, row)


def named(chosen: Chosen) -> None:
    """Say which X-ray of a cohort is shown, and that it is simulated where it is."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if chosen.name:
            st.text(chosen.name, width="content")
        demo.badge(chosen.simulated)


def other(chosen: Chosen, key: str) -> Cohort:
    """Ask for a cohort to compare with, the film's own or the demo's first; there must be one."""
    cohorts = demo.cohorts()
    own = chosen.cohort.name if chosen.cohort else demo.NAME
    name = st.selectbox(
        "Cohort", cohorts, cohorts.index(own) if own in cohorts else 0, key=f"{key}_against", width=300
    )
    return cache.cohort(name)


def _handed_over(key: str, cohorts: list[str]) -> None:
    """Take the film that a link names in the address, once, so that another choice stays."""
    cohort, film = (st.query_params.pop(f"{key}_{name}", "") for name in ("cohort", "film"))
    if cohort not in cohorts:
        return
    st.session_state.update({f"{key}_source": COHORT, f"{key}_cohort": cohort})
    if film.isdecimal():
        st.session_state[f"{key}_film"] = int(film)


def _first_look(key: str, examples: Mapping[str, int]) -> None:
    """Choose the first example, unless something was chosen or uploaded before."""
    if f"{key}_source" in st.session_state:
        return
    st.session_state[f"{key}_source"] = UPLOAD
    if st.session_state.get(own.ONE) or not examples:
        return
    first = next(iter(examples.values()))
    # Where its file is gone, as of a clone that was moved, the page opens without an example.
    with suppress(CohortError):
        cache.cohort_film(cache.cohort(demo.NAME), first)
        _take(key, first)


def _use(key: str, source: str) -> None:
    """Show what was uploaded, or what is chosen of a cohort."""
    st.session_state[f"{key}_source"] = source


def _take(key: str, film: int) -> None:
    """Show a film of the demo."""
    state = {"source": COHORT, "cohort": demo.NAME, "film": film}
    st.session_state.update({f"{key}_{name}": value for name, value in state.items()})


def _cohorts(key: str, cohorts: list[str]) -> None:
    """Offer the X-rays of every cohort by their number."""
    use = functools.partial(_use, key, COHORT)
    if st.session_state.get(f"{key}_cohort") not in cohorts:
        st.session_state[f"{key}_cohort"] = cohorts[0]
    with st.popover("From a cohort", icon=":material/folder_open:", key=f"{key}_from_cohort"):
        name = st.selectbox("Cohort", cohorts, key=f"{key}_cohort", persist_state="session", on_change=use)
        last = len(cache.cohort(name)) - 1
        st.session_state[f"{key}_film"] = min(st.session_state.get(f"{key}_film", 0), last)
        st.number_input(
            f"X-ray number (0 to {last})",
            0,
            last,
            key=f"{key}_film",
            persist_state="session",
            on_change=use,
        )
        st.button("Show this X-ray", key=f"{key}_use", type="primary", on_click=use)
        st.page_link("pages/explore.py", label="Find an X-ray in Explore", icon=":material/search:")


def _examples_of(cohorts: list[str]) -> Mapping[str, int]:
    """Return demo films by what they show; none where there is no demo cohort."""
    if demo.NAME not in cohorts or not demo.simulated(cohort := cache.cohort(demo.NAME)):
        return {}
    return demo.examples(cohort)


def _examples(key: str, examples: Mapping[str, int]) -> None:
    """Offer demo films by what they show; choosing one sets the cohort and the film."""

    def show() -> None:
        chosen = st.session_state[f"{key}_demo"]
        if chosen:
            _take(key, examples[chosen])
        else:
            st.session_state[f"{key}_source"] = UPLOAD

    if not examples:
        return
    at = [st.session_state.get(f"{key}_{name}") for name in ("source", "cohort", "film")]
    # Lit while its film is the one shown, and then alone.
    st.session_state[f"{key}_demo"] = next(
        (words for words, film in examples.items() if at == [COHORT, demo.NAME, film]), None
    )
    with st.popover("Examples", icon=":material/model_training:", key=f"{key}_examples"):
        st.pills("Simulated X-rays", list(examples), key=f"{key}_demo", on_change=show, help=_HELP, wrap=True)


_HELP = (
    "Made from one CT by physics, with findings put in and a report written from them. No patient's X-ray."
)
