"""Which study is trained on: patient-grouped splits, and nested, stratified shares of the labels.

Owns one idea, the stratified ordering: any stretch of it holds every class in its proportion. A split is a
cut of the ordered patients, a label fraction a prefix of the ordered films, so that fractions nest.
Refuses to put a patient into two splits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from timnet.cohorts.records import CohortError
from timnet.counting import counted

# N rows (films or studies), L labels, P patients.
SHARES: Mapping[str, float] = {"train": 0.7, "val": 0.1, "test": 0.2}


def by_patient(
    patients: Sequence[str] | np.ndarray,
    seed: int,
    shares: Mapping[str, float] = SHARES,
    stratify: Sequence[int] | np.ndarray | None = None,
) -> np.ndarray:
    """Draw a split name for every row so that no patient is in two.

    Args:
        patients: (N,) patient of each row.
        seed: same patients and seed, same splits, whatever the order of the rows.
        shares: part of the rows that each split should get; scaled to sum to 1.
        stratify: (N,) class of each row, see `strata`; a patient counts as the highest of its rows.

    Returns:
        (N,) array of split names. With as many patients as splits no split is empty.

    Raises:
        CohortError: shares that are not positive, or classes of another length.
    """
    if not shares or any(not share > 0 for share in shares.values()):
        raise CohortError(f"shares: expected positive numbers by split, got {dict(shares)}")
    names, row_patient = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    strata = np.zeros(len(row_patient), dtype=int) if stratify is None else np.asarray(stratify, dtype=int)
    if len(strata) != len(row_patient):
        raise CohortError(
            f"stratify: expected a class for each of {counted(len(row_patient), 'row')}, got {len(strata)}"
        )
    if not len(names):
        return np.empty(0, dtype=object)
    stratum = np.full(len(names), np.iinfo(int).min)
    np.maximum.at(stratum, row_patient, strata)
    ordered = _interleave(stratum, np.random.default_rng(seed))
    rows = np.bincount(row_patient)[ordered]
    middle = (np.cumsum(rows) - rows / 2) / rows.sum()
    ends = np.cumsum(list(shares.values())) / sum(shares.values())
    part = np.minimum(np.searchsorted(ends, middle, side="right"), len(ends) - 1)
    _fill_empty(part, len(ends))
    patient_part = np.empty(len(names), dtype=int)
    patient_part[ordered] = part
    return np.array(list(shares), dtype=object)[patient_part[row_patient]]


def crossing(films: pd.DataFrame) -> list[str]:
    """Return the patients found in two splits, by columns `patient` and `split`; no split does not count."""
    splits: Any = films.dropna(subset=["split"]).groupby("patient")["split"].nunique()
    return [str(patient) for patient in splits.index[splits > 1]]


def strata(y_NL: np.ndarray) -> np.ndarray:
    """Return the class of every row: its rarest positive label, or -1 for none; (N, L) -> (N,) int."""
    positive_NL = np.asarray(y_NL, dtype=float) > 0.5
    rarity_L = positive_NL.sum(axis=0)
    rarest = np.where(positive_NL, rarity_L, np.inf)
    if not y_NL.shape[1]:
        return np.full(len(y_NL), -1)
    return np.where(positive_NL.any(axis=1), rarest.argmin(axis=1), -1)


def order(y_NL: np.ndarray, seed: int) -> np.ndarray:
    """Return the labelled rows in an order whose every prefix is stratified.

    Args:
        y_NL: (N, L) labels, nan where unknown; rows that are nan throughout are left out.
        seed: same labels and seed, same order.

    Returns:
        (M,) int indices into the N rows. One row of every class (see `strata`) comes first, then what shows
        the labels that these do not show both ways; with two classes every prefix holds each within one row
        of its proportion.
    """
    return _order(_as_table(y_NL), seed)[0]


def draw(y_NL: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Draw a share of the labelled rows, stratified and nested.

    Args:
        y_NL: (N, L) labels, nan where unknown.
        fraction: above 0, at most 1. For one seed the rows of a smaller fraction are among those of a larger.
        seed: of the order.

    Returns:
        Sorted int indices into the N rows: round(fraction * M) of the M labelled ones, or as many as show
        every class, and every label positive and negative where it is known so, if those are more.

    Raises:
        CohortError: a fraction out of range, or no labelled row.
    """
    if not 0 < fraction <= 1:
        raise CohortError(f"fraction: expected above 0 and at most 1, got {fraction}")
    y_NL = _as_table(y_NL)
    ordered, needed = _order(y_NL, seed)
    if not len(ordered):
        got = counted(len(y_NL), "X-ray")
        raise CohortError(f"labels: expected at least one labelled X-ray, got {got} without")
    return np.sort(ordered[: max(round(fraction * len(ordered)), needed)])


def _order(y_NL: np.ndarray, seed: int) -> tuple[np.ndarray, int]:
    """Return the order of the labelled rows, and how many of its first ones show all that there is."""
    labelled = np.flatnonzero(~np.isnan(y_NL).all(axis=1))
    stratum = strata(y_NL[labelled])
    ordered = labelled[_interleave(stratum, np.random.default_rng(seed))]
    y_ML = y_NL[ordered]
    shows = np.concatenate([y_ML > 0.5, y_ML <= 0.5], axis=1)  # nan is neither
    first = list(range(len(np.unique(stratum))))
    # A label whose every positive film has a rarer label too is in no class of its own.
    for column in np.flatnonzero(shows.any(axis=0)):
        if not shows[first, column].any():
            first.append(int(shows[:, column].argmax()))
    rest = np.setdiff1d(np.arange(len(ordered)), first)
    return np.concatenate([ordered[first], ordered[rest]]), len(first)


def _interleave(stratum_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Order rows so that each stratum is spread evenly, after one row of each, the largest stratum first."""
    place_N = np.empty(len(stratum_N))
    first: list[tuple[int, int]] = []
    for value in np.unique(stratum_N):
        rows = rng.permutation(np.flatnonzero(stratum_N == value))
        # A common random offset: systematic sampling, so that no stratum is favoured at the cuts.
        place_N[rows] = (np.arange(len(rows)) + rng.random()) / len(rows)
        first.append((-len(rows), rows[0]))
    for position, (_, row) in enumerate(sorted(first)):
        place_N[row] = position - len(first)
    return np.argsort(place_N, kind="stable")


def _fill_empty(part: np.ndarray, num_parts: int) -> None:
    """Give every empty part one patient of the fullest, in place, as long as that one has two."""
    for empty in range(num_parts):
        counts = np.bincount(part, minlength=num_parts)
        if counts[empty] == 0 and counts.max() > 1:
            part[np.flatnonzero(part == counts.argmax())[-1]] = empty


def _as_table(y_NL: np.ndarray) -> np.ndarray:
    y_NL = np.asarray(y_NL, dtype=float)
    return y_NL[:, None] if y_NL.ndim == 1 else y_NL
