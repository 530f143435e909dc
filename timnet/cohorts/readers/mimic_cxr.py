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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from timnet.cohorts import store
from timnet.cohorts.readers import cells as meaning
from timnet.cohorts.readers import report_texts, tables
from timnet.cohorts.records import (
    UNCERTAIN,
    CohortError,
    FilmRecord,
    Progress,
    Rules,
    Skipped,
    StudyRecord,
    Summary,
)
from timnet.cohorts.tasks import CHEXPERT14

SOURCE = "mimic_cxr"
LABELS, OTHER_LABELS = "chexpert", "negbio"
_KEYS = ("dicom_id", "subject_id", "study_id")
_NUMBER = re.compile(r"[1-9]\d{0,11}")
# A label as one letter: a quarter of a million studies of 14 labels stay small in memory.
_VALUES = {"1": 1.0, "0": 0.0, "u": UNCERTAIN, " ": math.nan}


@dataclass
class _Labels:
    """What one source says, gathered: study -> one letter a label."""

    source: str
    names: tuple[str, ...] = ()
    letters: dict[str, str] = field(default_factory=dict)

    def values(self, study: str) -> dict[str, float]:
        letters = self.letters.get(study, " " * len(self.names))
        return {name: _VALUES[letter] for name, letter in zip(self.names, letters, strict=True)}


@dataclass(slots=True)
class _Study:
    """What the tables say of one study, gathered."""

    subject: str
    films: str = ""
    """One `dicom_id view` a line."""
    split: str | None = None


def run(
    root: Path,
    name: str,
    progress: Progress | None = None,
    *,
    reports: Path | None = None,
    **rules: Unpack[Rules],
) -> Summary:
    """Import the films below `root` as the cohort `name`; `reports` and errors as for `read`."""
    folder, notes = store.place(name), list[str]()
    found = _films_table(root)
    return store.write(
        folder,
        source=SOURCE,
        root=root,
        records=read(root, reports=reports, notes=notes, outside=rules.get("outside", ())),
        notes=notes,
        progress=progress,
        **rules,
        num_films=found.num_rows,
        label_source=LABELS,
        request=tables.request(
            *(_path(root, what) for what in ("metadata", "split", LABELS, OTHER_LABELS)), reports=reports
        ),
    )


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
    told = [] if notes is None else notes
    studies: dict[str, _Study] = {}
    table = _films_table(root)
    told += table.notes
    yield from _gather_films(table, studies)
    yield from _gather_splits(root, studies, told)
    first, further = _Labels(LABELS), _Labels(OTHER_LABELS)
    for source in (first, further):
        yield from _gather_labels(root, source, studies, told)
    odd: Counter[str] = Counter()
    place = report_texts.find(root) if reports is None else reports
    with report_texts.open_reports(place, outside) as text_of:
        for number, study in studies.items():
            stem = f"files/p{study.subject[:2]}/p{study.subject}/s{number}"
            text, fault = text_of(f"{stem}.txt")
            if fault:
                odd[fault] += 1
            yield StudyRecord(
                study=number,
                patient=study.subject,
                report=text,
                films=tuple(_film(stem, line) for line in study.films.splitlines()),
                labels=first.values(number),
                split=study.split,
                other_labels={further.source: further.values(number)} if further.names else {},
            )
    told += (f"reports: {fault}: {count}" for fault, count in odd.most_common())


def _gather_films(table: tables.Table, studies: dict[str, _Study]) -> Iterator[Skipped]:
    for row, cells in tables.rows(table, "dicom_id"):
        if isinstance(cells, Skipped):
            yield _of(table, cells)
            continue
        dicom, subject, number = (cells[key].strip() for key in _KEYS)
        if not (_NUMBER.fullmatch(subject) and _NUMBER.fullmatch(number)) or not dicom or " " in dicom:
            yield Skipped(f"{table.path.name} {row}", "dicom_id, subject_id or study_id is none")
            continue
        study = studies.setdefault(number, _Study(subject))
        if study.subject != subject:
            yield Skipped(f"{table.path.name} {row}", "study belongs to another patient in an earlier row")
            continue
        view = meaning.view(cells.get("ViewPosition", "")) or ""
        study.films += f"{dicom} {' '.join(view.split())}\n"


