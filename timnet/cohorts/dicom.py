"""DICOM radiographs: from stored values to greys, in the order of PS3.3 and PS3.4 Annex N.

Owns modality LUT (C.11.1), VOI LUT or window (C.11.2), polarity (C.7.6.3.1.2) and padding (C.7.5.1.1.2),
in that order; pydicom does the arithmetic. Refuses, in one sentence each: other modalities, several frames,
palettes, deflated data sets (they inflate a thousandfold before a tag is read) and pixels whose own header
disagrees with the file's. Only the tags listed here are kept; names, dates and identifiers stay unread.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset, read_preamble
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing, pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from timnet.cohorts.films import ONE_GREY, FilmError, Greys, View, check_size, guarded, silent

# pydicom logs its warnings as well, and they quote values of the file, hence of the patient.
logging.getLogger("pydicom").propagate = False

MODALITIES = ("CR", "DX", "RG", "PX", "SC", "OT")
PERCENTILES = (0.5, 99.5)
LEAST_GREYS = 0.01
"""A window that makes all but this share of the film plain black or white is not used."""

_JUST_GREY = 1 / 512
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_VIEWS: dict[str, View] = {
    "PA": "PA", "AP": "AP", "LL": "LATERAL", "RL": "LATERAL", "LAT": "LATERAL", "LATERAL": "LATERAL",
}  # fmt: skip
_TAGS = [
    "SOPClassUID", "Modality", "PresentationIntentType", "BodyPartExamined", "ViewPosition",
    "PatientOrientation", "ImagerPixelSpacing", "PixelSpacing", "BurnedInAnnotation", "SamplesPerPixel",
    "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope", "VOILUTFunction",
    "ModalityLUTSequence", "VOILUTSequence", "PresentationLUTShape", "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths", "PixelData",
]  # fmt: skip


def decode(data: bytes, name: str) -> Greys:
    """Decode one DICOM radiograph to greys in [0, 1], bone bright.

    Raises:
        FilmError: not a single-frame radiograph, too large, or damaged.
    """
    with silent(), guarded(name, "the file"):
        _refuse_deflated(data, name)
        dataset = dcmread(io.BytesIO(data), force=True, specific_tags=list(_TAGS))
        notes = [*_assume_syntax(dataset, data), *_remarks(dataset)]
        _check_header(dataset, name)
        syntax = UID(dataset.file_meta.TransferSyntaxUID)
        if not syntax.is_transfer_syntax:
            raise FilmError(name, "expected a transfer syntax of the DICOM standard, got another")
    with silent(), guarded(name, f"the image ({syntax.name})"):
        if syntax.is_compressed:
            _check_codestream(dataset, name)
        stored = pixel_array(dataset, decoding_plugin="pylibjpeg" if syntax.is_compressed else "")
        if stored.shape[:2] != (dataset.Rows, dataset.Columns):
            raise FilmError(name, f"expected {dataset.Rows} x {dataset.Columns} pixels, got {stored.shape}")
    with silent(), guarded(name, "the grey-scale description"):
        if stored.ndim == 3:
            pixels = np.asarray(Image.fromarray(stored).convert("L"), dtype=np.float32) / np.float32(255)
            notes.append("colour reduced to its luminance")
        else:
            pixels, remarks = _render(dataset, stored, name)
            notes += remarks
        view = _VIEWS.get(_word(dataset, "ViewPosition"))
        return Greys(pixels, int(dataset.BitsStored), tuple(notes), _spacing_mm(dataset), view)


def _refuse_deflated(data: bytes, name: str) -> None:
    if DeflatedExplicitVRLittleEndian.encode() not in data:
        return
    # pydicom inflates the whole data set before it looks at any tag, so the file meta is read alone first: in
    # explicit VR by the standard, in implicit where its first element says so, as in the real reading.
    file = io.BytesIO(data)
    read_preamble(file, force=True)
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        raise FilmError(name, "expected a DICOM file that is not deflated, got a deflated one")


def _assume_syntax(dataset: FileDataset, data: bytes) -> Iterator[str]:
    """Name the transfer syntax that pydicom guessed where the file is silent; pixels need one."""
    if data[128:132] != b"DICM":
        yield "DICOM without its preamble"
    if not dataset.file_meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        syntax = ImplicitVRLittleEndian if implicit else explicit
        dataset.file_meta.TransferSyntaxUID = syntax
        yield f"no transfer syntax in the file: {syntax.name} assumed"


def _remarks(dataset: FileDataset) -> Iterator[str]:
    """Say what in the header bears on whether a model of finished, frontal chest films applies."""
    if _word(dataset, "PresentationIntentType") == "FOR PROCESSING":
        yield "raw detector data (FOR PROCESSING): greys may not look like a finished film"
    body = _word(dataset, "BodyPartExamined")
    if body and body not in ("CHEST", "THORAX"):
        yield f"body part in the file: {body}"
    if _word(dataset, "BurnedInAnnotation") == "YES":
        yield "text is burned into the image"
    orientation = dataset.get("PatientOrientation") or []
    if len(orientation) == 2 and _word(dataset, "ViewPosition") in ("PA", "AP"):
        across, down = (str(part).upper()[:1] for part in orientation)
        if (across, down) != ("L", "F"):
            yield f"orientation in the file is {across}\\{down}, not L\\F: shown as stored"


def _check_header(dataset: FileDataset, name: str) -> None:
    modality = _word(dataset, "Modality")
    if modality and modality not in MODALITIES:
        raise FilmError(name, f"expected a radiograph (CR, DX, RG, PX, SC or OT), got modality {modality}")
    rows, columns = dataset.get("Rows"), dataset.get("Columns")
    if not isinstance(rows, int) or not isinstance(columns, int) or "PixelData" not in dataset:
        raise FilmError(name, "expected an image, got a DICOM file without pixels or one that is cut short")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise FilmError(name, f"expected one frame, got {frames}")
    check_size(name, rows, columns)
    if "SOPClassUID" not in dataset:
        raise FilmError(name, "expected a DICOM image with a SOP Class UID, got none")
    photometric, samples = _word(dataset, "PhotometricInterpretation"), dataset.get("SamplesPerPixel", 1)
    is_capture = modality == "SC" or str(dataset.SOPClassUID).startswith(_SECONDARY_CAPTURE)
    if samples == 3 and is_capture:
        if photometric not in ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"):
            raise FilmError(name, f"expected an RGB or YBR colour image, got {photometric or 'none stated'}")
        if dataset.get("BitsAllocated") != 8:
            raise FilmError(name, f"expected 8 bits a colour, got {dataset.get('BitsAllocated')}")
        return
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise FilmError(name, f"expected a grey image (MONOCHROME1 or 2), got {photometric or 'none stated'}")
    allocated, bits = dataset.get("BitsAllocated"), dataset.get("BitsStored")
    if allocated not in (8, 16) or not isinstance(bits, int) or not 1 <= bits <= allocated:
        raise FilmError(name, f"expected pixels of 8 or 16 bits, got {bits} bits in {allocated}")
    if dataset.get("HighBit", bits - 1) != bits - 1:
        raise FilmError(name, f"expected the high bit {bits - 1} for {bits} bits, got {dataset.HighBit}")


def _check_codestream(dataset: FileDataset, name: str) -> None:
    """Compare the compressed image's own size with the header's: a decoder would allocate the former."""
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    size = _codestream_size(frame)
    if size is not None and size != (dataset.Rows, dataset.Columns):
        expected = f"{dataset.Rows} x {dataset.Columns}"
        raise FilmError(name, f"expected {expected} pixels as its header says, got {size[0]} x {size[1]}")


def _codestream_size(frame: bytes) -> tuple[int, int] | None:
    """Read rows and columns from a JPEG, JPEG-LS (SOF) or JPEG 2000 (SIZ) header; None for other codecs."""
    siz = frame.find(b"\xff\x4f\xff\x51")
    if siz >= 0:
        right, bottom, left, top = (
            int.from_bytes(frame[at : at + 4], "big") for at in range(siz + 8, siz + 24, 4)
        )
        return bottom - top, right - left
    if not frame.startswith(b"\xff\xd8"):
        return None
    at = 2
    # A header has some ten segments; the cap keeps a frame of empty segments alone from costing seconds.
    for _ in range(1000):
        while frame[at : at + 2] == b"\xff\xff":
            at += 1
        if frame[at : at + 1] != b"\xff" or at + 9 > len(frame):
            return None
        marker, length = frame[at + 1], int.from_bytes(frame[at + 2 : at + 4], "big")
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns = frame[at + 5 : at + 7], frame[at + 7 : at + 9]
            return int.from_bytes(rows, "big"), int.from_bytes(columns, "big")
        at += 2 + length
    return None


def _render(dataset: FileDataset, stored: np.ndarray, name: str) -> tuple[np.ndarray, list[str]]:
    """Map stored values to [0, 1] by a table of all that can occur: exact, in one pass over the pixels."""
    low = int(stored.min())
    offsets = np.subtract(stored, low, dtype=np.int32).ravel()
    count = np.bincount(offsets)
    values = np.arange(low, low + count.size, dtype=np.int32)
    notes = []

    padding = _padding(dataset, values)
    if count[padding].any():
        share = 100 * count[padding].sum() / stored.size
        notes.append(f"padding value left out ({share:.1f} % of the image)")
    used = (count > 0) & ~padding
    if used.sum() < 2:
        raise FilmError(name, ONE_GREY)

    physical = np.asarray(apply_modality_lut(values, dataset), dtype=np.float64)
    if not np.isfinite(physical).all():
        raise FilmError(name, "expected finite grey values, got a rescale that is not a number")
    if np.ptp(physical[used]) == 0:
        raise FilmError(name, ONE_GREY)
    greys, note = _values_of_interest(dataset, physical)
    if greys is not None:
        is_between = used & (greys > _JUST_GREY) & (greys < 1 - _JUST_GREY)
        if count[is_between].sum() < LEAST_GREYS * count[used].sum() or np.ptp(greys[used]) == 0:
            greys, note = None, f"{note} leaves hardly any greys"
    if greys is None:
        bottom, top = np.percentile(physical[used], PERCENTILES, weights=count[used], method="inverted_cdf")
        if bottom == top:
            bottom, top = physical[used].min(), physical[used].max()
        greys = np.clip((physical - bottom) / (top - bottom), 0.0, 1.0)
        note = f"{note}: {PERCENTILES[0]} to {PERCENTILES[1]} percentile used"
    notes.append(note)

    if _word(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        greys = 1.0 - greys
        notes.append("inverted: MONOCHROME1")
    elif _word(dataset, "PresentationLUTShape") == "INVERSE":
        # PS3.3 C.8.11.3: INVERSE belongs to MONOCHROME1. Polarity follows one attribute, or it turns twice.
        notes.append("the file is MONOCHROME2 and asks for INVERSE as well: not inverted")
    greys[padding] = 0.0
    return greys.astype(np.float32)[offsets].reshape(stored.shape), notes


def _values_of_interest(dataset: FileDataset, physical: np.ndarray) -> tuple[np.ndarray | None, str]:
    """Return greys in [0, 1] by the VOI LUT or the first window, and a note; None where neither is usable."""
    tables = dataset.get("VOILUTSequence")
    if tables and tables[0].get("LUTDescriptor") is not None and tables[0].get("LUTData") is not None:
        return _looked_up(dataset, physical), "VOI lookup table of the file"
    centres, widths = _numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth")
    if not centres or not widths:
        return None, "no window in the file"
    words = f"window {centres[0]:g}/{widths[0]:g}"
    if len(centres) > 1:
        words += f", the first of {len(centres)}"
    shape = _word(dataset, "VOILUTFunction") or "LINEAR"
    if shape != "LINEAR":
        words += f", {shape}"
    dataset.VOILUTFunction = shape
    try:
        # The output of values far below and far above the window is its output range.
        bottom, top = apply_windowing(np.array([-1e15, 1e15]), dataset)
        greys = (apply_windowing(physical, dataset) - bottom) / (top - bottom)
    except ValueError:
        # PS3.3 C.11.2.1.2: a width below 1 (LINEAR) or an unknown function means nothing.
        return None, f"unusable {words}"
    return (np.clip(greys, 0.0, 1.0), words) if np.isfinite(greys).all() else (None, f"unusable {words}")


def _looked_up(dataset: FileDataset, physical: np.ndarray) -> np.ndarray:
    table = dataset.VOILUTSequence[0]
    entries, first, bits = (int(number) for number in table.LUTDescriptor)
    # pydicom indexes with the integer type of the table's entries, which wraps around when a table of 8 bits
    # has more than 256 of them: entries called 16 bits wide and indices inside the table keep it exact.
    table.LUTDescriptor = [entries, first, 16]
    inside = np.clip(np.rint(physical), first, first + (entries or 2**16) - 1).astype(np.int32)
    output = np.asarray(apply_voi(inside, dataset), dtype=np.float64)
    return np.clip(output / (2**bits - 1), 0.0, 1.0)


def _padding(dataset: FileDataset, values: np.ndarray) -> np.ndarray:
    """Return which stored values are padding; files get its sign and high bits wrong, so low bits decide."""
    start, stop = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    if not isinstance(start, int):
        return np.zeros(values.shape, dtype=bool)
    ends = np.array([start, stop if isinstance(stop, int) else start]) % 2**dataset.BitsStored
    if dataset.get("PixelRepresentation") == 1:
        ends[ends >= 2 ** (dataset.BitsStored - 1)] -= 2**dataset.BitsStored
    return (values >= ends.min()) & (values <= ends.max())


def _spacing_mm(dataset: FileDataset) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        numbers = _numbers(dataset, keyword)
        if len(numbers) == 2 and all(0 < number < 100 for number in numbers):
            return numbers[0], numbers[1]
    return None


def _numbers(dataset: FileDataset, keyword: str) -> list[float]:
    value = dataset.get(keyword)
    if value is None or value == "":
        return []
    return [float(part) for part in (value if hasattr(value, "__iter__") else [value])]


def _word(dataset: FileDataset, keyword: str) -> str:
    """Return a code string in upper case, reduced to the characters that PS3.5 allows in one."""
    return re.sub(r"[^A-Z0-9_ ]", "", str(dataset.get(keyword) or "").upper())[:16].strip()
