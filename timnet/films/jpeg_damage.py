"""Damage of a JPEG that no decoder notices: one wrong bit that changes every block after it.

A flipped bit often leaves a stream that decodes without a warning. In the header it leaves a table that no
encoder writes, or most of that of a usual one. Behind it, the decoder may end at another bit than the data,
as blocks were lost or added; blocks can have means that no greys have, as each is coded as a difference from
the last (T.81, F.1.2.1); and what is shifted in brightness or place, from the first wrong block to the end of
the image or of its restart interval, has an edge of that course. T.81 is the ITU's, of 1992.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from timnet.films.film import Film
from timnet.films.jpeg_edges import found_edges, has_step, has_strip

NOTE = "the JPEG may be damaged: a part of it may be brighter, darker or displaced"


@dataclass(frozen=True)
class _Header:
    """What a JPEG says before its first scan."""

    block: tuple[int, int]
    """Height and width of the pieces in whose order it is coded, in pixels (T.81, A.2)."""
    interval: int
    """Pieces from one restart to the next; 0 without restarts."""
    means: tuple[tuple[int, int], ...]
    """Place and bytes of what quantises the blocks' means, for each component."""
    is_mixed: bool
    """Adobe's mark that the components are not the colours themselves."""
    scan: int
    """Where the first scan's data begin."""
    is_spoilt: bool
    """Whether a table is one that no encoder writes."""


def remark(film: Film) -> str | None:
    """Return NOTE if the film was read with it: what an import counts."""
    return NOTE if NOTE in film.notes else None


def suspected(data: bytes, stored: NDArray[np.uint8], colours: str) -> bool:
    """Return whether a JPEG that was decoded without a warning has a trace of a wrong bit.

    Args:
        data: the stream.
        stored: its pixels (rows, columns, channels), as decoded.
        colours: GRAY, RGB or CMYK, as the stream has them.
    """
    header = _header(data)
    if header.is_spoilt or any(
        _is_nearly_standard(data[at : at + 64]) for at, size in header.means if size == 1
    ):
        return True
    if (means := _means(data, header)) is not None:
        greys, error = means
        if ((greys < -error) | (greys > 255 + error)).any():
            return True
        if _is_left_over(data, stored, colours, header, greys):
            return True
    # Green stands for brightness, which is coded apart from colour.
    channels = stored[..., 1:2] if colours == "RGB" else stored
    units = [int.from_bytes(data[at : at + size], "big") / 8 for at, size in header.means] or [1 / 8] * 4
    return any(
        is_shifted(channels[..., i], header.block, header.interval, units[i])
        for i in range(channels.shape[2])
    )


def _header(data: bytes) -> _Header:
    """Read the segments before the first scan, of a stream that a decoder has read without a warning."""
    at, interval, is_mixed, marker, is_spoilt = 2, 0, False, 0, False
    tables: dict[int, tuple[int, int]] = {}
    parts: list[bytes] = []
    while marker != 0xDA and at + 4 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        body = data[at + 4 : at + 2 + length]
        if marker == 0xDB:
            begin = 0
            while begin < len(body):
                size = 1 + (body[begin] >> 4)
                tables[body[begin] & 15] = at + 5 + begin, size
                begin += 1 + 64 * size
        elif marker == 0xC4:
            is_spoilt |= _has_odd_code(body)
        elif marker == 0xDD:
            interval = int.from_bytes(body[:2], "big")
        elif marker == 0xEE and body[:5] == b"Adobe":
            is_mixed = body[11:] > b"\0"
        elif marker in (0xC0, 0xC1, 0xC2):
            parts = [body[6 + 3 * i : 9 + 3 * i] for i in range(body[5])]
        at += 2 + length
    # The blocks of a lone component follow each other whatever its sampling.
    many = parts if len(parts) > 1 else [b"\1\x11\0"]
    block = 8 * max(part[1] & 15 for part in many), 8 * max(part[1] >> 4 for part in many)
    means = tuple(tables[part[2]] for part in parts if part[2] in tables)
    return _Header(block, interval, means if len(means) == len(parts) else (), is_mixed, at, is_spoilt)


def _has_odd_code(tables: bytes) -> bool:
    """Return whether a Huffman table has a value twice, or one that no 8-bit samples need (T.81, F.1.2)."""
    begin = 0
    while begin + 17 <= len(tables):
        end = begin + 17 + sum(tables[begin + 1 : begin + 17])
        values = tables[begin + 17 : end]
        is_odd = max(values, default=0) > 11 if tables[begin] < 16 else any(each & 15 > 10 for each in values)
        if is_odd or len(set(values)) < len(values):
            return True
        begin = end
    return False


