"""Greys of DICOM radiographs as files really state them: every expectation from PS3.3 or a plain twin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from radiographs import bare, dataset, full_window, lookup, quantised, written

from timnet.films.film import Film, FilmError
from timnet.films.read import read_film

CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the cases of public bug reports are not here")
TWELVE = quantised(12)
PLAIN = read_film(written(dataset(TWELVE, 12, **full_window(12))))


def read(stored: np.ndarray = TWELVE, bits: int = 12, **tags: object) -> Film:
    return read_film(written(dataset(stored, bits, **tags)))


def reason(data: bytes) -> str:
    with pytest.raises(FilmError) as caught:
        read_film(data, name="x.dcm")
    return caught.value.reason


@needs_cases
@pytest.mark.parametrize(
    ("case", "tolerance"),
    [
        ("01-negative-rescale-slope/film", 1e-3),
        ("02-voi-lut-data-ow/film", 1e-6),
        ("02-voi-lut-data-ow/film-implicit", 1e-6),
        ("03-voi-lut-descriptor-ss/film", 1e-2),
        ("04-jpegls-signed-12-of-16/film", 0),
        ("05-j2k-sign-mismatch/film", 0),
        ("06-j2k-precision-below-bits-stored/film", 0),
        ("09-missing-type1-attributes/no-bitsstored", 0),
        ("09-missing-type1-attributes/no-highbit", 0),
        ("09-missing-type1-attributes/no-representation", 0),
        ("09-missing-type1-attributes/no-samples", 0),
        ("10-single-frame-many-fragments/film", 0),
        ("10-single-frame-many-fragments/film-nof0", 0),
        ("10-single-frame-many-fragments/film-nofempty", 0),
        ("11-decimal-comma-in-ds/rescale", 1e-3),
        ("11-decimal-comma-in-ds/spacing", 1e-3),
        ("11-decimal-comma-in-ds/spacing-three", 1e-3),
        ("11-decimal-comma-in-ds/window", 0),
        ("12-window-width-below-one/film", 1e-3),
        ("13-display-shutter/film", 1e-6),
        ("35-lut-sign-and-packing/modality-ow", 1e-3),
        ("35-lut-sign-and-packing/packed8", 1 / 255),
        ("35-lut-sign-and-packing/signed-implicit", 1e-3),
        ("35-lut-sign-and-packing/signed-us", 1e-3),
    ],
)
def test_a_case_of_a_public_bug_report_reads_as_its_twin(case: str, tolerance: float) -> None:
    film = read_film(CASES / f"{case}.dcm")
    twin = read_film(CASES / case.split("/")[0] / "twin.dcm")
    np.testing.assert_allclose(film.pixels, twin.pixels, atol=tolerance)


@needs_cases
@pytest.mark.parametrize("case", ["14-png-16-bit-grey-alpha/film-rgb16", "14-png-16-bit-grey-alpha/film",
                                  "15-png-trns-and-gama/film"])  # fmt: skip
def test_a_png_of_a_public_bug_report_reads_as_its_twin(case: str) -> None:
    film, twin = (read_film(CASES / path) for path in (f"{case}.png", f"{case.split('/')[0]}/twin.png"))
    np.testing.assert_array_equal(film.pixels, twin.pixels)


@needs_cases
def test_a_table_whose_entries_end_below_its_bits_is_scaled_by_its_top_and_says_so() -> None:
    film = read_film(CASES / "03-voi-lut-descriptor-ss" / "film-12of16.dcm")
    assert film.notes[-1].endswith("its 16-bit entries scaled by the largest, 4095")
    assert film.pixels.mean() > 0.3


# Display shutters, PS3.3 C.7.6.11.


def inside(shape: str) -> np.ndarray:
    """Return by the plain formulas what the shutters of `SHUTTERS` leave of 24 x 20 pixels."""
    rows, columns = np.mgrid[1:25, 1:21]
    if shape == "RECTANGULAR":
        return (rows > 4) & (rows < 20) & (columns > 3) & (columns < 18)
    if shape == "CIRCULAR":
        return (rows - 12) ** 2 + (columns - 10) ** 2 <= 49
    return (rows >= 3) & (rows <= 21) & (columns >= 2) & (columns <= 18)


SHUTTERS: dict[str, dict[str, object]] = {
    "RECTANGULAR": {
        "ShutterUpperHorizontalEdge": 4, "ShutterLowerHorizontalEdge": 20, "ShutterLeftVerticalEdge": 3,
        "ShutterRightVerticalEdge": 18,
    },
    "CIRCULAR": {"CenterOfCircularShutter": [12, 10], "RadiusOfCircularShutter": 7},
    "POLYGONAL": {"VerticesOfThePolygonalShutter": [3, 2, 3, 18, 21, 18, 21, 2]},
}  # fmt: skip
COMBINED = [["RECTANGULAR"], ["CIRCULAR"], ["POLYGONAL"], ["RECTANGULAR", "CIRCULAR"], list(SHUTTERS)]


@pytest.mark.parametrize("shapes", COMBINED, ids="+".join)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("value", [None, 0, 32768, 65535])
@pytest.mark.parametrize("window", [True, False])
def test_what_a_shutter_hides_has_its_grey_and_counts_nowhere(
    shapes: list[str], photometric: str, value: int | None, window: bool
) -> None:
    left = np.all([inside(shape) for shape in shapes], axis=0)
    stored = np.where(left, TWELVE // 2 + 500, 4095).astype(np.uint16)
    tags = {keyword: tag for shape in shapes for keyword, tag in SHUTTERS[shape].items()}
    tags |= {"ShutterShape": shapes, "PhotometricInterpretation": photometric}
    if value is not None:
        tags["ShutterPresentationValue"] = value
    tags |= full_window(12) if window else {}
    film = read(stored, **tags)
    greys = stored[left].astype(float)
    if window:
        expected = np.clip((greys - 2047.5) / 4095 + 0.5, 0, 1)
    else:
        low, high = np.percentile(greys, (0.5, 99.5), method="inverted_cdf")
        expected = np.clip((greys - low) / (high - low), 0, 1)
    np.testing.assert_allclose(
        film.pixels[left], 1 - expected if photometric == "MONOCHROME1" else expected, atol=1e-6
    )
    np.testing.assert_allclose(film.pixels[~left], (value or 0) / 65535, atol=1e-6)
    assert f"display shutter {' and '.join(shapes)}: {1 - left.mean():.1%} of the image hidden" in film.notes


def test_the_radius_of_a_shutter_counts_pixels_along_a_row() -> None:
    # Rows 2 mm, columns 1 mm apart: 7 mm are 7 columns and 3.5 rows.
    film = read(**SHUTTERS["CIRCULAR"], ShutterShape="CIRCULAR", ImagerPixelSpacing=[2, 1], **full_window(12))
    shown = film.pixels > 0
    assert shown[11].sum() >= 14 and shown[:, 9].sum() == 7


@pytest.mark.parametrize(
    "tags",
    [
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [10, 10]},
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 1, 5, 5, 9]},
        {"ShutterShape": "POLYGONAL"},
        {"ShutterShape": "CIRCULAR"},
        {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [5, 5], "RadiusOfCircularShutter": 0},
        {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [500, 500], "RadiusOfCircularShutter": 3},
        {"ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 3},
        {"ShutterShape": "RECTANGULAR", **SHUTTERS["RECTANGULAR"], "ShutterLeftVerticalEdge": 30},
        {"ShutterShape": "BITMAP", "ShutterOverlayGroup": 0x6000},
        {"ShutterShape": "STAR"},
    ],
)
def test_a_shutter_that_cannot_be_used_is_ignored_with_a_note(tags: dict[str, object]) -> None:
    film = read(**tags, **full_window(12))
    np.testing.assert_array_equal(film.pixels, PLAIN.pixels)
    assert any(note.startswith(f"display shutter {tags['ShutterShape']} ignored") for note in film.notes)


# Lookup tables, PS3.3 C.11.1.1 and C.11.2.1.1.

RAMP = np.arange(4096)


def packed_in_a_list(entries: np.ndarray) -> Dataset:
    item = lookup(entries, 0, 8)
    del item.LUTData
    item.add_new("LUTData", "US", entries.astype(np.uint8).view("<u2").tolist())
    return item


def packed_in_words(entries: np.ndarray) -> Dataset:
    item = lookup(entries, 0, 8)
    item["LUTData"].value = entries.astype(np.uint8).tobytes()
    return item


@pytest.mark.parametrize("make", [packed_in_a_list, packed_in_words, lambda entries: lookup(entries, 0, 8)])
@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
def test_entries_of_8_bits_may_be_packed(make, name: str) -> None:
    entries = np.rint(RAMP / 4095 * 255)
    tags = {name: [make(entries)]} | (full_window(8) if name.startswith("M") else {})
    film = read(**tags)
    np.testing.assert_allclose(film.pixels, entries[TWELVE] / 255, atol=1e-6)


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("representation", ["US", "SS"])
@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("first", [-2048, 0, 40000])
def test_the_first_value_has_the_sign_of_the_pixels(
    first: int, name: str, representation: str, implicit: bool
) -> None:
    bits = 16
    stored = (TWELVE.astype(np.int64) + first).astype(np.int16 if first < 0 else np.uint16)
    item = lookup(RAMP, 0, 12)
    del item.LUTDescriptor
    wrapped = (first + 2**15) % 2**16 - 2**15 if representation == "SS" else first % 2**16
    item.add_new("LUTDescriptor", representation, [4096, wrapped, 12])
    tags = {name: [item]} | (full_window(12) if name.startswith("M") else {})
    made = dataset(stored, bits, **tags)
    data = bare(made) if implicit else written(made)
    np.testing.assert_allclose(read_film(data).pixels, TWELVE / 4095, atol=1e-3)


def test_a_table_of_65536_entries_says_0() -> None:
    curve = np.rint(np.sqrt(np.arange(65536) / 65535) * 65535)
    item = lookup(curve[:1], 0, 16)
    item.LUTDescriptor = [0, 0, 16]
    item["LUTData"].value = curve.astype("<u2").tobytes()
    film = read(quantised(16), 16, VOILUTSequence=[item])
    np.testing.assert_allclose(film.pixels, curve[quantised(16)] / 65535, atol=1e-6)


def test_entries_above_their_bits_are_scaled_by_the_largest() -> None:
    film = read(VOILUTSequence=[lookup(RAMP, 0, 8)])
    np.testing.assert_allclose(film.pixels, TWELVE / 4095, atol=1e-6)
    assert film.notes[-1].endswith("its 8-bit entries scaled by the largest, 4095")


def test_a_table_with_fewer_entries_than_it_says_gives_way_or_is_named() -> None:
    item = lookup(RAMP[:100], 0, 12)
    item.LUTDescriptor = [4096, 0, 12]
    film = read(VOILUTSequence=[item])
    assert "expected 4,096 entries of 1 to 16 bits, got 100 of 12" in film.notes[-1]
    assert "percentile" in film.notes[-1]
    data = written(dataset(TWELVE, 12, ModalityLUTSequence=[item]))
    assert reason(data).startswith("ModalityLUTSequence cannot be read: expected 4,096 entries")


def test_a_width_below_1_is_read_as_linear_exact() -> None:
    film = read(RescaleSlope=str(1 / 4095)[:16], RescaleIntercept=0, WindowCenter="0.5", WindowWidth="0.6")
    np.testing.assert_allclose(film.pixels, np.clip((TWELVE / 4095 - 0.5) / 0.6 + 0.5, 0, 1), atol=1e-4)
    assert film.notes == ("window 0.5/0.6, read as LINEAR_EXACT: the width is below 1",)


def test_one_hot_pixel_does_not_decide_the_range_of_percentiles() -> None:
    stored = np.tile(TWELVE, (20, 20)).astype(np.uint16)
    plain = read(stored, 16)
    stored[7, 7] = 65535
    is_usual = stored < 65535
    np.testing.assert_allclose(read(stored, 16).pixels[is_usual], plain.pixels[is_usual], atol=1e-3)


# What is absent, empty or odd.

ATTRIBUTES = sorted(
    {
        "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated",
        "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
        "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "VOILUTFunction", "VOILUTSequence",
        "ModalityLUTSequence", "PresentationLUTShape", "PixelSpacing", "ImagerPixelSpacing",
        "PixelAspectRatio", "ShutterShape", "ShutterPresentationValue", "VerticesOfThePolygonalShutter",
        "RadiusOfCircularShutter", "WindowCenterWidthExplanation", "PlanarConfiguration", "ViewPosition",
        "PatientOrientation", "BodyPartExamined", "BurnedInAnnotation", "PresentationIntentType",
    }
)  # fmt: skip
ODD: dict[str, tuple[str, object]] = {
    "empty": ("LO", ""),
    "text": ("LO", "abc"),
    "number in text": ("LO", "12"),
    "text for a number": ("DS", b"abc "),
    "text for a count": ("IS", b"abc "),
    "negative": ("IS", "-7"),
    "huge": ("UL", 4_000_000_000),
    "not finite": ("FD", float("nan")),
    "endless": ("FD", float("inf")),
    "two values": ("US", [3, 5]),
    "a word of bytes": ("UN", b"\x01\x02\x03\x04"),
    "half a number": ("US", b"\x01"),
    "no items": ("SQ", []),
    "an empty item": ("SQ", [Dataset()]),
}


@pytest.mark.parametrize("how", ["absent", *ODD])
@pytest.mark.parametrize("keyword", ATTRIBUTES)
def test_an_odd_attribute_costs_itself_or_is_named(keyword: str, how: str) -> None:
    tags: dict[str, object] = {**full_window(12), "RescaleSlope": 1, "RescaleIntercept": 0}
    made = dataset(TWELVE, 12, **tags)
    if keyword in made:
        del made[keyword]
    if how != "absent":
        kind, value = ODD[how]
        if isinstance(value, bytes):
            tag = pydicom.tag.Tag(keyword)
            made[tag] = pydicom.dataelem.RawDataElement(tag, kind, len(value), value, 0, False, True)
        else:
            made.add_new(keyword, kind, value)
    try:
        data = written(made)
    except Exception:
        pytest.skip("pydicom cannot write this")
    try:
        film = read_film(data)
    except FilmError as error:
        assert keyword in error.reason and "damaged" not in error.reason
    else:
        assert film.rows == 24 and 0 <= film.pixels.min() < film.pixels.max() <= 1


@pytest.mark.parametrize("keyword", ["SamplesPerPixel", "PixelRepresentation", "BitsStored", "HighBit"])
@pytest.mark.parametrize("empty", [True, False])
def test_what_is_missing_is_assumed_with_a_note(keyword: str, empty: bool) -> None:
    made = dataset(TWELVE, 12, **full_window(12))
    expected = int(made[keyword].value)
    if empty:
        made[keyword].value = None
    else:
        del made[keyword]
    film = read_film(written(made))
    np.testing.assert_array_equal(film.pixels, PLAIN.pixels)
    assert f"{keyword} is not stated: {expected} assumed" in film.notes


@pytest.mark.parametrize("value", ["0", ""])
def test_no_frames_are_one(value: str) -> None:
    film = read(NumberOfFrames=value, **full_window(12))
    np.testing.assert_array_equal(film.pixels, PLAIN.pixels)


@pytest.mark.parametrize(
    ("keyword", "point", "comma"),
    [
        ("WindowCenter", "1500.5", "1500,5"),
        ("WindowWidth", "2000.5", "2000,5"),
        ("RescaleSlope", "0.5", "0,5"),
        ("RescaleIntercept", "-3.5", "-3,5"),
        ("ImagerPixelSpacing", "0.15\\0.15", "0,15\\0,15"),
        ("PixelSpacing", "0.15\\0.15", "0,15\\0,15"),
    ],
)
@pytest.mark.parametrize("implicit", [True, False])
def test_a_decimal_comma_is_a_point(keyword: str, point: str, comma: str, implicit: bool) -> None:
    tags: dict[str, object] = {**full_window(12), "RescaleSlope": "1", "RescaleIntercept": "0"}
    tags[keyword] = point.split("\\") if "\\" in point else point
    made = dataset(TWELVE, 12, **tags)
    data = bare(made) if implicit else written(made)
    assert data.count(point.encode()) == 1
    one, other = read_film(data), read_film(data.replace(point.encode(), comma.encode()))
    np.testing.assert_array_equal(one.pixels, other.pixels)
    assert one.spacing_mm == other.spacing_mm
    assert one.notes == other.notes


@pytest.mark.parametrize("keyword", ["ImagerPixelSpacing", "PixelSpacing"])
@pytest.mark.parametrize(
    "value", [b"abc\\def ", b"0.1 ", b"0.1\\0.1\\0.1 ", b"-1\\-1 ", b"0\\0 ", b"1e99\\1 "]
)
def test_an_odd_spacing_costs_the_scale_bar_alone(keyword: str, value: bytes) -> None:
    made = dataset(TWELVE, 12, **full_window(12))
    tag = pydicom.tag.Tag(keyword)
    made[tag] = pydicom.dataelem.RawDataElement(tag, "DS", len(value), value, 0, False, True)
    film = read_film(written(made))
    np.testing.assert_array_equal(film.pixels, PLAIN.pixels)
    assert film.spacing_mm is None


# More or less pixel data than Rows and Columns take.


@pytest.mark.parametrize(("rows", "columns"), [(23, 20), (24, 19), (12, 20), (25, 20), (24, 21), (240, 20)])
def test_a_size_that_the_data_do_not_fit_is_refused_with_both_numbers(rows: int, columns: int) -> None:
    data = written(dataset(TWELVE, 12, Rows=rows, Columns=columns))
    said = reason(data)
    assert said.startswith(
        f"PixelData: expected {2 * rows * columns:,} bytes for {rows} Rows, {columns} Columns"
    )
    assert "got 960: " in said


@pytest.mark.parametrize("extra", [b"\0\0", b"\0" * 512, b"\1\2\3\4"])
def test_padding_behind_the_pixels_is_left_out_with_a_note(extra: bytes) -> None:
    film = read(PixelData=TWELVE.tobytes() + extra, **full_window(12))
    np.testing.assert_array_equal(film.pixels, PLAIN.pixels)
    assert f"{len(extra)} bytes behind the pixels left out of account" in film.notes


# Greys against what the file states.


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_an_inverted_film_keeps_padding_and_shutter_black(photometric: str) -> None:
    stored = TWELVE.copy()
    stored[:3] = 0
    tags = {"PhotometricInterpretation": photometric, "ShutterShape": "RECTANGULAR", **full_window(12)}
    data = written(dataset(stored, 12, PixelPaddingValue=0, **SHUTTERS["RECTANGULAR"], **tags))
    plain, turned = read_film(data), read_film(data, invert=True)
    left = inside("RECTANGULAR") & (stored > 0)
    np.testing.assert_allclose(turned.pixels[left], 1 - plain.pixels[left], atol=1e-6)
    assert not plain.pixels[~left].any() and not turned.pixels[~left].any()
    assert "shown inverted, against what the file states" in turned.notes
