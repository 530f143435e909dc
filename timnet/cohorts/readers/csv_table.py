"""Any export as one table: a row a film, its path, and what there is of report, patient, split and labels.

Owns finding the table and its columns, and what a cell may say. Rows of one study are joined and must agree.
Without a patient column every study is its own patient, and a split by patient can put one person on both
sides: name that column where there is one. Refuses a wrong column by naming those there are; skips a bad row.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO, cast

from timnet.cohorts import store
from timnet.cohorts.records import (
    CohortError,
    FilmRecord,
    PathError,
    Progress,
    Skipped,
    StudyRecord,
    Summary,
    film_path,
    match_name,
)

MAX_CHARACTERS = 2**31  # of a table: a gz file can unpack to anything
USUAL: Mapping[str, tuple[str, ...]] = {
    "film": (
        "path",
        "film",
        "image",
        "filename",
        "file",
        "file_name",
        "film_path",
        "image_path",
        "image_index",
    ),
    "text": ("text", "report", "findings", "report_text", "caption"),
    "patient": ("patient", "patient_id", "patientid", "subject_id", "subject"),
    "study": ("study", "study_id", "studyid"),
    "split": ("split", "subset"),
    "view": ("view", "view_position", "viewposition", "projection"),
    "sex": ("sex", "gender", "patient_sex", "patient_gender"),
    "age": ("age", "patient_age", "age_years"),
}
SPLIT_WORDS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}  # fmt: skip
_TABLES = ("*.csv", "*.csv.gz", "*.tsv", "*.tsv.gz")
_USUAL_TABLES = ("pairs", "labels", "cohort", "films", "metadata")
_AGE = re.compile(r"0*(\d{1,3}(?:\.\d+)?)\s*Y?", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """A table that was found, and how to read it."""

    path: Path
    encoding: str
    delimiter: str
    columns: tuple[str, ...]


def run(
    root: Path,
    name: str,
    progress: Progress | None = None,
    *,
    table: str | None = None,
    labels: Sequence[str] = (),
    **columns: str | None,
) -> Summary:
    """Import a table as the cohort `name`; columns and errors as for `read`."""
    folder, found = store.place(name), find_table(root, table)
    records = list(read(root, table=table, labels=labels, **columns))
    notes = [f"{found.path.name} is not UTF-8: read as Windows-1252"] if found.encoding == "cp1252" else []
    return store.write(
        folder, source="csv_table", root=found.path.parent, records=records, notes=notes, progress=progress
    )


def read(
    root: Path,
    *,
    table: str | None = None,
    film: str | None = None,
    text: str | None = None,
    patient: str | None = None,
    study: str | None = None,
    split: str | None = None,
    view: str | None = None,
    labels: Sequence[str] = (),
    sex: str | None = None,
    age: str | None = None,
) -> Iterator[StudyRecord | Skipped]:
    """Yield the studies of a table in the order of their first row, and the rows that were left out.

    Args:
        root: the table, or the folder that holds it. Film paths are relative to the table's folder.
        table: the table's file name, where the folder holds several.
        film: column of the film's path; like those below, by default found among the usual names.
        text: column of the report. Without one the films only have labels.
        patient: column of the patient; without one every study is its own patient.
        study: column of the study; without one every film is its own study.
        split: column of train, val or test; blank for a split to be drawn.
        view: column of the view.
        labels: columns of 0, 1, -1 (uncertain: unknown), a number between 0 and 1, or blank (unknown).
        sex: column of the patient's sex.
        age: column of the patient's age in years.

    Raises:
        CohortError: no table, several, one that is no text, or a column that it does not have.
    """
    found = find_table(root, table)
    wanted = dict(
        film=film, text=text, patient=patient, study=study, split=split, view=view, sex=sex, age=age
    )
    columns = {role: _column(found, role, column) for role, column in wanted.items()}
    names = list(dict.fromkeys(_named(found, "label", label) for label in labels))
    studies: dict[str, StudyRecord] = {}
    seen: set[str] = set()
    for number, cells in _rows(found):
        row = f"row {number}"
        if isinstance(cells, Skipped):
            yield replace(cells, row=row)
            continue
        try:
            record = _record(cells, columns, names)
            path = record.films[0].path
            if path in seen:
                raise _RowError("film is listed twice")
            studies[record.study] = _joined(studies.get(record.study), record)
            seen.add(path)
        except (_RowError, PathError) as error:
            yield Skipped(row, str(error))
    yield from studies.values()


def find_table(root: Path, table: str | None = None) -> Table:
    """Find the table of an export and read its header; CohortError if there is none, or several of them."""
    path = root if root.is_file() else _only(root, table)
    encoding = _encoding(path)
    with _text(path, encoding, errors="replace") as file:
        header = file.readline(100_000)
        delimiter = max(",;\t|", key=header.count)
        columns = tuple(name.strip() for name in next(csv.reader([header], delimiter=delimiter), []))
    if not any(columns):
        raise CohortError(f"{path.name}: expected a header of column names in its first line, got none")
    if len(set(columns)) < len(columns):
        twice = sorted({name for name in columns if columns.count(name) > 1})
        raise CohortError(
            f"{path.name}: expected each column once, got {', '.join(map(repr, twice))} more often"
        )
    return Table(path, encoding, delimiter, columns)


class _RowError(ValueError):
    """Why a row is left out."""


def _record(
    cells: Mapping[str, str], columns: Mapping[str, str | None], labels: Sequence[str]
) -> StudyRecord:
    def cell(role: str) -> str:
        column = columns[role]
        return cells[column].strip() if column else ""

    path = film_path(cell("film"))
    study = cell("study") or path
    split = cell("split").casefold()
    if split and split not in SPLIT_WORDS:
        raise _RowError("split is none of train, val, test")
    return StudyRecord(
        study=study,
        patient=cell("patient") or study,
        report=cell("text"),
        films=(FilmRecord(path, cell("view") or None),),
        labels={label: _value(label, cells[label]) for label in labels},
        split=SPLIT_WORDS.get(split),
        sex=cell("sex")[:1].upper() or None,
        age=_age(cell("age")),
    )


def _joined(known: StudyRecord | None, row: StudyRecord) -> StudyRecord:
    """Add a row's film to its study; _RowError if they say different things of it."""
    if known is None:
        return row
    for what in ("patient", "report", "split"):
        if getattr(known, what) != getattr(row, what):
            raise _RowError(f"{what} differs from the first row of its study")
    for name, value in row.labels.items():
        first = known.labels[name]
        if value != first and not (math.isnan(value) and math.isnan(first)):
            raise _RowError(f"label {name} differs from the first row of its study")
    return replace(known, films=known.films + row.films)


