"""PNG, JPEG and what is no film: greys against Pillow and arithmetic, refusals by their sentence."""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from timnet.counting import counted
from timnet.films.film import MAX_BYTES, FilmError
from timnet.films.letterbox import Letterbox, to_uint8
from timnet.films.read import read_film, sniff

RAMP_8 = np.arange(256, dtype=np.uint8).reshape(8, 32)
RAMP_16 = np.arange(0, 65536, 4, dtype=np.uint16).reshape(128, 128)


def saved(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def crafted_png(width: int, height: int, depth: int = 8, colour: int = 0, rows: bytes = b"") -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def reason(data: bytes | Path, **options: str) -> str:
    with pytest.raises(FilmError) as caught:
        read_film(data, **options)
    return str(caught.value)


def test_an_8_bit_png_keeps_every_grey() -> None:
    film = read_film(saved(RAMP_8))
    np.testing.assert_array_equal(film.pixels, RAMP_8.astype(np.float32) / np.float32(255))
    assert (film.kind, film.bits, film.spacing_mm, film.view, film.notes) == ("png", 8, None, None, ())
    assert (film.rows, film.columns) == (8, 32)


def test_a_16_bit_png_is_not_clipped_to_white() -> None:
    film = read_film(saved(RAMP_16))
    np.testing.assert_allclose(film.pixels, RAMP_16 / 65535, atol=1e-7)
    assert film.bits == 16
    assert len(np.unique(film.pixels)) == RAMP_16.size


def test_12_bit_data_in_a_16_bit_png_use_the_full_range_and_say_so() -> None:
    film = read_film(saved(RAMP_16 >> 4))
    np.testing.assert_allclose(film.pixels, (RAMP_16 >> 4) / 4095, atol=1e-7)
    assert film.notes == ("16-bit file, 12 bits used: 0 to 4095 scaled to the full range",)


def test_the_same_scene_in_8_and_16_bits_reads_the_same() -> None:
    eight, sixteen = read_film(saved(RAMP_8)), read_film(saved(RAMP_8.astype(np.uint16) * 257))
    np.testing.assert_allclose(eight.pixels, sixteen.pixels, atol=1e-6)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_png_of_few_bits_spans_black_to_white(depth: int) -> None:
    levels = 2**depth
    row = np.arange(16) % levels
    packed = np.packbits((row[:, None] >> np.arange(depth)[::-1]) & 1)
    film = read_film(crafted_png(16, 2, depth, rows=(b"\x00" + packed.tobytes()) * 2))
    np.testing.assert_allclose(film.pixels, np.stack([row, row]) / (levels - 1), atol=1e-6)
    assert film.bits == depth


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_a_grey_picture_in_another_mode_reads_as_the_grey_one(mode: str) -> None:
    film = read_film(saved(Image.fromarray(RAMP_8).convert(mode)))
    np.testing.assert_array_equal(film.pixels, read_film(saved(RAMP_8)).pixels)


def test_a_coloured_palette_reads_as_its_luminance() -> None:
    picture = Image.fromarray(RAMP_8 // 64, "L").convert("P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255])
    film = read_film(saved(picture))
    luminance = np.array([0.299, 0.587, 0.114, 1.0])[RAMP_8 // 64]  # ITU-R BT.601
    np.testing.assert_allclose(film.pixels, luminance, atol=0.5 / 255 + 1e-6)
    assert film.notes == ("colour reduced to its luminance",)


def test_a_colour_that_the_palette_lacks_is_refused_and_not_shown_black() -> None:
    whole = saved(Image.fromarray(RAMP_8).convert("P"))
    at = whole.index(b"PLTE")
    length = int.from_bytes(whole[at - 4 : at], "big")
    body = b"PLTE" + whole[at + 4 : at + 4 + 300]
    short = struct.pack(">I", 300) + body + struct.pack(">I", zlib.crc32(body))
    with pytest.raises(FilmError, match="palette lacks some"):
        read_film(whole[: at - 4] + short + whole[at + 8 + length :])


IGNORED = "transparency in the file left out of account"
SAMPLES = {0: 1, 2: 3, 4: 2, 6: 4}
"""Colour type of a PNG -> samples a pixel (W3C PNG 11.2.2)."""


@pytest.mark.parametrize("opacity", [0, 1, 77, 255])
def test_transparency_changes_no_grey(opacity: int) -> None:
    picture = np.dstack([RAMP_8, np.full_like(RAMP_8, opacity)])
    film = read_film(saved(Image.fromarray(picture)))
    np.testing.assert_array_equal(film.pixels, read_film(saved(RAMP_8)).pixels)
    assert film.notes == (IGNORED,)


@pytest.mark.parametrize("key", [0, 128, 255])
@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_transparent_key_changes_no_grey(key: int, mode: str) -> None:
    colours = (key,) * 3 if mode == "RGB" else key
    film = read_film(saved(Image.fromarray(RAMP_8).convert(mode), transparency=colours))
    np.testing.assert_array_equal(film.pixels, read_film(saved(RAMP_8)).pixels)
    assert film.notes == (IGNORED,)


def test_a_gamma_is_said_and_not_applied() -> None:
    plain = saved(RAMP_8)
    body = struct.pack(">I", 100_000)
    chunk = struct.pack(">I", 4) + b"gAMA" + body + struct.pack(">I", zlib.crc32(b"gAMA" + body))
    film = read_film(plain[:33] + chunk + plain[33:])
    np.testing.assert_array_equal(film.pixels, read_film(plain).pixels)
    assert film.notes == ("gamma 1 of the file not applied",)


def png_16(stored: np.ndarray, colour: int, filtered: int = 0, opacity: int = 65535) -> bytes:
    """Write greys as a 16-bit PNG of a colour type, its rows by filter 0 (none), 1 (sub) or 2 (up)."""
    layers = [stored] * (3 if colour in (2, 6) else 1)
    if colour in (4, 6):
        layers.append(np.full_like(stored, opacity))
    rows, columns = stored.shape
    raw = np.dstack(layers).astype(">u2").tobytes()
    lines = np.frombuffer(raw, np.uint8).reshape(rows, -1)
    bytes_a_pixel = 2 * SAMPLES[colour]
    before = np.zeros_like(lines)
    if filtered == 1:
        before[:, bytes_a_pixel:] = lines[:, :-bytes_a_pixel]
    elif filtered == 2:
        before[1:] = lines[:-1]
    body = np.column_stack([np.full(rows, filtered, np.uint8), lines - before])
    return crafted_png(columns, rows, 16, colour, body.tobytes())


@pytest.mark.parametrize("filtered", [0, 1, 2])
@pytest.mark.parametrize("colour", SAMPLES)
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_16_bits_of_every_colour_type_read_as_the_grey_ones(bits: int, colour: int, filtered: int) -> None:
    stored = RAMP_16 >> (16 - bits)
    film = read_film(png_16(stored, colour, filtered, opacity=12345))
    np.testing.assert_allclose(film.pixels, stored / (2**bits - 1), atol=1e-7)
    assert film.bits == 16
    said = f"16-bit file, {bits} bits used: 0 to {2**bits - 1} scaled to the full range"
    assert film.notes == ((IGNORED, said) if colour in (4, 6) else (said,))


def test_16_bit_colours_keep_their_luminance() -> None:
    samples = np.random.default_rng(3).integers(0, 65536, (40, 30, 3), dtype=np.uint16)
    lines = np.column_stack([np.zeros(40, np.uint8), samples.astype(">u2").view(np.uint8).reshape(40, -1)])
    film = read_film(crafted_png(30, 40, 16, 2, lines.tobytes()))
    np.testing.assert_allclose(film.pixels, samples @ [0.299, 0.587, 0.114] / 65535, atol=1 / 65535)
    assert film.notes[0] == "colour reduced to its luminance"


@pytest.mark.parametrize("colour", SAMPLES)
def test_a_hot_pixel_does_not_decide_the_range(colour: int) -> None:
    stored = RAMP_16 >> 4
    stored[5, 5] = 65535
    film = read_film(png_16(stored, colour))
    np.testing.assert_allclose(film.pixels, np.minimum(stored / 4095, 1), atol=1e-7)
    assert "12 bits used" in film.notes[-1] and film.notes[-1].endswith("1 brighter pixel shown white")


@pytest.mark.parametrize("hot", [[65535], [65535, 20000, 4096], [65535] * 30])
def test_a_few_hot_pixels_or_a_drawn_marker_use_no_bits_of_a_small_image(hot: list[int]) -> None:
    stored = np.linspace(0, 4095, 64 * 48).round().astype(np.uint16).reshape(64, 48)
    stored[5, : len(hot)] = hot
    film = read_film(png_16(stored, 0))
    np.testing.assert_allclose(film.pixels, np.minimum(stored / 4095, 1), atol=1e-7)
    assert f"{counted(len(hot), 'brighter pixel')} shown white" in film.notes[-1]


def noisy_jpeg(side: int = 160, **options: object) -> bytes:
    rows, columns = np.mgrid[:side, :side]
    smooth = 120 + 60 * np.sin(rows / 17) + 50 * np.cos(columns / 23)
    noise = np.random.default_rng(0).normal(0, 6, (side, side))
    return saved(np.clip(smooth + noise, 0, 255).astype(np.uint8), "JPEG", quality=90, **options)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 4}])
