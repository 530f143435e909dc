"""Films: the bytes of a DICOM, PNG or JPEG file become one grey image, or one sentence that says why not.

Owns the one orientation and range that every other module relies on (float32 in [0, 1], bone bright, upright)
and the letterbox there and back. Refuses by content, never by name: other formats, more than 32 MB or 40
megapixels (read in the header, before anything is decoded), animations, damaged files, one grey value.
DICOM is in `timnet.films.dicom`, PNG and JPEG in `timnet.films.pictures`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path

import numpy as np

from timnet.films.film import MAX_BYTES, ONE_GREY, Admit, Film, FilmError, Kind, file_name
from timnet.films.letterbox import Letterbox, to_uint8

_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")
# SOP Class UID, Rows and Columns as they stand in a file, little and big endian.
_IMAGE_TAGS = (
    (b"\x08\x00\x16\x00", b"\x28\x00\x10\x00", b"\x28\x00\x11\x00"),
    (b"\x00\x08\x00\x16", b"\x00\x28\x00\x10", b"\x00\x28\x00\x11"),
)
_OTHER_KINDS = {
    b"%PDF": "a PDF document",
    b"PK": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"II*\x00": "a TIFF image",
    b"MM\x00*": "a TIFF image",
    b"RIFF": "a WebP image or other RIFF file",
    b"\x00\x00\x00\x0cjP": "a JPEG 2000 image",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image",
}


def read_film(
    source: Path | bytes,
    *,
    name: str | None = None,
    window: int = 0,
    admit: Collection[Admit] = (),
    invert: bool = False,
) -> Film:
    """Read one film from a file or from its bytes.

    Args:
        source: a path, or the whole content of a file.
        name: what to call the file in messages; by default the path's last part, or `film` for bytes.
        window: which of `dicom.windows` a DICOM file is shown through; other formats have none.
        admit: see `Admit`.
        invert: turn the greys against what the file states, for a film whose file states them wrongly.

    Raises:
        FilmError: the file is missing, too large, of another kind, damaged, or not a single grey radiograph.
    """
    label = file_name(name or (source.name if isinstance(source, Path) else "film"))
    data = content(source) if isinstance(source, Path) else bytes(source)
    kind = recognise(data, label)
    if kind == "dicom":
        # Imported here: both need this module, and a cohort of PNG files does not pay for pydicom.
        from timnet.films import dicom

        greys = dicom.decode(data, label, window, admit, invert)
    else:
        from timnet.films import pictures

        greys = pictures.decode(data, kind, label, invert)
    pixels = np.ascontiguousarray(greys.pixels, dtype=np.float32)
    if pixels.min() == pixels.max():
        raise FilmError(label, ONE_GREY)
    pixels.setflags(write=False)
    digest = hashlib.sha256(data).hexdigest()
    known = {field.name: getattr(greys, field.name) for field in fields(greys)}
    return Film(**known | {"pixels": pixels, "kind": kind, "sha256": digest})


def recognise(data: bytes, name: str) -> Kind:
    """Return the format of a file that is worth decoding.

    Raises:
        FilmError: too large, or neither PNG nor JPEG nor DICOM.
    """
    _check_bytes(name, len(data))
    kind = sniff(data)
    if kind is None:
        raise FilmError(name, f"expected a PNG, JPEG or DICOM film, got {_describe(data)}")
    return kind


def sniff(data: bytes) -> Kind | None:
    """Tell a film's format from its content; None for anything that is not PNG, JPEG or DICOM.

    DICOM without its 128-byte preamble (PS3.10 section 7.1) counts when it starts with group 0002 or 0008 and
    mentions SOP Class UID, Rows and Columns.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data[128:132] == b"DICM":
        return "dicom"
    if data[:2] in _FIRST_GROUPS and any(all(tag in data for tag in tags) for tags in _IMAGE_TAGS):
        return "dicom"
    return None


def letterboxed(film: Film, side: int) -> np.ndarray:
    """Return a film as a cache of pixels holds it: uint8 (side, side)."""
    return to_uint8(Letterbox.of(film, side).apply(film.pixels))


def content(path: Path) -> bytes:
    """Return the bytes of a file of at most MAX_BYTES.

    Raises:
        FilmError: missing, too large, no file, or not readable.
    """
    name = file_name(path.name)
    try:
        if not path.exists():
            raise FilmError(name, "there is no such file")
        if not path.is_file():
            raise FilmError(name, "expected a file, got a folder or a device")
        _check_bytes(name, path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        raise FilmError(name, f"the file cannot be read ({error.strerror or type(error).__name__})") from None


def _check_bytes(name: str, count: int) -> None:
    if count > MAX_BYTES:
        raise FilmError(name, f"expected at most {MAX_BYTES >> 20} MB, got {count / 2**20:.1f}")


def _describe(data: bytes) -> str:
    if not data:
        return "an empty file"
    for magic, words in _OTHER_KINDS.items():
        if data.startswith(magic):
            return words
    head = data[:1024].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    return "a text" if head.isascii() and b"\0" not in head else "another kind of file"
