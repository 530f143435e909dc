"""Every file inside pydicom's own package: read, or refused for the reason that its README and tags give."""

from __future__ import annotations

import io
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
import pytest
from pydicom import uid
from pydicom.errors import InvalidDicomError

from timnet.films.film import FilmError
from timnet.films.read import read_film

DATA = Path(pydicom.data.__file__).parent
FILES = sorted(path for path in DATA.rglob("*") if path.is_file() and not path.name.endswith((".py", ".pyc")))
SECONDS = 5

# What is not listed is read. The words are those by which a reason is known.
REFUSED = {
    "modality": """
        693_J2KI.dcm CT_small.dcm ExplVR_BigEnd.dcm J2K_pixelrep_mismatch.dcm JPEG-lossy.dcm
        JPEG2000-embedded-sequence-delimiter.dcm JPEG2000.dcm JPGExtended.dcm MR_small.dcm MR_small_RLE.dcm
        MR_small_bigendian.dcm MR_small_expb.dcm MR_small_implicit.dcm MR_small_jp2klossless.dcm
        MR_small_jpeg_ls_lossless.dcm MR_small_padded.dcm MR_truncated.dcm badVR.dcm examples_jpeg2k.dcm
        examples_overlay.dcm examples_palette.dcm examples_rgb_color.dcm examples_ybr_color.dcm
        liver_1frame.dcm liver_expb_1frame.dcm reportsi.dcm reportsi_with_empty_number_tags.dcm rtdose.dcm
        rtdose_1frame.dcm rtdose_expb.dcm rtdose_expb_1frame.dcm rtdose_rle.dcm rtdose_rle_1frame.dcm
        rtplan.dcm rtplan_truncated.dcm test-SR.dcm waveform_ecg.dcm""",
    "without pixels": """
        chrJapMulti.dcm chrJapMultiExplicitIR6.dcm chrKoreanMulti.dcm chrSQEncoding.dcm chrSQEncoding1.dcm
        fall.dcm hotiron.dcm hotmetalblue.dcm pet.dcm pet20step.dcm spring.dcm summer.dcm winter.dcm
        UN_sequence.dcm empty_charset_LEI.dcm no_meta_group_length.dcm priv_SQ.dcm""",
    "Rows: expected 1 to 65535": "meta_missing_tsyntax.dcm nested_priv_SQ.dcm",
    "one frame": "SC_rgb_rle_16bit_2frame.dcm SC_rgb_rle_2frame.dcm SC_rgb_rle_32bit_2frame.dcm",
    "BitsAllocated: expected 8 in a colour image": "SC_rgb_rle_16bit.dcm SC_rgb_rle_32bit.dcm",
    "another kind of file": """
        ExplVR_BigEndNoMeta.dcm ExplVR_LitEndNoMeta.dcm no_meta.dcm rtstruct.dcm crayons.icc""",
    "a text": """
        FileInfo.txt hashes.json urls.json README.md README.txt rtplan.dump rtstruct.dump test1.json
        test_PN.json""",
    "gzip": "zipMR.gz",
}
EXPECTED = {name: word for word, names in REFUSED.items() for name in names.split()}
# The media directories hold 89 tiny DICOM files; three are radiographs, eight are no images.
DIRECTORIES = {"read": 3, "modality": 78, "without pixels": 8, "a text": 2}

ALL = ("any-modality", "first-frame")
# With everything admitted, these are read too, and the others refused for what is wrong with their pixels.
STILL_REFUSED = {
    "JPEG-lossy.dcm": "cut short or damaged",
    "JPEG2000-embedded-sequence-delimiter.dcm": "as Rows and Columns say",
    "MR_truncated.dcm": "PixelData: expected 8,192 bytes",
    "badVR.dcm": "NumberOfFrames: expected one whole number",
    "examples_palette.dcm": "PALETTE COLOR",
    "SC_rgb_rle_16bit_2frame.dcm": "BitsAllocated: expected 8 in a colour image",
    "SC_rgb_rle_32bit_2frame.dcm": "BitsAllocated: expected 8 in a colour image",
    "liver_1frame.dcm": "BitsAllocated: expected 8 or 16, got 1",
    "liver_expb_1frame.dcm": "BitsAllocated: expected 8 or 16, got 1",
    **dict.fromkeys(
        ("rtdose.dcm", "rtdose_1frame.dcm", "rtdose_expb.dcm", "rtdose_expb_1frame.dcm", "rtdose_rle.dcm"),
        "BitsAllocated: expected 8 or 16, got 32",
    ),
    "rtdose_rle_1frame.dcm": "BitsAllocated: expected 8 or 16, got 32",
    **dict.fromkeys(
        ("reportsi.dcm", "reportsi_with_empty_number_tags.dcm", "rtplan.dcm", "rtplan_truncated.dcm"),
        "without pixels",
    ),
    "test-SR.dcm": "without pixels",
    "waveform_ecg.dcm": "without pixels",
}