def _is_nearly_standard(table: bytes) -> bool:
    """Return whether a quantisation table differs in 1 to 3 values from one of the usual encoder, libjpeg."""
    wrong = (_standard() != np.frombuffer(table, np.uint8)).sum(1).min()
    return bool(1 <= wrong <= 3)


@cache
def _standard() -> NDArray[np.uint8]:
    """Return libjpeg's quantisation tables (200, 64) of all qualities: those of quality 50, scaled."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", quality=50)
    data = file.getvalue()
    base = np.array([list(data[at : at + 64]) for at, _ in _header(data).means[:2]])
    scales = np.array([5000 // quality if quality < 50 else 200 - 2 * quality for quality in range(1, 101)])
    scaled = np.clip((base[:, None] * scales[:, None] + 50) // 100, 1, 255)
    return scaled.reshape(-1, 64).astype(np.uint8)


def _decoded(data: bytes, colours: str, side: int = 0) -> NDArray[np.uint8] | None:
    """Decode strictly, with a side of 1 a pixel for each block; None with a warning."""
    # Imported here: a cohort of PNG files does without.
    import simplejpeg

    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, colours, min_height=side, min_width=side, strict=True
        )
    except ValueError:
        return None
    return pixels


def _means(data: bytes, header: _Header) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return the blocks' means (rows, columns, channels), not clipped to 0 to 255, and their error.

    A decoder clips them, but half of them only beyond -128 and 383: the quantisers are halved for it.
    """
    if not header.means:
        return None
    channels = 4 if len(header.means) == 4 else 1
    halved, steps = bytearray(data), []
    for at, size in header.means:
        step = int.from_bytes(data[at : at + size], "big")
        half = max(1, step // 2)
        halved[at : at + size] = half.to_bytes(size, "big")
        steps.append((step, half))
    pixels = _decoded(bytes(halved), "CMYK" if channels == 4 else "GRAY", 1)
    if pixels is None:
        return None
    step_C, half_C = np.array(steps[:channels], np.float32).T
    error_C = step_C / 16 + step_C / half_C / 2 + np.float32(0.5)
    if channels == 4 and header.is_mixed:
        error_C += np.float32(np.inf)  # CMY are made of brightness and colour, and may lie outside
    return (pixels - np.float32(128)) * (step_C / half_C) + 128, error_C


def _is_left_over(
    data: bytes, stored: NDArray[np.uint8], colours: str, header: _Header, means: NDArray[np.float32]
) -> bool:
    """Return whether the decoder leaves the first scan's last bit unread, but for padding, which is ones."""
    end = data.find(b"\xff", header.scan)
    # 0xFF00 stands for 0xFF, and from 0xFFD0 to 0xFFD7 an interval restarts.
    while data[end + 1] == 0 or 0xD0 <= data[end + 1] <= 0xD7:
        end = data.find(b"\xff", end + 2)
    last, other = end - 1, bytearray(data)
    if data[last] in (0x00, 0xFF):
        return False
    other[last] |= data[last] + 1  # the lowest zero becomes a one
    if other[last] == 0xFF:
        other.insert(last + 1, 0)
    # Most other ends bring a warning, and that is soonest at an eighth of the size.
    if _decoded(bytes(other), "CMYK" if colours == "CMYK" else "GRAY", 1) is None:
        return False
    pixels = _decoded(bytes(other), colours)
    if pixels is None or not np.array_equal(pixels, stored):
        return False
    # White made whiter, or black blacker, shows in the means alone.
    unclipped = _means(bytes(other), header)
    return unclipped is not None and np.array_equal(unclipped[0], means)


def is_shifted(
    grey: NDArray[np.uint8], block: tuple[int, int] = (8, 8), interval: int = 0, unit: float = 1 / 8
) -> bool:
    """Return whether an image has the edge that blocks shifted in brightness or place leave.

    Args:
        grey: decoded pixels (rows, columns), as stored, not turned.
        block: height and width of the blocks in whose order the image is coded, in pixels.
        interval: blocks from one restart to the next; 0 without restarts.
        unit: greys by which the blocks' means are quantised.
    """
    rows, columns = grey.shape[0] // block[0], grey.shape[1] // block[1]
    if rows < 3 or columns < 6:
        return False
    grey = grey[: rows * block[0], : columns * block[1]]
    edges = found_edges(grey, *block)
    return has_step(grey, edges, block, interval, unit) or has_strip(grey, edges, block, unit)
