"""The check of a cohort from end to end: every kind of fault for which the cohort has what it takes.

Owns the order of the list, what is said of reports, and the reason why a kind is not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from timnet import spreadsheet
from timnet.cohorts.checks import DUPLICATE, KINDS, LABEL, LEAK, LYING, REPORT, VIEW, Kept
from timnet.cohorts.store import Cohort
from timnet.counting import counted
from timnet.evaluation.check import duplicates, labels, pictures

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""
MANY = 10
"""Patients from which the same findings, word for word, count as a template."""
COLUMNS = ("kind", "study", "patient", "split", "film", "label", "other", "score", "reason")


def checked(cohort: Cohort, x_NC: NDArray[np.floating] | None, progress: Progress) -> Kept:
    """Return what is found in a cohort.

    Args:
        x_NC: features of its films; None where it has no film.
    """
    unchecked: list[tuple[str, str]] = []
    rows = list(_reports(cohort, unchecked))

    def report(phase: str) -> Callable[[int, int | None], None]:
        return lambda done, total: progress(phase, done, total or 0)

    if x_NC is None:
        unchecked += [(kind, "the cohort has no X-rays") for kind in (LABEL, DUPLICATE, LYING, VIEW)]
    else:
        rows += duplicates.found(cohort, x_NC, report("comparing X-rays"))
        rows += pictures.found(cohort, unchecked, report("looking at X-rays"))
        rows += labels.found(cohort, x_NC, unchecked, report("comparing labels"))
    if (splits := cohort.films()["split"].nunique()) < 2:
        unchecked.append((LEAK, f"expected two splits or more, got {splits}"))
    films = cohort.films().assign(label="", other="")
    for row in rows:
        if row.get("film") is not None:
            row |= {
                name: row.get(name, films[name].iat[int(float(str(row["film"])))])
                for name in COLUMNS
                if name in films
            }
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"film": "Int64", "score": float})
    place = table["kind"].map(list(KINDS).index)
    order = table.assign(place=place).sort_values(["place", "score"], ascending=[True, False], kind="stable")
    found = table.loc[order.index].reset_index(drop=True)
    return Kept(found, pd.DataFrame(unchecked, columns=["kind", "reason"]))


def _reports(cohort: Cohort, unchecked: list[tuple[str, str]]) -> Iterator[dict[str, object]]:
    """Yield the studies whose report says nothing, or what those of many patients say."""
    table = cohort.studies(limit=None)
    empty = table["report"].str.strip() == ""
    if empty.all():
        unchecked.append((REPORT, "the cohort has no reports"))
        return
    wording = table["findings"].str.casefold().str.split().str.join(" ")
    patients = table["patient"].groupby(wording).transform("nunique")
    for at, row in enumerate(spreadsheet.records(table)):
        number = int(patients.iloc[at])
        if empty.iloc[at]:
            score, reason = 1.0, "no report"
        elif not wording.iloc[at]:
            score, reason = 1.0, "its report has no findings that can be used"
        elif number >= MANY:
            score = number / len(table)
            reason = f"the same findings, word for word, as of {counted(number - 1, 'other patient')}"
        else:
            continue
        fields = {name: row[name] for name in ("study", "patient", "split", "film")}
        yield {"kind": REPORT, **fields, "label": "", "other": "", "score": score, "reason": reason}
