"""What a probe reads off the image branch with few labels while it is pre-trained.

A line a label (`probe.fit`) on the pooled last grid of a few training films, tested on held-out ones. The
films are drawn once from the seed, so that probes of one run can be compared. Labels are those of the run's
first cohort.

Shapes: P pairs, C channels of the last grid, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from timnet.cohorts import store, tasks
from timnet.cohorts.pairs import Pairs
from timnet.evaluation import metrics, probe

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


def of_task(cohorts: Sequence[str], task: str, pairs: Pairs, seed: int) -> Probe:
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
    p_tested = probe.probability(probe.fit(x_fitted, y_fitted).logits(x_tested))
    return metrics.evaluate(y_tested, p_tested, pairs.patient[tested].astype(str).tolist(), made.labels, seed)
