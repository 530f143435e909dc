"""Do probabilities mean what they say? Reliability, its error, one temperature, and where to draw the line.

Owns the binning, the temperature that is fitted on films held out from training and test, and Youden's
operating point. Refuses to fit on one class. Source: Guo et al., ICML 2017 (temperature, ECE); Youden, Cancer
3 (1950), 32-35.

Shapes: N films of one label; truth is 0, 1, or nan for unknown, which is left out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special

from timnet.errors import TimnetError

BINS = 10
COLUMNS = ("low", "high", "said", "found", "n")
COLDEST, HOTTEST = 0.05, 20.0
"""Temperatures that a fit may give: beyond them the films say nothing of it."""


class CalibrationError(TimnetError):
    """Films on which nothing can be fitted; the message says why."""


def reliability(y_N: NDArray[np.float64], p_N: NDArray[np.float64], bins: int = BINS) -> pd.DataFrame:
    """Return one row a bin of equal width that holds a film.

    Returns:
        COLUMNS: the bin's ends, the mean probability said, the share found positive, and how many films.
    """
    truth, p = _known(y_N, p_N)
    place = np.minimum((p * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    held = np.flatnonzero(count)
    means = [np.bincount(place, values, minlength=bins)[held] / count[held] for values in (p, truth)]
    return pd.DataFrame(
        dict(zip(COLUMNS, (held / bins, (held + 1) / bins, *means, count[held]), strict=True))
    )


def expected_error(y_N: NDArray[np.float64], p_N: NDArray[np.float64], bins: int = BINS) -> float:
    """Return the expected calibration error: how far said and found lie apart, weighted by films."""
    table = reliability(y_N, p_N, bins)
    if table.empty:
        return float("nan")
    return float(np.average((table["said"] - table["found"]).abs(), weights=table["n"]))


def temperature(y_N: NDArray[np.float64], logit_N: NDArray[np.float64]) -> float:
    """Return the number to divide logits by so that the cross-entropy of these films is least.

    Above 1 the network was too sure. The order of the films, and so the auROC, stays.

    Raises:
        CalibrationError: the films are of one class.
    """
    truth, logits = _both_classes("temperature", y_N, logit_N)

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, scaled) - truth * scaled))

    found = optimize.minimize_scalar(loss, bounds=np.log([COLDEST, HOTTEST]), method="bounded")
    return float(np.exp(found.x))


def calibrated(logit_N: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return the probabilities of logits at a temperature."""
    return special.expit(np.asarray(logit_N, float) / temperature)


def operating_point(y_N: NDArray[np.float64], p_N: NDArray[np.float64]) -> float:
    """Return the probability from which to say yes so that sensitivity + specificity is largest.

    Of several such points the highest probability, which says yes to the fewest films.

    Raises:
        CalibrationError: the films are of one class.
    """
    from sklearn.metrics import roc_curve

    truth, p = _both_classes("operating point", y_N, p_N)
    false, true, thresholds = roc_curve(truth, p)
    return float(thresholds[1:][np.argmax((true - false)[1:])])


def _known(
    y_N: NDArray[np.float64], values_N: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y_N = np.asarray(y_N, float)
    known = ~np.isnan(y_N)
    return y_N[known], np.asarray(values_N, float)[known]


def _both_classes(
    what: str, y_N: NDArray[np.float64], values_N: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    truth, values = _known(y_N, values_N)
    if len(np.unique(truth)) < 2:
        message = f"{int(truth.sum())} positive of {len(truth)}"
        raise CalibrationError(f"{what}: expected positive and negative films, got {message}")
    return truth, values
