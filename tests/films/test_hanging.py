"""Which way a film hangs: every Patient Orientation x view, by the axes of PS3.3 C.7.6.1.1.1, C.7.6.2.1.1."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from radiographs import concept, dataset, full_window, quantised, written

from timnet.films import frontal_check, hanging
from timnet.films.film import Film
from timnet.films.hanging import view_of
from timnet.films.letterbox import Letterbox
from timnet.films.read import letterboxed, read_film

# Values that the standard does not allow are written on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
    pytest.mark.usefixtures("refusing"),
]

# The patient's axes as PS3.3 C.7.6.2.1.1 has them: x to the left, y to the back, z to the head.
AXES = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}
LETTERS = {axis: letter for letter, axis in AXES.items()}
SPELLINGS = ("{}", "{}{}", " {} ", "{}\0")
FRONTAL_VIEWS = (
    "PA",
    "AP",
    "PA ERECT",
    "CHEST PA",
    "ap supine",
    "FRONTAL",
    "P.A.",
    "Postero-anterior",
    "AP/PA",
)
LATERAL_VIEWS = ("LL", "RL", "LLO", "LATERAL", "XTABLE LATERAL", "LEFT LAT", "lateral")
OTHER_VIEWS = (None, "", "  ", "PORTABLE", "LLD", "AP LLD", "LEFT LATERAL DECUBITUS", "PA OBLIQUE", "PA/LAT")
UNUSABLE = (
    ["L"], ["L", "F", "A"], ["L", ""], ["", "F"], ["L", "R"], ["H", "F"], ["A", "AP"], ["LR", "F"],
    ["X", "Y"], ["LEFT", "FEET"], ["L", "FFF"], ["L/F"], ["1", "0"], ["LE", "V"],
)  # fmt: skip


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIMNET_REFUSE")


def film_of(**tags: object) -> Film:
    return read_film(written(dataset(quantised(12), 12, **full_window(12), **tags)))


def opposite(letter: str) -> str:
    return LETTERS[tuple(-step for step in AXES[letter])]  # type: ignore[index]


def expected(orientation: tuple[str, str] | None, view: str | None) -> tuple[str, str, str, str, bool]:
    """Return what stands left, top, right and bottom, and whether it is stated."""
    if orientation is None and view in LATERAL_VIEWS:
        return "", "", "", "", True
    across, down = orientation or ("L", "F")
    edges = (opposite(across), opposite(down), across, down)
    if view in LATERAL_VIEWS:
        edges = tuple("" if AXES[edge][0] else edge for edge in edges)  # type: ignore[assignment]
    return *edges, orientation is not None or view in FRONTAL_VIEWS or view in LATERAL_VIEWS


def found(film: Film) -> tuple[str, str, str, str, bool]:
    sides = film.sides
    return sides.left, sides.top, sides.right, sides.bottom, sides.stated


@pytest.mark.parametrize("view", (*FRONTAL_VIEWS, *LATERAL_VIEWS, *OTHER_VIEWS))
def test_what_stands_at_each_edge_for_every_orientation_and_view(view: str | None) -> None:
    given: dict[str, object] = {} if view is None else {"ViewPosition": view}
    stated = [pair for pair in itertools.product(AXES, AXES) if not np.dot(AXES[pair[0]], AXES[pair[1]])]
    assert len(stated) == 24
    for number, (across, down) in enumerate(stated):
        # A compound value names its main direction first; the second is of the axis that is left.
        third = LETTERS[tuple(np.abs(np.cross(AXES[across], AXES[down])).tolist())]
        spelling = SPELLINGS[number % len(SPELLINGS)]
        words = [spelling.format(across, third).lower(), spelling.format(down, third)]
        film = film_of(PatientOrientation=words, **given)
        assert film.orientation == (across, down)
        assert found(film) == expected((across, down), view), (words, view)
        is_lateral = {AXES[across][0], AXES[down][0]} == {0} or view in LATERAL_VIEWS
        assert (film.view == "LATERAL") is is_lateral
        assert not (is_lateral and {"R", "L"} & set(found(film)[:4]))
        assert ("lateral view" in frontal_check.doubt(film)) is is_lateral
    for orientation in (None, "", ["", ""]):
        film = (
            film_of(PatientOrientation=orientation, **given) if orientation is not None else film_of(**given)
        )
        assert found(film) == expected(None, view)
        assert not any("rientation" in note for note in film.notes)
    for values in UNUSABLE:
        film = film_of(PatientOrientation=values, **given)
        assert found(film) == expected(None, view), values
        assert any("PatientOrientation is ignored" in note for note in film.notes)


def test_the_notes_of_an_orientation() -> None:
    def notes(*orientation: str, view: str = "PA") -> list[str]:
        told = film_of(PatientOrientation=orientation, ViewPosition=view).notes
        return [note for note in told if "window" not in note]

    assert notes("L", "F") == []
    assert notes("R", "F", view="") == [
        "orientation in the file is R\\F, not L\\F: shown as stored, read in the usual hanging"
    ]
    assert notes("A", "F", view="LL") == []
    assert notes("A", "F") == ["orientation in the file is A\\F, that of a lateral image: view PA ignored"]
    assert notes("L", "F", view="LL") == [
        "orientation in the file is L\\F, its view lateral: right and left are not marked"
    ]
    assert notes("L", "P") == ["orientation in the file is L\\P: that of no frontal or lateral image"]


def test_a_film_whose_orientation_is_axial_is_doubted() -> None:
    assert "orientation, L\\P," in frontal_check.doubt(
        film_of(PatientOrientation=["L", "P"], ViewPosition="PA")
    )


def test_a_view_code_counts_where_there_is_no_view_position() -> None:
    # PS3.16 CID 4010
    assert film_of(ViewCodeSequence=concept("postero-anterior")).view == "PA"
    assert film_of(ViewCodeSequence=concept("left lateral"), ViewPosition="").view == "LATERAL"
    assert film_of(ViewCodeSequence=concept("left lateral"), ViewPosition="AP").view == "AP"
    assert film_of(ViewCodeSequence=[]).view is None
    assert film_of(ViewCodeSequence=[Dataset()]).view is None


def test_laterality_and_the_flips_of_the_detector_say_nothing_of_an_edge() -> None:
    plain = film_of(ViewPosition="PA")
    flips: dict[str, object] = {"FieldOfViewHorizontalFlip": "YES", "FieldOfViewRotation": 180}
    odd = film_of(ViewPosition="PA", ImageLaterality="R", Laterality="L", **flips)
    assert found(odd) == found(plain)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_sides_of_a_picture_are_assumed_however_it_was_turned_upright(
    kind: str, orientation: int
) -> None:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(quantised(8)).save(file, kind, exif=exif)
    assert found(read_film(file.getvalue())) == ("R", "H", "L", "F", False)


@pytest.mark.parametrize(
    ("words", "view"),
    [
        ("PA", "PA"), ("a.p.", "AP"), ("A-P", "AP"), ("AP PORTABLE", "AP"), ("antero-posterior", "AP"),
        ("Postéro-antérieur", "PA"), ("POSTEROANTERIOR", "PA"), ("Thorax face", "FRONTAL"), ("L", "LATERAL"),
        ("LLAT", "LATERAL"), ("lateral oblique", "LATERAL"), ("PA and lateral", None), ("BILATERAL", None),
        ("MAP", None), ("PAIN", None), ("swim", None), ("seitl.", "LATERAL"), ("boczne", "LATERAL"),
        ("tylno-przednie", "PA"), ("Przednio-tylna", "AP"), ("dorso-ventral", "PA"), ("ventrodorsal", "AP"),
        ("PA LLDECUB", None), ("Left Anterior Oblique", None),
        ("antero-posterior oblique", None), ("", None), ("A" * 10**6 + " PA", None),
    ],
)  # fmt: skip
def test_words_for_a_view(words: str, view: str | None) -> None:
    assert view_of(words) == view


FRONTAL = [pair for pair in itertools.product("LRHF", "LRHF") if not np.dot(AXES[pair[0]], AXES[pair[1]])]


def as_it_lies(scene: np.ndarray, orientation: tuple[str, str]) -> np.ndarray:
    """Return a frontal scene (left of the patient to the right, feet down) as a detector so laid sees it.

    Column j, row i of the result lies j steps along the first direction and i along the second.
    """
    across, down = orientation
    steps = {"L": (0, 1), "R": (0, -1), "F": (1, 0), "H": (-1, 0)}
    shape = np.abs(np.array([steps[down], steps[across]]) @ np.array(scene.shape))
    rows, columns = np.indices(shape)
    place = [rows * steps[down][axis] + columns * steps[across][axis] for axis in (0, 1)]
    return scene[place[0] - place[0].min(), place[1] - place[1].min()]


@pytest.mark.parametrize("orientation", FRONTAL)
def test_networks_get_a_frontal_film_in_the_usual_hanging_and_maps_come_back(orientation: Any) -> None:
    scene = np.random.default_rng(0).random((24, 20)).astype(np.float32)
    lying = as_it_lies(scene, orientation)
    np.testing.assert_array_equal(hanging.hung(lying, orientation), scene)
    np.testing.assert_array_equal(hanging.as_stored(scene, orientation), lying)
    for aspect in (1.0, 0.5, 3.0):
        plain = Letterbox(24, 20, 32, aspect)
        # Seen lying, a pixel that is higher than wide is wider than high.
        turned = 1 / aspect if hanging.is_turned(orientation) else aspect
        box = Letterbox(*lying.shape, 32, turned, orientation)
        np.testing.assert_allclose(box.apply(lying), plain.apply(scene), atol=1e-6)
        grid = np.random.default_rng(1).random((32, 32)).astype(np.float32)
        np.testing.assert_allclose(box.invert(grid), as_it_lies(plain.invert(grid), orientation), atol=1e-6)


@pytest.mark.parametrize("orientation", FRONTAL)
def test_a_cohort_keeps_what_a_reader_reads(orientation: Any) -> None:
    scene = quantised(12)
    lying = np.ascontiguousarray(as_it_lies(scene, orientation))
    usual = film_of(PatientOrientation=["L", "F"])
    tags = full_window(12) | {"PatientOrientation": list(orientation)}
    film = read_film(written(dataset(lying, 12, **tags)))
    np.testing.assert_array_equal(film.pixels, lying / np.float32(4095))
    np.testing.assert_array_equal(letterboxed(film, 32), letterboxed(usual, 32))
    assert frontal_check.probabilities(film.hung) == pytest.approx(frontal_check.probabilities(usual.hung))
