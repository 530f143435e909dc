"""Text at a film's borders: what a font draws is seen, a film with a side marker is not suspected."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from timnet.films.burned_in_text import has_text

ROWS, COLUMNS = 900, 800


def body(seed: int = 0) -> np.ndarray:
    """Return a smooth bright shape with ribs and detector noise."""
    y, x = np.mgrid[:ROWS, :COLUMNS] / ROWS
    shape = np.clip(1.2 - 2 * ((x - 0.44) ** 2 + 0.6 * (y - 0.6) ** 2) / 0.4, 0, 0.85)
    ribs = 0.08 * np.sin(40 * y + 6 * (x - 0.45) ** 2)
    noise = np.random.default_rng(seed).normal(0, 0.02, shape.shape)
    return np.clip(shape + ribs * (shape > 0.2) + noise, 0, 1).astype(np.float32)


def written(text: str, size: int, at: tuple[int, int], grey: int = 255) -> np.ndarray:
    image = Image.fromarray((body() * 255).astype(np.uint8))
    ImageDraw.Draw(image).text(at, text, fill=grey, font=ImageFont.load_default(size=size))
    return np.asarray(image, dtype=np.float32) / 255


@pytest.mark.parametrize("size", [16, 24, 36])
@pytest.mark.parametrize("at", [(20, 20), (400, 20), (20, 840)])
def test_a_line_of_text_near_the_border_is_seen(size: int, at: tuple[int, int]) -> None:
    assert has_text(written("DOE JANE 1956-03-04", size, at))


def test_text_that_turned_black_with_its_film_is_seen() -> None:
    assert has_text(1 - written("DOE JANE 1956-03-04", 24, (20, 20)))


@pytest.mark.parametrize("text", ["", "L", "R", "AP", "PA L"])
def test_a_film_and_its_side_marker_are_not_suspected(text: str) -> None:
    assert not has_text(written(text, 40, (60, 60)))


def test_noise_and_a_plain_film_are_not_suspected() -> None:
    noise = np.random.default_rng(0).random((ROWS, COLUMNS)).astype(np.float32)
    assert not has_text(noise)
    assert not has_text(np.zeros((5, 7), np.float32))
    assert not has_text(body(1))
