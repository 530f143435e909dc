"""A film: greys in one orientation and range, what its file states of it, and the limits of what is read."""

from __future__ import annotations

import hashlib
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np

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


Kind = Literal["dicom", "png", "jpeg", "array"]
Admit = Literal["first-frame", "any-modality"]
"""What a caller lets in besides a radiograph of one frame; it bears on DICOM alone."""


_WARNINGS = threading.Lock()


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

    @classmethod
    def from_array(cls, pixels: np.ndarray, spacing_mm: tuple[float, float] | None = None) -> Film:
        """Return the film of rows of greys: uint8, uint16 or floats in [0, 1], bone bright, upright.

        Raises:
            FilmError: another shape, type or range, or one grey value only.
        """
        greys = np.asarray(pixels)
        if greys.ndim != 2 or not greys.size:
            raise FilmError("array", f"expected rows and columns of greys, got the shape {greys.shape}")
        check_size("array", *greys.shape)
        full = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(greys.dtype, 1)
        if full == 1 and greys.dtype.kind != "f":
            raise FilmError("array", f"expected uint8, uint16 or floats in [0, 1], got {greys.dtype}")
        made = np.array(greys / full, dtype=np.float32)
        if not (np.isfinite(made).all() and made.min() >= 0 and made.max() <= 1):
            raise FilmError("array", "expected greys in [0, 1], got others")
        if made.min() == made.max():
            raise FilmError("array", ONE_GREY)
        made.setflags(write=False)
        digest = hashlib.sha256(made.tobytes()).hexdigest()
        return cls(made, "array", digest, greys.dtype.itemsize * 8, spacing_mm, None, ())

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