def _value(label: str, cell: str) -> float:
    try:
        value = float(cell.strip() or "nan")
    except ValueError:
        value = math.inf
    if value == -1 or math.isnan(value):
        return math.nan
    if not 0 <= value <= 1:
        raise _RowError(f"label {label} is none of 0, 1, -1, a number between 0 and 1, or blank")
    return value


def _age(cell: str) -> float | None:
    found = _AGE.fullmatch(cell)
    return float(found[1]) if found and float(found[1]) <= 120 else None


def _column(table: Table, role: str, wanted: str | None) -> str | None:
    if wanted is not None:
        return _named(table, role, wanted)
    column = next(filter(None, (match_name(name, table.columns) for name in USUAL[role])), None)
    if column is None and role == "film":
        raise CohortError(
            f"{table.path.name}: expected a column of film paths among {_listed(table)}: name it"
        )
    return column


def _named(table: Table, role: str, wanted: str) -> str:
    column = wanted if wanted in table.columns else match_name(wanted, table.columns)
    if column is None:
        raise CohortError(
            f"{table.path.name}: {role}: expected a column among {_listed(table)}; got {wanted[:80]!r}"
        )
    return column


def _listed(table: Table) -> str:
    return ", ".join(table.columns)


def _only(root: Path, table: str | None) -> Path:
    if not root.is_dir():
        raise CohortError(f"csv_table: expected a table or the folder that holds one, got {str(root)!r}")
    tables = sorted({path for pattern in _TABLES for path in root.glob(pattern) if path.name[0] != "."})
    names = ", ".join(path.name for path in tables) or "none"
    if table is not None:
        for path in tables:
            if path.name == table:
                return path
        raise CohortError(f"csv_table: table: expected one of {names}; got {table[:80]!r}")
    usual = [path for path in tables if path.name.split(".")[0].casefold() in _USUAL_TABLES]
    for candidates in (tables, usual):
        if len(candidates) == 1:
            return candidates[0]
    raise CohortError(
        f"csv_table: expected one table in {root.name}, got {names}: name the one that lists the films"
    )


def _rows(table: Table) -> Iterator[tuple[int, dict[str, str] | Skipped]]:
    """Yield the cells of every row by column, with its number as a spreadsheet counts it."""
    with _text(table.path, table.encoding, errors="replace") as file:
        rows = csv.reader(file, delimiter=table.delimiter)
        next(rows)
        for number in itertools.count(2):
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error:
                yield number, Skipped("", f"a cell is longer than {csv.field_size_limit()} characters")
                continue
            if len(cells) == len(table.columns):
                yield number, dict(zip(table.columns, cells, strict=True))
            elif any(cells):
                yield number, Skipped("", "row has not as many cells as the header")


def _encoding(path: Path) -> str:
    """Return the table's encoding: UTF-16 by its mark, UTF-8 if all of it is, else Windows-1252."""
    with _text(path, "latin-1") as file:
        marked = file.read(2) in ("\xff\xfe", "\xfe\xff")
    encoding = "utf-16" if marked else "utf-8-sig"
    try:
        with _text(path, encoding) as file:
            total = 0
            while part := file.read(2**20):
                total += len(part)
                if total > MAX_CHARACTERS:
                    raise CohortError(f"{path.name}: expected at most {MAX_CHARACTERS} characters, got more")
    except UnicodeError:
        return "cp1252"
    return encoding


@contextmanager
def _text(path: Path, encoding: str, errors: str = "strict") -> Iterator[TextIO]:
    """Open a table as text, unpacked if its name ends in gz; CohortError if it cannot be read."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding=encoding, errors=errors, newline="") as file:
            yield cast(TextIO, file)
    except (OSError, EOFError, zlib.error) as error:
        raise CohortError(f"{path.name}: cannot be read as a table ({type(error).__name__})") from error
