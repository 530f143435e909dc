"""Reports of other patients, to hold a film against: one a patient, no two of the same wording.

Owns who counts as another patient: never the film's own, and never the very words that are asked about. What
a stranger's report says may fit the film all the same; no one has looked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from timnet.cohorts.store import Cohort


@dataclass(frozen=True)
class Report:
    """The findings of one study."""

    study: str
    patient: str
    findings: str


def draw(cohort: Cohort, number: int, seed: int = 0) -> tuple[Report, ...]:
    """Return up to `number` reports of a cohort, one a patient, no two alike; the same ones for a seed."""
    table = cohort.films()[["study", "patient", "findings"]]
    table = table[table["findings"].str.strip() != ""].drop_duplicates("study")
    shuffled = table.iloc[np.random.default_rng(seed).permutation(len(table))]
    chosen = shuffled.drop_duplicates("patient").drop_duplicates("findings").head(number)
    return tuple(Report(*map(str, row)) for row in chosen.itertuples(index=False))


def others(reports: Sequence[Report], patient: str | None, findings: str, number: int) -> list[int]:
    """Return the places of the first `number` reports of other patients and of other words than `findings`.

    Args:
        reports: as of `draw`.
        patient: whose film it is; None where it is no patient of the cohort.
        findings: what is asked about, as of `reports.findings`.
        number: most places returned.
    """
    asked = findings.casefold()
    fitting = (
        place
        for place, report in enumerate(reports)
        if report.patient != patient and report.findings.casefold() != asked
    )
    return [place for place, _ in zip(fitting, range(number), strict=False)]
