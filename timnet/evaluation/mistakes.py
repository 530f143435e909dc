"""The test films of which a classifier was surest and wrong: where to look first for what it gets wrong.

Owns the choice, from a run's kept predictions alone: findings that it missed with the lowest probability, and
false alarms with the highest, at one threshold. Reads no film.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from timnet.evaluation.calibration.probability import PLAIN, Line, said
from timnet.evaluation.predictions import TEST, Predictions


@dataclass(frozen=True)
class Mistake:
    """A test film, by its row in the cohort, that was called wrong."""

    film: int
    positive: bool
    """Whether the label is present; it was called the other."""
    probability: float


def surest(
    kept: Predictions, label: str, threshold: float, most: int, line: Line = PLAIN
) -> tuple[list[Mistake], list[Mistake]]:
    """Return films with the label that were missed, and films without it that raised a false alarm.

    Args:
        threshold: a film is called positive from this probability on.
        most: of each kind, the surest first; of equal ones the earlier film.
        line: the label's calibration, as everywhere else for this checkpoint.

    Raises:
        ValueError: a label that the predictions do not have.
    """
    test, column = kept.part(TEST), kept.labels.index(label)
    truth_N, p_N = test.truth_NL[:, column], said(line, test.logit_NL[:, column])

    def chosen(wrong_N: np.ndarray, sign: float) -> list[Mistake]:
        rows = np.flatnonzero(wrong_N)
        rows = rows[np.argsort(sign * p_N[rows], kind="stable")][:most]
        return [Mistake(int(test.film_N[row]), bool(truth_N[row] == 1), float(p_N[row])) for row in rows]

    missed = chosen((truth_N == 1) & (p_N < threshold), 1)
    # A truth between 0 and 1 counts as absent, as in `appraisal`; an unknown one counts as nothing.
    alarms = chosen((truth_N < 1) & (p_N >= threshold), -1)
    return missed, alarms
