"""A metric over several draws of labels: intervals that respect the draw and the test patients alike.

Owns the hierarchical bootstrap: draws with replacement, and in each replicate the test patients, with all
their films, with replacement too. All draws were tested on the same films. The difference of two starts is
taken on the same draws and the same patients. Source: Davison and Hinkley, Bootstrap Methods and their
Application (1997), sec. 3.8.

Shapes: N films of one label, R draws of labels, B bootstrap replicates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from timnet.evaluation import metrics
from timnet.evaluation.auroc import LEVEL, Estimate

REPLICATES = 1000


def over_draws(
    y_N: NDArray[np.float64],
    p_RN: NDArray[np.float64],
    patients_N: Sequence[str],
    metric: str,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Estimate:
    """Return a metric's mean over the draws with its 95 % interval.

    Args:
        y_N: truth in {0, 1, nan}.
        p_RN: the probabilities that each draw's classifier gives the same test films.
        patients_N: whose films these are.
        metric: one of `metrics.METRICS`.
    """
    return _estimate(*_scores(y_N, p_RN, patients_N, metric, seed, replicates), seed)


def difference(
    y_N: NDArray[np.float64],
    first_RN: NDArray[np.float64],
    second_RN: NDArray[np.float64],
    patients_N: Sequence[str],
    metric: str,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Estimate:
    """Return how much larger a metric's mean is for the second start than for the first.

    Row r of both is the same draw of labels.
    """
    if len(first_RN) != len(second_RN):
        raise ValueError(
            f"difference: expected the same draws of both, got {len(first_RN)} and {len(second_RN)}"
        )
    first, first_drawn = _scores(y_N, first_RN, patients_N, metric, seed, replicates)
    second, second_drawn = _scores(y_N, second_RN, patients_N, metric, seed, replicates)
    return _estimate(second - first, second_drawn - first_drawn, seed)


def _scores(
    y_N: NDArray[np.float64],
    p_RN: NDArray[np.float64],
    patients_N: Sequence[str],
    metric: str,
    seed: int,
    replicates: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each draw's score (R,), and its scores under the same resampled patients (R, B)."""
    place, y_N, p_RN = metrics.METRICS.index(metric), np.asarray(y_N, float), np.asarray(p_RN, float)
    weights = np.concatenate(list(metrics.resamples(patients_N, seed, replicates)))
    whole = [metrics.score(y_N, p_N)[place] for p_N in p_RN]
    return np.array(whole), np.stack([metrics.weighted_scores(y_N, p_N, weights)[:, place] for p_N in p_RN])


def _estimate(whole_R: NDArray[np.float64], drawn_RB: NDArray[np.float64], seed: int) -> Estimate:
    """Return the mean over draws; its interval draws the draws anew in every replicate."""
    draws, replicates = drawn_RB.shape
    chosen_BR = np.random.default_rng((1, seed)).integers(draws, size=(replicates, draws))
    means_B = drawn_RB[chosen_BR, np.arange(replicates)[:, None]].mean(1)
    defined = means_B[~np.isnan(means_B)]
    if not len(defined):
        return Estimate(float(whole_R.mean()), float("nan"), float("nan"))
    low, high = np.percentile(defined, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Estimate(float(whole_R.mean()), float(low), float(high))
