"""What a DICOM header says of its pixels (PS3.3 C.7.6.3), made whole before anything is decoded.

Owns which missing attributes are assumed, with a note, and the sentence that names an attribute which is
missing or has an impossible value. Refuses what is no single grey or captured image of a radiograph.
"""

from __future__ import annotations

from collections.abc import Collection

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from timnet.counting import counted
from timnet.films.dicom_headers import word
from timnet.films.film import Admit, FilmError, check_size

MODALITIES = ("CR", "DX", "RG", "PX", "SC", "OT")
TAGS = (
    "SOPClassUID", "Modality", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration",
    "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
)  # fmt: skip

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def check(dataset: Dataset, name: str, admit: Collection[Admit]) -> list[str]:
    """Fill in what can be assumed and return notes of it.

    Raises:
        FilmError: no image that is let in, or an attribute without which no pixel can be read.
    """
    notes: list[str] = []
    modality = word(dataset, "Modality")
    if modality and modality not in MODALITIES and "any-modality" not in admit:
        raise FilmError(name, f"expected a radiograph (CR, DX, RG, PX, SC or OT), got modality {modality}")
    if not dataset.get("PixelData"):
        raise FilmError(
            name, "expected an image, got a DICOM file without pixels (PixelData) or one that is cut short"
        )
    _frames(dataset, name, admit, notes)
    rows, columns = (_needed(dataset, name, keyword, "1 to 65535") for keyword in ("Rows", "Columns"))
    check_size(name, rows, columns)
    if "SOPClassUID" not in dataset:
        raise FilmError(name, "expected a DICOM image with a SOP Class UID (SOPClassUID), got none")
    photometric = word(dataset, "PhotometricInterpretation")
    if photometric:
        del dataset.PhotometricInterpretation  # and with it a VR that is not its own
        dataset.PhotometricInterpretation = photometric  # decoders know it in upper case alone
    samples = _whole(dataset, name, "SamplesPerPixel", "1")
    if samples is None:
        samples = 3 if photometric in _COLOURS else 1
        _assume(dataset, "SamplesPerPixel", samples, notes)
    is_capture = modality == "SC" or str(dataset.SOPClassUID).startswith(_SECONDARY_CAPTURE)
    if samples == 3 and (is_capture or modality not in MODALITIES):
        if photometric not in _COLOURS:
            raise FilmError(
                name,
                f"PhotometricInterpretation: expected RGB or YBR, as SamplesPerPixel is 3, got "
                f"{photometric or 'none stated'}",
            )
        _colour(dataset, name, notes)
    else:
        _grey(dataset, name, samples, photometric, notes)
    if _whole(dataset, name, "PixelRepresentation", "0 or 1", 0, 1) is None:
        _assume(dataset, "PixelRepresentation", 0, notes)
    return notes


def check_length(dataset: Dataset, name: str) -> list[str]:
    """Compare the pixel data of an uncompressed image with its size, and return notes."""
    rows, columns = dataset.Rows, dataset.Columns
    frames, samples = int(dataset.get("NumberOfFrames") or 1), dataset.SamplesPerPixel
    expected = rows * columns * samples * frames * dataset.BitsAllocated // 8
    if word(dataset, "PhotometricInterpretation") == "YBR_FULL_422":
        expected = expected // 3 * 2
    beyond = len(dataset.PixelData) - expected
    # Some writers pad their files with zeros; a line of greys more is no padding.
    line = min(rows, columns) * samples * dataset.BitsAllocated // 8
    is_more = beyond >= line and any(dataset.PixelData[expected:])
    if beyond < 0 or is_more:
        raise FilmError(
            name,
            f"PixelData: expected {expected:,} bytes for {rows} Rows, {columns} Columns, "
            f"{frames} NumberOfFrames and {dataset.BitsAllocated} BitsAllocated, got {expected + beyond:,}: "
            + ("one of these is wrong" if is_more else "the file is cut short, or one of these is wrong"),
        )
    return [f"{beyond} bytes behind the pixels left out of account"] if beyond > 1 else []


