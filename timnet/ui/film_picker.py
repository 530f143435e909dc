"""Where a film comes from: a file of the visitor's own, a cohort's study, or one of the demo films.

Owns the choice and its keys in the session: KEY_source, KEY_cohort, KEY_film, KEY_demo, KEY_against.
They last as long as the session, whatever page is open.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from timnet.cohorts.records import Study
from timnet.cohorts.store import Cohort
from timnet.films.film import Film
from timnet.ui import cache, demo
from timnet.ui import uploaded as own

UPLOAD, COHORT = "Upload", "From a cohort"


@dataclass(frozen=True)
class Chosen:
    """A film, its study and cohort where it is a cohort's, and whether it is simulated."""

    film: Film | None
    study: Study | None = None
    simulated: bool = False
    cohort: Cohort | None = None


def choose(key: str) -> Chosen:
    """Ask for a film; its `film` is None while there is none."""
    cohorts = demo.cohorts()
    if not cohorts:
        return _own(key)
    _handed_over(key, cohorts)
    st.session_state.setdefault(f"{key}_source", UPLOAD)
    source = st.segmented_control(
        "X-ray", [UPLOAD, COHORT], required=True, key=f"{key}_source", persist_state="session"
    )
    _examples(key, cohorts)
    if source == UPLOAD:
        return _own(key)
    if st.session_state.get(f"{key}_cohort") not in cohorts:
        st.session_state[f"{key}_cohort"] = cohorts[0]
    name = st.selectbox("Cohort", cohorts, key=f"{key}_cohort", persist_state="session")
    cohort = cache.cohort(name)
    last = len(cohort) - 1
    st.session_state[f"{key}_film"] = min(st.session_state.get(f"{key}_film", 0), last)
    row = st.number_input(f"X-ray number (0 to {last})", 0, last, key=f"{key}_film", persist_state="session")
    st.page_link("pages/explore.py", label="Find an X-ray in Explore", icon=":material/search:")
    if demo.simulated(cohort):
        demo.badge()
    study = cohort.study_of(row)
    view = next((film.view for film in study.films if film.film == row), None)
    return Chosen(cache.cohort_film(cohort, row, view), study, demo.simulated(cohort), cohort)


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


def _own(key: str) -> Chosen:
    file = own.upload(key)
    return Chosen(cache.uploaded(file.data, file.name) if file else None)


def _examples(key: str, cohorts: list[str]) -> None:
    """Offer demo films by what they show; choosing one sets the cohort and the film."""
    if demo.NAME not in cohorts or not demo.simulated(cohort := cache.cohort(demo.NAME)):
        return
    examples = demo.examples(cohort.identity, cohort)

    def show() -> None:
        chosen = st.session_state[f"{key}_demo"]
        film = {"source": COHORT, "cohort": demo.NAME, "film": examples[chosen]} if chosen else {}
        state = film or {"source": UPLOAD}
        st.session_state.update({f"{key}_{name}": value for name, value in state.items()})

    if examples:
        at = [st.session_state.get(f"{key}_{name}") for name in ("source", "cohort", "film")]
        # Lit while its film is the one shown, and then alone.
        st.session_state[f"{key}_demo"] = next(
            (words for words, film in examples.items() if at == [COHORT, demo.NAME, film]), None
        )
        st.pills(
            "Or try a simulated example",
            list(examples),
            key=f"{key}_demo",
            on_change=show,
            help=_HELP,
            wrap=True,
        )


_HELP = (
    "Made from one CT by physics, with findings put in and a report written from them. No patient's X-ray."
)
