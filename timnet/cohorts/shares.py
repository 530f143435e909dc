"""What a share of a task's labels means in films: those that fine-tuning draws, and those that it tests on.

Owns the counts, and how many films an uncertain label touches. What cannot be used is refused where it is
read: a task by `tasks`, a fraction by `splits`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from timnet import config
from timnet.cohorts import splits, tasks
from timnet.cohorts.store import Cohort


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


def of(
    cohort: Cohort,
    task: str,
    fraction: float,
    seed: int,
    uncertain: tasks.Policy = "ignore",
    views: config.Views = "frontal",
) -> Share:
    """Return what a fraction of a task's labels means.

    Raises:
        CohortError: no such task, or no labelled film to train on.
    """
    targets = tasks.targets(cohort, task, uncertain, views)
    train_rows = _labelled(cohort, targets, "train")
    rows = drawn(cohort, targets, fraction, seed)
    # A policy is for training: the test is on the labels that are known.
    known = targets if uncertain == "ignore" else tasks.targets(cohort, task, views=views)
    tested = len(_labelled(cohort, known, "test")) or len(_labelled(cohort, known, "val"))
    positives = {label: int((targets.y_NL[rows, i] == 1).sum()) for i, label in enumerate(targets.labels)}
    patients = int(cohort.films()["patient"].iloc[rows].nunique())
    return Share(len(rows), len(train_rows), tested, patients, positives, tuple(rows.tolist()))


def drawn(cohort: Cohort, targets: tasks.Targets, fraction: float, seed: int) -> np.ndarray:
    """Return the rows of the training films that a fraction of a task's labels draws; errors as for `of`."""
    train_rows = _labelled(cohort, targets, "train")
    return train_rows[splits.draw(targets.y_NL[train_rows], fraction, seed)]


def sizes(
    cohort: Cohort,
    task: str,
    fractions: Sequence[float],
    uncertain: tasks.Policy = "ignore",
    views: config.Views = "frontal",
) -> dict[float, int]:
    """Return how many films fractions are; errors as for `of`."""
    targets = tasks.targets(cohort, task, uncertain, views)
    y_NL = targets.y_NL[_labelled(cohort, targets, "train")]
    return {fraction: len(splits.draw(y_NL, fraction, seed=0)) for fraction in fractions}


def uncertain(cohort: Cohort, task: str) -> int:
    """Return for how many training films a policy for uncertain labels makes a difference."""
    ignored, taken = (tasks.targets(cohort, task, policy).y_NL for policy in ("ignore", "ones"))
    differs_N = ~((ignored == taken) | (np.isnan(ignored) & np.isnan(taken))).all(1)
    return int((differs_N & (cohort.films()["split"].to_numpy() == "train")).sum())


def _labelled(cohort: Cohort, targets: tasks.Targets, split: str) -> np.ndarray:
    """Return the rows of a split's films with at least one known label."""
    known_N = ~np.isnan(targets.y_NL).all(1)
    return np.flatnonzero(known_N & (cohort.films()["split"].to_numpy() == split))
