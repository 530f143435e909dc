"""DICOM radiographs built here with pydicom, and three real ones: greys by the formulas of PS3.3."""

from __future__ import annotations

import io
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from radiographs import (
    SCENE,
    bare,
    compressed,
    dataset,
    deflated,
    full_window,
    lookup,
    quantised,
    several,
    written,
)  # fmt: skip

from timnet.films import dicom, dicom_headers
from timnet.films.film import Film, FilmError
from timnet.films.read import read_film, sniff

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "dicom_chest"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="the three real DICOM chest films are not here")


def read(stored: np.ndarray, bits: int = 16, **tags: object) -> Film:
    return read_film(written(dataset(stored, bits, **tags)))


def reason(data: bytes | Path) -> str:
    with pytest.raises(FilmError) as caught:
        read_film(data)
    return caught.value.reason


@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
def test_twins_of_any_depth_show_the_same_scene(bits: int) -> None:
    film = read(quantised(bits), bits, **full_window(bits))
    np.testing.assert_allclose(film.pixels, SCENE, atol=0.5 / (2**bits - 1) + 1e-6)
    assert (film.kind, film.bits) == ("dicom", bits)
    assert film.notes == (f"window {2 ** (bits - 1)}/{2**bits}",)


def test_a_monochrome1_twin_equals_monochrome2() -> None:
    stored = quantised(12)
    two = read(stored, 12, **full_window(12))
    one = read(4095 - stored, 12, PhotometricInterpretation="MONOCHROME1", **full_window(12))
    np.testing.assert_allclose(one.pixels, two.pixels, atol=1e-6)
    assert one.notes[-1] == "inverted: MONOCHROME1"


def test_polarity_turns_once_even_when_the_file_asks_twice() -> None:
    tags = {"PhotometricInterpretation": "MONOCHROME1", **full_window(12)}
    once = read(quantised(12), 12, **tags)
    twice = read(quantised(12), 12, PresentationLUTShape="INVERSE", **tags)
    np.testing.assert_array_equal(once.pixels, twice.pixels)


def test_monochrome2_that_asks_for_inverse_is_left_alone_with_a_note() -> None:
    plain = read(quantised(12), 12, **full_window(12))
    odd = read(quantised(12), 12, PresentationLUTShape="INVERSE", **full_window(12))
    np.testing.assert_array_equal(plain.pixels, odd.pixels)
    assert odd.notes[-1] == "the file is MONOCHROME2 and asks for INVERSE as well: not inverted"


@pytest.mark.parametrize("bits", [8, 9, 10, 12, 15, 16])
def test_signed_values_read_as_their_unsigned_twin(bits: int) -> None:
    unsigned, half = quantised(bits), 2 ** (bits - 1)
    signed = (unsigned.astype(np.int32) - half).astype(np.int8 if bits <= 8 else np.int16)
    one = read(unsigned, bits, **full_window(bits))
    other = read(signed, bits, WindowCenter=0, WindowWidth=2**bits)
    np.testing.assert_allclose(other.pixels, one.pixels, atol=1e-6)


def test_bits_above_those_stored_are_ignored() -> None:
    stored = quantised(12)
    overlay = (np.arange(stored.size).reshape(stored.shape) % 16 << 12).astype(np.uint16)
    plain, marked = (read(values, 12, **full_window(12)) for values in (stored, stored | overlay))
    np.testing.assert_array_equal(plain.pixels, marked.pixels)


