"""One label of a classifier judged from its kept predictions: yes or no, curves, whether its numbers hold.

Owns what is chosen where: operating point and temperature on validation films, everything else measured on
test films. Refuses to choose on test films: where validation cannot serve, a sentence says so. Source: Youden
1950, Guo et al. 2017, DeLong et al. 1988 (`calibration`, `auroc`); Wilson, JASA 22 (1927), 209-212.

`surest_mistakes` are the test films of which it was surest and wrong: where to look first for what it gets
wrong.

Shapes: N films of one label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from timnet.evaluation import auroc
from timnet.evaluation.auroc import LEVEL, Estimate
from timnet.evaluation.calibration import measures
from timnet.evaluation.calibration.probability import PLAIN, Line, said
from timnet.evaluation.predictions import TEST, VALIDATION, Predictions

HALF = 0.5


@dataclass(frozen=True)
class Decision:
    """Test films called positive from a threshold on: how many are right and wrong, each way."""

    threshold: float
    hits: int
    misses: int
    alarms: int
    """Films without the finding that are called positive."""
    clears: int

    @property
    def sensitivity(self) -> Estimate:
        """Return the share of films with the finding that are called positive."""
        return _share(self.hits, self.hits + self.misses)

    @property
    def specificity(self) -> Estimate:
        """Return the share of films without the finding that are called negative."""
        return _share(self.clears, self.clears + self.alarms)

    @property
    def positive_value(self) -> Estimate:
        """Return the share of positive calls that are right."""
        return _share(self.hits, self.hits + self.alarms)

    @property
    def negative_value(self) -> Estimate:
        """Return the share of negative calls that are right."""
        return _share(self.clears, self.clears + self.misses)


@dataclass(frozen=True)
class Calibration:
    """How far said and found lie apart on test films, and where, bin by bin (`calibration.reliability`)."""

    error: float
    table: pd.DataFrame


_NONE = Calibration(float("nan"), pd.DataFrame())


@dataclass(frozen=True)
class Appraisal:
    """What can be said of one label.

    Attributes:
        films, positives: of the test part, where the label is known; films_validation: of the other part.
        area: auROC with DeLong's interval, each film for itself.
        half: decisions at 0.5. chosen: at the operating point: the checkpoint's, else what is best on
            validation films.
        roc: false, true, threshold. precision_recall: recall, precision, threshold. Empty of one class.
        said: of the probabilities that are shown everywhere. raw: before the checkpoint's calibration, None
            where it has none. cooled: at a temperature of validation films that nobody applies, None where
            the checkpoint is calibrated or nothing can be fitted.
        unchosen: why there is no operating point; empty where there is one.
    """

    label: str
    films: int
    positives: int
    films_validation: int
    area: Estimate
    half: Decision
    chosen: Decision | None
    roc: pd.DataFrame
    precision_recall: pd.DataFrame
    said: Calibration
    raw: Calibration | None
    cooled: Calibration | None
    temperature: float | None
    unchosen: str

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON can hold them; what is undefined is null."""
        fields = {
            "label": self.label,
            "auROC": self.area.value,
            "auROC_delong_low": self.area.low,
            "auROC_delong_high": self.area.high,
            "threshold": self.chosen.threshold if self.chosen else None,
            "sensitivity": self.chosen.sensitivity.value if self.chosen else None,
            "specificity": self.chosen.specificity.value if self.chosen else None,
            "sensitivity_at_half": self.half.sensitivity.value,
            "specificity_at_half": self.half.specificity.value,
            "calibration_error": (self.raw or self.said).error,
            "temperature": self.temperature,
            "calibration_error_at_temperature": (self.said if self.raw else self.cooled or _NONE).error,
            "unchosen": self.unchosen,
        }
        return {name: None if value != value else value for name, value in fields.items()}


