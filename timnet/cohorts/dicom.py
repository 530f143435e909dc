"""DICOM radiographs: from a file's bytes to its pixels, and what its header says of them.

Owns which images are let in: one grey or captured image of a radiograph; other modalities and the first of
several frames only where the caller admits them. Refuses, in one sentence each: palettes, sizes above the
limit and pixels whose own header disagrees with the file's. Only the tags listed here are kept; names, dates
and identifiers stay unread. What stored values become is in `timnet.cohorts.greyscale`.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset
from pydicom.encaps import get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import UID

from timnet.cohorts import greyscale, headers, layout
from timnet.cohorts.films import Admit, FilmError, Greys, check_size, guarded, silent
from timnet.cohorts.greyscale import Window
from timnet.cohorts.headers import word

MODALITIES = ("CR", "DX", "RG", "PX", "SC", "OT")

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_TAGS = [
    "SOPClassUID", "Modality", "PresentationIntentType", "BodyPartExamined", *layout.TAGS,
    "BurnedInAnnotation", "SamplesPerPixel",
    "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    *greyscale.TAGS, "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PixelData",
]  # fmt: skip


def decode(data: bytes, name: str, window: int = 0, admit: Collection[Admit] = ()) -> Greys:
    """Decode one DICOM radiograph to greys in [0, 1], bone bright.

    Args:
        data: the whole file.
        name: of the file, for messages.
        window: which of `windows` to use; percentiles stand in for one that is not there, with a note.
        admit: what is let in besides a radiograph of one frame.

    Raises:
        FilmError: not a single-frame radiograph, too large, or damaged.
    """
    with silent(), guarded(name, "the file"):
        dataset, notes = headers.opened(io.BytesIO(data), name, _TAGS)
        _check_header(dataset, name, admit)
        notes += _remarks(dataset)
        orientation, view = layout.hanging_of(dataset, notes)
        spacing_mm, aspect = layout.pixel_shape(dataset, notes)
        syntax = UID(dataset.file_meta.TransferSyntaxUID)
        if not syntax.is_transfer_syntax:
            raise FilmError(name, "expected a transfer syntax of the DICOM standard, got another")
    with silent(), guarded(name, f"the image ({syntax.name})"):
        if syntax.is_compressed:
            _check_codestream(dataset, name)
        plugin = "pylibjpeg" if syntax.is_compressed else ""
        stored = pixel_array(dataset, index=0, decoding_plugin=plugin)
        if stored.shape[:2] != (dataset.Rows, dataset.Columns):
            raise FilmError(name, f"expected {dataset.Rows} x {dataset.Columns} pixels, got {stored.shape}")
    with silent(), guarded(name, "the grey-scale description"):
        if stored.ndim == 3:
            pixels = np.asarray(Image.fromarray(stored).convert("L"), dtype=np.float32) / np.float32(255)
            notes.append("colour reduced to its luminance")
        else:
            pixels, remarks = greyscale.render(dataset, stored, name, window)
            notes += remarks
        part = word(dataset, "BodyPartExamined") or None
        bits, told = int(dataset.BitsStored), tuple(notes)
        return Greys(pixels, bits, told, spacing_mm, view, part, orientation, aspect)


def windows(data: bytes, name: str = "film") -> tuple[Window, ...]:
    """Return what the file offers to map its values to greys, in the order of `window` of `read_film`.

    Raises:
        FilmError: the header cannot be read.
    """
    with silent(), guarded(name, "the file"):
        dataset, _ = headers.opened(io.BytesIO(data), name, greyscale.TAGS, pixels=False)
        return greyscale.windows(dataset)


def _remarks(dataset: FileDataset) -> Iterator[str]:
    """Say what in the header bears on whether a model of finished, frontal chest films applies."""
    modality, frames = word(dataset, "Modality"), int(dataset.get("NumberOfFrames") or 1)
    if modality and modality not in MODALITIES:
        yield f"modality {modality}: not a radiograph"
    if frames != 1:
        yield f"the first of {frames} frames"
    if word(dataset, "PresentationIntentType") == "FOR PROCESSING":
        yield "raw detector data (FOR PROCESSING): greys may not look like a finished film"
    body = word(dataset, "BodyPartExamined")
    if body and body not in ("CHEST", "THORAX"):
        yield f"body part in the file: {body}"
    if word(dataset, "BurnedInAnnotation") == "YES":
        yield "text is burned into the image"


def _check_header(dataset: FileDataset, name: str, admit: Collection[Admit]) -> None:
    modality = word(dataset, "Modality")
    if modality and modality not in MODALITIES and "any-modality" not in admit:
        raise FilmError(name, f"expected a radiograph (CR, DX, RG, PX, SC or OT), got modality {modality}")
    rows, columns = dataset.get("Rows"), dataset.get("Columns")
    if not isinstance(rows, int) or not isinstance(columns, int) or "PixelData" not in dataset:
        raise FilmError(name, "expected an image, got a DICOM file without pixels or one that is cut short")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1 and (frames < 1 or "first-frame" not in admit):
        raise FilmError(name, f"expected one frame, got {frames}")
    check_size(name, rows, columns)
    if "SOPClassUID" not in dataset:
        raise FilmError(name, "expected a DICOM image with a SOP Class UID, got none")
    photometric, samples = word(dataset, "PhotometricInterpretation"), dataset.get("SamplesPerPixel", 1)
    is_capture = modality == "SC" or str(dataset.SOPClassUID).startswith(_SECONDARY_CAPTURE)
    if samples == 3 and (is_capture or modality not in MODALITIES):
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
    frame = get_frame(dataset.PixelData, 0, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
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
