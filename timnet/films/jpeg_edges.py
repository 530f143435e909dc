"""Edges of a decoded picture that a damaged JPEG leaves: steps at block borders and strips left over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST_STEP = 9.0
"""Grey levels of 255 below which a step of brightness is none."""
LEAST_EDGE = 8.0
"""The same for the edge of a displaced block: higher than within the blocks by EDGE_OVER times."""
EDGE_OVER = 2.0
STEP_OVER = 1.5
"""How many times the edges' deviation from a step it must be."""
ALIKE = 0.8
"""Share of the edges that must have the step: the first wrong blocks are spoilt in other ways, too."""
_CANDIDATES = 100


class Edges(NamedTuple):
    """What lies at the upper edges of blocks, but of the first row's (rows - 1, columns)."""

    above: NDArray[np.float32]
    below: NDArray[np.float32]
    jump: NDArray[np.float32]
    """From above to below, beyond what the slopes on both sides give."""


def found_edges(grey: NDArray[np.uint8], height: int, width: int, offset: int = 0) -> Edges:
    """Return the edges at the blocks' tops, or `offset` rows below, where the first row has them as well."""
    count = grey.shape[0] // height - (offset == 0)
    first = offset or height
    before, above, below, behind = (
        np.add.reduce([line[:, i::width] for i in range(width)]) / np.float32(width)
        for row in range(first - 2, first + 2)
        for line in [grey[row::height][:count].astype(np.float32)]
    )
    return Edges(above, below, (below - above) - ((above - before) + (behind - below)) / np.float32(2))


def has_step(
    grey: NDArray[np.uint8], edges: Edges, block: tuple[int, int], interval: int, unit: float
) -> bool:
    """Return whether the blocks from one on are brighter, or darker, than those before by the same step.

    It shows at the tops of as many blocks as a row has, and where it ends with a restart interval at the tops
    of the blocks below, too.
    """
    columns, count = edges.jump.shape[1], edges.jump.size + edges.jump.shape[1]
    # By block: those of the first row have nothing above.
    blank = np.full((1, columns), np.nan, np.float32)
    above, below, jump = (np.concatenate([blank, each]).ravel() for each in edges)
    lefts: NDArray[np.float32] | None = None
    least = max(LEAST_STEP, 2 * unit)
    for sign in (1, -1):
        tops, ends = sign * jump, -sign * jump
        if unit == 1 / 8:  # black and white may hide a step: `_means` sees none behind them
            tops[below > 253 if sign > 0 else below < 2] = np.nan
            ends[above > 253 if sign > 0 else above < 2] = np.nan
        for start, stop, under in _runs(tops, ends, least, columns, interval):
            row, column = divmod(start, columns)
            turn = min((row + 1) * columns, stop)
            step, spread = _fit(tops[start:turn], tops[turn:stop], ends[under])
            around = np.append(
                tops[max(0, start - 2 * columns) : start], tops[start + columns : start + 3 * columns]
            )
            if step < least or (np.abs(around - step) < max(4, 0.4 * step)).sum() > 0.25 * len(around):
                continue
            # Greys that vary along the edge, much more than the step does, go on below it.
            along = above[max(start, columns) : stop]
            goes_on = len(along) > 0 and spread <= 0.2 * along.std()
            if not interval and columns <= start <= count - columns:
                edge = row + (column > columns // 2)
                # A whole row's edge may be the X-ray's own, and near its lower border often is.
                if 2 <= column <= columns - 2 or (goes_on and 1 <= edge <= count // columns - 3):
                    return True
                continue
            if lefts is None:
                sides = found_edges(grey.T, block[1], block[0]).jump.T
                lefts = np.abs(np.pad(sides, ((0, 0), (1, 0)))).ravel()
            # Few edges: the first wrong block, or a spoilt one behind it, has one at its side as well.
            goes_on |= row == 0 and spread <= 0.2 * step
            if goes_on and lefts[max(start - 1, 0) : start + 4].max() >= 0.5 * step:
                return True
    return False


def _runs(
    tops: NDArray[np.float32], ends: NDArray[np.float32], least: float, columns: int, interval: int
) -> Iterator[tuple[int, int, slice]]:
    """Yield runs of blocks most of whose tops jump up: where one begins and ends, and the blocks below that.

    There are such blocks where a step ends with its interval.
    """
    count = len(tops)
    starts = np.arange(1, count)
    last = np.minimum((starts // interval + 1) * interval, count) if interval else np.full_like(starts, count)
    stops = np.minimum(starts + columns, last)
    under = np.minimum(np.maximum(starts, last - columns) + columns, count)
    under_stops = np.minimum(last + columns, count)

    def counted(tops: NDArray[np.bool_], ends: NDArray[np.bool_]) -> NDArray[np.intp]:
        of_tops, of_ends = _totals(tops), _totals(ends)
        counts = of_tops[stops] - of_tops[starts]
        return counts + of_ends[under_stops] - of_ends[under] if interval else counts

    up = counted(tops > 0.55 * least, ends > 0.55 * least)
    enough = np.maximum(4, np.where(starts < columns, 0, stops - starts + under_stops - under) // 3)
    if not (up >= ALIKE * enough).any():
        return
    known = counted(~np.isnan(tops), ~np.isnan(ends))
    found = np.flatnonzero((known >= enough) & (up >= ALIKE * known))
    for i in found[np.argsort(-up[found] / known[found], kind="stable")[:_CANDIDATES]]:
        yield int(starts[i]), int(stops[i]), slice(int(under[i]), int(under_stops[i]))


def _fit(*parts: NDArray[np.float32]) -> tuple[float, float]:
    """Return the step that all parts of an edge have, 0 where there is none, and the deviation from it."""
    seen = [np.sort(each[~np.isnan(each)]) for each in parts]
    jumps = np.sort(np.concatenate(seen))
    step = float(jumps[len(jumps) // 2])
    spread = float(np.sort(np.abs(jumps - step))[int(ALIKE * (len(jumps) - 1) + 0.5)])
    is_one = all(len(each) < 2 or abs(each[len(each) // 2] - step) <= max(3, 0.3 * step) for each in seen)
    return (step if is_one and step >= STEP_OVER * (spread + 2) else 0.0), spread


def _totals(values: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return how many of the first n values are true, for n from 0."""
    totals: NDArray[np.intp] = np.concatenate([[0], np.cumsum(values)])
    return totals


def has_strip(grey: NDArray[np.uint8], edges: Edges, block: tuple[int, int], unit: float) -> bool:
    """Return whether six blocks that follow each other, or 1 in 25, have an edge at the top and bottom."""
    blank, size = np.zeros((1, edges.jump.shape[1]), bool), np.abs(edges.jump)

    def is_strip(edged: NDArray[np.bool_]) -> bool:
        total = _totals((np.concatenate([blank, edged]) & np.concatenate([edged, blank])).ravel())
        return total[-1] > len(total) / 25 or bool((total[6:] - total[:-6] == 6).any())

    edged = size > max(LEAST_EDGE, 2 * unit)
    if not is_strip(edged):
        return False
    within = np.abs(found_edges(grey, *block, offset=block[0] // 2).jump)
    return is_strip(edged & (size > EDGE_OVER * np.maximum(within[:-1], within[1:])))
