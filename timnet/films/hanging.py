"""How a film hangs: which way the patient faces at each of its edges, stated by the file or only assumed.

Source: Patient Orientation, PS3.3 C.7.6.1.1.1 (direction of the rows, then of the columns; bipeds). Field of
View Flip and Rotation (C.8.11.4) relate the stored image to the detector and Laterality names a body part:
neither says anything of an edge, so neither is read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

View = Literal["PA", "AP", "FRONTAL", "LATERAL"]
"""FRONTAL: PA or AP, it is not known which."""
Orientation = tuple[str, str]
"""Main direction of the rows, hence of the right edge, and of the columns, hence of the bottom edge."""
USUAL: Orientation = ("L", "F")
"""A frontal film as it is looked at: the patient's left at the right edge, feet down."""

_OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "H": "F", "F": "H"}
_LONGEST = 64
_WORDS_OF_VIEWS: tuple[tuple[str, str], ...] = (
    (r"\bPOST\w*?[\W_]*ANT\w*", "PA"),
    (r"\bANT\w*?[\W_]*POST\w*", "AP"),
    (r"\b(?:DORSO[\W_]*VENTR|TYLNO[\W_]*PRZEDN)\w*", "PA"),
    (r"\b(?:VENTRO[\W_]*DORS|PRZEDNIO[\W_]*TYLN)\w*", "AP"),
    (r"(?<![A-Z])([AP])[\W_]{1,2}([AP])(?![A-Z])", r"\1\2"),
)
_NO_USUAL_HANGING = re.compile(r"[LR]LD|.*DECUB.*")
_LATERAL = re.compile(r"[LR]?LAT.*|[LR]LO?|PROFILE?|PERFIL|SEITL\w*|BOCZN\w*")
_FRONTAL = re.compile(r"FRONT(AL\w*)?|FACE")


EDGES = {"left": (0.0, 0.5), "top": (0.5, 0.0), "right": (1.0, 0.5), "bottom": (0.5, 1.0)}
"""The middle of each edge, in shares of width and height."""


@dataclass(frozen=True)
class Sides:
    """The patient's direction at each edge: R, L, A, P, H or F, or nothing where none may be marked."""

    left: str = ""
    top: str = ""
    right: str = ""
    bottom: str = ""
    stated: bool = True
    """By the file or its cohort; else only assumed."""

    def marks(self) -> dict[str, str]:
        """Return the letter of each edge that has one, with a question mark where it is only assumed."""
        # Head up goes without saying.
        usual = "HF" if self.top == "H" else ""
        letters = {edge: getattr(self, edge) for edge in EDGES}
        return {
            edge: letter + "?" * (not self.stated)
            for edge, letter in letters.items()
            if letter and letter not in usual
        }


@lru_cache(maxsize=1024)  # a table says the same few things
def view_of(words: str) -> View | None:
    """Return what a file's or a table's words for a view mean; None where that has no usual hanging."""
    text = unicodedata.normalize("NFKD", words[:_LONGEST]).upper()
    text = "".join(each for each in text if not unicodedata.combining(each))
    for pattern, code in _WORDS_OF_VIEWS:
        text = re.sub(pattern, code, text)
    found = re.findall(r"[A-Z]+", text)
    if any(_NO_USUAL_HANGING.fullmatch(word) for word in found):
        return None
    lateral = found == ["L"] or any(_LATERAL.fullmatch(word) for word in found)
    ways = {word for word in found if word in ("PA", "AP")}
    if any(word.startswith("OBL") for word in found):
        ways = set()
    elif len(ways) > 1 or (not ways and any(_FRONTAL.fullmatch(word) for word in found)):
        ways = {"FRONTAL"}
    if lateral:
        return None if ways else "LATERAL"
    return ways.pop() if ways else None


def orientation_of(values: Sequence[object]) -> Orientation | None:
    """Return the main directions of a Patient Orientation; None where it is not two perpendicular ones."""
    words = [str(value).strip("\0 \t\r\n").upper() for value in values]
    if len(words) != 2 or not all(_is_direction(word) for word in words):
        return None
    across, down = words[0][0], words[1][0]
    return (across, down) if _axis(across) != _axis(down) else None


def is_frontal(orientation: Orientation) -> bool:
    """Return whether rows and columns run along a frontal plane: left to right and head to feet."""
    return {_axis(each) for each in orientation} == {_axis("L"), _axis("F")}


def is_lateral(orientation: Orientation) -> bool:
    """Return whether rows and columns run along a sagittal plane: front to back and head to feet."""
    return {_axis(each) for each in orientation} == {_axis("A"), _axis("F")}


def sides(orientation: Orientation | None, view: View | None) -> Sides:
    """Return what stands at a film's edges: by its orientation, else by the usual hanging of a frontal view.

    A lateral film, by its view or its orientation, has no right and left at its edges.
    """
    if orientation is None and view == "LATERAL":
        return Sides()
    across, down = orientation or USUAL
    stated = orientation is not None or view is not None
    barred = "RL" if view == "LATERAL" else ""
    left, top, right, bottom = (
        "" if edge in barred else edge for edge in (_OPPOSITE[across], _OPPOSITE[down], across, down)
    )
    return Sides(left, top, right, bottom, stated)


def is_turned(orientation: Orientation | None) -> bool:
    """Return whether a frontal film's rows run along the patient's height: its axes change places."""
    return orientation is not None and is_frontal(orientation) and orientation[0] in "HF"


def hung(px_HW: NDArray[Any], orientation: Orientation | None) -> NDArray[Any]:
    """Return a frontal film in the usual hanging; any other film as it lies."""
    if orientation is None or not is_frontal(orientation):
        return px_HW
    if is_turned(orientation):
        px_HW = px_HW.T
    return px_HW[_steps(orientation)]


def as_stored(map_HW: NDArray[Any], orientation: Orientation | None) -> NDArray[Any]:
    """Return what lies over a film in the usual hanging as the film itself lies: the inverse of `hung`."""
    if orientation is None or not is_frontal(orientation):
        return map_HW
    map_HW = map_HW[_steps(orientation)]
    return np.ascontiguousarray(map_HW.T if is_turned(orientation) else map_HW)


def _steps(orientation: Orientation) -> tuple[slice, slice]:
    return slice(None, None, -1 if "H" in orientation else 1), slice(
        None, None, -1 if "R" in orientation else 1
    )


def _is_direction(word: str) -> bool:
    """Return whether a value is one to three letters, each of an axis of its own."""
    return bool(re.fullmatch("[RLAPHF]{1,3}", word)) and len({_axis(each) for each in word}) == len(word)


def _axis(direction: str) -> frozenset[str]:
    return frozenset((direction, _OPPOSITE[direction]))