def _gather_splits(root: Path, studies: Mapping[str, _Study], notes: list[str]) -> Iterator[Skipped]:
    table = _other_table(root, "split", ("study_id", "split"), "splits are drawn", notes)
    for row, cells in tables.rows(table) if table else ():
        if isinstance(cells, Skipped):
            yield _of(table, cells)
            continue
        study = studies.get(cells["study_id"].strip())
        try:
            split = meaning.split(cells["split"])
            if study is not None and split is not None:
                if study.split not in (None, split):
                    raise meaning.RowError("split differs from an earlier row of the study")
                study.split = split
        except meaning.RowError as error:
            yield Skipped(f"{table.path.name if table else ''} {row}", str(error))


def _gather_labels(
    root: Path, labels: _Labels, studies: Mapping[str, _Study], notes: list[str]
) -> Iterator[Skipped]:
    table = _other_table(root, labels.source, ("study_id",), f"no labels of {labels.source}", notes)
    if table is None:
        return
    labels.names = tuple(label for label in CHEXPERT14 if label in table.columns)
    if lacking := [label for label in CHEXPERT14 if label not in labels.names]:
        notes.append(f"{table.path.name} has no column {', '.join(lacking)}")
    known: dict[tuple[str, ...], str] = {}  # most rows say what another one said
    for row, cells in tables.rows(table):
        if isinstance(cells, Skipped):
            yield _of(table, cells)
            continue
        said = tuple(cells[label] for label in labels.names)
        if (letters := known.get(said)) is None:
            letters = known[said] = "".join(map(_letter, said))
        study = cells["study_id"].strip()
        if "?" in letters:
            reason = f"label {labels.names[letters.index('?')]} is none of 1, 0, -1, or blank"
            yield Skipped(f"{table.path.name} {row}", reason)
        elif study in labels.letters:
            yield Skipped(f"{table.path.name} {row}", "study is listed twice")
        elif study in studies:
            labels.letters[study] = letters


def _letter(cell: str) -> str:
    """Return the letter of a label's cell; `?` where it is none of these values."""
    try:
        value = meaning.label("", cell)
    except meaning.RowError:
        return "?"
    return " " if math.isnan(value) else {1.0: "1", 0.0: "0", UNCERTAIN: "u"}.get(value, "?")


def _film(place: str, line: str) -> FilmRecord:
    dicom, _, view = line.partition(" ")
    return FilmRecord(f"{place}/{dicom}.jpg", view or None)


def _films_table(root: Path) -> tables.Table:
    path = _path(root, "metadata")
    if path is None:
        raise CohortError(
            f"mimic_cxr: expected mimic-cxr-2.0.0-metadata.csv.gz in {root.name or root}, found none"
        )
    return tables.open_table(path, _KEYS)


def _other_table(
    root: Path, what: str, needed: tuple[str, ...], without: str, notes: list[str]
) -> tables.Table | None:
    """Open a table that an import can do without; None, and a note, where it is not there or unusable."""
    path = _path(root, what)
    if path is None:
        notes.append(f"no table mimic-cxr-2.0.0-{what}.csv.gz: {without}")
        return None
    try:
        table = tables.open_table(path, needed)
    except CohortError as error:
        notes.append(f"{error}: {without}")
        return None
    notes += table.notes
    return table


def _path(root: Path, what: str) -> Path | None:
    return tables.one_of(root, (f"mimic-cxr-2.*-{what}.csv.gz", f"mimic-cxr-2.*-{what}.csv"))


def _of(table: tables.Table | None, skipped: Skipped) -> Skipped:
    return Skipped(f"{table.path.name if table else ''} {skipped.row}", skipped.reason)
