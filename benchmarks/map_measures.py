"""Does a map tell the truth about its network? Pure functions; sanity.py and twins.py ask them of films.

Deletion and insertion: pixels are taken away, or given back, by falling evidence; a faithful map makes the
score fall, or rise, early (Petsiuk et al., BMVC 2018). Pointing game: does the highest point lie in the
finding (Zhang et al., IJCV 2018)? Randomised weights: a map that stays the same when the network has lost
all that it learned shows the film, not the network (Adebayo et al., NeurIPS 2018). None makes a map a
localisation.

Shapes: H W a film and its map, K steps of a curve.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats
from torch import nn

from timnet.model.branches import seeded

Score = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""Films (K, H, W) -> one number each."""


def pointing(map_HW: NDArray[np.float32], region_HW: NDArray[np.bool_], tolerance: float = 0.0) -> float:
    """Return 1 where a map's highest point lies in a region, else 0; of several highest, the share inside.

    So a map without any preference scores what a random point does: the region's share of the film.

    Args:
        map_HW: evidence.
        region_HW: a mask, or a filled box.
        tolerance: pixels that a point may lie outside.

    Raises:
        ValueError: the two differ in shape, or the region is empty.
    """
    near_HW = widened(region_HW, tolerance)
    if map_HW.shape != near_HW.shape:
        raise ValueError(f"pointing: expected a region of shape {map_HW.shape}, got {near_HW.shape}")
    return float(near_HW[map_HW == map_HW.max()].mean())


def widened(region_HW: NDArray[np.bool_], tolerance: float) -> NDArray[np.bool_]:
    """Return the pixels at most `tolerance` pixels from a region; ValueError where it is empty."""
    if not region_HW.any():
        raise ValueError("pointing: expected a region, got one without a pixel")
    return ndimage.distance_transform_edt(~region_HW) <= tolerance


def deletion(
    score: Score, film_HW: NDArray[np.float32], map_HW: NDArray[np.float32], steps: int = 16
) -> NDArray[np.float64]:
    """Return the score (K + 1,) while ever more pixels of most evidence take the film's mean grey."""
    return score(_mixed(film_HW, np.full_like(film_HW, film_HW.mean()), map_HW, steps))


def insertion(
    score: Score, film_HW: NDArray[np.float32], map_HW: NDArray[np.float32], steps: int = 16
) -> NDArray[np.float64]:
    """Return the score (K + 1,) while a blurred film gets ever more of its pixels of most evidence back.

    The blur is a tenth of the film's longer side: no finding smaller than that is left in it.
    """
    blurred_HW = ndimage.gaussian_filter(film_HW, max(film_HW.shape) / 10, mode="nearest")
    return score(_mixed(blurred_HW, film_HW, map_HW, steps))


def area(curve: NDArray[np.float64]) -> float:
    """Return the mean height of a curve of equal steps, by trapezoids."""
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))


def similarity(one_HW: NDArray[np.float32], other_HW: NDArray[np.float32]) -> float:
    """Return Spearman's rank correlation of two maps' cells; nan where one is flat."""
    if one_HW.min() == one_HW.max() or other_HW.min() == other_HW.max():
        return float("nan")
    return float(stats.spearmanr(one_HW.ravel(), other_HW.ravel()).statistic)


def randomised(network: nn.Module, seed: int) -> nn.Module:
    """Return a copy of a network with every layer's weights drawn anew; the network itself is kept."""
    copied = copy.deepcopy(network)
    with seeded(seed):
        for layer in copied.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d)):
                layer.reset_parameters()
    return copied.eval()


def _mixed(
    before_HW: NDArray[np.float32], after_HW: NDArray[np.float32], map_HW: NDArray[np.float32], steps: int
) -> NDArray[np.float32]:
    """Return films (K + 1, H, W) from `before` to `after`, pixels of most evidence first, ties in order."""
    if not 1 <= steps <= before_HW.size or map_HW.shape != before_HW.shape:
        raise ValueError(
            f"curve: expected 1 to {before_HW.size} steps and a map of shape {before_HW.shape}, "
            f"got {steps} and {map_HW.shape}"
        )
    order = np.argsort(-map_HW.ravel(), kind="stable")
    mixed = np.tile(before_HW.ravel(), (steps + 1, 1))
    for step in range(1, steps + 1):
        taken = order[: round(step * order.size / steps)]
        mixed[step, taken] = after_HW.ravel()[taken]
    return mixed.reshape(steps + 1, *before_HW.shape)
