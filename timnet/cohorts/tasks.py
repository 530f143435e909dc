"""What a classifier predicts: the labels of a cohort, chosen by name, as one matrix.

Owns the label vocabulary, the abnormal/normal rule and what an uncertain label counts as; nan means unknown
everywhere. Refuses names that the cohort does not have. Source: Irvin et al., AAAI 2019 (14 labels, uncertain
ones); Liang et al. 2022, Sec. IV-A (the rule).

Also what a share of a task's labels means in films: those that fine-tuning draws and those that it tests on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from timnet import config
from timnet.cohorts import splits
from timnet.cohorts.records import UNCERTAIN, CohortError, match_name
from timnet.cohorts.store import Cohort
from timnet.reports import phrase_tables

# N films, L labels.
NO_FINDING = "No Finding"
CHEXPERT14 = phrase_tables.LABELS
ABNORMAL = "abnormal"
ALL = "all"
CHEXPERT = "chexpert14"

Policy = Literal["ignore", "zeros", "ones", "per-label"]
"""What a label counts as whose source calls it uncertain: unknown, 0, 1, or as PER_LABEL says."""

# Irvin et al. 2019 compared the policies on these five and found different ones best for different labels:
# ones for atelectasis and oedema. The other three are the usual choice since. Labels not listed are unknown.
PER_LABEL = {
    "Atelectasis": 1.0,
    "Edema": 1.0,
    "Pleural Effusion": 1.0,
    "Cardiomegaly": 0.0,
    "Consolidation": 0.0,
}


@dataclass(frozen=True)
class Targets:
    """What is to be predicted for every film of a cohort."""

    task: str
    """The task in the cohort's own spelling."""
    labels: tuple[str, ...]
    y_NL: np.ndarray
    """(N, L) float32, 0 to 1, nan where unknown; row = film."""


def targets(cohort: Cohort, task: str, uncertain: Policy = "ignore", views: config.Views = "all") -> Targets:
    """Return the labels of a task.

    Args:
        cohort: opened.
        task: a label, several joined by commas, `abnormal`, `chexpert14`, or `all` for every label except
            `abnormal`, which sums up the others. Case does not matter, nor do spaces against underscores. A
            cohort's own label of such a name comes first.
        uncertain: what uncertain labels count as; settled before `abnormal` is derived.
        views: labels of X-rays of other views are unknown.

    Raises:
        CohortError: a label that the cohort does not have, or another policy.
    """
    table = settle(cohort.labels(), uncertain)
    wanted = [part.strip() for part in task.split(",") if part.strip()]
    if not wanted:
        raise CohortError(f"task: expected {_choices(table)}; got {task[:80]!r}")
    columns: dict[str, np.ndarray] = {}
    for name in wanted:
        columns |= _columns(table, name)
    joined = ",".join(columns) if len(wanted) > 1 or match_name(wanted[0], columns) else wanted[0].lower()
    y_NL = np.column_stack(list(columns.values())).astype(np.float32)
    if views != "all":
        y_NL[~cohort.viewed(views)] = np.nan
    return Targets(joined, tuple(columns), y_NL)


def settle(table: pd.DataFrame, uncertain: Policy) -> pd.DataFrame:
    """Return a label table in which UNCERTAIN is what the policy says; CohortError for no policy."""
    if uncertain not in get_args(Policy):
        raise CohortError(f"uncertain: expected {' or '.join(get_args(Policy))}, got {uncertain!r:.80}")
    everywhere = {"ignore": np.nan, "zeros": 0.0, "ones": 1.0}
    settled = {}
    for name in table.columns:
        listed = match_name(str(name), PER_LABEL)
        by_label = PER_LABEL[listed] if listed else np.nan
        column = table[name].to_numpy(dtype=float)
        settled[name] = np.where(column == UNCERTAIN, everywhere.get(uncertain, by_label), column)
    return pd.DataFrame(settled, index=table.index, columns=table.columns)


def available(cohort: Cohort) -> list[str]:
    """Return the tasks that can be learned: those with a film known positive and one known negative."""
    table = settle(cohort.labels(), "ignore")
    names = [str(name) for name in table.columns]
    if match_name(ABNORMAL, names) is None and match_name(NO_FINDING, names) is not None:
        names.append(ABNORMAL)
    learnable = [name for name in names if _has_both(_columns(table, name)[name])]
    if len(table.columns) < 2 or not learnable:
        return learnable
    return [*learnable, *([CHEXPERT] if _has_chexpert(names) else []), ALL]


