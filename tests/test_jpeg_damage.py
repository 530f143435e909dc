"""Bits of a JPEG that are wrong without a decoder's warning leave an edge, and whole X-rays have none."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from timnet import config
from timnet.cohorts import jpeg_damage
from timnet.cohorts.films import read_film

FILMS = sorted((config.DEMO / "films").glob("*.jpg"))


def pixels(path, side=256):
    return np.asarray(Image.open(path).convert("L").resize((side, side)))


@pytest.mark.parametrize("path", FILMS[:8], ids=lambda path: path.stem)
@pytest.mark.parametrize("step", [-40, 25])
def test_brightness_that_jumps_at_a_block_and_stays_is_found(path, step):
    """What a wrong difference of block means does: every later block, in raster order, is off alike."""
    grey = pixels(path)
    rows, columns = np.divmod(np.arange(32 * 32), 32)
    for first in (32 * 9 + 7, 32 * 16 + 20, 32 * 22 + 12):
        late = np.zeros((32, 32), bool)
        late[rows, columns] = np.arange(32 * 32) >= first
        damaged = grey.astype(int) + step * np.kron(late, np.ones((8, 8), int))
        assert jpeg_damage.suspected(np.clip(damaged, 0, 255).astype(np.uint8))


def test_whole_xrays_are_not_called_damaged():
    found = [jpeg_damage.suspected(np.asarray(Image.open(path).convert("L"))) for path in FILMS[:200]]
    assert np.mean(found) <= 0.02


@pytest.mark.parametrize("shape", [(8, 8), (7, 300), (300, 5), (64, 64)])
def test_small_flat_and_noisy_images_are_judged_without_a_warning(shape):
    rng = np.random.default_rng(0)
    for grey in (np.zeros(shape), np.full(shape, 255), np.full(shape, 90), rng.integers(0, 256, shape)):
        assert jpeg_damage.suspected(grey.astype(np.uint8)) in (False, True)


def test_a_film_read_with_the_note_is_remarked_by_an_import():
    grey = pixels(FILMS[0]).astype(int)
    grey[128:] += 40
    grey[128:136, :120] -= 40
    file = io.BytesIO()
    Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(file, format="JPEG", quality=95)
    film = read_film(file.getvalue())
    assert film.notes[0] == jpeg_damage.NOTE == jpeg_damage.remark(film)
