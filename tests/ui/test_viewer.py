"""What the film viewer sends to the browser: greys, maps, sides and scale, each as the film says."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from timnet.cohorts.records import Box
from timnet.films import letterbox
from timnet.films.film import Film
from timnet.films.letterbox import to_uint8
from timnet.ui import cache, viewer
from timnet.ui.viewer import View

BROWSER = Path(viewer.__file__).parent / "browser"


def _film(rows: int = 40, columns: int = 30, seed: int = 0, **fields: Any) -> Film:
    greys = np.random.default_rng(seed).random((rows, columns), dtype=np.float32)
    known = dict(kind="png", sha256=f"{seed:064x}", bits=16, spacing_mm=None, view="PA", notes=())
    return Film(greys, **(known | fields))  # type: ignore[arg-type]


def _sent(*views: View, longest: int = cache.SHOWN) -> tuple[dict[str, Any], bytes]:
    data = viewer.message(views, [letterbox.smaller(view.film, longest) for view in views], None)
    start = 4 + int.from_bytes(data[:4], "little")
    return json.loads(data[4:start]), data[start:]


def _numbers(place: dict[str, int], body: bytes, dtype: str) -> np.ndarray:
    return np.frombuffer(body[place["at"] : place["at"] + place["size"]], dtype)


def test_a_film_arrives_with_its_sixteen_bits() -> None:
    film = _film()
    header, body = _sent(View(film))
    told = header["films"][0]
    greys = _numbers(told["pixels"], body, "<u2").reshape(told["rows"], told["columns"])
    assert np.abs(greys / 65535 - film.pixels).max() <= 0.5 / 65535 + 1e-7
    assert len(np.unique(greys)) > len(np.unique(to_uint8(film.pixels)))


def test_a_large_film_is_sent_at_the_size_asked_for_and_keeps_its_scale_in_millimetres() -> None:
    film = _film(400, 300, spacing_mm=(0.2, 0.1))
    told = _sent(View(film), longest=100)[0]["films"][0]
    assert (told["rows"], told["columns"]) == (100, 75)
    assert told["rows"] * told["row_mm"] == pytest.approx(400 * 0.2)
    assert told["columns"] * told["column_mm"] == pytest.approx(300 * 0.1)


def test_a_map_is_on_the_absolute_scale_and_no_evidence_is_nothing() -> None:
    strength = np.array([[-3, 0, 0.5], [1, 1.7, 0.002]], np.float32)
    header, body = _sent(View(_film(), strength_hw=strength), View(_film(), strength_hw=strength * 0))
    first, second = header["films"]
    assert _numbers(first["map"]["values"], body, "u1").tolist() == [0, 0, 128, 255, 255, 1]
    assert (first["map"]["rows"], first["map"]["columns"]) == (2, 3)
    assert not _numbers(second["map"]["values"], body, "u1").any()


def test_a_film_shown_twice_is_sent_once() -> None:
    film = _film()
    once, twice = _sent(View(film))[1], _sent(View(film), View(film, title="again"))[1]
    other = _sent(View(film), View(_film(seed=1)))[1]
    assert len(once) == len(twice) == len(other) // 2


def test_boxes_follow_the_film_that_is_sent_smaller() -> None:
    box = Box("Nodule", left=100, top=40, width=20, height=60)
    told = _sent(View(_film(400, 200), boxes=(box,)), longest=100)[0]["films"][0]
    assert told["boxes"] == [[25, 10, 5, 15]]


@pytest.mark.parametrize(
    ("fields", "edges", "stated", "note"),
    [
        ({"view": "PA"}, "RHLF", True, ""),
        ({"view": "AP", "orientation": ("L", "F")}, "RHLF", True, ""),
        ({"view": None}, "RHLF", False, "assumed"),
        ({"view": "PA", "orientation": ("R", "F")}, "LHRF", True, "mirrored or turned"),
        ({"view": None, "orientation": ("F", "R")}, "HLFR", True, "mirrored or turned"),
        ({"view": "LATERAL"}, "", True, "Lateral X-ray"),
        ({"view": "LATERAL", "orientation": ("A", "F")}, "PHAF", True, "Lateral X-ray"),
    ],
)
def test_the_browser_gets_the_sides_as_the_film_has_them(
    fields: dict[str, Any], edges: str, stated: bool, note: str
) -> None:
    told = _sent(View(replace(_film(), **fields)))[0]["films"][0]
    places = ("left", "top", "right", "bottom")
    assert told["sides"] == {"stated": stated} | dict(zip(places, edges or [""] * 4, strict=True))
    assert (note in told["note"]) if note else (told["note"] == "")


def test_a_film_of_oblong_pixels_is_sent_square_with_its_boxes_and_its_scale() -> None:
    film = _film(400, 150, spacing_mm=(0.2, 0.4), aspect=0.5)
    told = _sent(View(film, boxes=(Box("Nodule", left=50, top=40, width=20, height=60),)), longest=200)[0]
    told = told["films"][0]
    assert (told["rows"], told["columns"]) == (200, 150)
    assert told["row_mm"] == pytest.approx(told["column_mm"]) == pytest.approx(0.4)
    assert told["boxes"] == [[50, 20, 20, 30]]


def test_no_word_from_outside_can_become_markup_in_the_browser() -> None:
    scripts = [path.read_text(encoding="utf-8") for path in BROWSER.glob("*.js")]
    assert scripts
    for written in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch("):
        assert not any(written in script for script in scripts)


def test_every_control_of_the_viewer_has_a_name() -> None:
    from html.parser import HTMLParser

    class Controls(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []
            self.unnamed: list[str] = []

        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            given = dict(attributes)
            if tag == "button" and not given.get("title"):
                self.unnamed.append(str(given))
            if tag in ("select", "input") and "label" not in self.open and not given.get("aria-label"):
                self.unnamed.append(str(given))
            if tag != "input":
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            self.open.pop()

    controls = Controls()
    controls.feed((BROWSER / "viewer.html").read_text(encoding="utf-8"))
    assert controls.unnamed == []
