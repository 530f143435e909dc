"""How good predictions are by sex, age and view: the same auROC and intervals, with the number of images.

Owns the bands of age, what is too few to measure (fewer than LEAST images, or than FEWEST of either class:
listed with its count, in no average, never dropped), and the largest gap in words. A gap is between two
groups of one kind; groups of images whose sex, age or view nobody states are listed, but no gap is sought
among them.

Shapes: N films or pairs, L labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from timnet.cohorts.store import Cohort
from timnet.counting import counted
from timnet.evaluation import metrics
from timnet.evaluation.predictions import Predictions

AGES = ((18, "0-17"), (40, "18-39"), (65, "40-64"), (math.inf, "65+"))
"""Bands of age in years, each by the first year that is no longer in it."""
LEAST, FEWEST = 20, 5
UNKNOWN, FEW = "not stated", "too few to measure"
_SEXES = {"F": "women", "M": "men", "O": "other"}
Groups = Mapping[str, NDArray[np.str_]]
"""Kind (sex, age, view) -> the group of each film."""


def of_films(cohort: Cohort, film_N: NDArray[np.int64]) -> Groups:
    """Return the sex, age band and view of a cohort's films."""
    people = cohort.people().iloc[film_N]
    ages = [UNKNOWN if age != age else next(name for end, name in AGES if age < end) for age in people["age"]]
    sexes = people["sex"].map(_SEXES).fillna(UNKNOWN)
    views = people["view"].fillna(UNKNOWN)
    return {
        name: np.asarray(each, dtype=str) for name, each in (("sex", sexes), ("age", ages), ("view", views))
    }


def evaluate(
    groups: Groups,
    y_NL: NDArray[np.float64],
    p_NL: NDArray[np.float64],
    patients_N: Sequence[str],
    labels: Sequence[str],
    seed: int = 0,
    film_N: NDArray[np.int64] | None = None,
) -> pd.DataFrame:
    """Return the auROC of every group and label, with the 95 % interval of a bootstrap over patients.

    Args:
        groups: as of `of_films`.
        y_NL, p_NL, patients_N, labels, seed: as of `metrics.evaluate`.
        film_N: the film of each row where several rows are of one, as of matches; by default a row is one.

    Returns:
        Columns kind, group, those of `metrics.evaluate`, images and note. Value and interval are nan, and the
        note says FEW, where a group has fewer than LEAST images or than FEWEST with a label or without it.
    """
    patients, films = np.asarray(patients_N, dtype=str), np.arange(len(y_NL)) if film_N is None else film_N
    tables = []
    for kind, group_N in groups.items():
        for group in sorted(set(group_N.tolist()), key=lambda name: (name == UNKNOWN, name)):
            of_N = group_N == group
            y_ML, p_ML = np.asarray(y_NL, float)[of_N], np.asarray(p_NL, float)[of_N]
            known_ML, kinds_2L = ~np.isnan(y_ML), np.stack([(y_ML == 1).sum(0), (y_ML == 0).sum(0)])
            # A label that few images show would make the average of all labels a matter of chance.
            asked_ML = np.where(kinds_2L.min(0) < FEWEST, np.nan, y_ML)
            found = metrics.evaluate(asked_ML, p_ML, patients[of_N].tolist(), labels, seed, area_alone=True)
            found.loc[: len(labels) - 1, "n"] = kinds_2L.sum(0)
            found.loc[: len(labels) - 1, "positives"] = kinds_2L[0]
            found["note"] = ""
            known = dict(zip(labels, known_ML.T, strict=True))
            anyhow_M = known_ML.any(axis=1)
            found["images"] = [
                len(np.unique(films[of_N][known.get(each, anyhow_M)])) for each in found["label"]
            ]
            few = (found["images"] < LEAST) | found["value"].isna()
            found.loc[few, ["value", "low", "high"]] = np.nan
            found.loc[few, "note"] = FEW
            found.insert(0, "kind", kind)
            found.insert(1, "group", group)
            tables.append(found)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def of_predictions(test: Predictions, cohort: Cohort, seed: int = 0) -> pd.DataFrame:
    """Return `evaluate` of what a classifier said of a cohort's films.

    Raises:
        CohortError: the cohort was imported anew, with other films.
    """
    groups, patients = of_films(cohort, test.film_N), test.patients(cohort)
    return evaluate(groups, test.truth_NL, test.p_NL, patients, test.labels, seed)


def largest_gap(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return in a sentence between which two groups of one kind the auROC differs most.

    Args:
        rows: of the table of `evaluate` or `curve.by_group` as `metrics.records` gives it; of several labels,
            the average `macro` is compared, else the first. Groups are compared within one start and share.
    """
    names = [row["label"] for row in rows]
    label = metrics.MACRO if metrics.MACRO in names else next(iter(names), "")
    kinds: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["label"] == label and row["value"] is not None and row["group"] != UNKNOWN:
            kinds.setdefault((point(row), row["kind"]), []).append(row)
    pairs = [
        (max(each, key=lambda row: row["value"]), min(each, key=lambda row: row["value"]))
        for each in kinds.values()
        if len(each) > 1
    ]
    if not pairs:
        return "No two groups of sex, age or view have enough images to be compared."
    best, worst = max(pairs, key=lambda pair: pair[0]["value"] - pair[1]["value"])
    overlap = "the intervals overlap" if worst["high"] >= best["low"] else "the intervals do not overlap"
    where = ", ".join(filter(None, (label, point(best))))
    return (
        f"Largest gap, {where}: by {best['kind']}, {best['group']} {interval_text(best)} against "
        f"{worst['group']} {interval_text(worst)}; {overlap}."
    )


def point(row: Mapping[str, Any]) -> str:
    """Return which point of a curve a row is of: its start and share of the labels; empty for one network."""
    return f"{row['initialisation']} with {row['fraction']:.1%} of the labels" if "fraction" in row else ""


def interval_text(row: Mapping[str, Any]) -> str:
    """Return a group's value with its interval and count, or that it is too few."""
    images = counted(row["images"], "X-ray")
    if row["value"] is None:
        return f"{row['note']} ({images})"
    return f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f}; {images})"
