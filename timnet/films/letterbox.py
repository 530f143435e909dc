"""A film fitted into the square that a network takes, and its maps carried back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from timnet.films import hanging
from timnet.films.film import LONGEST_SQUARE, Film
from timnet.films.hanging import Orientation


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


def _resize(px_HW: np.ndarray, height: int, width: int) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(px_HW, dtype=np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
