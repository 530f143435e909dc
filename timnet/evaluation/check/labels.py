"""Labels that may be wrong: what other patients' X-rays say of each, by confident learning.

A line a label (`probe.fit`) is fitted to the features of the patients of four fifths and asked of the others,
five times, so that no X-ray is judged by its own patient's labels. cleanlab then tells which labels differ so
surely that they are likelier errors than hard cases. Source: Northcutt et al., Confident Learning, JAIR 70
(2021). Unknown and uncertain labels are left out, as are lateral views.

Shapes: N films, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from timnet.cohorts import tasks
from timnet.cohorts.checks import LABEL
from timnet.cohorts.records import Progress
from timnet.cohorts.store import Cohort
from timnet.evaluation import probe

FOLDS, LEAST = 5, 10
"""Parts of the patients, and patients of each kind without which a label is not checked."""
MOST = 20_000
"""X-rays that a line is fitted to: more change it little and take long."""
PENALTY = 0.001
"""As of `probe.PENALTY`, stronger: what is surely wrong matters here, and a weak one makes lines too sure."""
DOUBTED = 0.1
"""Probability of what a label says from which it is listed: above it hard cases outnumber errors by far."""


def found(
    cohort: Cohort, x_NC: NDArray[np.floating], unchecked: list[tuple[str, str]], result: Progress
) -> Iterator[dict[str, object]]:
    """Yield the labels that may be wrong, as rows of a check; notes which are not checked, and why."""
    table, frontal = tasks.settle(cohort.labels(), "ignore"), cohort.viewed("frontal")
    patients = cohort.films()["patient"].to_numpy(str)
    if not len(table.columns):
        unchecked.append((LABEL, "the cohort has no labels"))
    for done, name in enumerate(table.columns):
        y_N = table[name].to_numpy(float)
        known = np.flatnonzero(~np.isnan(y_N) & frontal)
        is_N = y_N[known] > 0.5
        with_it, without = (len(set(patients[known[is_N == kind]])) for kind in (True, False))
        if min(with_it, without) < LEAST:
            reason = f"expected {LEAST} patients with it and {LEAST} without, got {with_it} and {without}"
            unchecked.append((LABEL, f"{name}: {reason}"))
            continue
        p_K = out_of_fold(x_NC, known, is_N, patients[known])
        for at in issues(is_N, p_K):
            says, p = ("present", p_K[at]) if is_N[at] else ("absent", 1 - p_K[at])
            yield {
                "kind": LABEL,
                "film": int(known[at]),
                "label": name,
                "score": 1 - p,
                "reason": f"{name} is said {says}; other patients' X-rays give that {p:.1%}",
            }
        result(done + 1, len(table.columns))


def out_of_fold(
    x_NC: NDArray[np.floating], rows: NDArray[np.int64], is_K: NDArray[np.bool_], patients: NDArray[np.str_]
) -> NDArray[np.float64]:
    """Return the probability of a label on some rows (K,), each by a line fitted to other patients."""
    from sklearn.model_selection import StratifiedGroupKFold

    p_K, rng = np.zeros(len(rows)), np.random.default_rng(0)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for learned, request in folds.split(rows, is_K, patients):
        drawn = np.sort(rng.permutation(learned)[:MOST])
        line = probe.fit(x_NC[rows[drawn]], is_K[drawn, None].astype(float), PENALTY)
        for part in np.array_split(request, len(request) // MOST + 1):
            p_K[part] = probe.probability(line.logits(x_NC[rows[part]]))[:, 0]
    return p_K


def issues(is_K: NDArray[np.bool_], p_K: NDArray[np.float64]) -> list[int]:
    """Return which labels (K,) may be wrong, the surest first, by the probability of each being present."""
    from cleanlab.filter import find_label_issues

    ranked = find_label_issues(
        is_K.astype(int),
        np.column_stack([1 - p_K, p_K]),
        filter_by="confident_learning",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    return [int(at) for at in ranked if (p_K if is_K[at] else 1 - p_K)[at] < DOUBTED]
