"""Films: the bytes of a DICOM, PNG or JPEG file become one grey image, or one sentence that says why not.

Owns the one orientation and range that every other module relies on (float32 in [0, 1], bone bright, upright)
and the letterbox there and back. Refuses by content, never by name: other formats, more than 32 MB or 40
megapixels (read in the header, before anything is decoded), animations, damaged files, one grey value.
DICOM is in `timnet.films.dicom`, PNG and JPEG in `timnet.films.pictures`.
"""

from __future__ import annotations

import hashlib
import re
import threading
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from timnet.errors import TimnetError
from timnet.films import hanging
from timnet.films.hanging import Orientation, Sides, View

MAX_BYTES = 32 * 2**20
MAX_PIXELS = 40_000_000
MAX_ASPECT = 4.0
"""Of the longer side of a pixel over the shorter; what states more is taken for wrong."""
LONGEST_SQUARE = 4096
"""Longest side of a film whose pixels had to be made square, in pixels."""
INVERTED = "shown inverted, against what the file states"
LOOKS_INVERTED = "this X-ray looks inverted (bone dark)"
"""The doubt about what would be a frontal chest film with its greys turned."""
ONE_GREY = "expected a radiograph, got an image that holds one grey value only"

Kind = Literal["dicom", "png", "jpeg"]
Admit = Literal["first-frame", "any-modality"]
"""What a caller lets in besides a radiograph of one frame; it bears on DICOM alone."""

_WARNINGS = threading.Lock()
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


class FilmError(TimnetError):
    """A file that cannot be used as a film: `source` is the file's name alone, `reason` one sentence."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source = source
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


@dataclass(frozen=True, eq=False)
class Film:
    """One radiograph, ready for any model or viewer."""

    pixels: np.ndarray
    """(rows, columns) float32 in [0, 1], bone bright, upright, read-only."""
    kind: Kind
    sha256: str
    """Of the file's bytes."""
    bits: int
    """Bits a pixel that the source stores."""
    spacing_mm: tuple[float, float] | None
    """Row and column spacing at the detector; None where the file does not say."""
    view: View | None
    notes: tuple[str, ...]
    """What was done to the greys and what a reader should know, in plain words."""
    body_part: str | None = None
    """Body part that a DICOM file names (PS3.3 C.7.3.1.1.1), in upper case; None where it names none."""
    orientation: Orientation | None = None
    """Main directions of rows and columns; None where the file states none that can be used."""
    aspect: float = 1.0
    """Height of a pixel over its width."""

    @property
    def key(self) -> str:
        """Name these greys: the file's sha256, and whether they were turned against what it states."""
        return f"{self.sha256}-inverted" if INVERTED in self.notes else self.sha256

    @property
    def rows(self) -> int:
        """Return the height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def columns(self) -> int:
        """Return the width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def sides(self) -> Sides:
        """Return the patient's direction at each edge of the film as it lies."""
        return hanging.sides(self.orientation, self.view)

    @property
    def hung(self) -> np.ndarray:
        """Return the pixels in the usual hanging, which networks read: patient's right at the left, head up.

        A film that states no orientation is taken to hang so, and only a frontal one has such a hanging.
        """
        return hanging.hung(self.pixels, self.orientation)


@dataclass(frozen=True)
class Greys:
    """What a decoder hands over: the grey image and what it learned on the way."""

    pixels: np.ndarray
    bits: int
    notes: tuple[str, ...] = ()
    spacing_mm: tuple[float, float] | None = None
    view: View | None = None
    body_part: str | None = None
    orientation: Orientation | None = None
    aspect: float = 1.0


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


def to_uint8(px: np.ndarray) -> np.ndarray:
    """Round greys in [0, 1] to uint8 in 0..255; values outside are clipped."""
    return np.rint(np.clip(px, 0.0, 1.0) * 255.0).astype(np.uint8)


def smaller(film: Film, longest: int) -> Film:
    """Return a film of square pixels, at most so many long, each the mean of those that it stands for."""
    # The shorter side of a pixel is the unit, so that becoming square costs no detail.
    height, width = film.rows * max(film.aspect, 1.0), film.columns * max(1 / film.aspect, 1.0)
    factor = min(longest / max(height, width), 1.0)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = Image.fromarray(film.pixels).resize(size, Image.Resampling.BOX)
    return replace(film, pixels=np.asarray(small), aspect=1.0)


def square(film: Film) -> Film:
    """Return a film of square pixels: itself, or stretched as its pixels are."""
    return film if film.aspect == 1 else smaller(film, LONGEST_SQUARE)


