"""A probe: one logistic line a label on the features of a frozen trunk, by scikit-learn; no torch.

Owns the fit, and how good it is on films that are neither learned from nor tested on. Features are
standardised by those learned from. A label that shows one class alone has no line: its share is what is said.
Refuses to judge where no such film is left. The strength of the penalty is fixed (`PENALTY`), for there are
too few labels to choose it by.

A `Probe` reads the pooled last grid of a few training films while the branch is pre-trained, and is tested on
held-out ones. The films are drawn once from the seed, so that probes of one run can be compared. Labels are
those of the run's first cohort.

Shapes: N films, P pairs, C channels, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from timnet.cohorts import store, stored_vectors, tasks
from timnet.cohorts.pairs import Pairs
from timnet.cohorts.records import CohortError
from timnet.cohorts.store import Cohort
from timnet.evaluation import metrics

PENALTY = 0.03
"""scikit-learn's C, the inverse of the penalty, on standardised features."""
STEPS = 1000
LEAST_DEVIATION = 1e-6
"""Features that differ less than this among the films learned from are left out."""


@dataclass(frozen=True)
class Line:
    """Features -> logits: x W' + b."""

    weights_LC: NDArray[np.float64]
    bias_L: NDArray[np.float64]

    def logits(self, x_NC: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the logits (N, L) of features."""
        return np.asarray(x_NC, float) @ self.weights_LC.T + self.bias_L


@dataclass(frozen=True)
class Preview:
    """What a probe of a share of the labels says of films that it has not seen.

    Attributes:
        table: as of `metrics.evaluate`, of the films in `rows`.
        films: learned from.
        on: which films those are in words: the validation films, or training films that were not drawn.
    """

    table: pd.DataFrame
    films: int
    rows: NDArray[np.int64]
    on: str


def fit(x_NC: NDArray[np.floating], y_NL: NDArray[np.floating], penalty: float = PENALTY) -> Line:
    """Fit a line to the known labels of films.

    Args:
        y_NL: 0 to 1, nan where unknown; what lies between counts as that share of a positive film.
        penalty: see `PENALTY`.
    """
    from sklearn.linear_model import LogisticRegression

    x_NC, y_NL = np.asarray(x_NC, float), np.asarray(y_NL, float)
    mean_C, deviation_C = x_NC.mean(0), x_NC.std(0)
    scale_C = np.where(deviation_C > LEAST_DEVIATION, 1 / np.maximum(deviation_C, LEAST_DEVIATION), 0.0)
    standard_NC = (x_NC - mean_C) * scale_C
    weights_LC, bias_L = np.zeros((y_NL.shape[1], x_NC.shape[1])), np.zeros(y_NL.shape[1])
    for label, y_N in enumerate(y_NL.T):
        known = ~np.isnan(y_N)
        truth, weight = y_N[known], standard_NC[known]
        # Each film once for every class, by its share of it.
        x = np.concatenate([weight, weight])
        share = np.concatenate([truth, 1 - truth])
        kind = np.repeat([1, 0], len(truth))
        counts = share > 0
        if len(set(kind[counts])) < 2:
            # Half a film of each class more: no film says that a label cannot be.
            bias_L[label] = np.log((truth.sum() + 0.5) / ((1 - truth).sum() + 0.5))
            continue
        line = LogisticRegression(C=penalty, max_iter=STEPS, tol=1e-6)
        line.fit(x[counts], kind[counts], sample_weight=share[counts])
        weights_LC[label] = line.coef_[0] * scale_C
        bias_L[label] = line.intercept_[0] - weights_LC[label] @ mean_C
    return Line(weights_LC, bias_L)


def probability(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the probabilities of logits."""
    return 1 / (1 + np.exp(-np.clip(np.asarray(logits, float), -500, 500)))


def preview(
    cohort: Cohort,
    features_NC: NDArray[np.floating],
    task: str,
    fraction: float,
    seed: int,
    uncertain: tasks.Policy = "ignore",
    draws: int = 1000,
) -> Preview:
    """Fit a probe to a share of the labels and measure it on films neither learned from nor tested on.

    Raises:
        CohortError: no such task or share, or no labelled film left to measure on.
    """
    targets = tasks.targets(cohort, task, uncertain, "frontal")
    learned = tasks.drawn_rows(cohort, targets, fraction, seed)
    has_N = stored_vectors.known(features_NC)
    known_NL = targets.y_NL if uncertain == "ignore" else tasks.targets(cohort, task, views="frontal").y_NL
    rows, on = unseen(cohort, known_NL, learned)
    rows, learned = rows[has_N[rows]], learned[has_N[learned]]
    if not len(rows) or not len(learned):
        raise CohortError(
            f"{cohort.name}: expected vectors of X-rays to learn from and to look at, found none"
        )
    line = fit(features_NC[learned], targets.y_NL[learned])
    logits = line.logits(features_NC[rows])
    patients = cohort.films()["patient"].iloc[rows].tolist()
    p_NL = probability(logits)
    table = metrics.evaluate(known_NL[rows].astype(float), p_NL, patients, targets.labels, seed, draws)
    return Preview(table, len(learned), rows, on)


def unseen(
    cohort: Cohort, y_NL: NDArray[np.floating], learned: NDArray[np.int64]
) -> tuple[NDArray[np.int64], str]:
    """Return labelled films to look at before there is a test, and what they are.

    The validation films; where there are none beside the test films, training films that were not drawn, of
    patients of whom none was.

    Raises:
        CohortError: there is none, or all are of one class.
    """
    table = cohort.films()
    known_N = ~np.isnan(y_NL).all(1)
    split_N = table["split"].to_numpy()
    rows, on = np.flatnonzero(known_N & (split_N == "val")), "validation films"
    # Without a test split, fine-tuning tests on the validation films.
    if not len(rows) or not (known_N & (split_N == "test")).any():
        mine = table["patient"].isin(set(table["patient"].iloc[learned])).to_numpy()
        rows = np.flatnonzero(known_N & (split_N == "train") & ~mine)
        on = "training films that were not drawn, of other patients"
    y = y_NL[rows]
    if not ((y > 0.5).any(0) & (y <= 0.5).any(0)).any():
        raise CohortError(
            f"{cohort.name}: expected labelled films of both kinds, of validation or not drawn, to look at; "
            f"got {len(rows)}"
        )
    return rows, on


FILMS = 256
"""Most labelled films that a probe is fitted to."""


@dataclass(frozen=True)
class Probe:
    """A task's labels over pairs, and which training pairs are fitted to."""

    labels: tuple[str, ...]
    y_PL: NDArray[np.float64]
    """nan where unknown, as in every other cohort than the first."""
    fitted: list[int]

    def known(self, chosen: Sequence[int]) -> list[int]:
        """Return the pairs of which a label is known."""
        rows = np.asarray(chosen, np.int64)
        return rows[~np.isnan(self.y_PL[rows]).all(1)].tolist()


def for_task(cohorts: Sequence[str], task: str, pairs: Pairs, seed: int) -> Probe:
    """Return the probe of a task.

    Raises:
        CohortError: the first cohort has no such label, or none of its training films one.
    """
    cohort = store.Cohort.open(store.find(cohorts[0]))
    targets = tasks.targets(cohort, task)
    y_PL = np.full((len(pairs.row), len(targets.labels)), np.nan)
    first = pairs.source == 0
    y_PL[first] = targets.y_NL[pairs.row[first]]
    made = Probe(targets.labels, y_PL, [])
    known = made.known(np.flatnonzero(~pairs.held_out).tolist())
    if not known:
        raise store.CohortError(f"{cohort.name}: probe: no training film has a label of {task!r}")
    fitted = np.random.default_rng(seed).permutation(known)[:FILMS].tolist()
    return Probe(targets.labels, y_PL, sorted(fitted))


def evaluate(
    made: Probe,
    x_fitted: NDArray[np.float64],
    x_tested: NDArray[np.float64],
    tested: list[int],
    pairs: Pairs,
    seed: int,
) -> pd.DataFrame:
    """Return the metrics of the probe on `tested` pairs; a label of one class among the fitted is undefined.

    Args:
        made: the probe.
        x_fitted: pooled grids (P, C) of `made.fitted`, in that order.
        x_tested: the same of `tested`.
        tested: held-out pairs with a known label.
        pairs: whose patients are resampled.
        seed: of the bootstrap.
    """
    y_fitted, y_tested = made.y_PL[made.fitted], made.y_PL[tested].copy()
    for label, y in enumerate(y_fitted.T):
        truth = y[~np.isnan(y)] > 0.5
        if truth.all() or not truth.any():
            # Nothing to fit: nothing is claimed of it.
            y_tested[:, label] = np.nan
    p_tested = probability(fit(x_fitted, y_fitted).logits(x_tested))
    return metrics.evaluate(y_tested, p_tested, pairs.patient[tested].astype(str).tolist(), made.labels, seed)