def of(kept: Predictions, label: str, line: Line = PLAIN) -> Appraisal:
    """Judge one label of a run's predictions.

    Args:
        line: the label's calibration in the run's checkpoint: probabilities and operating point are those
            that every other page shows.

    Raises:
        ValueError: a label that the predictions do not have.
    """
    column = kept.labels.index(label)
    truth_N, logit_N = kept.part(TEST).known(column)
    held_truth, held_logit = kept.part(VALIDATION).known(column)
    p_N = said(line, logit_N)
    unchosen = "" if line.threshold is not None else _unchosen(held_truth)
    threshold, temperature = line.threshold, 1 / line.slope if line.fitted else None
    if not unchosen and threshold is None:
        threshold = measures.operating_point(held_truth, said(line, held_logit))
    if not unchosen and temperature is None:
        temperature = measures.temperature(held_truth, held_logit)
    roc, precision_recall = _curves(truth_N, p_N)
    return Appraisal(
        label=label,
        films=len(truth_N),
        positives=int(truth_N.sum()),
        films_validation=len(held_truth),
        area=auroc.area(truth_N, p_N),
        half=decided(truth_N, p_N, HALF),
        chosen=None if threshold is None else decided(truth_N, p_N, threshold),
        roc=roc,
        precision_recall=precision_recall,
        said=_calibration(truth_N, p_N),
        raw=_calibration(truth_N, said(PLAIN, logit_N)) if line.fitted else None,
        cooled=None
        if temperature is None or line.fitted
        else _calibration(truth_N, measures.calibrated(logit_N, temperature)),
        temperature=temperature,
        unchosen=unchosen,
    )


def decided(truth_N: NDArray[np.float64], p_N: NDArray[np.float64], threshold: float) -> Decision:
    """Count what is right and wrong when films from a probability on are called positive."""
    truth, called = truth_N == 1, p_N >= threshold
    return Decision(
        float(threshold),
        hits=int((truth & called).sum()),
        misses=int((truth & ~called).sum()),
        alarms=int((~truth & called).sum()),
        clears=int((~truth & ~called).sum()),
    )


def _unchosen(truth_N: NDArray[np.float64]) -> str:
    if not len(truth_N):
        return "there are no validation films with this label beside the test films"
    if truth_N.min() == truth_N.max():
        which = "positive" if truth_N[0] else "negative"
        return f"the validation films with this label, {len(truth_N):,}, are all {which}"
    return ""


def _curves(truth_N: NDArray[np.float64], p_N: NDArray[np.float64]) -> tuple[pd.DataFrame, pd.DataFrame]:
    from sklearn.metrics import precision_recall_curve, roc_curve

    if len(np.unique(truth_N)) < 2:
        return (
            pd.DataFrame(columns=["false", "true", "threshold"]),
            pd.DataFrame(columns=["recall", "precision", "threshold"]),
        )
    false, true, thresholds = roc_curve(truth_N, p_N)
    precision, recall, cuts = precision_recall_curve(truth_N, p_N)
    return (
        pd.DataFrame({"false": false, "true": true, "threshold": thresholds}),
        # The last point, recall 0, is where no film is called positive.
        pd.DataFrame({"recall": recall, "precision": precision, "threshold": [*cuts, np.inf]}),
    )


def _calibration(truth_N: NDArray[np.float64], p_N: NDArray[np.float64]) -> Calibration:
    return Calibration(
        measures.expected_error(truth_N, p_N),
        measures.reliability(truth_N, p_N),
    )


def _share(part: int, whole: int) -> Estimate:
    """Return a share with Wilson's interval; nan of nothing."""
    if not whole:
        return Estimate(float("nan"), float("nan"), float("nan"))
    interval = stats.binomtest(part, whole).proportion_ci(LEVEL, method="wilson")
    return Estimate(part / whole, float(interval.low), float(interval.high))


@dataclass(frozen=True)
class Mistake:
    """A test film, by its row in the cohort, that was called wrong."""

    film: int
    positive: bool
    """Whether the label is present; it was called the other."""
    probability: float


def surest_mistakes(
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
    # A truth between 0 and 1 counts as absent, as everywhere here; an unknown one counts as nothing.
    alarms = chosen((truth_N < 1) & (p_N >= threshold), -1)
    return missed, alarms
