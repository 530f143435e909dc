"""A second X-ray of the patient beside the first: an earlier one, or the lateral, with the same report.

Owns which X-rays are offered: those that the cohort has of the patient, or an upload. One that looks like no
frontal chest X-ray is shown without a number: the network reads frontal ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from timnet.counting import counted
from timnet.ui import cache, notices, panels, reading_room, uploaded, viewer

if TYPE_CHECKING:
    from timnet.films.film import Film
    from timnet.reading import Reading
    from timnet.ui.checkpoints import Checkpoint
    from timnet.ui.film_picker import Chosen


def choose(chosen: Chosen) -> Film | None:
    """Ask for the second X-ray; None while there is none."""
    with st.popover("Second X-ray", icon=":material/splitscreen_left:", key="match_second_open"):
        if chosen.cohort is None or chosen.study is None:
            file = uploaded.upload_second("match")
            return cache.uploaded(file.data, file.name) if file else None
        films = chosen.cohort.films_of_patient(chosen.study.patient)
        others = films[films["film"] != chosen.number].set_index("film")
        if others.empty:
            st.text("The cohort has no other X-ray of this patient.")
            return None
        views = others["view"].fillna("")
        picked = st.selectbox(
            f"{counted(len(others), 'other X-ray')} of this patient",
            others.index.tolist(),
            index=None,
            format_func=lambda film: ", ".join(
                filter(None, (f"X-ray {film}", f"study {others.loc[film, 'study']}", views[film]))
            ),
            placeholder="None",
            # Of this X-ray: another one has others.
            key=f"match_second_{chosen.cohort.name}_{chosen.number}",
        )
    return None if picked is None else cache.cohort_film(chosen.cohort, picked, views[picked] or None)


def show(place: Any, reading: Reading, name: str, network: Checkpoint, findings: str, second: Film) -> None:
    """Show both X-rays, moving together, each with its map and its match with the report."""
    doubt = cache.doubt(second)
    other = None if doubt else cache.reading(network, second, findings)
    first = f"First X-ray: {reading.match:.3f}"
    if other is None:
        beside = viewer.View(second, alt="The second X-ray", title="Second X-ray")
        st.caption(f"Second X-ray: {notices.plain(doubt)}.")
    else:
        beside = panels.painted(
            other, name, f"Second X-ray: {other.match:.3f}", "The second X-ray with its map"
        )
        st.markdown(
            f"The same report matches the second X-ray with **{other.match:.3f}**, the first with "
            f"**{reading.match:.3f}**."
        )
    with place:
        viewer.show(
            panels.painted(reading, name, first),
            beside,
            key="match_second_viewer",
            height=reading_room.HEIGHT,
        )
