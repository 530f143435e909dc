"""Any export as one table: a row a film, its path, and what there is of report, patient, split and labels.

Owns which column is what, by name, by a mapping file, or as usually called. Rows of one study are joined and
must agree. Without a patient column every study is its own patient, and a split by patient can put one person
on both sides: name that column where there is one. Refuses a wrong column or key by naming those there are.
"""

from __future__ import annotations

import math
import tomllib
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from timnet.cohorts import store
from timnet.cohorts.readers import tables
from timnet.cohorts.readers.tables import RowError, Table
from timnet.cohorts.records import (
    UNCERTAIN,
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

USUAL: Mapping[str, tuple[str, ...]] = {
    "film": (
        "path", "film", "image", "filename", "file", "file_name", "film_path", "image_path", "image_index",
    ),
    "text": ("text", "report", "findings", "report_text", "caption"),
    "patient": ("patient", "patient_id", "patientid", "subject_id", "subject"),
    "study": ("study", "study_id", "studyid"),
    "split": ("split", "subset"),
    "view": ("view", "view_position", "viewposition", "projection"),
    "sex": ("sex", "gender", "patient_sex", "patient_gender"),
    "age": ("age", "patient_age", "age_years"),
}  # fmt: skip
_TABLES = ("*.csv", "*.csv.gz", "*.tsv", "*.tsv.gz")
_USUAL_TABLES = ("pairs", "labels", "cohort", "films", "metadata")
_MAX_MAPPING = 2**20


def run(
    root: Path,
    name: str,
    progress: Progress | None = None,
    *,
    mapping: Path | None = None,
    table: str | None = None,
    labels: Sequence[str] = (),
    **columns: str | None,
) -> Summary:
    """Import a table as the cohort `name`; columns, which come before `mapping`, and errors as for `read`."""
    folder = store.place(name)
    given: dict[str, Any] = {"table": table, "labels": tuple(labels), **columns}
    said = read_mapping(mapping) if mapping else {}
    asked = said | {key: value for key, value in given.items() if value}
    found = find_table(root, asked.get("table"))
    return store.write(
        folder,
        source="csv_table",
        root=found.path.parent,
        records=read(root, **asked),
        notes=found.notes,
        progress=tables.out_of(progress, tables.count_rows(found)),
    )


def read_mapping(path: Path) -> dict[str, Any]:
    """Return what a TOML file says of the columns: keys as the arguments of `read`.

    Raises:
        CohortError: it cannot be read, a key is none of these, or a value is of another type.
    """
    try:
        with path.open("rb") as file:
            said = tomllib.loads(file.read(_MAX_MAPPING).decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CohortError(f"{path.name}: expected a mapping in TOML, got {error}") from None
    keys = ("table", *USUAL, "labels")
    for key, value in said.items():
        if key not in keys:
            raise CohortError(f"{path.name}: expected keys among {', '.join(keys)}; got {key[:80]!r}")
        several = isinstance(value, list) and all(isinstance(each, str) for each in value)
        if not (several if key == "labels" else isinstance(value, str)):
            kind = "a list of columns" if key == "labels" else "one name"
            raise CohortError(f"{path.name}: {key}: expected {kind}, got {value!r:.80}")
    return said


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

    A study is yielded once its last row is read: no more of the table is in memory than lies between.

    Args:
        root: the table, or the folder that holds it. Film paths are relative to the table's folder.
        table: the table's file name, where the folder holds several.
        film: column of the film's path; like those below, by default found among the usual names.
        text: column of the report. Without one the films only have labels.
        patient: column of the patient; without one every study is its own patient.
        study: column of the study; without one every film is its own study.
        split: column of train, val or test; blank for a split to be drawn.
        view: column of the view.
        labels: columns, or patterns of columns (`label_*`), of 0, 1, -1 (uncertain), a number between 0 and
            1, or blank (unknown).
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
    names = _label_columns(found, labels)
    left = _rows_of_studies(found, columns["study"])
    studies: OrderedDict[str, StudyRecord | None] = OrderedDict()
    seen: set[str] = set()
    for row, cells in tables.rows(found):
        if isinstance(cells, Skipped):
            yield cells
            continue
        try:
            key = _study(cells, columns)
            left[key] -= 1
            known = studies.setdefault(key, None)
            record = _record(cells, columns, names)
            path = record.films[0].path
            if path in seen:
                raise RowError("film is listed twice")
            studies[key] = _joined(known, record)
            seen.add(path)
        except (RowError, PathError) as error:
            yield Skipped(row, str(error))
        while studies and left[first := next(iter(studies))] <= 0:
            if (ready := studies.pop(first)) is not None:
                yield ready


def find_table(root: Path, table: str | None = None) -> Table:
    """Find the table of an export and read its header; CohortError if there is none, or several of them."""
    return tables.open_table(root if root.is_file() else _only(root, table))


def _rows_of_studies(table: Table, column: str | None) -> Counter[str]:
    """Return how many rows each study has; nothing is counted where every film is its own study."""
    if column is None:
        return Counter()
    cells = (cells for _, cells in tables.rows(table) if not isinstance(cells, Skipped))
    return Counter(study for each in cells if (study := each[column].strip()))


def _study(cells: Mapping[str, str], columns: Mapping[str, str | None]) -> str:
    column, film = columns["study"], columns["film"]
    return (cells[column].strip() if column else "") or film_path(cells[film or ""])


def _record(
    cells: Mapping[str, str], columns: Mapping[str, str | None], labels: Sequence[str]
) -> StudyRecord:
    def cell(role: str) -> str:
        column = columns[role]
        return cells[column].strip() if column else ""

    path = film_path(cell("film"))
    study = cell("study") or path
    return StudyRecord(
        study=study,
        patient=cell("patient") or study,
        report=cell("text"),
        films=(FilmRecord(path, cell("view") or None),),
        labels={label: _value(label, cells[label]) for label in labels},
        split=tables.split(cell("split")),
        sex=cell("sex")[:1].upper() or None,
        age=tables.age(cell("age")),
    )


def _joined(known: StudyRecord | None, row: StudyRecord) -> StudyRecord:
    """Add a row's film to its study; RowError if they say different things of it."""
    if known is None:
        return row
    for what in ("patient", "report", "split"):
        if getattr(known, what) != getattr(row, what):
            raise RowError(f"{what} differs from the first row of its study")
    for name, value in row.labels.items():
        first = known.labels[name]
        if value != first and not (math.isnan(value) and math.isnan(first)):
            raise RowError(f"label {name} differs from the first row of its study")
    return replace(known, films=known.films + row.films)


def _value(label: str, cell: str) -> float:
    try:
        value = float(cell.strip() or "nan")
    except ValueError:
        value = math.inf
    if not (value == UNCERTAIN or math.isnan(value) or 0 <= value <= 1):
        raise RowError(f"label {label} is none of 0, 1, -1, a number between 0 and 1, or blank")
    return value


def _column(table: Table, role: str, wanted: str | None) -> str | None:
    if wanted is not None:
        return tables.named(table, role, wanted)
    column = next(filter(None, (match_name(name, table.columns) for name in USUAL[role])), None)
    if column is None and role == "film":
        raise CohortError(
            f"{table.path.name}: expected a column of film paths among {tables.listed(table)}: name it"
        )
    return column


def _label_columns(table: Table, wanted: Sequence[str]) -> list[str]:
    """Return the columns of labels, each once, in the order asked for; a pattern stands for all that fit."""
    names: list[str] = []
    for label in wanted:
        fitting = [column for column in table.columns if fnmatchcase(column, label)]
        is_pattern = any(sign in label for sign in "*?[") and label not in table.columns
        names += fitting if is_pattern and fitting else [tables.named(table, "label", label)]
    return list(dict.fromkeys(names))


def _only(root: Path, table: str | None) -> Path:
    if not root.is_dir():
        raise CohortError(f"csv_table: expected a table or the folder that holds one, got {str(root)!r}")
    found = sorted({path for pattern in _TABLES for path in root.glob(pattern) if path.name[0] != "."})
    names = ", ".join(path.name for path in found) or "none"
    if table is not None:
        for path in found:
            if path.name == table:
                return path
        raise CohortError(f"csv_table: table: expected one of {names}; got {table[:80]!r}")
    usual = [path for path in found if path.name.split(".")[0].casefold() in _USUAL_TABLES]
    for candidates in (found, usual):
        if len(candidates) == 1:
            return candidates[0]
    raise CohortError(
        f"csv_table: expected one table in {root.name}, got {names}: name the one that lists the films"
    )