@dataclass(frozen=True)
class Letterbox:
    """Fit a height x width film into side x side, centred on black, and carry maps back.

    The film keeps its shape in millimetres, and a frontal one is brought into the usual hanging. Coordinates
    follow the half-pixel convention: pixel i covers [i, i + 1), its centre is i + 0.5, and an axis is scaled
    about 0 by (length inside the square) / (length of the film). Both ways use Pillow's bilinear filter,
    which widens with the factor when it shrinks and stays inside the image.
    """

    height: int
    width: int
    side: int
    aspect: float = 1.0
    """Height of the film's pixels over their width."""
    orientation: Orientation | None = None

    @classmethod
    def of(cls, film: Film, side: int) -> Letterbox:
        """Return the letterbox of a film."""
        return cls(film.rows, film.columns, side, film.aspect, film.orientation)

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.side) < 1:
            raise ValueError(f"Letterbox: expected sides of at least 1 pixel, got {self!r}")

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Return top, left, bottom, right of the film inside the square, in pixels of the square."""
        tall, wide = self._turned(self.height * self.aspect, self.width)
        longest = max(tall, wide)
        height = max(1, round(self.side * tall / longest))
        width = max(1, round(self.side * wide / longest))
        top, left = (self.side - height) // 2, (self.side - width) // 2
        return top, left, top + height, left + width

    def apply(self, px_HW: np.ndarray) -> np.ndarray:
        """Return the film as float32 (side, side)."""
        self._expect(px_HW, (self.height, self.width))
        top, left, bottom, right = self.box
        px_SS = np.zeros((self.side, self.side), dtype=np.float32)
        upright = hanging.hung(px_HW, self.orientation)
        px_SS[top:bottom, left:right] = _resize(upright, bottom - top, right - left)
        return px_SS

    def invert(self, map_SS: np.ndarray) -> np.ndarray:
        """Return a map of the square as float32 (height, width): border cut off, the rest resized back."""
        self._expect(map_SS, (self.side, self.side))
        top, left, bottom, right = self.box
        upright = _resize(map_SS[top:bottom, left:right], *self._turned(self.height, self.width))
        return hanging.as_stored(upright, self.orientation)

    def _turned(self, height: float, width: float) -> tuple[Any, Any]:
        """Return the film's height and width in the usual hanging."""
        return (width, height) if hanging.is_turned(self.orientation) else (height, width)

    @staticmethod
    def _expect(array: np.ndarray, shape: tuple[int, int]) -> None:
        if array.shape != shape:
            raise ValueError(f"Letterbox: expected an array of shape {shape}, got {array.shape}")


def letterboxed(film: Film, side: int) -> np.ndarray:
    """Return a film as a cache of pixels holds it: uint8 (side, side)."""
    return to_uint8(Letterbox.of(film, side).apply(film.pixels))


@contextmanager
def guarded(name: str, what: str) -> Iterator[None]:
    """Run a decoder: whatever it raises becomes a FilmError.

    Only the class of an error is passed on: its message may quote the file, and with it a patient.
    """
    try:
        yield
    except FilmError:
        raise
    except MemoryError:
        raise FilmError(name, f"{what} needs more memory than is available") from None
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        # Deliberately broad: on hostile bytes decoders raise anything from struct.error to the panic of a
        # decoder in Rust, which is no Exception, and callers are promised FilmError only.
        raise FilmError(name, f"{what} is cut short or damaged ({type(error).__name__})") from None


@contextmanager
def silent() -> Iterator[None]:
    """Drop a decoder's warnings, one decode at a time.

    Warning filters belong to the whole process: without the lock, two threads could restore each other's.
    """
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def check_size(name: str, rows: int, columns: int) -> None:
    """Refuse an image of more than MAX_PIXELS before it is decoded."""
    if rows < 1 or columns < 1:
        raise FilmError(name, f"expected at least one pixel, got {rows} x {columns}")
    if rows * columns > MAX_PIXELS:
        megapixels = rows * columns / 1e6
        raise FilmError(
            name,
            f"expected at most {MAX_PIXELS / 1e6:.0f} megapixels, got {megapixels:.1f} ({rows} x {columns})",
        )


def file_name(name: str) -> str:
    """Return the last part of a path of either system, without control characters: what messages may show."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(character for character in last if character.isprintable())[:120] or "film"


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


def _resize(px_HW: np.ndarray, height: int, width: int) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(px_HW, dtype=np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
