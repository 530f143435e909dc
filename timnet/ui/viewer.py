"""The film viewer: 16-bit films and their maps on a canvas of the browser, without a round trip.

Owns what is sent (one message of bytes: a JSON header and the numbers behind it) and the files of browser/
that draw it. A map comes as strength on the network's absolute scale, 0 to 1: a film without evidence stays
unpainted. Sides are marked as the film states them, or with a question mark. Words go into the page as text,
never as HTML.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from timnet.cohorts.records import Box
from timnet.films import hanging
from timnet.films.film import Film
from timnet.ui import cache

LARGE = 2048
"""Longest side on request; `loaders.SHOWN` is the usual one."""
HEIGHT = 640
"""Of the canvas on a tall screen, in pixels of the page; it never takes more than three quarters of one."""

_BROWSER = Path(__file__).parent / "browser"
_LATERAL = "Lateral X-ray: no patient's side at its edges"
_ASSUMED = "This is assumed: the file states neither orientation nor a frontal view"
_UNUSUAL = "The file states that this X-ray is mirrored or turned; networks read it in the usual hanging"


@dataclass(frozen=True, eq=False)
class View:
    """A film, and what is drawn over it."""

    film: Film
    alt: str = "The chest X-ray"
    title: str = ""
    strength_hw: NDArray[np.float32] | None = None
    """A map over the whole film, of any size: 0 no evidence, 1 full strength."""
    masks: Sequence[NDArray[np.bool_]] = ()
    """Outlined; each over the whole film, of any size."""
    boxes: Sequence[Box] = ()
    """In the film's own pixels."""


def sources() -> dict[str, str]:
    """Return the viewer's HTML, CSS and JavaScript."""
    names = {"html": ["viewer.html"], "css": ["viewer.css"], "js": ["film.js", "pane.js", "viewer.js"]}
    return {
        kind: "\n".join((_BROWSER / name).read_text(encoding="utf-8") for name in files)
        for kind, files in names.items()
    }


_FILES = sources()
_VIEWER = st.components.v2.component(
    "timnet_film_viewer", html=_FILES["html"], css=_FILES["css"], js=_FILES["js"]
)


def show(*views: View, key: str, height: int = HEIGHT, longest: int = cache.SHOWN, leave: str = "") -> None:
    """Show one film, or two beside each other that move together.

    Args:
        views: one or two.
        key: of the widget. The view a reader has set lasts as long as the film under this key is the same.
        height: see `HEIGHT`.
        longest: films are sent at most this many pixels long, up to `LARGE`.
        leave: letters of the viewer's that mean something else on this page, even on the film.
    """
    stops = None
    if any(view.strength_hw is not None for view in views):
        from timnet.evaluation.maps import cam  # imports torch, which a map has needed already

        stops = cam.STOPS.tolist()
    smaller = [cache.shown(view.film, min(longest, LARGE)) for view in views]
    _VIEWER(data=message(views, smaller, stops, height, leave), key=key, width="stretch")


def message(
    views: Sequence[View],
    smaller: Sequence[Film],
    stops: list[list[float]] | None,
    height: int = HEIGHT,
    leave: str = "",
) -> bytes:
    """Return what the browser gets: the header's length in 4 bytes, the header in JSON, the numbers.

    Films are uint16 (little endian), maps and masks uint8, row by row. Where numbers stand is counted from
    the header's end; a film that is shown twice is sent once.

    Args:
        views: what to show.
        smaller: their films at the size that is sent.
        stops: colours of a map, from weak to strong; None without one.
        height, leave: as for `show`.
    """
    parts: list[bytes] = []
    places: dict[str, dict[str, int]] = {}

    def put(name: str, numbers: NDArray[Any]) -> dict[str, int]:
        if name not in places:
            data = numbers.tobytes()
            places[name] = {"at": sum(map(len, parts)), "size": len(data)}
            parts.append(data)
        return places[name]

    films = []
    for i, (view, small) in enumerate(zip(views, smaller, strict=True)):
        film = view.film
        across, down = small.columns / film.columns, small.rows / film.rows
        greys = np.rint(small.pixels * np.float32(65535)).astype("<u2")
        head: dict[str, Any] = {
            "id": f"{film.key}-{small.rows}",
            "alt": view.alt,
            "title": view.title,
            "rows": small.rows,
            "columns": small.columns,
            "row_mm": film.spacing_mm[0] / down if film.spacing_mm else None,
            "column_mm": film.spacing_mm[1] / across if film.spacing_mm else None,
            "sides": asdict(film.sides),
            "note": _note(film),
            "pixels": put(f"{film.key}-{small.rows}", greys),
            "map": None,
            "masks": [
                _grid(mask.astype(np.uint8), put, f"mask {i} {number}")
                for number, mask in enumerate(view.masks)
            ],
            "boxes": [
                [box.left * across, box.top * down, box.width * across, box.height * down]
                for box in view.boxes
            ],
        }
        if view.strength_hw is not None:
            strength = np.rint(np.clip(view.strength_hw, 0, 1) * 255).astype(np.uint8)
            head["map"] = _grid(strength, put, f"map {i}")
        films.append(head)
    header = json.dumps({"films": films, "stops": stops, "height": height, "leave": leave}).encode()
    return len(header).to_bytes(4, "little") + header + b"".join(parts)


def _grid(values: NDArray[np.uint8], put: Any, name: str) -> dict[str, Any]:
    return {"rows": values.shape[0], "columns": values.shape[1], "values": put(name, values)}


def _note(film: Film) -> str:
    """Return in a sentence what a reader should know of the sides, if anything."""
    if film.view == "LATERAL":
        return _LATERAL
    if not film.sides.stated:
        return _ASSUMED
    frontal = film.orientation is not None and hanging.is_frontal(film.orientation)
    return _UNUSUAL if frontal and film.orientation != hanging.USUAL else ""
