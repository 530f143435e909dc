"""Bits of a JPEG that are wrong without a decoder's warning leave traces, and whole X-rays have none."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from timnet import config
from timnet.films import jpeg_damage
from timnet.films.film import FilmError
from timnet.films.read import read_film

FILMS = sorted((config.DEMO / "films").glob("*.jpg"))


def pixels(path, side=256):
    return np.asarray(Image.open(path).convert("L").resize((side, side)))


@pytest.mark.parametrize("path", FILMS[:8], ids=lambda path: path.stem)
@pytest.mark.parametrize("step", [-40, 25])
def test_brightness_that_jumps_at_a_block_and_stays_is_found(path, step):
    """What a wrong difference of block means does: every later block, in raster order, is off alike."""
    grey = 50 + pixels(path) // 2
    rows, columns = np.divmod(np.arange(32 * 32), 32)
    for first in (32 * 9 + 7, 32 * 16 + 20, 32 * 22 + 31, 32 * 30 + 8):
        late = np.zeros((32, 32), bool)
        late[rows, columns] = np.arange(32 * 32) >= first
        damaged = grey.astype(int) + step * np.kron(late, np.ones((8, 8), int))
        assert jpeg_damage.is_shifted(np.clip(damaged, 0, 255).astype(np.uint8))


def test_whole_xrays_are_not_called_damaged():
    assert sum(jpeg_damage.remark(read_film(path.read_bytes())) is not None for path in FILMS[:200]) <= 2


@pytest.mark.parametrize("shape", [(8, 8), (7, 300), (300, 5), (64, 64)])
def test_small_flat_and_noisy_images_are_judged_without_a_warning(shape):
    rng = np.random.default_rng(0)
    for grey in (np.zeros(shape), np.full(shape, 255), np.full(shape, 90), rng.integers(0, 256, shape)):
        assert jpeg_damage.is_shifted(grey.astype(np.uint8)) in (False, True)


@pytest.mark.parametrize("step", [-40, 25])
def test_brightness_that_jumps_at_a_block_to_the_end_of_its_restart_interval_is_found(step):
    grey = pixels(FILMS[1]).astype(int)
    grey[136:144, 80:] += step
    assert jpeg_damage.is_shifted(np.clip(grey, 0, 255).astype(np.uint8), interval=32)


def test_a_row_of_blocks_in_the_place_of_their_neighbours_is_found():
    grey = pixels(FILMS[1]).copy()
    grey[136:144, 64:] = grey[136:144, 24:-40]
    assert jpeg_damage.is_shifted(grey)


def test_means_in_the_place_of_their_neighbours_are_found():
    """As in a progressive file, whose means and finer detail lie in scans of their own."""
    grey = pixels(FILMS[4]).astype(int)
    blocks = grey.reshape(32, 8, 32, 8)
    means = blocks.mean((1, 3)).ravel().astype(int)
    means[400:] = np.roll(means[400:], 5) - means[400:]
    means[:400] = means[400::4] = 0  # some neighbours are alike
    moved = (blocks + means.reshape(32, 1, 32, 1)).reshape(256, 256)
    assert jpeg_damage.is_shifted(np.clip(moved, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("quality", [10, 20, 40])
def test_blocks_of_a_coarse_jpeg_are_not_taken_for_damage(quality):
    films = [saved(pixels(path, 320), quality=quality) for path in FILMS[:40]]
    assert sum(jpeg_damage.remark(read_film(data)) is not None for data in films) <= 1


def saved(grey, mode="L", **options):
    file = io.BytesIO()
    Image.fromarray(grey).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("quality", [50, 75, 90])
def test_blocks_darker_than_black_are_found(mode, quality):
    """As in a dark part whose blocks a wrong difference of means, or a wrong quantiser, makes darker."""
    data = saved(np.clip(pixels(FILMS[0]).astype(int) - 20, 0, 255).astype(np.uint8), mode, quality=quality)
    assert not read_film(data).notes
    bad = bytearray(data)
    bad[data.index(b"\xff\xdb") + 5] += 4
    assert jpeg_damage.NOTE in read_film(bytes(bad)).notes


@pytest.mark.parametrize(
    "options", [{}, {"optimize": True}, {"progressive": True}], ids=lambda each: str([*each])
)
def test_data_that_end_behind_the_last_block_are_found(options):
    """As after a wrong bit that makes a block of the bits of two."""
    found = 0
    for path in FILMS[:8]:
        data = saved(pixels(path), quality=85, **options)
        scan = data.index(b"\xff\xda")
        last = next(at for at in range(scan + 12, len(data)) if data[at] == 255 and data[at + 1]) - 1
        bad = bytearray(data)
        bad[last] &= 0xFE
        if (
            data[last] & 1
            and data[last] & 0xFE
            and (read_film(bytes(bad)).pixels == read_film(data).pixels).all()
        ):
            assert not read_film(data).notes
            assert read_film(bytes(bad)).notes == (jpeg_damage.NOTE,)
            found += 1
    assert found > 2


def test_hardly_any_harmful_bit_of_real_encoders_files_is_read_silently():
    """Flip single bits: of those that change over 1 % of the pixels, 1 in 50 may be read without a note."""
    rng = np.random.default_rng(0)
    harmful = silent = 0
    for number, path in enumerate(FILMS[:24]):
        data = saved(pixels(path, 160), quality=(75, 90, 95)[number % 3], optimize=number % 2 == 0)
        sound, scan = read_film(data).pixels, data.index(b"\xff\xda") + 14
        for _ in range(40):
            bad = bytearray(data)
            bad[rng.integers(scan, len(data) - 4)] ^= 1 << rng.integers(8)
            try:
                film = read_film(bytes(bad))
            except FilmError:
                continue
            if (np.abs(film.pixels - sound) > 0.05).mean() > 0.01:
                harmful += 1
                silent += jpeg_damage.NOTE not in film.notes
    assert harmful > 80
    assert silent <= harmful / 50


def test_a_film_read_with_the_note_is_remarked_by_an_import():
    grey = pixels(FILMS[0]).astype(int)
    grey[128:] += 40
    grey[128:136, :120] -= 40
    file = io.BytesIO()
    Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(file, format="JPEG", quality=95)
    film = read_film(file.getvalue())
    assert film.notes[0] == jpeg_damage.NOTE == jpeg_damage.remark(film)
