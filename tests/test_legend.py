"""The picture that leaves the app: the image's own pixels, its sides in the margin, a legend below."""

import io
import tomllib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from timnet import __version__, config, legend
from timnet.evaluation.calibration.record import MATCH
from timnet.evaluation.maps import cam
from timnet.films.film import Film
from timnet.films.read import read_film
from timnet.reader import Reader
from timnet.reading import Reading, ReadingError

TEXT = "There is a left effusion as on 12/03/2021. The heart is normal."
Words = list[tuple[tuple[float, float], str]]


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> Words:
    """What is written into pictures, with its place."""
    written: Words = []
    text = ImageDraw.ImageDraw.text

    def noted(self: Any, xy: tuple[float, float], words: str, *more: Any, **options: Any) -> None:
        written.append((xy, words))
        text(self, xy, words, *more, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", noted)
    return written


def made(rows: int, columns: int) -> Film:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (rows, columns), dtype=np.uint8)
    Image.fromarray(pixels).save(file, format="PNG")
    return read_film(file.getvalue(), name="ZZPHI.png")


@pytest.fixture(scope="module")
def film() -> Film:
    return made(500, 700)


@pytest.fixture(scope="module")
def matched(networks: Any, film: Film) -> Reading:
    return Reader.load(networks / "timnet").read(film, TEXT)


@pytest.fixture(scope="module")
def diagnosed(networks: Any, film: Film) -> Reading:
    return Reader.load(networks / "classifier").read(film)


def test_the_images_own_pixels_stay_with_the_colour_scale_below(matched: Reading, words: Words) -> None:
    picture = np.asarray(legend.picture(matched, MATCH))
    margin = 2 * legend.letters(700)
    assert (picture[margin : margin + 500, margin : margin + 700] == matched.overlay(MATCH)).all()
    rows = picture[500 + 2 * margin]
    # From the first colour to the last one, over the whole width.
    assert (rows[margin : margin + 700] == cam.scale_bar(700, 1)[0]).all()
    assert rows[margin].tolist() == [128, 128, 128]
    assert rows[margin + 699].tolist() == np.rint(0.4 * 127.5 + 0.6 * cam.STOPS[-1]).tolist()


def test_the_legend_says_what_how_strong_how_good_and_what_for(matched: Reading, words: Words) -> None:
    legend.picture(matched, MATCH, simulated=True)
    told = " ".join(each for _, each in words)
    for expected in (
        f"Match probability {matched.match:.3f}",
        matched.trust,
        "areas that support this report compared with a normal report",
        f"full strength: {matched.map_scale:.3g} logits",
        f"Evidence: {matched.strength(MATCH)}.",
        "Simulated X-ray, not a patient's",
        matched.weights_sha256[:12],
        matched.film.sha256[:12],
        f"timnet {__version__}",
        config.MAP_LIMITS,
        config.RESEARCH_USE,
    ):
        assert expected in told, expected
    assert "ZZPHI" not in told


def test_the_map_of_a_sentence_or_label_is_named_with_its_number(
    matched: Reading, diagnosed: Reading, words: Words
) -> None:
    (sentence, alone), *_ = matched.sentences
    legend.picture(matched, sentence)
    told = " ".join(each for _, each in words)
    assert "There is a left effusion as on [date]." in told and "12/03" not in told
    assert f"the sentence of this map alone {alone:.3f}" in told
    words.clear()
    legend.picture(diagnosed, "Edema")
    told = " ".join(each for _, each in words)
    assert f"Edema: probability {diagnosed.probabilities['Edema']:.3f}" in told
    assert "raise the probability of Edema" in told and "normal report" not in told
    with pytest.raises(ReadingError, match="map: expected one of"):
        legend.picture(diagnosed, "nothing")


@pytest.mark.parametrize(
    ("fields", "marks"),
    [
        ({}, {"left": "R?", "right": "L?"}),
        ({"view": "PA"}, {"left": "R", "right": "L"}),
        ({"orientation": ("R", "F")}, {"left": "L", "right": "R"}),
        ({"orientation": ("F", "R")}, {"top": "L", "bottom": "R", "left": "H", "right": "F"}),
        ({"orientation": ("R", "H")}, {"left": "L", "right": "R", "top": "F", "bottom": "H"}),
        ({"view": "LATERAL"}, {}),
    ],
)
def test_sides_stand_at_the_edges_where_the_film_has_them(
    diagnosed: Reading, words: Words, fields: dict[str, Any], marks: dict[str, str]
) -> None:
    film = replace(diagnosed.film, **fields)
    legend.picture(replace(diagnosed, film=film), "Edema")
    size = legend.letters(700)
    centre = {
        "left": (size, 2 * size + 250),
        "right": (700 + 3 * size, 2 * size + 250),
        "top": (2 * size + 350, size),
        "bottom": (2 * size + 350, 500 + 3 * size),
    }
    at = dict(words)
    shown = {edge: at[place] for edge, place in centre.items() if place in at}
    assert shown == marks
    assert ("assumed" in " ".join(at.values())) is any("?" in mark for mark in marks.values())


@pytest.mark.parametrize("shape", [(2, 2), (60, 48), (64, 2000), (2000, 64)])
def test_words_fit_on_pictures_of_any_shape(networks: Any, shape: tuple[int, int], words: Words) -> None:
    reading = Reader.load(networks / "timnet").read(made(*shape), "W" * 400 + ". " + TEXT)
    picture = legend.picture(reading, MATCH)
    lines = [(xy, told) for xy, told in words if told not in ("R?", "L?")]
    assert picture.height > max(xy[1] for xy, _ in lines) + legend.letters(shape[1])
    assert any(config.RESEARCH_USE.startswith(told) for _, told in lines)


def test_the_version_is_the_packages() -> None:
    told = tomllib.loads((config.REPOSITORY / "pyproject.toml").read_text())
    assert told["project"]["version"] == __version__
