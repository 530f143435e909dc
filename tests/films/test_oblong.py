"""Films whose pixels are not square: laid out by their shape in millimetres wherever they go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from radiographs import dataset, written

from timnet.films.film import Film
from timnet.films.letterbox import Letterbox, smaller, square
from timnet.films.read import letterboxed, read_film
from timnet.reader import Reader

SIDE = 64


def scene(rows: int, columns: int) -> np.ndarray:
    """Return a smooth scene, 320 mm high and 256 mm wide, sampled by its pixels' centres, 12 bits."""
    y, x = (np.arange(rows)[:, None] + 0.5) / rows, (np.arange(columns)[None] + 0.5) / columns
    discs = sum(
        np.exp(-(((y - top) * 320) ** 2 + ((x - left) * 256) ** 2) / 40**2)
        for top, left in ((0.3, 0.3), (0.5, 0.7), (0.75, 0.35))
    )
    return np.rint(4095 * np.clip(0.2 + 0.5 * discs + 0.2 * x, 0, 1)).astype(np.uint16)


def film_of(rows: int, columns: int, **tags: object) -> Film:
    return read_film(written(dataset(scene(rows, columns), 12, WindowCenter=2048, WindowWidth=4096, **tags)))


TWIN = film_of(320, 256, PixelSpacing=[1, 1])
OBLONG: dict[str, tuple[tuple[int, int], dict[str, object]]] = {
    "detector": ((320, 128), {"ImagerPixelSpacing": [1, 2]}),
    "plane": ((160, 256), {"PixelSpacing": [2, 1], "ImagerPixelSpacing": [3, 3]}),
    "scanned": ((320, 64), {"NominalScannedPixelSpacing": [1, 4]}),
    "ratio": ((320, 128), {"PixelAspectRatio": [1, 2]}),
    "tall": ((80, 256), {"PixelAspectRatio": [400, 100]}),
    "both": ((320, 128), {"PixelSpacing": [1, 2], "PixelAspectRatio": [1, 1]}),
    "second": ((320, 128), {"PixelSpacing": [0, 0], "PixelAspectRatio": [1, 2]}),
}


@pytest.mark.parametrize("name", OBLONG)
def test_a_network_and_a_cohort_get_what_they_get_of_the_square_twin(name: str) -> None:
    shape, tags = OBLONG[name]
    film = film_of(*shape, **tags)
    assert film.pixels.shape == shape
    assert film.aspect == pytest.approx(320 / shape[0] * shape[1] / 256)
    assert any("times as high as wide" in note for note in film.notes)
    one, other = (letterboxed(each, SIDE).astype(int) for each in (film, TWIN))
    assert abs(one - other).max() <= 8 and abs(one - other).mean() < 1


@pytest.mark.parametrize("name", OBLONG)
def test_a_small_film_for_the_eye_has_the_true_shape(name: str) -> None:
    shape, tags = OBLONG[name]
    for small in (smaller(film_of(*shape, **tags), 100), smaller(TWIN, 100)):
        assert small.pixels.shape == (100, 80) and small.aspect == 1
    whole = square(film_of(*shape, **tags))
    assert whole.pixels.shape == (320, 256)
    assert np.abs(whole.pixels - TWIN.pixels).mean() < 0.02


@pytest.mark.parametrize("name", OBLONG)
def test_numbers_maps_and_pictures_are_nearly_those_of_the_square_twin(name: str, networks: Path) -> None:
    shape, tags = OBLONG[name]
    reader = Reader.load(networks / "classifier")
    one, other = reader.read(film_of(*shape, **tags)), reader.read(TWIN)
    for label, probability in other.probabilities.items():
        assert one.probabilities[label] == pytest.approx(probability, abs=0.01)
    # The maps of one and the same grid: what a random network makes of rounded greys is no matter here.
    heat, expected = replace(one, maps=other.maps).heat("Edema"), other.heat("Edema")
    assert heat.shape == shape
    scale = np.abs(expected).max()
    stretched = Image.fromarray(heat).resize(expected.shape[::-1], Image.Resampling.BILINEAR)
    assert np.abs(np.asarray(stretched) - expected).max() < 0.05 * scale
    assert one.overlay("Edema").shape == other.overlay("Edema").shape == (320, 256, 3)


@pytest.mark.parametrize(
    "tags",
    [
        {"PixelAspectRatio": [0, 1]},
        {"PixelAspectRatio": [1, -2]},
        {"PixelAspectRatio": [1, 5]},
        {"PixelAspectRatio": [1]},
        {"PixelSpacing": [0.1, 0.5]},
        {"PixelSpacing": [-1, 1]},
        {"PixelAspectRatio": [0, 0]},
        {"ImagerPixelSpacing": [0, 1]},
        {"ImagerPixelSpacing": [200, 200]},
        {"NominalScannedPixelSpacing": [1, 2, 3]},
    ],
)
def test_an_impossible_shape_is_ignored_with_a_note(tags: dict[str, Any]) -> None:
    film = film_of(40, 30, **tags)
    assert (film.aspect, film.spacing_mm) == (1.0, None)
    (keyword,) = tags
    assert any(note.startswith(f"{keyword} is ignored: expected two positive") for note in film.notes)


def test_text_in_place_of_a_spacing_is_ignored_with_a_note() -> None:
    data = written(dataset(scene(40, 30), 12, PixelSpacing=[0.25, 0.75], PixelAspectRatio=[7, 8]))
    broken = data.replace(b"0.25\\0.75 ", b"wide\\text ")
    assert broken != data
    film = read_film(broken)
    assert (film.aspect, film.spacing_mm) == (0.875, None)
    assert any(note.startswith("PixelSpacing is ignored") for note in film.notes)


@pytest.mark.parametrize("spacing", [[0.143, 0.143], [0.143, 0.14301], [0, 0], ["", ""], []])
def test_a_square_pixel_is_not_remarked_on(spacing: list[object]) -> None:
    film = film_of(40, 30, PixelSpacing=spacing)
    assert film.aspect == 1 and film.notes == ("window 2048/4096",)


def test_a_letterbox_of_oblong_pixels_is_that_of_their_square_twin() -> None:
    assert Letterbox(320, 128, SIDE, 0.5).box == Letterbox(320, 256, SIDE).box
    assert Letterbox.of(replace(TWIN, aspect=2.0), SIDE).box == Letterbox(640, 256, SIDE).box


CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases" / "08-anisotropic-pixels"


@pytest.mark.skipif(
    not CASES.is_dir(), reason="the cases of public bug reports are not beside the repository"
)
def test_the_twins_of_a_public_bug_report_get_nearly_the_same_numbers() -> None:
    reader = Reader.load("demo-findings")
    twin, *others = (
        reader.read(read_film(CASES / f"{name}.dcm")) for name in ("twin", "film", "film-aspect")
    )
    for other in others:
        assert other.probabilities == pytest.approx(dict(twin.probabilities), abs=0.02)