def by_formula(x: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2, for an output of 0 to 1."""
    if function == "LINEAR":
        return np.clip((x - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    if function == "LINEAR_EXACT":
        return np.clip((x - centre) / width + 0.5, 0, 1)
    return 1 / (1 + np.exp(-4 * (x - centre) / width))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (0.5, -100), (-1, 4095)])
def test_windows_follow_the_standard_after_the_rescale(function: str, slope: float, intercept: float) -> None:
    stored = quantised(12)
    film = read(
        stored,
        12,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        WindowCenter=900,
        WindowWidth=700,
        VOILUTFunction=function,
    )
    expected = by_formula(stored.astype(float) * slope + intercept, 900, 700, function)
    np.testing.assert_allclose(film.pixels, expected, atol=1e-6)


def test_the_first_of_several_windows_is_used() -> None:
    film = read(quantised(12), 12, WindowCenter=[900, 2048], WindowWidth=[700, 4096])
    np.testing.assert_allclose(
        film.pixels, by_formula(quantised(12).astype(float), 900, 700, "LINEAR"), atol=1e-6
    )
    assert film.notes == ("window 900/700, the first of 2",)


def by_percentile(x: np.ndarray) -> np.ndarray:
    low, high = np.percentile(x, (0.5, 99.5), method="inverted_cdf")
    return np.clip((x.astype(float) - low) / (high - low), 0, 1)


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        ({}, "no window in the file"),
        ({"WindowCenter": 2048, "WindowWidth": 0}, "unusable window 2048/0"),
        ({"WindowCenter": 2048, "WindowWidth": -5}, "unusable window 2048/-5"),
        ({"WindowCenter": 9, "WindowWidth": 9, "VOILUTFunction": "CUBIC"}, "unusable window 9/9, CUBIC"),
        ({"WindowCenter": 60000, "WindowWidth": 10}, "window 60000/10 leaves hardly any greys"),
        ({"WindowCenter": 1, "WindowWidth": 1}, "window 1/1 leaves hardly any greys"),
        ({"WindowCenter": 2048}, "no window in the file"),
    ],
)
def test_without_a_usable_window_percentiles_are_used_and_said(tags: dict[str, object], note: str) -> None:
    film = read(quantised(12), 12, **tags)
    np.testing.assert_allclose(film.pixels, by_percentile(quantised(12)), atol=1e-6)
    assert film.notes == (f"{note}: 0.5 to 99.5 percentile used",)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("as_written", [-2000, 63536])
def test_padding_is_left_out_and_black(photometric: str, as_written: int) -> None:
    stored = quantised(10).astype(np.int16)
    stored[:6] = -2000
    made = dataset(stored, 16, PhotometricInterpretation=photometric)
    made.add_new("PixelPaddingValue", "SS" if as_written < 0 else "US", as_written)
    film = read_film(written(made))
    inside = by_percentile(stored[6:])
    expected = 1 - inside if photometric == "MONOCHROME1" else inside
    np.testing.assert_allclose(film.pixels[6:], expected, atol=1e-6)
    assert not film.pixels[:6].any()
    assert film.notes[0] == "padding value left out (25.0 % of the image)"


def test_padding_written_with_bits_that_are_not_stored_is_left_out() -> None:
    stored = quantised(12) // 2
    stored[:6] = 0xFFFF
    film = read(stored, 12, PixelPaddingValue=0xFFFF)
    np.testing.assert_allclose(film.pixels[6:], by_percentile(stored[6:]), atol=1e-6)
    assert not film.pixels[:6].any()


def test_a_padding_range_is_left_out() -> None:
    stored = quantised(12)
    stored[stored >= 4000] = 3999
    stored[:2] = np.linspace(4000, 4095, 40).reshape(2, 20)
    film = read(stored, 12, PixelPaddingValue=4095, PixelPaddingRangeLimit=4000)
    np.testing.assert_allclose(film.pixels[2:], by_percentile(stored[2:]), atol=1e-6)
    assert not film.pixels[:2].any()


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_voi_table_maps_every_value_and_holds_at_its_ends(bits: int) -> None:
    top = 2**bits - 1
    curve = np.rint(np.linspace(0, 1, 3000) ** 2 * top)
    film = read(quantised(12), 12, VOILUTSequence=[lookup(curve, 500, bits)], **full_window(12))
    expected = curve[np.clip(quantised(12).astype(int) - 500, 0, 2999)] / top
    np.testing.assert_allclose(film.pixels, expected, atol=1e-6)
    assert film.notes == ("VOI lookup table of the file, the first of 2",)


def test_a_voi_table_may_begin_below_zero() -> None:
    stored = quantised(12).astype(np.int16) - 2048
    curve = np.arange(4096)[::-1]
    film = read(stored, 12, VOILUTSequence=[lookup(curve, -2048, 12)])
    np.testing.assert_allclose(film.pixels, curve[stored.astype(int) + 2048] / 4095, atol=1e-6)


def test_a_modality_table_comes_before_the_window() -> None:
    curve = np.rint(np.sqrt(np.arange(4096) / 4095) * 65535)
    film = read(quantised(12), 12, ModalityLUTSequence=[lookup(curve, 0, 16)], **full_window(16))
    np.testing.assert_allclose(film.pixels, curve[quantised(12)] / 65535, atol=1e-6)


def test_a_rescale_to_one_value_or_to_none_is_refused() -> None:
    flat = dataset(quantised(12), 12, RescaleSlope=0, RescaleIntercept=5)
    assert reason(written(flat)) == "RescaleSlope: expected a number other than 0, got 0"
    endless = dataset(quantised(12), 12, RescaleSlope=1e308, RescaleIntercept=0)
    assert reason(written(endless)).startswith("RescaleSlope and RescaleIntercept: expected finite greys")


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        ({"Modality": "CT"}, "expected a radiograph (CR, DX, RG, PX, SC or OT), got modality CT"),
        ({"Modality": "MR"}, "expected a radiograph (CR, DX, RG, PX, SC or OT), got modality MR"),
        ({"Modality": "MG"}, "expected a radiograph (CR, DX, RG, PX, SC or OT), got modality MG"),
        ({"NumberOfFrames": 1_000_000}, "expected one frame (NumberOfFrames), got 1000000"),
        ({"Rows": 9000, "Columns": 5000}, "expected at most 40 megapixels, got 45.0 (9000 x 5000)"),
        ({"Rows": 0}, "Rows: expected 1 to 65535, got 0"),
        ({"Rows": None}, "Rows: expected 1 to 65535, got none stated"),
        (
            {"PixelData": None},
            "expected an image, got a DICOM file without pixels (PixelData) or one that is cut short",
        ),
        (
            {"PhotometricInterpretation": "PALETTE COLOR"},
            "expected a grey image (PhotometricInterpretation MONOCHROME1 or 2), got PALETTE COLOR",
        ),
        (
            {"PhotometricInterpretation": None},
            "expected a grey image (PhotometricInterpretation MONOCHROME1 or 2), got none stated",
        ),
        ({"SamplesPerPixel": 3}, "SamplesPerPixel: expected 1 in a MONOCHROME2 image, got 3"),
        ({"BitsAllocated": 32}, "BitsAllocated: expected 8 or 16, got 32"),
        ({"BitsStored": 17}, "BitsStored: expected 1 to 16, got 17"),
        ({"HighBit": 15}, "HighBit: expected 11, as BitsStored is 12, got 15"),
    ],
)
def test_what_is_no_single_radiograph_is_refused_in_one_sentence(
    tags: dict[str, object], sentence: str
) -> None:
    assert reason(written(dataset(quantised(12), 12, **tags))) == sentence


def test_sizes_written_with_the_wrong_type_are_judged_all_the_same() -> None:
    made = dataset(quantised(12), 12)
    del made.Rows
    made.add_new("Rows", "UL", 3_000_000_000)
    assert reason(written(made)).startswith("Rows: expected 1 to 65535, got 3000000000")


def test_one_grey_value_is_refused_also_beside_padding() -> None:
    stored = np.full((8, 8), 100, np.uint16)
    stored[0] = 0
    assert reason(written(dataset(stored, 12, PixelPaddingValue=0))).endswith("holds one grey value only")


def test_a_colour_capture_is_read_as_its_luminance_and_a_colour_radiograph_refused() -> None:
    colours = np.random.default_rng(3).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    made = dataset(colours, 8, SOPClassUID=uid.SecondaryCaptureImageStorage, Modality="OT", **tags)
    film = read_film(written(made))
    luminance = colours @ np.array([0.299, 0.587, 0.114]) / 255  # ITU-R BT.601
    np.testing.assert_allclose(film.pixels, luminance, atol=1 / 255)
    assert film.notes == ("colour reduced to its luminance",)
    assert reason(written(dataset(colours, 8, **tags))) == (
        "expected a grey image (PhotometricInterpretation MONOCHROME1 or 2), got RGB"
    )


def test_spacing_view_and_remarks_come_from_the_header() -> None:
    film = read(
        quantised(12),
        12,
        PixelSpacing=[0.2, 0.1],
        ImagerPixelSpacing=[0.3, 0.3],
        ViewPosition="PA",
        BodyPartExamined="HAND",
        PresentationIntentType="FOR PROCESSING",
        BurnedInAnnotation="YES",
        PatientOrientation=["R", "F"],
        **full_window(12),
    )
    assert film.spacing_mm == (0.2, 0.1)
    assert film.view == "PA"
    assert film.notes == (
        "raw detector data (FOR PROCESSING): greys may not look like a finished film",
        "body part in the file: HAND",
        "text is burned into the image",
        "orientation in the file is R\\F, not L\\F: shown as stored, read in the usual hanging",
        "pixels are 2 times as high as wide: laid out by their true shape",
        "window 2048/4096",
    )


@pytest.mark.parametrize(
    ("tags", "spacing_mm", "view"),
    [
        ({"ImagerPixelSpacing": [0.3, 0.25]}, (0.3, 0.25), None),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.3, 0.25]}, (0.3, 0.25), None),
        ({"ViewPosition": "LL"}, None, "LATERAL"),
        ({"ViewPosition": "AP"}, None, "AP"),
        ({"ViewPosition": "XTABLE"}, None, None),
    ],
)
def test_spacing_and_view_are_none_where_the_file_is_silent(
    tags: dict[str, object], spacing_mm: tuple[float, float] | None, view: str | None
) -> None:
    film = read(quantised(12), 12, **tags)
    assert (film.spacing_mm, film.view) == (spacing_mm, view)


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_dicom_without_preamble_is_read_with_a_note(implicit: bool, little: bool) -> None:
    stored = quantised(12)
    data = bare(dataset(stored if little else stored.byteswap(), 12, **full_window(12)), implicit, little)
    assert sniff(data) == "dicom"
    film = read_film(data)
    np.testing.assert_array_equal(film.pixels, read(stored, 12, **full_window(12)).pixels)
    assert film.notes[0] == "DICOM without its preamble"
    assert film.notes[1].startswith("no transfer syntax in the file: ")


def test_dicom_without_preamble_needs_its_class() -> None:
    made = dataset(quantised(12), 12, SOPClassUID=None)
    assert sniff(bare(made)) is None
    assert reason(written_without_class(made)) == (
        "expected a DICOM image with a SOP Class UID (SOPClassUID), got none"
    )


def written_without_class(made: Dataset) -> bytes:
    made.SOPClassUID = "1.2"
    data = written(made)
    at = data.rindex(b"\x08\x00\x16\x00")
    return data[:at] + b"\x08\x00\x15\x00" + data[at + 4 :]


@pytest.mark.parametrize(
    ("syntax", "sentence"),
    [
        ("1.2.840.10008.1.1", "expected a transfer syntax of the DICOM standard, got another"),
        ("DOE^JANE", "expected a transfer syntax of the DICOM standard, got another"),
        ("1.2.840.10008.1.2\\1.2.3", "the file is cut short or damaged (TypeError)"),
    ],
)
def test_a_strange_transfer_syntax_is_refused(syntax: str, sentence: str) -> None:
    data = written(dataset(quantised(12), 12))
    plain = b"\x14\x00" + uid.ExplicitVRLittleEndian.encode() + b"\x00"
    assert data.count(plain) == 1
    value = syntax.encode() + b"\x00" * (len(syntax) % 2)
    assert reason(data.replace(plain, len(value).to_bytes(2, "little") + value)) == sentence


def test_an_empty_transfer_syntax_is_guessed_with_a_note() -> None:
    data = written(dataset(quantised(12), 12, **full_window(12)))
    plain = b"\x14\x00" + uid.ExplicitVRLittleEndian.encode() + b"\x00"
    film = read_film(data.replace(plain, b"\x00\x00"))
    assert film.notes[0] == "no transfer syntax in the file: Explicit VR Little Endian assumed"
    np.testing.assert_array_equal(film.pixels, read_film(data).pixels)


def test_an_extensionless_file_is_read_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "IM00001"
    path.write_bytes(written(dataset(quantised(12), 12, **full_window(12))))
    film = read_film(path)
    assert film.kind == "dicom"
    np.testing.assert_array_equal(film.pixels, read_film(path.read_bytes()).pixels)


def test_a_deflated_twin_reads_as_the_plain_film() -> None:
    made = dataset(quantised(12), 12, **full_window(12))
    film = read_film(written(made, uid.DeflatedExplicitVRLittleEndian))
    plain = read_film(written(made))
    np.testing.assert_array_equal(film.pixels, plain.pixels)
    assert film.notes == plain.notes


def test_a_deflated_bomb_is_refused_before_it_grows() -> None:
    bomb = deflated(bytes(400_000_000))
    assert len(bomb) < 2_000_000
    sentence = "expected a deflated file that holds at most 96 MB, got more"
    tracemalloc.start()
    try:
        assert reason(bomb) == sentence
        # zlib gathers its output in pieces and joins them: twice the limit, whatever the bomb holds.
        assert tracemalloc.get_traced_memory()[1] < 2.2 * dicom_headers.MAX_INFLATED
    finally:
        tracemalloc.stop()
    # The same file meta in implicit VR, which pydicom understands as well.
    meta = b"\x02\x00\x10\x00" + (22).to_bytes(4, "little") + uid.DeflatedExplicitVRLittleEndian.encode()
    hidden = bytes(128) + b"DICM" + meta + b"\x00" + bomb[400:]
    assert reason(hidden) in (sentence, "the file is cut short or damaged (error)")


def test_a_deflated_file_inside_a_deflated_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = deflated(bytes(1000))[132:]

    def inflate(*arguments: object) -> bytes:
        raise AssertionError("inflated without a limit")

    monkeypatch.setattr(zlib, "decompress", inflate)
    assert reason(deflated(inner)) == "expected a deflated file that holds at most 96 MB, got more"


def test_the_windows_of_a_file_are_listed_with_their_explanations() -> None:
    offered = dicom.windows(written(several()))
    assert [(window.function, window.explanation) for window in offered] == [
        ("TABLE", "DETAIL"),
        ("LINEAR", "BONE"),
        ("LINEAR", "WIDE"),
    ]
    assert [(window.centre, window.width) for window in offered[1:]] == [(900, 700), (2048, 4096)]
    one = dataset(quantised(12), 12, VOILUTFunction="SIGMOID", WindowCenter=5, WindowWidth=6)
    assert dicom.windows(written(one)) == (dicom.Window(5, 6, "SIGMOID", ""),)
    assert dicom.windows(written(dataset(quantised(12), 12))) == ()


def test_the_windows_of_a_damaged_file_are_a_list_or_a_film_error() -> None:
    data = written(several())
    for stop in range(0, len(data), 23):
        try:
            assert isinstance(dicom.windows(data[:stop] + b"\xff" * 8), tuple)
        except FilmError as error:
            assert error.reason == error.reason.strip()


def test_any_window_can_be_asked_for() -> None:
    data, stored = written(several()), quantised(12).astype(float)
    expected = [
        np.rint(np.linspace(0, 1, 4096) ** 2 * 4095)[quantised(12)] / 4095,
        by_formula(stored, 900, 700, "LINEAR"),
        by_formula(stored, 2048, 4096, "LINEAR"),
    ]
    for index, greys in enumerate(expected):
        np.testing.assert_allclose(read_film(data, window=index).pixels, greys, atol=1e-6)
    assert read_film(data, window=2).notes == ("window 2048/4096, number 3 of 3",)
    assert read_film(data).notes == ("VOI lookup table of the file, the first of 3",)


@pytest.mark.parametrize("index", [3, -1])
def test_a_window_that_is_not_there_gives_way_to_percentiles(index: int) -> None:
    film = read_film(written(several()), window=index)
    np.testing.assert_allclose(film.pixels, by_percentile(quantised(12)), atol=1e-6)
    assert film.notes == (
        f"no window number {index + 1} among the 3 of the file: 0.5 to 99.5 percentile used",
    )


@pytest.mark.parametrize("modality", ["CT", "MR", "US"])
def test_another_modality_is_read_where_it_is_admitted(modality: str) -> None:
    data = written(dataset(quantised(12), 12, Modality=modality, **full_window(12)))
    film = read_film(data, admit=("any-modality",))
    np.testing.assert_array_equal(film.pixels, read(quantised(12), 12, **full_window(12)).pixels)
    assert film.notes[0] == f"modality {modality}: not a radiograph"


def test_the_first_of_several_frames_is_read_where_it_is_admitted() -> None:
    frames = np.stack([quantised(12), np.zeros_like(quantised(12))])
    made = dataset(quantised(12), 12, NumberOfFrames=2, PixelData=frames.tobytes(), **full_window(12))
    assert reason(written(made)) == "expected one frame (NumberOfFrames), got 2"
    film = read_film(written(made), admit=("first-frame",))
    np.testing.assert_array_equal(film.pixels, read(quantised(12), 12, **full_window(12)).pixels)
    assert film.notes[0] == "the first of 2 frames"
    lying = dataset(quantised(12), 12, NumberOfFrames=10**6)
    with pytest.raises(FilmError, match="PixelData: expected 960,000,000 bytes"):
        read_film(written(lying), admit=("first-frame",))


@pytest.mark.parametrize(
    ("kind", "syntax"), [("JPEG2000", uid.JPEG2000Lossless), ("JPEG", uid.JPEGBaseline8Bit)]
)
def test_a_codestream_that_disagrees_with_its_header_is_refused(kind: str, syntax: str) -> None:
    file = io.BytesIO()
    Image.fromarray((SCENE * 255).astype(np.uint8)).save(
        file, kind, **({"no_jp2": True} if "2" in kind else {})
    )
    honest = dataset((SCENE * 255).astype(np.uint8), 8, **full_window(8))
    film = read_film(compressed(honest, file.getvalue(), syntax))
    np.testing.assert_allclose(film.pixels, SCENE, atol=0.2 if kind == "JPEG" else 1 / 255)
    lying = dataset((SCENE * 255).astype(np.uint8), 8, Rows=12, Columns=10)
    sentence = "expected 12 x 10 pixels as Rows and Columns say, got 24 x 20"
    assert reason(compressed(lying, file.getvalue(), syntax)) == sentence


def jpeg(px: np.ndarray, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(px).save(file, kind, **({"no_jp2": True} if "2" in kind else {}))
    return file.getvalue()


def test_8_bits_in_a_header_of_16_read_as_they_are() -> None:
    px = (SCENE * 255).astype(np.uint8)
    tags: dict[str, object] = full_window(8)
    honest = read_film(compressed(dataset(px, 8, **tags), jpeg(px), uid.JPEGBaseline8Bit))
    wide = dataset(px.astype(np.uint16), 8, **tags)
    film = read_film(compressed(wide, jpeg(px), uid.JPEGBaseline8Bit))
    np.testing.assert_array_equal(film.pixels, honest.pixels)


@pytest.mark.parametrize(
    ("tags", "frame", "syntax", "named"),
    [
        ({}, jpeg(np.zeros((24, 20, 3), np.uint8)), uid.JPEGBaseline8Bit, "SamplesPerPixel: expected 3"),
        ({}, jpeg(np.zeros((24, 20, 3), np.uint8), "JPEG2000"), uid.JPEG2000, "SamplesPerPixel: expected 3"),
        (
            {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11},
            jpeg(np.zeros((24, 20), np.uint8)),
            uid.JPEGBaseline8Bit,
            "BitsStored: expected 8",
        ),
        ({}, jpeg(np.zeros((24, 20), np.uint16), "JPEG2000"), uid.JPEG2000, "BitsAllocated: expected 16"),
        ({}, jpeg(np.zeros((24, 20), np.uint8), "JPEG2000"), uid.JPEGBaseline8Bit, "TransferSyntaxUID"),
        ({}, jpeg(np.zeros((24, 20), np.uint8)), uid.JPEG2000Lossless, "TransferSyntaxUID"),
    ],
)
def test_what_the_header_says_of_a_compressed_image_is_named_where_it_is_wrong(
    tags: dict[str, object], frame: bytes, syntax: str, named: str
) -> None:
    stated = dataset((SCENE * 255).astype(np.uint8), 8, **tags)
    said = reason(compressed(stated, frame, syntax))
    assert said.startswith(named) and "damaged" not in said


def test_empty_pixels_are_none() -> None:
    assert "without pixels" in reason(written(dataset(quantised(12), 12, PixelData=b"")))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("change", [str.lower, str.title])
def test_the_case_of_a_photometric_interpretation_does_not_matter(
    photometric: str, change: Callable[[str], str]
) -> None:
    tags: dict[str, object] = full_window(12)
    data = written(dataset(quantised(12), 12, PhotometricInterpretation=photometric, **tags))
    odd = read_film(data.replace(photometric.encode(), change(photometric).encode()))
    np.testing.assert_array_equal(odd.pixels, read_film(data).pixels)


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept", "WindowCenter", "PixelSpacing"])
def test_several_empty_values_are_absent(keyword: str) -> None:
    tags: dict[str, object] = full_window(12)
    film = read(quantised(12), 12, **tags | {keyword: ["", ""]})
    tags.pop(keyword, None)
    absent = read(quantised(12), 12, **tags)
    np.testing.assert_array_equal(film.pixels, absent.pixels)
    assert film.notes == absent.notes


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEGLSLossless, uid.RLELossless, uid.MPEG2MPML])
def test_a_codestream_of_garbage_is_refused(syntax: str) -> None:
    data = compressed(dataset(quantised(12), 12), bytes(range(200)), syntax)
    assert "is cut short or damaged" in reason(data)


def test_refusals_never_quote_the_patient() -> None:
    broken = [
        written(dataset(quantised(12), 12, Modality="CT")),
        written(dataset(quantised(12), 12))[:-50],
        written(dataset(quantised(12), 12, RescaleSlope=1, RescaleIntercept=1)).replace(
            b"\x04\x001.0 ", b"\x04\x00DOE^"
        ),
        bare(dataset(quantised(12), 12))[:300],
    ]
    for data in broken:
        assert b"DOE^JANE" in data
        assert "DO" not in reason(data)
    window = written(dataset(quantised(12), 12, WindowCenter=1, WindowWidth=1))
    film = read_film(window.replace(b"\x04\x001.0 ", b"\x04\x00DOE^"))
    assert "WindowCenter cannot be read: ignored" in film.notes and "DOE" not in str(film.notes)


def test_a_dicom_file_cut_anywhere_is_refused() -> None:
    data = written(dataset(quantised(12), 12, **full_window(12)))
    offsets = np.unique(np.linspace(0, len(data) - 1, 120).astype(int))
    assert len(offsets) >= 100
    for stop in offsets:
        assert reason(data[:stop])


VALID = written(dataset(quantised(12), 12, RescaleSlope=1, RescaleIntercept=0, **full_window(12)))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(132, 700), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_header_gives_a_film_or_a_film_error(changes: list[tuple[int, int]]) -> None:
    broken = bytearray(VALID)
    for at, value in changes:
        broken[at] = value
    try:
        film = read_film(bytes(broken))
    except FilmError:
        return
    assert 0 <= film.pixels.min() < film.pixels.max() <= 1


def real(name: str) -> Film:
    return read_film(REAL / name)


@needs_real
def test_the_uncompressed_film_equals_pydicoms_own_pipeline() -> None:
    name = "gdcm-CR-MONO1-10-chest.dcm"
    source = pydicom.dcmread(REAL / name)
    shown = apply_voi_lut(apply_modality_lut(source.pixel_array, source), source) / (2**10 - 1)
    film = real(name)
    np.testing.assert_allclose(film.pixels, 1 - shown, atol=1e-6)
    assert (film.rows, film.columns, film.bits, film.view) == (440, 440, 10, "PA")
    assert film.notes == ("window 550/1024", "inverted: MONOCHROME1")


@needs_real
@pytest.mark.parametrize("name", ["gdcm-CR-MONO1-10-chest.dcm", "RG1_J2KI.dcm"])
def test_real_films_are_upright_bone_bright_and_not_mirrored(name: str) -> None:
    film = real(name)

    def mean(top: float, bottom: float, left: float, right: float) -> float:
        rows, columns = (
            slice(int(top * film.rows), int(bottom * film.rows)),
            slice(int(left * film.columns), int(right * film.columns)),
        )
        return float(film.pixels[rows, columns].mean())

    spine = mean(0.35, 0.60, 0.44, 0.52)
    right_lung, left_lung = mean(0.25, 0.45, 0.17, 0.34), mean(0.20, 0.40, 0.62, 0.78)
    below = mean(0.88, 0.98, 0.15, 0.40)
    assert max(right_lung, left_lung) < spine - 0.08
    assert max(right_lung, left_lung) < below - 0.08
    # The air outside the patient, beside the neck.
    assert mean(0.03, 0.08, 0.97, 0.995) < min(right_lung, left_lung)
    # The heart lies on the patient's left, which is the right half of an unmirrored film.
    assert mean(0.60, 0.72, 0.55, 0.65) > mean(0.60, 0.72, 0.26, 0.36) + 0.05


@needs_real
def test_two_compressions_of_one_film_agree() -> None:
    started = time.perf_counter()
    one, other = real("RG1_J2KI.dcm"), real("RG1_JLSN.dcm")
    assert time.perf_counter() - started < 20
    assert (one.rows, one.columns, one.bits, one.view, one.spacing_mm) == (1955, 1841, 15, "PA", None)
    assert one.notes == other.notes == ("window 15000/30000", "inverted: MONOCHROME1")
    difference = np.abs(one.pixels - other.pixels)
    assert difference.mean() < 0.002
    assert np.quantile(difference, 0.999) < 0.02
    assert one.sha256 != other.sha256


@needs_real
@pytest.mark.parametrize("name", ["gdcm-CR-MONO1-10-chest.dcm", "RG1_J2KI.dcm", "RG1_JLSN.dcm"])
def test_a_real_film_cut_short_is_refused(name: str) -> None:
    data = (REAL / name).read_bytes()
    for share in (0.0001, 0.001, 0.01):
        assert reason(data[: int(len(data) * share)])
    for missing in (10, len(data) // 2):
        assert "cut short" in reason(data[:-missing])
