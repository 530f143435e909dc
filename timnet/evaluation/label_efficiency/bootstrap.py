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

from timnet.errors import TimnetError
from timnet.evaluation import metrics
from timnet.evaluation.auroc import LEVEL, Estimate
from timnet.evaluation.predictions import Predictions

REPLICATES = 1000


class DrawsError(TimnetError):
    """Runs that are no draws of one test; the message says why."""


def of_runs(
    kept: Sequence[Predictions],
    patients_N: Sequence[str],
    label: str,
    metric: str,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Estimate:
    """Return a metric's mean over draws of labels with its 95 % interval.

    Args:
        kept: what runs kept of the same test films, one run a draw.
        patients_N: whose these test films are.
        label: one of the runs', or `metrics.MACRO` or `metrics.MICRO`. metric: one of `metrics.METRICS`.

    Raises:
        DrawsError: the runs were tested on different films, labels or truth.
    """
    return _estimate(*_run_scores(kept, patients_N, label, metric, seed, replicates), seed)


def difference_of_runs(
    first: Sequence[Predictions],
    second: Sequence[Predictions],
    patients_N: Sequence[str],
    label: str,
    metric: str,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Estimate:
    """Return how much larger a metric's mean is for the second start; run r of both is of the same draw.

    Raises:
        DrawsError: as for `of_runs`, or there are more draws of one than of the other.
    """
    if len(first) != len(second):
        raise DrawsError(f"difference: expected the same draws of both, got {len(first)} and {len(second)}")
    both = [*first, *second]
    whole_R, drawn_RB = _run_scores(both, patients_N, label, metric, seed, replicates)
    (one, other), (one_drawn, other_drawn) = (np.split(part, 2) for part in (whole_R, drawn_RB))
    return _estimate(other - one, other_drawn - one_drawn, seed)


def wider(low: float, high: float, estimate: Estimate) -> tuple[float, float]:
    """Return the ends of Student's interval over draws, pushed out to those of the bootstrap.

    The one knows nothing of the test patients, the other takes few draws for all there are: each
    is too narrow somewhere. The wider of the two is tested to hold the truth (tests/test_draws.py).
    """
    return float(np.fmin(low, estimate.low)), float(np.fmax(high, estimate.high))


def _run_scores(
    kept: Sequence[Predictions],
    patients_N: Sequence[str],
    label: str,
    metric: str,
    seed: int,
    replicates: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first = kept[0]
    for other in kept[1:]:
        if (
            other.labels != first.labels
            or not np.array_equal(other.film_N, first.film_N)
            or not np.array_equal(other.truth_NL, first.truth_NL, equal_nan=True)
        ):
            raise DrawsError("draws: expected runs that were tested on the same films and labels, got others")
    truth_NL, p_RNL = first.truth_NL, np.stack([each.p_NL for each in kept])
    if label == metrics.MICRO:
        repeated = np.repeat(np.asarray(patients_N), len(first.labels)).tolist()
        return _scores(truth_NL.ravel(), p_RNL.reshape(len(kept), -1), repeated, metric, seed, replicates)
    columns = range(len(first.labels)) if label == metrics.MACRO else [first.labels.index(label)]
    each = [
        _scores(truth_NL[:, column], p_RNL[:, :, column], patients_N, metric, seed, replicates)
        for column in columns
    ]
    whole, drawn = (np.ma.masked_invalid(np.stack(part)) for part in zip(*each, strict=True))
    # A label that is undefined in a draw is left out of its average, as in `metrics`.
    return whole.mean(0).filled(np.nan), drawn.mean(0).filled(np.nan)


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
    whole = [metrics.score(y_N, p_N)[place] for p_N in p_RN]
    # Part by part: of many films, the weights of all replicates would fill the memory.
    drawn = [
        np.stack([metrics.weighted_scores(y_N, p_N, weights)[:, place] for p_N in p_RN])
        for weights in metrics.resamples(patients_N, seed, replicates)
    ]
    return np.array(whole), np.concatenate(drawn, 1)


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
