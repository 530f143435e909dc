"""MIMIC-CXR-JPG: 227,835 studies of 64,588 patients, with the reports of its sister project MIMIC-CXR.

Owns the layout of both: the tables of films, splits and labels, and where a study's report lies. The table of
films says what there is; a study without a report keeps its films. Refuses a folder without that table;
another table that is not there or unusable is named in the summary. Source: Johnson et al., Sci Data 6:317
(2019), doi:10.1038/s41597-019-0322-0, and physionet.org/content/mimic-cxr-jpg.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from timnet.cohorts.readers import archives, report_texts, tables
from timnet.cohorts.readers import cells as meaning
from timnet.cohorts.records import CohortError, FilmRecord, Skipped, StudyRecord
from timnet.cohorts.tasks import CHEXPERT14

SOURCE = "mimic_cxr"
LABELS, OTHER_LABELS = "chexpert", "negbio"
_KEYS = ("dicom_id", "subject_id", "study_id")
_NUMBER = re.compile(r"[1-9]\d{0,11}")
_Values = dict[str, tuple[float, ...]]
"""Study -> its labels' values. Most studies share theirs with others: a quarter of a million stay small."""


@dataclass(slots=True)
class _Study:
    """What the tables say of one study, gathered."""

    subject: str
    films: str = ""
    """One `dicom_id view` a line."""
    split: str | None = None


def read(
    root: Path,
    *,
    reports: Path | None = None,
    notes: list[str] | None = None,
    outside: Sequence[Path] = (),
) -> Iterator[StudyRecord | Skipped]:
    """Yield the studies in the order of their first film in the table.

    Args:
        root: the folder that holds `files` and mimic-cxr-2.0.0-metadata.csv[.gz].
        reports: mimic-cxr-reports.zip or the folder that holds its `files`; by default looked for in `root`
            and beside it.
        notes: gets what is to be known of tables and reports, complete once the last study is out.
        outside: see `records.Rules`; for reports.

    Raises:
        CohortError: no usable table of films, or reports that cannot be opened.
    """
    items = [] if notes is None else notes
    studies: dict[str, _Study] = {}
    table = _films_table(root)
    items += table.notes
    yield from _gather_films(table, studies)
    yield from _gather_splits(root, studies, items)
    said: dict[str, tuple[list[str], _Values]] = {}
    for source in (LABELS, OTHER_LABELS):
        yield from _gather_labels(root, source, said, studies, items)

    def values(source: str, number: str) -> dict[str, float]:
        names, of_study = said[source]
        return dict(zip(names, of_study.get(number, (math.nan,) * len(names)), strict=True))

    odd: Counter[str] = Counter()
    place = report_texts.find(root) if reports is None else reports
    with report_texts.open_reports(place, outside) as text_of:
        for number, study in studies.items():
            stem = f"files/p{study.subject[:2]}/p{study.subject}/s{number}"
            text, fault = text_of(f"{stem}.txt")
            odd.update([fault] if fault else [])
            films = (line.partition(" ")[::2] for line in study.films.splitlines())
            yield StudyRecord(
                study=number,
                patient=study.subject,
                report=text,
                films=tuple(FilmRecord(f"{stem}/{dicom}.jpg", view or None) for dicom, view in films),
                labels=values(LABELS, number) if LABELS in said else {},
                split=study.split,
                other_labels={OTHER_LABELS: values(OTHER_LABELS, number)} if OTHER_LABELS in said else {},
            )
    items += (f"reports: {fault}: {count}" for fault, count in odd.most_common())


def _gather_films(table: tables.Table, studies: dict[str, _Study]) -> Iterator[Skipped]:
    def take(cells: dict[str, str]) -> None:
        dicom, subject, number = (cells[key].strip() for key in _KEYS)
        if not (_NUMBER.fullmatch(subject) and _NUMBER.fullmatch(number)) or not dicom or " " in dicom:
            raise meaning.RowError("dicom_id, subject_id or study_id is none")
        study = studies.setdefault(number, _Study(subject))
        if study.subject != subject:
            raise meaning.RowError("study belongs to another patient in an earlier row")
        view = meaning.view(cells.get("ViewPosition", "")) or ""
        study.films += f"{dicom} {' '.join(view.split())}\n"

    yield from tables.gather(table, "dicom_id", take)


def _gather_splits(root: Path, studies: Mapping[str, _Study], notes: list[str]) -> Iterator[Skipped]:
    table = _other_table(root, "split", ("study_id", "split"), "splits are drawn", notes)

    def take(cells: dict[str, str]) -> None:
        study, split = studies.get(cells["study_id"].strip()), meaning.split(cells["split"])
        if study is not None and split is not None:
            if study.split not in (None, split):
                raise meaning.RowError("split differs from an earlier row of the study")
            study.split = split

    if table is not None:
        yield from tables.gather(table, None, take)


def _gather_labels(
    root: Path,
    source: str,
    said: dict[str, tuple[list[str], _Values]],
    studies: Mapping[str, _Study],
    notes: list[str],
) -> Iterator[Skipped]:
    table = _other_table(root, source, ("study_id",), f"no labels of {source}", notes)
    if table is None:
        return
    names, values = said[source] = (
        tables.labelled(table.path.name, table.columns, CHEXPERT14, notes),
        _Values(),
    )
    known: dict[tuple[str, ...], tuple[float, ...]] = {}  # most rows say what another one said

    def take(cells: dict[str, str]) -> None:
        row, study = tuple(cells[name] for name in names), cells["study_id"].strip()
        if row not in known:
            known[row] = tuple(map(meaning.verdict, names, row))
        if study in values:
            raise meaning.RowError("study is listed twice")
        if study in studies:
            values[study] = known[row]

    yield from tables.gather(table, None, take)


def _films_table(root: Path) -> tables.Table:
    return archives.needed(SOURCE, root, _names("metadata"), "mimic-cxr-2.0.0-metadata.csv.gz", _KEYS)


def _other_table(
    root: Path, what: str, needed: tuple[str, ...], without: str, notes: list[str]
) -> tables.Table | None:
    """Open a table that an import can do without; None, and a note, where it is not there or unusable."""
    try:
        return archives.optional(root, _names(what), needed, without, notes)
    except CohortError as error:
        notes.append(f"{error}: {without}")
        return None


def _names(what: str) -> tuple[str, ...]:
    return f"mimic-cxr-2.0.0-{what}.csv.gz", f"mimic-cxr-2.*-{what}.csv.gz", f"mimic-cxr-2.*-{what}.csv"


def _depends(root: Path, reports: Path | None = None) -> Iterator[Path | None]:
    return (tables.one_of(root, _names(what)) for what in ("metadata", "split", LABELS, OTHER_LABELS))


run = archives.importer(
    SOURCE,
    read,
    _depends,
    lambda root: _films_table(root).num_rows,
    label_source=LABELS,
    is_told_outside=True,
)
"""Import the films below a folder as a cohort; `reports` and errors as for `read`."""
