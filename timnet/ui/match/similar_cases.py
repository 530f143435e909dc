"""Similar cases of a cohort: reports that match this film best, and films that match this text best.

Owns what stands before a search (the cohort's vectors, built by a process of its own) and how its answers are
shown. The film's own study is left out; the same patient and the same file under another study are marked.
Findings are shown as literal text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from timnet.cohorts import vectors
from timnet.cohorts.store import Cohort
from timnet.counting import counted
from timnet.reports import report_text
from timnet.ui import background, cache, demo, film_picker, notices, study_link
from timnet.ui.checkpoints import Checkpoint

if TYPE_CHECKING:
    from timnet.films.film import Film

Nearest = tuple[NDArray[np.int64], NDArray[np.float64]]
SHOWN = 5
_BOTH = ("X-ray or report", "X-rays and reports")


@dataclass(frozen=True)
class Found:
    """One answer: a film of a study, what its report says, and the match probability."""

    film: int
    study: str
    findings: str
    probability: float
    mark: str
    """Why it is no stranger's; empty where it is."""


def show(network: Checkpoint, film: Film, findings: str, chosen: film_picker.Chosen, cohort: Cohort) -> None:
    """Show the reports and films of a cohort that match best, or what a search needs before."""
    folder = vectors.place(cohort, network.folder)
    state = vectors.state(folder)
    if state.name == "building":
        background.follow(lambda: vectors.state(folder), lambda now: _progress(cohort, now))
    elif state.name != "complete":
        _offer(cohort, network, state)
    else:
        about = (network, film, findings, chosen, cohort)
        st.markdown("**Reports that match this X-ray best**")
        _reports(cohort, _answers(*about, films=False))
        st.markdown("**X-rays that match this report best**")
        demo.badge(demo.simulated(cohort))
        _films(cohort, network, _answers(*about, films=True))
        st.caption(
            "Ordered by the network's own match probability: similarity is the network's own and may be "
            "wrong. The X-ray's own study is left out."
        )


def _offer(cohort: Cohort, network: Checkpoint, state: vectors.State) -> None:
    st.caption(
        f"To find similar cases, this network reads {counted(len(cohort), 'X-ray')} and the reports once, "
        "in the background. You can close the page meanwhile."
    )
    done, label = counted(state.done, *_BOTH), f"Prepare {notices.plain(cohort.name)}"
    background.offer(state, done, label, "match_prepare", vectors.start, cohort, network.folder)


def _progress(cohort: Cohort, state: vectors.State) -> str:
    done = f"{state.done:,} of {counted(state.total, *_BOTH)}" if state.total else "preparing the X-rays"
    return f"Reading {cohort.name}: {done}"


def _answers(
    network: Checkpoint, film: Film, findings: str, chosen: film_picker.Chosen, cohort: Cohort, films: bool
) -> list[Found]:
    """Return the best of a cohort, the film's own study left out."""
    study = chosen.study if chosen.cohort is not None and chosen.cohort.folder == cohort.folder else None
    number = SHOWN + (len(study.films) if study else 0)
    if films:
        rows, logits = _nearest_films(cohort, network, number, report_text.findings(findings))
    else:
        rows, logits = _nearest_reports(cohort, network, number, film)
    found = []
    sure = cache.reader(network).matched(np.asarray(logits, float))
    for row, probability in zip(rows, sure, strict=True):
        other = cohort.study_of(row)
        if study is not None and other.study == study.study:
            continue
        mark = "this very X-ray" if film.sha256 in {each.sha256 for each in other.films} else ""
        if study is not None and other.patient == study.patient:
            mark = "same patient"
        found.append(Found(int(row), other.study, other.findings, float(probability), mark))
    return found[:SHOWN]


@st.cache_resource(
    max_entries=3, scope="session", hash_funcs=cache.KEYS, show_spinner="Searching the X-rays …"
)
def _nearest_films(cohort: Cohort, network: Checkpoint, number: int, findings: str) -> Nearest:
    from timnet.evaluation import retrieval

    matcher = cache.reader(network).matcher
    query_D = matcher.text_vectors([findings])[0]
    return retrieval.nearest(matcher.timnet, query_D, _vectors(cohort, network).films_ND, number)


@st.cache_resource(
    max_entries=3, scope="session", hash_funcs=cache.KEYS, show_spinner="Searching the reports …"
)
def _nearest_reports(cohort: Cohort, network: Checkpoint, number: int, film: Film) -> Nearest:
    """Return the first films of the nearest reports' studies, and the logits."""
    from timnet.evaluation import retrieval

    matcher = cache.reader(network).matcher
    query_D = matcher.film_vectors(cache.seen(network, film).grid_1Chw)[0]
    rows, logits = retrieval.nearest(matcher.timnet, query_D, _vectors(cohort, network).reports_MD, number)
    return _first_films(cohort)[rows], logits


@st.cache_resource(max_entries=4, hash_funcs=cache.KEYS, show_spinner=False)
def _first_films(cohort: Cohort) -> NDArray[np.int64]:
    """Return the first film of every report's study: read once, not at every search."""
    return vectors.reports(cohort)["film"].to_numpy()


@st.cache_resource(max_entries=4, hash_funcs=cache.KEYS, show_spinner=False)
def _vectors(cohort: Cohort, network: Checkpoint) -> vectors.Vectors:
    return vectors.load(vectors.place(cohort, network.folder))


def _reports(cohort: Cohort, found: list[Found]) -> None:
    for each in found:
        number, words = st.columns([1, 5], vertical_alignment="center")
        with number:
            st.markdown(f"**{each.probability:.3f}**")
            study_link.show(cohort, each.study, each.film)
        with words:
            _mark(each)
            st.text(each.findings)


def _films(cohort: Cohort, network: Checkpoint, found: list[Found]) -> None:
    pixels_NSS = cohort.pixels(network.side)
    for place, (each, cell) in enumerate(zip(found, st.columns(SHOWN), strict=False)):
        with cell:
            picture = cache.png(np.asarray(pixels_NSS[each.film]))
            st.image(picture, width="stretch", alt=f"X-ray {place + 1} of those that match the text best")
            st.markdown(f"**{each.probability:.3f}**")
            _mark(each)
            study_link.show(cohort, each.study, each.film)
            st.text(each.findings[:160] + ("…" if len(each.findings) > 160 else ""))


def _mark(each: Found) -> None:
    if each.mark:
        st.badge(each.mark, icon=":material/person:", color="orange")
