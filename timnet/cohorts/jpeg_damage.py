"""Damage of a JPEG that no decoder notices: one wrong bit that shifts every block after it.

A flipped bit of the entropy-coded data often leaves a stream that decodes without a warning. What it changes
goes on to the end of the image in the order of its blocks: the brightness, as each block's mean is coded as a
difference from the last (ITU-T T.81, F.1.2.1), or the place, as blocks were lost or added. Either leaves an
edge of the same course: along the tops of as many blocks as a row has, from the first damaged one on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from timnet.cohorts.films import Film

NOTE = "the JPEG may be damaged: from one block on, brightness or place jumps and stays so"
LEAST_STEP = 10.0
"""Grey levels of 255 below which a step is none."""
STEP, EDGE = 2.0, 2.5
"""Scores from which a step of brightness, and an edge of displaced blocks, count as damage: chosen so that
fewer than 1 in 100 whole X-rays do (`benchmarks/jpeg_damage.py`)."""
FIRST, LAST = 1, 2
"""Rows of blocks at the upper and lower border whose edges tell nothing."""
_FLOOR = 1.5
_CANDIDATES = 48
_LEAST_BLOCKS = 6


def remark(film: Film) -> str | None:
    """Return NOTE if the film was read with it: what an import counts."""
    return NOTE if NOTE in film.notes else None


def suspected(grey: NDArray[np.uint8], block: tuple[int, int] = (8, 8)) -> bool:
    """Return whether an image has the edge that a wrong bit in its JPEG leaves.

    Args:
        grey: decoded pixels (rows, columns), as stored, not turned.
        block: height and width of the blocks in whose order the image is coded, in pixels.
    """
    tops_RW = _tops(grey.astype(np.float32), *block)
    rows, width = tops_RW.shape
    if rows < 2 or width < _LEAST_BLOCKS:
        return False
    # From each block on, the edges over the next `width` ones.
    flat = tops_RW.ravel()
    starts = np.arange(len(flat) - width + 1)
    known = _sums(~np.isnan(flat), width)
    enough = known >= max(_LEAST_BLOCKS, width // 3)
    total, squares = (_sums(np.nan_to_num(each), width) for each in (flat, flat**2))
    mean = total / np.maximum(known, 1)
    spread = np.sqrt(np.maximum(squares / np.maximum(known, 1) - mean**2, 0))
    row, column = np.divmod(starts, width)
    # A whole row's edge, or one next to the image's upper or lower border, is more often the X-ray's own.
    enough &= (column >= 2) & (column <= width - 2) & (row >= FIRST) & (row < rows - LAST)
    steps = np.where(enough, np.abs(mean) / (spread + _FLOOR), 0)
    size = _sums(np.nan_to_num(np.abs(flat)), width) / np.maximum(known, 1)
    edges = np.where(enough, size, 0)
    return any(_step(flat[at : at + width]) for at in _largest(steps)) or any(
        _edge(flat, at, width) for at in _largest(edges)
    )


def _tops(grey: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Return the jump at the top of each block below the first row, beyond what its neighbours' slope gives.

    nan where black or white hides it.
    """
    rows, columns = grey.shape[0] // height, grey.shape[1] // width
    if rows < 2 or columns < 1:
        return np.empty((0, 0), np.float32)
    grey = grey[: rows * height, : columns * width]
    above, below = grey[height - 1 : -1 : height], grey[height::height]
    before, behind = grey[height - 2 : -2 : height][: rows - 1], grey[height + 1 :: height]
    jump = (below - above) - ((above - before) + (behind - below)) / 2
    seen = (above > 2) & (above < 253) & (below > 2) & (below < 253)
    of_block = np.where(seen, jump, np.nan).reshape(rows - 1, columns, width)
    hidden = np.isnan(of_block).all(2)
    of_block[hidden] = 0
    return np.where(hidden, np.nan, np.nanmedian(of_block, 2)).astype(np.float32)


def _sums(values: NDArray[np.generic], width: int) -> NDArray[np.float64]:
    """Return the sum of each `width` values that follow each other."""
    ends = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return ends[width:] - ends[:-width]


def _largest(scores: NDArray[np.float64]) -> list[int]:
    return np.argsort(scores)[::-1][:_CANDIDATES].tolist()


def _step(part: NDArray[np.float32]) -> bool:
    part = part[~np.isnan(part)]
    middle = float(np.median(part)) if len(part) else 0.0
    return bool(
        abs(middle) >= LEAST_STEP and abs(middle) > STEP * (np.median(np.abs(part - middle)) + _FLOOR)
    )


def _edge(flat: NDArray[np.float32], at: int, width: int) -> bool:
    near = np.abs(np.concatenate([flat[max(at - 3 * width, 0) : at], flat[at + width : at + 5 * width]]))
    part, near = np.abs(flat[at : at + width]), near[~np.isnan(near)]
    part = part[~np.isnan(part)]
    if len(near) <= width or len(part) < _LEAST_BLOCKS:
        return False
    return bool(np.percentile(part, 40) > EDGE * (np.percentile(near, 60) + _FLOOR))
