"""DICOM radiographs: from a file's bytes to its pixels, and what its header says of them.

Owns which images are let in: one grey or captured image of a radiograph; other modalities and the first of
several frames only where the caller admits them. Refuses, in one sentence each: palettes, sizes above the
limit and pixels whose own header disagrees with the file's. Only the tags listed here are kept; names, dates
and identifiers stay unread. What stored values become is in `timnet.films.dicom_greyscale`.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset
from pydicom.encaps import get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGBaseline8Bit, JPEGExtended12Bit

from timnet.counting import counted
from timnet.films import dicom_greyscale, dicom_headers, dicom_layout, dicom_pixel_header, jpeg_damage
from timnet.films.dicom_greyscale import Window
from timnet.films.dicom_headers import word
from timnet.films.film import INVERTED, Admit, FilmError, Greys, guarded, silent
from timnet.films.pictures import strict_jpeg

_TAGS = [
    *dicom_pixel_header.TAGS, "PresentationIntentType", "BodyPartExamined", *dicom_layout.TAGS,
    "BurnedInAnnotation", *dicom_greyscale.TAGS, "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths", "PixelData",
]  # fmt: skip
_NEEDED = (*dicom_pixel_header.TAGS, "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence")


def decode(
    data: bytes, name: str, window: int = 0, admit: Collection[Admit] = (), invert: bool = False
) -> Greys:
    """Decode one DICOM radiograph to greys in [0, 1], bone bright.

    Args:
        data: the whole file.
        name: of the file, for messages.
        window: which of `windows` to use; percentiles stand in for one that is not there, with a note.
        admit: what is let in besides a radiograph of one frame.
        invert: turn the greys against what the file states.

    Raises:
        FilmError: not a single-frame radiograph, too large, or damaged.
    """
    with silent(), guarded(name, "the file"):
        dataset, notes = dicom_headers.opened(io.BytesIO(data), name, _TAGS)
        notes += dicom_headers.settle(dataset, name, _NEEDED, dicom_greyscale.NUMERIC)
        notes += dicom_pixel_header.check(dataset, name, admit)
        notes += _remarks(dataset)
        orientation, view = dicom_layout.hanging_of(dataset, notes)
        spacing_mm, aspect = dicom_layout.pixel_shape(dataset, notes)
        syntax = UID(dataset.file_meta.TransferSyntaxUID)
        if not syntax.is_transfer_syntax:
            raise FilmError(name, "expected a transfer syntax of the DICOM standard, got another")
    with silent(), guarded(name, f"the image ({syntax.name})"):
        if syntax.is_compressed:
            notes += _check_codestream(dataset, name, f"the image ({syntax.name})")
        else:
            notes += dicom_pixel_header.check_length(dataset, name)
        plugin = "pylibjpeg" if syntax.is_compressed else ""
        stored = pixel_array(dataset, index=0, decoding_plugin=plugin)
        if stored.shape[:2] != (dataset.Rows, dataset.Columns):
            raise FilmError(name, f"expected {dataset.Rows} x {dataset.Columns} pixels, got {stored.shape}")
    with silent(), guarded(name, "the grey-scale description"):
        if stored.ndim == 3:
            pixels = np.asarray(Image.fromarray(stored).convert("L"), dtype=np.float32) / np.float32(255)
            if invert:
                pixels = 1 - pixels
                notes.append(INVERTED)
            notes.append("colour reduced to its luminance")
        else:
            pixels, remarks = dicom_greyscale.render(dataset, stored, name, window, invert, aspect)
            notes += remarks
        part = word(dataset, "BodyPartExamined") or None
        bits, said = int(dataset.BitsStored), tuple(notes)
        return Greys(pixels, bits, said, spacing_mm, view, part, orientation, aspect)


def windows(data: bytes, name: str = "film") -> tuple[Window, ...]:
    """Return what the file offers to map its values to greys, in the order of `window` of `read_film`.

    Raises:
        FilmError: the header cannot be read.
    """
    with silent(), guarded(name, "the file"):
        dataset, _ = dicom_headers.opened(io.BytesIO(data), name, dicom_greyscale.TAGS, pixels=False)
        dicom_headers.settle(dataset, name, (), dicom_greyscale.NUMERIC)
        return dicom_greyscale.windows(dataset)


def _remarks(dataset: FileDataset) -> Iterator[str]:
    """Say what in the header bears on whether a model of finished, frontal chest films applies."""
    modality, frames = word(dataset, "Modality"), int(dataset.get("NumberOfFrames") or 1)
    if modality and modality not in dicom_pixel_header.MODALITIES:
        yield f"modality {modality}: not a radiograph"
    if frames != 1:
        yield f"the first of {counted(frames, 'frame')}"
    if word(dataset, "PresentationIntentType") == "FOR PROCESSING":
        yield "raw detector data (FOR PROCESSING): greys may not look like a finished film"
    body = word(dataset, "BodyPartExamined")
    if body and body not in ("CHEST", "THORAX"):
        yield f"body part in the file: {body}"
    if word(dataset, "BurnedInAnnotation") == "YES":
        yield "text is burned into the image"


def _check_codestream(dataset: FileDataset, name: str, what: str) -> list[str]:
    """Refuse a compressed image that is not what its header says, or a JPEG that libjpeg warns of.

    Returns a note where a JPEG may be damaged all the same.
    """
    frame = get_frame(dataset.PixelData, 0, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
    if (stream := _codestream(frame)) is None:
        return []
    syntax = dataset.file_meta.TransferSyntaxUID
    if stream.is_wavelet != (syntax in JPEG2000TransferSyntaxes):
        got = "JPEG 2000" if stream.is_wavelet else "JPEG"
        raise FilmError(name, f"TransferSyntaxUID: expected that of {got}, as the image is, got another")
    if (stream.rows, stream.columns) != (dataset.Rows, dataset.Columns):
        raise FilmError(
            name,
            f"expected {dataset.Rows} x {dataset.Columns} pixels as Rows and Columns say, got "
            f"{stream.rows} x {stream.columns}",
        )
    wrong = (
        ("SamplesPerPixel", stream.samples, dataset.SamplesPerPixel != stream.samples),
        ("BitsAllocated", stream.bits, dataset.BitsAllocated < stream.bits),
        ("BitsStored", stream.bits, not stream.is_wavelet and stream.bits <= 8 < dataset.BitsStored),
    )
    for keyword, expected, is_wrong in wrong:
        if is_wrong:
            stated = dataset[keyword].value
            raise FilmError(
                name, f"{keyword}: expected {expected}, as the compressed image has, got {stated}"
            )
    if not stream.is_wavelet and stream.bits <= 8:
        dataset.BitsAllocated = 8  # some writers say 16 of the same bytes
    if stream.bits == 8 and syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        colours = "GRAY" if dataset.SamplesPerPixel == 1 else "RGB"
        if jpeg_damage.suspected(frame, strict_jpeg(frame, name, what, colours), colours):
            return [jpeg_damage.NOTE]
    return []


class _Codestream(NamedTuple):
    """What a compressed image says of itself."""

    rows: int
    columns: int
    samples: int
    bits: int
    is_wavelet: bool
    """JPEG 2000."""


def _codestream(frame: bytes) -> _Codestream | None:
    """Read the header of a JPEG or JPEG-LS (SOF) or of a JPEG 2000 (SIZ); None for other codecs."""
    siz = frame.find(b"\xff\x4f\xff\x51")
    if siz >= 0 and siz + 43 <= len(frame):
        right, bottom, left, top = (
            int.from_bytes(frame[at : at + 4], "big") for at in range(siz + 8, siz + 24, 4)
        )
        samples, bits = int.from_bytes(frame[siz + 40 : siz + 42], "big"), (frame[siz + 42] & 0x7F) + 1
        return _Codestream(bottom - top, right - left, samples, bits, True)
    if not frame.startswith(b"\xff\xd8"):
        return None
    at = 2
    # A header has some ten segments; the cap keeps a frame of empty segments alone from costing seconds.
    for _ in range(1000):
        while frame[at : at + 2] == b"\xff\xff":
            at += 1
        if frame[at : at + 1] != b"\xff" or at + 10 > len(frame):
            return None
        marker, length = frame[at + 1], int.from_bytes(frame[at + 2 : at + 4], "big")
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns = (int.from_bytes(frame[place : place + 2], "big") for place in (at + 5, at + 7))
            return _Codestream(rows, columns, frame[at + 9], frame[at + 4], False)
        at += 2 + length
    return None