def outcome(path: Path, admit: tuple = ()) -> str:
    """Return `read` or the reason of the refusal; anything else that is raised fails the test."""
    started = time.monotonic()
    try:
        film = read_film(path, admit=admit)
    except FilmError as error:
        said = error.reason
    else:
        assert film.pixels.dtype == np.float32
        assert 0 <= film.pixels.min() < film.pixels.max() <= 1
        said = "read"
    assert time.monotonic() - started < SECONDS
    return said


def test_pydicom_ships_the_files_that_the_table_knows() -> None:
    names = {path.name for path in FILES if "dicomdirtests" not in path.parts}
    assert set(EXPECTED) <= names
    assert set(STILL_REFUSED) <= names
    assert len(FILES) > 200


@pytest.mark.parametrize(
    "path", [path for path in FILES if "dicomdirtests" not in path.parts], ids=lambda path: path.name
)
def test_every_sample_of_pydicom_is_read_or_refused_for_its_reason(path: Path) -> None:
    said, expected = outcome(path), EXPECTED.get(path.name, "read")
    assert expected in said
    admitted = outcome(path, ALL)
    if expected in ("modality", "one frame"):
        assert STILL_REFUSED.get(path.name, "read") in admitted
    else:
        assert admitted == said


def test_the_media_directories_hold_three_radiographs() -> None:
    words = ("read", *REFUSED)
    counts = Counter(
        next(word for word in words if word in outcome(path))
        for path in FILES
        if "dicomdirtests" in path.parts
    )
    assert counts == DIRECTORIES


TWINS = """
    MR_small_RLE.dcm MR_small_bigendian.dcm MR_small_expb.dcm MR_small_implicit.dcm
    MR_small_jp2klossless.dcm MR_small_jpeg_ls_lossless.dcm MR_small_padded.dcm"""


@pytest.mark.parametrize("twin", TWINS.split())
def test_one_image_reads_alike_in_every_transfer_syntax(twin: str) -> None:
    one, other = (read_film(DATA / "test_files" / name, admit=ALL) for name in ("MR_small.dcm", twin))
    np.testing.assert_array_equal(one.pixels, other.pixels)


@pytest.mark.filterwarnings("ignore")
def test_what_pydicom_decodes_to_one_grey_image_is_read_in_the_same_order_of_greys() -> None:
    compared = 0
    for path in FILES:
        try:
            dataset = pydicom.dcmread(path)
            stored = pydicom.pixels.pixel_array(dataset, index=0, decoding_plugin="pylibjpeg")
        except Exception:
            continue  # pydicom itself does not decode it
        is_grey = "MONOCHROME" in dataset.PhotometricInterpretation
        if stored.ndim != 2 or dataset.BitsAllocated not in (8, 16) or not is_grey:
            continue
        film = read_film(path, admit=ALL)
        assert film.pixels.shape == stored.shape
        upwards = -1 if dataset.PhotometricInterpretation == "MONOCHROME1" else 1
        greys = film.pixels.ravel()[np.argsort(upwards * stored.astype(np.int64), axis=None)]
        if any("padding" in note for note in film.notes):
            greys = greys[greys > 0]
        assert (np.diff(greys) >= -1e-6).all(), path.name
        compared += 1
    assert compared > 50


RELABELLED = {
    # Process 14 with any predictor holds selection value 1; OpenJPEG tells HTJ2K from the codestream itself.
    uid.JPEGLossless: "SC_rgb_jpeg_gdcm.dcm",
    uid.HTJ2KLossless: "MR_small_jp2klossless.dcm",
    uid.HTJ2KLosslessRPCL: "MR_small_jp2klossless.dcm",
    uid.HTJ2K: "MR_small_jp2klossless.dcm",
}


@pytest.mark.parametrize("syntax", RELABELLED, ids=lambda syntax: syntax.name)
def test_a_transfer_syntax_without_a_sample_reaches_its_decoder(syntax: uid.UID) -> None:
    path = DATA / "test_files" / RELABELLED[syntax]
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    dataset.save_as(file)
    film = read_film(file.getvalue(), admit=ALL)
    np.testing.assert_array_equal(film.pixels, read_film(path, admit=ALL).pixels)


@pytest.mark.filterwarnings("ignore")
def test_samples_and_relabelled_ones_cover_what_the_three_plugins_decode() -> None:
    covered = set(RELABELLED)
    for path in FILES:
        try:
            syntax = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
        except (InvalidDicomError, AttributeError):
            continue
        if outcome(path, ALL) == "read":
            covered.add(syntax)
    for syntax in (found for found in vars(uid).values() if isinstance(found, uid.UID)):
        try:
            decoder = pydicom.pixels.get_decoder(syntax)
        except NotImplementedError:
            continue
        if not syntax.is_encapsulated or "pylibjpeg" in decoder.available_plugins:
            assert syntax in covered, syntax.name