def abnormal(table: pd.DataFrame) -> np.ndarray:
    """Return 0 for normal, 1 for abnormal, nan for unknown films of a label table; (N,) float.

    `No Finding` known positive is normal, also with support devices. Otherwise a film is abnormal if
    `No Finding` is known negative or any other label is positive. Uncertain labels count as unknown here.

    Raises:
        CohortError: the cohort has no label `No Finding`.
    """
    name = match_name(NO_FINDING, table.columns)
    if name is None:
        raise CohortError(
            f"task: expected a label {NO_FINDING!r} or {ABNORMAL!r} for 'abnormal'; {_choices(table)}"
        )
    table = settle(table, "ignore")
    no_finding_N = table[name].to_numpy(dtype=float)
    other_N = (table.drop(columns=name).to_numpy(dtype=float) > 0.5).any(axis=1)
    return np.select([no_finding_N > 0.5, (no_finding_N <= 0.5) | other_N], [0.0, 1.0], np.nan)


def _columns(table: pd.DataFrame, wanted: str) -> dict[str, np.ndarray]:
    names = [str(name) for name in table.columns]
    own = match_name(wanted, names)
    if own is not None:
        return {own: table[own].to_numpy(dtype=float)}
    if wanted.lower() == ABNORMAL:
        return {ABNORMAL: abnormal(table)}
    if wanted.lower() == CHEXPERT and _has_chexpert(names):
        return {label: table[match_name(label, names)].to_numpy(dtype=float) for label in CHEXPERT14}
    if wanted.lower() == ALL and names:
        summary = match_name(ABNORMAL, names) if len(names) > 1 else None
        return {name: table[name].to_numpy(dtype=float) for name in names if name != summary}
    raise CohortError(f"task: expected {_choices(table)}; got {wanted[:80]!r}")


def _has_chexpert(names: Sequence[str]) -> bool:
    return all(match_name(label, names) for label in CHEXPERT14)


def _choices(table: pd.DataFrame) -> str:
    names: Sequence[str] = [str(name) for name in table.columns]
    return f"labels among {', '.join(names)}" if names else "a cohort with labels, this one has none"


def _has_both(y_N: np.ndarray) -> bool:
    return bool((y_N > 0.5).any() and (y_N <= 0.5).any())


@dataclass(frozen=True)
class Share:
    """What a fraction of a cohort's labels means in films."""

    films: int
    films_train: int
    films_test: int
    patients: int
    positives: dict[str, int]
    rows: tuple[int, ...]
    """The films themselves."""


def share(
    cohort: Cohort,
    task: str,
    fraction: float,
    seed: int,
    uncertain: Policy = "ignore",
    views: config.Views = "frontal",
) -> Share:
    """Return what a fraction of a task's labels means.

    Raises:
        CohortError: no such task, or no labelled film to train on.
    """
    request = targets(cohort, task, uncertain, views)
    train_rows = _labelled_rows(cohort, request, "train")
    rows = drawn_rows(cohort, request, fraction, seed)
    # A policy is for training: the test is on the labels that are known.
    known = request if uncertain == "ignore" else targets(cohort, task, views=views)
    tested = len(_labelled_rows(cohort, known, "test")) or len(_labelled_rows(cohort, known, "val"))
    positives = {label: int((request.y_NL[rows, i] == 1).sum()) for i, label in enumerate(request.labels)}
    patients = int(cohort.films()["patient"].iloc[rows].nunique())
    return Share(len(rows), len(train_rows), tested, patients, positives, tuple(rows.tolist()))


def drawn_rows(cohort: Cohort, targets: Targets, fraction: float, seed: int) -> np.ndarray:
    """Return the rows of the films that a fraction of a task's labels draws; errors as for `share`."""
    train_rows = _labelled_rows(cohort, targets, "train")
    return train_rows[splits.draw(targets.y_NL[train_rows], fraction, seed)]


def share_sizes(
    cohort: Cohort,
    task: str,
    fractions: Sequence[float],
    uncertain: Policy = "ignore",
    views: config.Views = "frontal",
) -> dict[float, int]:
    """Return how many films fractions are; errors as for `share`."""
    request = targets(cohort, task, uncertain, views)
    y_NL = request.y_NL[_labelled_rows(cohort, request, "train")]
    return {fraction: len(splits.draw(y_NL, fraction, seed=0)) for fraction in fractions}


def uncertain_films(cohort: Cohort, task: str) -> int:
    """Return for how many training films a policy for uncertain labels makes a difference."""
    ignored, taken = (targets(cohort, task, policy).y_NL for policy in ("ignore", "ones"))
    differs_N = ~((ignored == taken) | (np.isnan(ignored) & np.isnan(taken))).all(1)
    return int((differs_N & (cohort.films()["split"].to_numpy() == "train")).sum())


def _labelled_rows(cohort: Cohort, targets: Targets, split: str) -> np.ndarray:
    """Return the rows of a split's films with at least one known label."""
    known_N = ~np.isnan(targets.y_NL).all(1)
    return np.flatnonzero(known_N & (cohort.films()["split"].to_numpy() == split))