def _frames(dataset: Dataset, name: str, admit: Collection[Admit], notes: list[str]) -> None:
    frames = _whole(dataset, name, "NumberOfFrames", "1")
    if frames == 0:
        notes.append("NumberOfFrames is 0: 1 assumed")
    if not frames:
        frames = 1
        if "NumberOfFrames" in dataset:
            del dataset.NumberOfFrames
    if frames < 1 or (frames != 1 and "first-frame" not in admit):
        raise FilmError(name, f"expected one frame (NumberOfFrames), got {frames}")


def _colour(dataset: Dataset, name: str, notes: list[str]) -> None:
    for keyword, value in (("BitsAllocated", 8), ("BitsStored", 8), ("HighBit", 7)):
        stated = _whole(dataset, name, keyword, str(value))
        if stated is None and keyword != "BitsAllocated":
            _assume(dataset, keyword, value, notes)
        elif stated != value:
            raise FilmError(name, f"{keyword}: expected {value} in a colour image, got {_or_none(stated)}")
    if _whole(dataset, name, "PlanarConfiguration", "0 or 1", 0, 1) is None:
        _assume(dataset, "PlanarConfiguration", 0, notes)


def _grey(dataset: Dataset, name: str, samples: int, photometric: str, notes: list[str]) -> None:
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise FilmError(
            name,
            "expected a grey image (PhotometricInterpretation MONOCHROME1 or 2), got "
            f"{photometric or 'none stated'}",
        )
    if samples != 1:
        raise FilmError(name, f"SamplesPerPixel: expected 1 in a {photometric} image, got {samples}")
    allocated = _needed(dataset, name, "BitsAllocated", "8 or 16")
    if allocated not in (8, 16):
        raise FilmError(name, f"BitsAllocated: expected 8 or 16, got {allocated}")
    high = _whole(dataset, name, "HighBit", "BitsStored - 1")
    bits = _whole(dataset, name, "BitsStored", f"1 to {allocated}")
    if bits is None and high is not None and 0 <= high < allocated:
        bits = high + 1
        _assume(dataset, "BitsStored", bits, notes)
    if bits is None or not 1 <= bits <= allocated:
        raise FilmError(name, f"BitsStored: expected 1 to {allocated}, got {_or_none(bits)}")
    if high is None:
        _assume(dataset, "HighBit", bits - 1, notes)
    elif high != bits - 1:
        raise FilmError(name, f"HighBit: expected {bits - 1}, as BitsStored is {bits}, got {high}")


def _assume(dataset: Dataset, keyword: str, value: int, notes: list[str]) -> None:
    setattr(dataset, keyword, value)
    notes.append(f"{keyword} is not stated: {value} assumed")


def _needed(dataset: Dataset, name: str, keyword: str, expected: str) -> int:
    value = _whole(dataset, name, keyword, expected)
    if value is None or not 1 <= value <= 65535:
        raise FilmError(name, f"{keyword}: expected {expected}, got {_or_none(value)}")
    return value


def _whole(
    dataset: Dataset,
    name: str,
    keyword: str,
    expected: str,
    low: float = -float("inf"),
    high: float = float("inf"),
) -> int | None:
    """Return a whole number, whatever type it was written with; None where there is none.

    Raises:
        FilmError: it is no single whole number, or lies outside `low` to `high`.
    """
    if keyword not in dataset:
        return None
    value = dataset[keyword].value
    try:
        if isinstance(value, (MultiValue, list, bytes)):
            raise TypeError
        number = float(str(value))
        if number != int(number) or not low <= number <= high:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        is_list = isinstance(value, (MultiValue, list))
        several = counted(len(value), "value") if is_list else "another value"
        raise FilmError(name, f"{keyword}: expected one whole number, {expected}, got {several}") from None
    del dataset[keyword]
    setattr(dataset, keyword, int(number))
    return int(number)


def _or_none(value: int | None) -> str:
    return "none stated" if value is None else str(value)