def test_a_jpeg_cut_before_its_end_marker_is_refused(options: dict[str, object]) -> None:
    data = noisy_jpeg(**options)
    assert read_film(data).rows == 160
    for share in (0.4, 0.6, 0.9):
        assert "cut short or damaged" in reason(data[: int(share * len(data))] + b"\xff\xd9")


def test_what_libjpeg_warns_of_is_refused() -> None:
    # Bytes of the entropy-coded data left out or repeated: there are then too few or too many blocks.
    data = noisy_jpeg()
    middle = len(data) // 2
    for broken in (
        data[:middle] + data[middle + 40 :],
        data[:middle] + data[middle - 400 :],
        data[:middle] + b"\xff\xd3" + data[middle:],
    ):
        with Image.open(io.BytesIO(broken)) as image:
            image.load()  # Pillow alone says nothing
        assert "the file is cut short or damaged" in reason(broken)


def test_a_cmyk_jpeg_reads_as_the_grey_one() -> None:
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    grey = read_film(saved(smooth, "JPEG", quality=95))
    cmyk = read_film(saved(Image.fromarray(smooth).convert("RGB").convert("CMYK"), "JPEG", quality=95))
    np.testing.assert_allclose(cmyk.pixels, grey.pixels, atol=3 / 255)
    assert (grey.kind, grey.bits) == ("jpeg", 8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation_is_applied_as_pillow_does(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(np.add.outer(np.arange(24) * 8, np.arange(16)).astype(np.uint8), kind, exif=exif)
    film = read_film(data)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(to_uint8(film.pixels), expected)
    assert film.notes == ((f"turned upright: EXIF orientation {orientation}",) if orientation > 1 else ())


def test_damaged_exif_neither_warns_nor_costs_the_film() -> None:
    tiff = b"II*\x00\x08\x00\x00\x00\x01\x00" + struct.pack("<HHII", 0x010F, 2, 400, 90) + b"\x00" * 4
    data = saved(RAMP_8, "JPEG", exif=b"Exif\x00\x00" + tiff)
    with pytest.warns(UserWarning), Image.open(io.BytesIO(data)) as image:
        image.getexif()
    before = list(warnings.filters)
    assert read_film(data).rows == 8
    assert warnings.filters == before


def test_an_animation_is_refused() -> None:
    frames = [Image.fromarray(RAMP_8), Image.fromarray(255 - RAMP_8)]
    data = saved(frames[0], save_all=True, append_images=frames[1:])
    assert reason(data, name="x.png") == "x.png: expected one image, got an animation"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "an empty file"),
        (b"\x00", "another kind of file"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"PK\x03\x04\x14\x00", "a ZIP archive"),
        (b"  <!DOCTYPE html><html>", "an HTML page"),
        (b"GIF89a\x01\x00", "a GIF image"),
        (b"II*\x00\x08\x00\x00\x00", "a TIFF image"),
        (b"Dear colleague, ...", "a text"),
        (b"\x89PNG\r\n", "another kind of file"),
    ],
)
def test_what_is_no_film_is_named(data: bytes, what: str) -> None:
    assert sniff(data) is None
    assert reason(data, name="scan.pdf") == f"scan.pdf: expected a PNG, JPEG or DICOM film, got {what}"


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    (tmp_path / "film.dcm").write_bytes(saved(RAMP_8))
    assert read_film(tmp_path / "film.dcm").kind == "png"


