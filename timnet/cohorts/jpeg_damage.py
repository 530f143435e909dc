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
    of_step = _following(flat, _largest(steps), 0, width)
    middle = _quantile(of_step, 0.5)
    spread = _quantile(np.abs(of_step - middle[:, None]), 0.5)
    is_step = (np.abs(middle) >= LEAST_STEP) & (np.abs(middle) > STEP * (spread + _FLOOR))
    at = _largest(edges)
    part = np.abs(_following(flat, at, 0, width))
    near = np.abs(
        np.concatenate([_following(flat, at, -3 * width, 0), _following(flat, at, width, 5 * width)], 1)
    )
    enough = (_known(near) > width) & (_known(part) >= _LEAST_BLOCKS)
    is_edge = enough & (_quantile(part, 0.4) > EDGE * (_quantile(near, 0.6) + _FLOOR))
    return bool(is_step.any() or is_edge.any())


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
    return _quantile(of_block, 0.5).astype(np.float32)


def _quantile(values: NDArray[np.floating], share: float) -> NDArray[np.floating]:
    """Return a quantile along the last axis, nan left out; nan where there is nothing else."""
    # numpy's own are many times as slow on so many short rows.
    ordered, last = np.sort(values, -1), np.maximum(_known(values) - 1, 0)
    place = share * last
    low = np.floor(place).astype(np.intp)
    lower, upper = (
        np.take_along_axis(ordered, each[..., None], -1)[..., 0] for each in (low, np.minimum(low + 1, last))
    )
    found: NDArray[np.floating] = lower + (place - low) * (upper - lower)
    return found


def _known(values: NDArray[np.floating]) -> NDArray[np.intp]:
    known: NDArray[np.intp] = (~np.isnan(values)).sum(-1)
    return known


def _following(
    flat: NDArray[np.float32], starts: NDArray[np.intp], begin: int, end: int
) -> NDArray[np.float32]:
    """Return for each start what lies from `begin` to `end` behind it, nan beyond the ends."""
    places = starts[:, None] + np.arange(begin, end)
    outside = (places < 0) | (places >= len(flat))
    return np.where(outside, np.nan, flat[np.clip(places, 0, len(flat) - 1)])


def _sums(values: NDArray[np.generic], width: int) -> NDArray[np.float64]:
    """Return the sum of each `width` values that follow each other."""
    ends = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return ends[width:] - ends[:-width]


def _largest(scores: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.argsort(scores)[::-1][:_CANDIDATES]
