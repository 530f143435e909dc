"""How good predictions are: the paper's six metrics with patient-bootstrap intervals.

Owns ACC, auROC, precision, recall, F1 and AP (paper Sec. IV-B) at threshold 0.5, by scikit-learn. What is
undefined, such as the auROC of one class, is nan, never 0. Labels that are nan are unknown and left out.

Shapes: N films or pairs, L labels.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

METRICS = ("ACC", "auROC", "Prec", "Recall", "F1", "AP")
AREA = METRICS.index("auROC")
MACRO, MICRO = "macro", "micro"
BLOCK = 2_000_000
"""Weights held at a time in the bootstrap."""

Scorer = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
COLUMNS = ("label", "metric", "value", "low", "high", "n", "positives")


def evaluate(
    y_NL: NDArray[np.float64],
    p_NL: NDArray[np.float64],
    patients_N: Sequence[str],
    labels: Sequence[str],
    seed: int = 0,
    draws: int = 1000,
    area_alone: bool = False,
) -> pd.DataFrame:
    """Return one row a label and metric, with the 95 % interval of a bootstrap over patients.

    Where few patients leave the bootstrap too narrow, or with no width, the interval is an exact one.

    Args:
        y_NL: truth in {0, 1, nan}.
        p_NL: probabilities in [0, 1].
        patients_N: whose films these are; a draw takes patients with all their films.
        labels: L names; with two or more, `macro` and `micro` averages follow (the paper's multi-label auROC
            looks micro-averaged; the field reports macro: both stand here).
        draws: bootstrap draws.
        area_alone: measure auROC alone: the same rows of it in a third of the time.
    """
    y_NL, p_NL = np.asarray(y_NL, float), np.asarray(p_NL, float)
    named = slice(AREA, AREA + 1) if area_alone else slice(None)
    scores = [score(y, p) for y, p in zip(y_NL.T, p_NL.T, strict=True)]
    values = _with_averages(scores, y_NL, p_NL, score)[:, named]
    weights, weighted = resamples(patients_N, seed, draws), weighted_areas if area_alone else weighted_scores
    drawn = np.concatenate([_drawn(y_NL, p_NL, part, weighted) for part in weights])
    with warnings.catch_warnings():
        # A metric that no draw defines has a nan interval; numpy warns of the empty slice.
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
    known = ~np.isnan(y_NL)
    _widen(values, low, high, y_NL, np.asarray(patients_N, dtype=str), named)
    names = [*labels, MACRO, MICRO] if len(labels) > 1 else list(labels)
    counts = [(int(known[:, i].sum()), int((y_NL[:, i] == 1).sum())) for i in range(len(labels))]
    counts += [(int(known.sum()), int((y_NL == 1).sum()))] * (len(names) - len(labels))
    rows = [
        (name, metric, values[i, j], low[i, j], high[i, j], *counts[i])
        for i, name in enumerate(names)
        for j, metric in enumerate(METRICS[named])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _widen(
    values: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    y_NL: NDArray[np.float64],
    patients_N: NDArray[np.str_],
    named: slice,
) -> None:
    """Widen, in place, the bootstrap intervals that few patients cannot support (`auroc.widened`).

    A patient is one trial: of any kind for ACC, of the rarer class for auROC, with the label for the others.
    Averages count as many as the label that has most.
    """
    from timnet.evaluation.auroc import widened

    kinds = (~np.isnan(y_NL), y_NL == 1, y_NL == 0)
    counts = [[len(np.unique(patients_N[of_N])) for of_N in kind.T] for kind in kinds]
    trials = np.array([[n, min(p, m), p, p, p, p] for n, p, m in zip(*counts, strict=True)])[:, named]
    if len(values) > len(trials):
        trials = np.concatenate([trials, np.tile(trials.max(0), (len(values) - len(trials), 1))])
    for place in np.ndindex(*values.shape):
        if not np.isnan(low[place]):
            low[place], high[place] = widened(
                float(values[place]), float(low[place]), float(high[place]), int(trials[place])
            )


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a metrics table as JSON rows; what is undefined is null."""
    return [
        {str(name): None if value != value else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def score(y_N: NDArray[np.float64], p_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the six metrics of one label in the order of METRICS; nan where undefined."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    known = ~np.isnan(y_N)
    truth, p = y_N[known] == 1, p_N[known]
    said = p >= 0.5
    hits, positives, named = int((truth & said).sum()), int(truth.sum()), int(said.sum())
    accuracy = float((truth == said).mean()) if len(truth) else np.nan
    precision = hits / named if named else np.nan
    recall = hits / positives if positives else np.nan
    f1 = 2 * hits / (named + positives) if named + positives else np.nan
    if 0 < positives < len(truth):
        auroc, ap = roc_auc_score(truth, p), average_precision_score(truth, p)
    else:
        auroc = ap = np.nan
    return np.array([accuracy, auroc, precision, recall, f1, ap])


def weighted_scores(
    y_N: NDArray[np.float64], p_N: NDArray[np.float64], weights_DN: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the six metrics (D, 6) of D weightings of one label's predictions; nan where undefined.

    The same numbers as `score` with scikit-learn's sample weights, for all weightings from one sort: a
    bootstrap asks a thousand times.
    """
    known = np.flatnonzero(~np.isnan(y_N))
    order = known[np.argsort(-p_N[known], kind="stable")]
    truth, p, weights = y_N[order] == 1, p_N[order], weights_DN[:, order]
    # One point of the curves a distinct probability.
    last = np.append(np.flatnonzero(np.diff(p)), len(p) - 1) if len(p) else np.array([], int)
    hit = np.cumsum(weights * truth, 1)[:, last]
    false = np.cumsum(weights * ~truth, 1)[:, last]
    positives, negatives = (weights * truth).sum(1), (weights * ~truth).sum(1)
    said = weights @ (p >= 0.5)
    hits = weights @ ((p >= 0.5) & truth)
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = (hits + negatives - (said - hits)) / (positives + negatives)
        area = (
            np.diff(false, axis=1, prepend=0) * (hit + np.concatenate([0 * hit[:, :1], hit[:, :-1]], 1))
        ).sum(1)
        auroc = area / (2 * positives * negatives)
        precision = np.nan_to_num(hit / (hit + false))
        ap = (np.diff(hit, axis=1, prepend=0) * precision).sum(1) / positives
        ap[negatives == 0] = np.nan
        return np.stack(
            [accuracy, auroc, hits / said, hits / positives, 2 * hits / (said + positives), ap], 1
        )


def weighted_areas(
    y_N: NDArray[np.float64], p_N: NDArray[np.float64], weights_DN: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the auROC (D, 1) of D weightings, the same as that of `weighted_scores`.

    Of each positive it is the weight of the negatives below it, a tie counting half.
    """
    positives, negatives = np.flatnonzero(y_N == 1), np.flatnonzero(y_N == 0)
    negatives = negatives[np.argsort(p_N[negatives], kind="stable")]
    below_DM = np.pad(np.cumsum(weights_DN[:, negatives], 1), ((0, 0), (1, 0)))
    first, last = (np.searchsorted(p_N[negatives], p_N[positives], side) for side in ("left", "right"))
    weights_DP = weights_DN[:, positives]
    won_D = (weights_DP * (below_DM[:, first] + below_DM[:, last])).sum(1)
    with np.errstate(invalid="ignore"):
        return (won_D / (2 * weights_DP.sum(1) * below_DM[:, -1]))[:, None]


def _drawn(
    y_NL: NDArray[np.float64],
    p_NL: NDArray[np.float64],
    weights_DN: NDArray[np.float64],
    weighted: Callable[..., NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Return every draw's table (D, labels and averages, metrics)."""
    each = [weighted(y, p, weights_DN) for y, p in zip(y_NL.T, p_NL.T, strict=True)]
    repeated = np.repeat(weights_DN, y_NL.shape[1], axis=1)
    together = _with_averages(each, y_NL, p_NL, lambda y, p: weighted(y, p, repeated))
    return np.moveaxis(together, 0, 1)


def _with_averages(
    each: list[NDArray[np.float64]], y_NL: NDArray[np.float64], p_NL: NDArray[np.float64], pooled: Scorer
) -> NDArray[np.float64]:
    """Return the labels' scores, with several labels followed by their macro and micro average."""
    stacked = np.stack(each)
    if len(each) == 1:
        return stacked
    defined = ~np.isnan(stacked)
    with np.errstate(invalid="ignore"):
        macro = np.where(defined, stacked, 0).sum(0) / defined.sum(0)
    return np.concatenate([stacked, macro[None], pooled(y_NL.ravel(), p_NL.ravel())[None]])


def resamples(patients_N: Sequence[str], seed: int, draws: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each row is in each bootstrap draw, (part of draws, N): patients with replacement."""
    _, patient = np.unique(np.asarray(patients_N, dtype=str), return_inverse=True)
    num_patients = int(patient.max()) + 1
    rng = np.random.default_rng(seed)
    part = max(1, BLOCK // len(patient))
    for start in range(0, draws, part):
        number = min(part, draws - start)
        counts = rng.multinomial(num_patients, np.full(num_patients, 1 / num_patients), size=number)
        yield counts[:, patient].astype(float)


TIE = 5e-4
"""Difference of probabilities below which two are equal: numbers are shown with three digits."""


def percentile_rank(value: float, others: NDArray[np.float64]) -> float:
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
