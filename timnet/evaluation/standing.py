"""Where one value stands among others: how many it beats.

Owns nothing else. Refuses to say where a value stands among none: nan.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def beaten(value: float, others: NDArray[np.float64]) -> float:
    """Return the share of the others that lie below a value, a tie counting half; nan among none.

    Over films this share is the area under the ROC curve of each film's own report against the others.
    """
    if not len(others):
        return float("nan")
    return float(((others < value) + 0.5 * (others == value)).mean())