def test_a_picture_of_100_megapixels_is_refused_by_its_header() -> None:
    data = crafted_png(10_000, 10_000)
    assert reason(data, name="x.png") == "x.png: expected at most 40 megapixels, got 100.0 (10000 x 10000)"
    assert "megapixels, got 3600.0" in reason(crafted_png(60_000, 60_000))
    assert Image.MAX_IMAGE_PIXELS == 89_478_485  # Pillow's own, untouched


def test_a_jpeg_of_too_many_pixels_is_refused_by_its_header() -> None:
    data = bytearray(saved(RAMP_8, "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 60_000, 50_000)
    assert "expected at most 40 megapixels, got 3000.0 (60000 x 50000)" in reason(bytes(data))


def test_a_file_over_32_mb_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"")
    path = tmp_path / "x.png"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 2**20)
    assert reason(path) == "x.png: expected at most 32 MB, got 33.0"
    assert "expected at most 32 MB" in reason(bytes(MAX_BYTES + 1))


def test_an_image_of_one_grey_is_refused() -> None:
    assert reason(saved(np.full((9, 9), 77, np.uint8))).endswith("holds one grey value only")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_cut_anywhere_is_refused_in_one_sentence(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    data = saved(noise, kind)
    for stop in range(8, len(data) - 60, 37):
        assert reason(data[:stop], name="x.jpg").startswith("x.jpg: the file is cut short or damaged (")


def test_bytes_and_path_give_the_same_film(tmp_path: Path) -> None:
    data = saved(RAMP_16)
    path = tmp_path / "film"
    path.write_bytes(data)
    one, other = read_film(data), read_film(path)
    np.testing.assert_array_equal(one.pixels, other.pixels)
    assert one.sha256 == other.sha256 == hashlib.sha256(data).hexdigest()


def test_a_missing_file_and_a_folder_are_refused_by_name_alone(tmp_path: Path) -> None:
    assert reason(tmp_path / "none.png") == "none.png: there is no such file"
    (tmp_path / "folder").mkdir()
    assert reason(tmp_path / "folder") == "folder: expected a file, got a folder or a device"


def test_messages_carry_the_last_part_of_a_name_only() -> None:
    assert reason(b"", name="/home/DOE^JANE/a.png").startswith("a.png: ")
    assert reason(b"", name="C:\\films\\b\n.png").startswith("b.png: ")


def test_a_film_error_survives_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(FilmError("a.png", "too dark")))
    assert (str(error), error.source, error.reason) == ("a.png: too dark", "a.png", "too dark")


