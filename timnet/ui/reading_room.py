"""The room in which an X-ray is read: the picture on the left, what is said of it on the right.

Owns which map lies over the X-ray, by its name in the Reading, in the session (KEY_map; KEY_pair for the map
of an edited text beside it). Another X-ray or text begins anew.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import streamlit as st

from timnet.counting import counted
from timnet.ui import notices, scored_list, viewer
from timnet.ui.scored_list import Row

if TYPE_CHECKING:
    from timnet.films.film import Film
    from timnet.reading import Reading

WHOLE = "match"
"""The map of the whole text, by its name in a Reading."""
HEIGHT = 480
"""Of the X-ray, in pixels of the page."""
WIDTHS = (5, 3)
"""Shares of the picture and of the words."""
_WARM = "room_warm"


def first(place: Any, film: Film, key: str, at_once: bool = False, leave: str = "") -> None:
    """Show the X-ray alone in a place, at once or while the network is still being loaded."""
    if at_once or not st.session_state.get(_WARM):
        with place.container():
            viewer.show(viewer.View(film), key=f"{key}_first", height=HEIGHT, leave=leave)
        st.session_state[_WARM] = not at_once or st.session_state.get(_WARM, False)


def chosen(reading: Reading, key: str) -> str:
    """Return the map that lies over the X-ray: the chosen one, the whole text's, or the likeliest label's."""
    about = _about(reading)
    if st.session_state.get(f"{key}_about") != about:
        st.session_state.update({f"{key}_about": about, f"{key}_map": None, f"{key}_pair": None})
    name = st.session_state.get(f"{key}_map")
    if name in reading.maps:
        return str(name)
    return (
        WHOLE
        if reading.match is not None
        else max(reading.probabilities, key=reading.probabilities.__getitem__)
    )


def titled(reading: Reading, name: str) -> str:
    """Return what a map is of, in words."""
    if name == WHOLE and reading.match is not None:
        return "Map of the whole text"
    texts = [text for text, _ in reading.sentences]
    return f"Map of sentence {texts.index(name) + 1}" if name in texts else f"Map of {name.replace('_', ' ')}"


def sentences(reading: Reading, key: str) -> None:
    """Show the sentences of the text, each with its own match; a click asks for its map."""
    texts = [text for text, _ in reading.sentences]
    st.caption(
        f"{reading.section.capitalize()} in {counted(len(texts), 'sentence')}, each matched alone: the whole "
        "is not their average. Click one to see its map."
    )
    _list(reading, texts, [Row(*row) for row in reading.sentences], key, "Sentences, each with its own match")
    if reading.long_text:
        st.caption(notices.plain(reading.long_text))


def labels(reading: Reading, key: str) -> None:
    """Show a classifier's labels, the likeliest first, in numbers and words; a click asks for a map."""
    names = sorted(reading.probabilities, key=lambda name: -reading.probabilities[name])
    rows = []
    for name in names:
        word, line = reading.verdict(name), reading.certainty.line(name)
        rows.append(
            Row(
                name.replace("_", " "),
                reading.probabilities[name],
                word or "",
                line.threshold,
                word == "likely" if word else None,
            )
        )
    _list(reading, names, rows, key, "Labels, each with its probability", numbered=False)


def _list(
    reading: Reading, maps: list[str], rows: list[Row], key: str, name: str, numbered: bool = True
) -> None:
    """Show rows of which each has a map, by its name."""
    shown = chosen(reading, key)

    def choose(place: int | None) -> None:
        st.session_state.update({f"{key}_map": None if place is None else maps[place], f"{key}_pair": None})

    scored_list.show(
        rows,
        f"{key}_list_{_about(reading)}",
        name,
        maps.index(shown) if shown in maps else None,
        choose,
        numbered,
    )


def _about(reading: Reading) -> str:
    """Return what tells one film's reading of one text by one network from another."""
    parts = (reading.film.key, reading.checkpoint, reading.sentences, tuple(reading.probabilities))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
