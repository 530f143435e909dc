"""What there is to filter a cohort by: its views and sexes, and whether ages are known.

Owns the lists that a page offers before anything is filtered: names alone, no counts, so they are had at once
in the largest cohort too. Counts are in `facets`.
"""

from __future__ import annotations

from dataclasses import dataclass

from timnet.cohorts import schema
from timnet.cohorts.store import Cohort


@dataclass(frozen=True)
class Choices:
    """Values that occur, sorted; "" stands for not known and comes last."""

    views: tuple[str, ...]
    sexes: tuple[str, ...]
    ages: tuple[float, float] | None
    """Youngest and oldest in years; None where no age is known."""


def of(cohort: Cohort) -> Choices:
    """Return what a cohort can be filtered by; CohortError where it cannot be read."""
    with schema.connect(cohort.folder) as connection:
        views = [view for (view,) in connection.execute("SELECT DISTINCT ifnull(view, '') FROM films")]
        sexes = [sex for (sex,) in connection.execute("SELECT DISTINCT ifnull(sex, '') FROM studies")]
        youngest, oldest = connection.execute("SELECT min(age), max(age) FROM studies").fetchone()

    def last_unknown(values: list[str]) -> tuple[str, ...]:
        return tuple(sorted(values, key=lambda value: (not value, value)))

    ages = None if youngest is None else (youngest, oldest)
    return Choices(last_unknown(views), last_unknown(sexes), ages)