def test_pixels_are_float32_within_0_and_1_and_read_only() -> None:
    pixels = read_film(saved(RAMP_16)).pixels
    assert pixels.dtype == np.float32
    assert pixels.min() == 0
    assert pixels.max() <= 1
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0] = 1


def test_threads_read_what_one_thread_reads() -> None:
    datas = [saved(RAMP_8 // (1 + n), kind) for n in range(4) for kind in ("PNG", "JPEG")]
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        many = list(pool.map(read_film, datas * 4))
    for data, film in zip(datas * 4, many, strict=True):
        np.testing.assert_array_equal(film.pixels, read_film(data).pixels)
    assert warnings.filters == before


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", bytes(128) + b"DICM", b"\x08\x00\x16\x00"]),
    st.binary(max_size=300),
)
def test_random_bytes_raise_nothing_but_film_errors(magic: bytes, tail: bytes) -> None:
    with pytest.raises(FilmError):
        read_film(magic + tail)


PICTURES = [
    saved(RAMP_8),
    saved(RAMP_16[:16]),
    saved(RAMP_8, "JPEG"),
    saved(Image.fromarray(RAMP_8).convert("P")),
]


CHANGES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(PICTURES), CHANGES)
def test_a_damaged_picture_is_a_film_or_a_film_error(data: bytes, changes: list[tuple[int, int]]) -> None:
    broken = bytearray(data)
    for at, value in changes:
        broken[at % len(broken)] = value
    try:
        film = read_film(bytes(broken))
    except FilmError:
        return
    assert np.isfinite(film.pixels).all()
    assert 0 <= film.pixels.min() < film.pixels.max() <= 1


