"""The area under the ROC curve with DeLong's interval, of one classifier and of the difference of two.

Owns the fast form by midranks. Refuses nothing: what one class alone leaves undefined is nan. Source: DeLong
et al., Biometrics 44 (1988), 837-845; Sun and Xu, IEEE Signal Processing Letters 21 (2014), 1389-1393.

Shapes: N films, K classifiers of the same films, P positives, M negatives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95
FEW = 10
"""Independent trials below which neither DeLong's formula nor a bootstrap is trusted alone."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; nan where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Estimate):
    """The second classifier's auROC minus the first's, and the two-sided p-value of no difference."""

    p_value: float


def area(y_N: NDArray[np.float64], p_N: NDArray[np.float64]) -> Estimate:
    """Return the auROC of scores for truth in {0, 1}, nan rows left out.

    The interval is taken on the logit scale, so that it stays within 0 and 1. DeLong's variance is 0 for an
    area of 0 or 1 and too small for few films: there the interval is at least that of `widened`, since as
    many pairs of a positive and a negative film are independent as there are films of the rarer class.
    """
    y_N = np.asarray(y_N, float)
    areas, covariance = _delong(y_N, np.asarray(p_N, float)[None])
    value, deviation = float(areas[0]), math.sqrt(covariance[0, 0])
    low = high = value
    if 0 < value < 1 and deviation > 0:
        centre, half = math.log(value / (1 - value)), _z() * deviation / (value * (1 - value))
        low, high = (1 / (1 + math.exp(-(centre + sign * half))) for sign in (-1, 1))
    return Estimate(value, *widened(value, low, high, int(min((y_N == 1).sum(), (y_N == 0).sum()))))


def widened(value: float, low: float, high: float, trials: int) -> tuple[float, float]:
    """Return an interval, widened where it claims more than few independent trials can show.

    Where it has no width, or the trials are fewer than FEW, it is at least Clopper and Pearson's exact one of
    so many trials with a share `value` of successes. Source: Biometrika 26 (1934), 404-413.
    """
    if math.isnan(value) or trials < 1 or (trials >= FEW and high > low):
        return low, high
    hits, tail = value * trials, (1 - LEVEL) / 2
    exact_low = float(stats.beta.ppf(tail, hits, trials - hits + 1)) if hits > 0 else 0.0
    exact_high = float(stats.beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return min(low, exact_low), max(high, exact_high)


def difference(
    y_N: NDArray[np.float64], first_N: NDArray[np.float64], second_N: NDArray[np.float64]
) -> Difference:
    """Return how much larger the auROC of `second_N` is than that of `first_N` on the same films."""
    areas, covariance = _delong(y_N, np.stack([first_N, second_N]).astype(float))
    value = float(areas[1] - areas[0])
    deviation = math.sqrt(max(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], 0.0))
    if math.isnan(value):
        return Difference(value, value, value, value)
    p_value = float(2 * stats.norm.sf(abs(value) / deviation)) if deviation else float(value == 0)
    return Difference(value, value - _z() * deviation, value + _z() * deviation, p_value)


def _delong(
    y_N: NDArray[np.float64], p_KN: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the areas (K,) and their covariance (K, K)."""
    y_N = np.asarray(y_N, float)
    positive_KP, negative_KM = p_KN[:, y_N == 1], p_KN[:, y_N == 0]
    positives, negatives = positive_KP.shape[1], negative_KM.shape[1]
    number = len(p_KN)
    if not positives or not negatives:
        return np.full(number, np.nan), np.full((number, number), np.nan)
    both = stats.rankdata(np.concatenate([positive_KP, negative_KM], 1), axis=1)
    # Share of negatives below each positive, and of positives above each negative; ties count half.
    above_KP = (both[:, :positives] - stats.rankdata(positive_KP, axis=1)) / negatives
    below_KM = 1 - (both[:, positives:] - stats.rankdata(negative_KM, axis=1)) / positives
    return above_KP.mean(1), _covariance(above_KP) + _covariance(below_KM)


def _covariance(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the covariance of a mean; of one film alone it is not known."""
    number = share.shape[1]
    if number < 2:
        return np.full((len(share), len(share)), np.nan)
    return np.atleast_2d(np.cov(share)) / number


def _z() -> float:
    return float(stats.norm.ppf((1 + LEVEL) / 2))
