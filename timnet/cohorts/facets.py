"""What a choice of studies holds: how many, of which splits, views, sexes and ages, and how often each label.

Owns the counts beside a list of studies; they are made in SQL over the studies that the filters leave, never
over tables in memory. Refuses nothing of its own: a filter that cannot be read is `queries`' to refuse.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from timnet.cohorts.queries import Filter


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
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute(
        f"CREATE TEMP TABLE chosen AS SELECT s.id, s.patient, s.split, s.sex, s.age {where}", values
    )
    studies, patients = connection.execute("SELECT count(*), count(DISTINCT patient) FROM chosen").fetchone()
    views = _counts(connection, "ifnull(f.view, '')", "chosen JOIN films f ON f.study = chosen.id")
    known = connection.execute(
        "SELECT label, total(value = 1), total(value = 0), count(*)"
        " FROM labels WHERE study IN (SELECT id FROM chosen) GROUP BY label"
    )
    by_label = {label: tuple(map(int, counts)) for label, *counts in known}
    labels = {}
    for label, name in enumerate(label_names):
        present, absent, in_all = by_label.get(label, (0, 0, 0))
        labels[name] = LabelCount(present, absent, in_all - present - absent, studies - in_all)
    ages = _counts(connection, "CAST(age AS INTEGER) / 10 * 10", "chosen")
    return Facets(
        studies=studies,
        films=sum(views.values()),
        patients=patients,
        splits=_counts(connection, "split", "chosen"),
        views=views,
        sexes=_counts(connection, "ifnull(sex, '')", "chosen"),
        ages=dict(sorted(ages.items(), key=lambda each: (each[0] is None, each[0]))),
        labels=labels,
    )


def _counts(connection: sqlite3.Connection, what: str, source: str) -> dict:
    return dict(connection.execute(f"SELECT {what}, count(*) FROM {source} GROUP BY 1 ORDER BY 2 DESC, 1"))