def test_to_uint8_rounds_and_clips() -> None:
    greys = np.array([-0.1, 0.0, 0.4 / 255, 0.6 / 255, 0.5, 1.0, 1.1], dtype=np.float32)
    assert to_uint8(greys).tolist() == [0, 0, 0, 1, 128, 255, 255]


SIDES = st.integers(1, 300)


@settings(max_examples=100, deadline=None)
@given(SIDES, SIDES, st.integers(1, 256))
def test_a_coordinate_ramp_survives_the_round_trip(height: int, width: int, side: int) -> None:
    box = Letterbox(height, width, side)
    top, left, bottom, right = box.box
    for axis, length, inside in ((0, height, bottom - top), (1, width, right - left)):
        centres = np.arange(length, dtype=np.float32) + 0.5
        ramp = np.broadcast_to(centres[:, None] if axis == 0 else centres, (height, width))
        error = np.abs(box.invert(box.apply(ramp)) - ramp)
        coarse = max(1.0, length / inside)  # the wider of the two grids' pixels, in pixels of the film
        margin = 2 * coarse  # nearer to the border the filter lacks its outer half
        interior = (centres > margin) & (centres < length - margin)
        assert error.max() <= 0.6 * coarse + 1e-3
        assert np.compress(interior, error, axis).max(initial=0) <= 0.1 * coarse


@settings(max_examples=50, deadline=None)
@given(SIDES, SIDES, st.integers(1, 256))
def test_the_letterbox_keeps_the_aspect_centres_and_pads_with_black(h: int, w: int, side: int) -> None:
    top, left, bottom, right = Letterbox(h, w, side).box
    assert max(bottom - top, right - left) == side
    assert abs(top - (side - bottom)) <= 1
    assert abs(left - (side - right)) <= 1
    scale = side / max(h, w)
    assert abs((bottom - top) - max(1, h * scale)) <= 0.5
    assert abs((right - left) - max(1, w * scale)) <= 0.5
    square = Letterbox(h, w, side).apply(np.ones((h, w)))
    inside = np.zeros((side, side), dtype=bool)
    inside[top:bottom, left:right] = True
    np.testing.assert_allclose(square, inside, atol=1e-6)


def test_a_mirrored_film_gives_a_mirrored_square() -> None:
    px = np.random.default_rng(1).random((90, 60)).astype(np.float32)
    box = Letterbox(90, 60, 32)
    top, left, bottom, right = box.box
    square = box.apply(px)[top:bottom, left:right]
    mirrored = box.apply(px[:, ::-1])[top:bottom, left:right]
    np.testing.assert_allclose(mirrored, square[:, ::-1], atol=1e-6)


def test_a_letterbox_of_the_films_own_size_changes_nothing() -> None:
    px = np.random.default_rng(2).random((64, 64)).astype(np.float32)
    box = Letterbox(64, 64, 64)
    np.testing.assert_array_equal(box.apply(px), px)
    np.testing.assert_array_equal(box.invert(px), px)


def test_a_point_of_the_square_goes_back_to_its_place_in_the_film() -> None:
    # 400 x 200 into 100: scale 1/4, the film begins at column 25; pixel (40, 30) of the square has its centre
    # at (40.5, 30.5), so at ((40.5 - 0) * 4, (30.5 - 25) * 4) = (162, 22) of the film.
    map_SS = np.zeros((100, 100), dtype=np.float32)
    map_SS[40, 30] = 1
    map_HW = Letterbox(400, 200, 100).invert(map_SS)
    rows, columns = np.indices(map_HW.shape) + 0.5
    assert (map_HW * rows).sum() / map_HW.sum() == pytest.approx(162, abs=0.01)
    assert (map_HW * columns).sum() / map_HW.sum() == pytest.approx(22, abs=0.01)


def test_the_letterbox_refuses_an_array_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"expected an array of shape \(4, 5\), got \(5, 4\)"):
        Letterbox(4, 5, 8).apply(np.zeros((5, 4)))
    with pytest.raises(ValueError, match="at least 1 pixel"):
        Letterbox(0, 5, 8)
