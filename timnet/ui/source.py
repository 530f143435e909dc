"""Where a film comes from: a file of the visitor's own, a cohort's study, or one of the demo films.

Owns the choice and its keys in the session: KEY_source, KEY_cohort, KEY_film, KEY_demo, KEY_against.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from timnet.cohorts.films import Film
from timnet.cohorts.records import Study
from timnet.cohorts.store import Cohort
from timnet.ui import demo, loaders, panels

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
        return Chosen(panels.upload(f"{key}_upload"))
    _handed_over(key, cohorts)
    st.session_state.setdefault(f"{key}_source", UPLOAD)
    source = st.segmented_control("Film", [UPLOAD, COHORT], required=True, key=f"{key}_source")
    _examples(key, cohorts)
    if source == UPLOAD:
        return Chosen(panels.upload(f"{key}_upload"))
    name = st.selectbox("Cohort", cohorts, key=f"{key}_cohort")
    cohort = loaders.cohort(name)
    last = len(cohort) - 1
    st.session_state[f"{key}_film"] = min(st.session_state.get(f"{key}_film", 0), last)
    row = st.number_input(f"Film, 0 to {last}", 0, last, key=f"{key}_film")
    st.page_link("pages/explore.py", label="Find a film in Explore", icon=":material/search:")
    if demo.simulated(cohort):
        demo.badge()
    study = cohort.study_of(row)
    view = next((film.view for film in study.films if film.film == row), None)
    return Chosen(loaders.cohort_film(cohort, row, view), study, demo.simulated(cohort), cohort)


def other(chosen: Chosen, key: str) -> Cohort:
    """Ask for a cohort to compare with, the film's own or the demo's first; there must be one."""
    cohorts = demo.cohorts()
    own = chosen.cohort.name if chosen.cohort else demo.NAME
    name = st.selectbox(
        "Cohort", cohorts, cohorts.index(own) if own in cohorts else 0, key=f"{key}_against", width=300
    )
    return loaders.cohort(name)


def _handed_over(key: str, cohorts: list[str]) -> None:
    """Take the film that Explore names in the address, once."""
    asked = st.query_params
    if f"{key}_source" in st.session_state or asked.get(f"{key}_cohort") not in cohorts:
        return
    st.session_state.update({f"{key}_source": COHORT, f"{key}_cohort": asked[f"{key}_cohort"]})
    if asked.get(f"{key}_film", "").isdecimal():
        st.session_state[f"{key}_film"] = int(asked[f"{key}_film"])


def _examples(key: str, cohorts: list[str]) -> None:
    """Offer demo films by what they show; choosing one sets the cohort and the film."""
    if demo.NAME not in cohorts or not demo.simulated(cohort := loaders.cohort(demo.NAME)):
        return
    examples = demo.examples(cohort.identity, cohort)

    def show() -> None:
        chosen = st.session_state[f"{key}_demo"]
        if chosen:
            state = {"source": COHORT, "cohort": demo.NAME, "film": examples[chosen]}
            st.session_state.update({f"{key}_{name}": value for name, value in state.items()})

    if examples:
        st.pills(
            "Or a simulated film with",
            list(examples),
            key=f"{key}_demo",
            on_change=show,
            help=_HELP,
            wrap=True,
        )


_HELP = "Made from one CT by physics, with findings put in and a report written from them. No patient's film."
