"""What a choice of studies holds: how many, of which splits, views, sexes and ages, and how often each label.

Owns what there is to filter by, names alone, had at once in the largest cohort too; and the counts beside a
list of studies. The database hands over what is counted of the studies that the filters leave, in one pass
over one narrow row a study. A filter that cannot be read is `search`'s to refuse.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from timnet.cohorts import schema
from timnet.cohorts.records import SPLITS
from timnet.cohorts.search import Filter

# N studies, L labels, K kinds of count.


@dataclass(frozen=True)
class LabelCount:
    """In how many studies a label is 1, 0, anything else that is known, and not known."""

    present: int
    absent: int
    uncertain: int
    unknown: int


@dataclass(frozen=True)
class Facets:
    """The counts of a choice of studies. Views are counted in films, everything else in studies."""

    studies: int
    films: int
    patients: int
    splits: Mapping[str, int]
    views: Mapping[str, int]
    """The most frequent first; "" where a film states none."""
    sexes: Mapping[str, int]
    """The most frequent first; "" where not known."""
    ages: Mapping[int | None, int]
    """By the first year of the decade, youngest first; None, last, where not known."""
    labels: Mapping[str, LabelCount]


def facets(connection: sqlite3.Connection, wanted: Filter, label_names: Sequence[str]) -> Facets:
    """Return the counts of the studies that a filter leaves."""
    where, values = wanted.sql(label_names)
    # One pass over one row a study: GROUP BY would sort a quarter of a million rows for every single count.
    studies, films, patients, kinds, signs = connection.execute(
        "SELECT count(*), total(s.films), group_concat(s.patient, char(30)), group_concat(s.kind, char(30)),"
        f" group_concat(s.signs, '') {where}",
        values,
    ).fetchone()
    splits, sexes, ages, views = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for kind, count in Counter(kinds.split("\x1e") if studies else ()).items():
        split, sex, age, views_of = kind.split("\t")
        splits[split] += count
        sexes[sex] += count
        ages[age] += count
        for view in views_of.split(schema.SEPARATOR)[:-1]:
            views[view] += count
    return Facets(
        studies=studies,
        films=int(films),
        patients=len(set(patients.split("\x1e"))) if studies else 0,
        splits={split: splits[split] for split in SPLITS if splits[split]},
        views=dict(views.most_common()),
        sexes=dict(sexes.most_common()),
        ages={int(age) if age else None: ages[age] for age in sorted(ages, key=lambda age: int(age or 1e9))},
        labels=_labels(studies, signs or "", label_names),
    )


def _labels(studies: int, signs: str, label_names: Sequence[str]) -> dict[str, LabelCount]:
    signs_NL = np.frombuffer(signs.encode(), np.uint8).reshape(studies, len(label_names))
    counts_KL = [
        (signs_NL == ord(sign)).sum(axis=0).tolist()
        for sign in (schema.SIGN_PRESENT, schema.SIGN_ABSENT, schema.SIGN_UNCERTAIN, schema.SIGN_UNKNOWN)
    ]
    return {name: LabelCount(*counts) for name, *counts in zip(label_names, *counts_KL, strict=True)}


@dataclass(frozen=True)
class Choices:
    """Values that occur, sorted; "" stands for not known and comes last."""

    views: tuple[str, ...]
    sexes: tuple[str, ...]
    ages: tuple[float, float] | None
    """Youngest and oldest in years; None where no age is known."""


def choices(folder: Path) -> Choices:
    """Return what the cohort of a folder can be filtered by; CohortError where it cannot be read."""
    with schema.connect(folder) as connection:
        views = [view for (view,) in connection.execute("SELECT DISTINCT ifnull(view, '') FROM films")]
        sexes = [sex for (sex,) in connection.execute("SELECT DISTINCT ifnull(sex, '') FROM studies")]
        youngest, oldest = connection.execute("SELECT min(age), max(age) FROM studies").fetchone()

    def last_unknown(values: list[str]) -> tuple[str, ...]:
        return tuple(sorted(values, key=lambda value: (not value, value)))

    ages = None if youngest is None else (youngest, oldest)
    return Choices(last_unknown(views), last_unknown(sexes), ages)
