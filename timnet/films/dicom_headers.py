"""DICOM headers: a file becomes a data set of the tags that were asked for, and tags become plain values.

Owns which tags are read at all (names, dates and identifiers stay unread unless a caller lists them), files
without preamble or transfer syntax, and deflated files (PS3.5 A.5), which are inflated up to a limit: a few
hundred kilobytes of them can hold gigabytes. Refuses what inflates to more.
"""

from __future__ import annotations

import io
import logging
import math
import re
import zlib
from collections.abc import Collection, Sequence
from typing import BinaryIO

import pydicom
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.multival import MultiValue
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from timnet.films.film import FilmError

# pydicom logs its warnings as well, and they quote values of the file, hence of the patient.
logging.getLogger("pydicom").propagate = False

MAX_INFLATED = 96 * 2**20
"""Bytes of a deflated data set: 40 megapixels of 16 bits and room to spare."""


def opened(
    file: BinaryIO, name: str, tags: Sequence[str], *, pixels: bool = True
) -> tuple[FileDataset, list[str]]:
    """Read the tags of a DICOM file, and say what had to be assumed.

    Args:
        file: at its start.
        name: of the file, for messages.
        tags: keywords; nothing else is kept.
        pixels: read on to the end; without them the reading stops before the pixels.

    Raises:
        FilmError: inflates to more than MAX_INFLATED. Damaged files raise whatever pydicom raises.
    """
    dataset = dcmread(
        _inflated(file, name), force=True, specific_tags=list(tags), stop_before_pixels=not pixels
    )
    notes = [] if dataset.preamble else ["DICOM without its preamble"]
    if not dataset.file_meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        syntax = ImplicitVRLittleEndian if implicit else explicit
        dataset.file_meta.TransferSyntaxUID = syntax
        notes.append(f"no transfer syntax in the file: {syntax.name} assumed")
    return dataset, notes


def _inflated(file: BinaryIO, name: str) -> BinaryIO:
    """Return the file at its start, a deflated one as its explicit little endian twin."""
    # pydicom inflates the whole data set before it looks at any tag, so the file meta is read alone first: in
    # explicit VR by the standard, in implicit where its first element says so, as in the real reading.
    preamble = read_preamble(file, force=True)
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        file.seek(0)
        return file
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(file.read(), MAX_INFLATED)
    # Content that brings a file meta of its own could ask to be inflated again.
    if inflater.unconsumed_tail or content.startswith(b"\x02\x00"):
        megabytes = MAX_INFLATED >> 20
        raise FilmError(name, f"expected a deflated file that holds at most {megabytes} MB, got more")
    syntax = ExplicitVRLittleEndian.encode() + b"\0"
    element = b"\x02\x00\x10\x00UI" + len(syntax).to_bytes(2, "little") + syntax
    return io.BytesIO((preamble or bytes(128)) + b"DICM" + element + content)


def settle(dataset: Dataset, name: str, needed: Collection[str], numeric: Collection[str]) -> list[str]:
    """Take out of a data set what is empty or cannot be read, so that the rest is safe to ask for.

    Args:
        dataset: changed in place. A decimal comma becomes a point: a comma is no character of a number (PS3.5
            6.2), so nothing else can be meant.
        name: of the file, for messages.
        needed: keywords whose value decides how the pixels are read.
        numeric: keywords that hold numbers.

    Returns:
        A note for each value that was left out.

    Raises:
        FilmError: one of `needed` cannot be read.
    """
    notes = []
    for tag in list(dataset.keys()):
        keyword = keyword_for_tag(tag)
        if keyword == "PixelData":
            continue
        raw = dataset.get_item(tag)
        try:
            if isinstance(raw, RawDataElement) and raw.value and b"," in raw.value and _is_decimal(raw):
                dataset[tag] = raw._replace(value=raw.value.replace(b",", b"."))
            value = dataset[tag].value
            if keyword in numeric:
                numbers(dataset, keyword)
            if keyword.endswith("Sequence") and not isinstance(value, pydicom.Sequence):
                raise TypeError(keyword)
        except Exception:
            # Deliberately broad: pydicom converts values when they are asked for, and raises as it pleases.
            if keyword in needed:
                expected = "a sequence" if keyword.endswith("Sequence") else "a number"
                raise FilmError(name, f"{keyword}: expected {expected}, got something else") from None
            del dataset[tag]
            notes.append(f"{keyword} cannot be read: ignored")
            continue
        if value is None or (hasattr(value, "__len__") and len(value) == 0):
            del dataset[tag]
    return notes


def _is_decimal(raw: RawDataElement) -> bool:
    return (raw.VR or dictionary_VR(raw.tag)) in ("DS", "IS")


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """Return the finite numbers of a tag, none where it is missing or empty; ValueError where one is none."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return []
    several = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    if not any(str(part).strip() for part in several):
        return []
    found = [float(str(part).replace(",", ".")) for part in several]
    if not all(map(math.isfinite, found)):
        raise ValueError(f"{keyword} is not finite")
    return found


def words(dataset: Dataset, keyword: str) -> list[str]:
    """Return the code strings of a tag, each as `word` gives it."""
    value = dataset.get(keyword) or ()
    several = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    return [_code(part) for part in several]


def word(dataset: Dataset, keyword: str) -> str:
    """Return a code string in upper case, reduced to the characters that PS3.5 allows in one."""
    return _code(dataset.get(keyword) or "")


def _code(value: object) -> str:
    return re.sub(r"[^A-Z0-9_ ]", "", str(value).upper())[:16].strip()
