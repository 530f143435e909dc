"""Where one value stands among others: how many it beats.

Owns nothing else. Refuses to say where a value stands among none: nan.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TIE = 5e-4
"""Difference of probabilities below which two are equal: numbers are shown with three digits."""


def beaten(value: float, others: NDArray[np.float64]) -> float:
    """Return the share of the others that lie below a value, a tie counting half; nan among none.

    Values closer than TIE are equal: a network that says 0.505 of every report beats none. Over films this
    share is the area under the ROC curve of each film's own report against the others.
    """
    if not len(others):
        return float("nan")
    below, equal = compared(value, others)
    return float((below + 0.5 * equal).mean())


def compared(value: float, others: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which of the others lie below a value, and which are equal to it."""
    equal = np.abs(others - value) < TIE
    return (others < value) & ~equal, equal
