"""Any export as one table: a row a film, its path, and what there is of report, patient, split and labels.

Owns which column is what, by name, by a mapping file, or as usually called. Rows of one study are joined and
must agree. Without a patient column patients are looked for in the paths; where there are none, every study
is its own patient, and the summary says so. Refuses a wrong column or key by naming those there are.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from timnet.cohorts import store
from timnet.cohorts.readers import joined, tables
from timnet.cohorts.readers.cells import RowError
from timnet.cohorts.readers.table_plan import Plan, surveyed
from timnet.cohorts.readers.tables import Table
from timnet.cohorts.records import (
    CohortError,
    PathError,
    Progress,
    Skipped,
    StudyRecord,
    Summary,
    film_path,
)

USUAL: Mapping[str, tuple[str, ...]] = {
    "film": (
        "path", "film", "image", "filename", "file", "file_name", "film_path", "image_path", "image_index",
    ),
    "text": ("text", "report", "findings", "report_text", "caption"),
    "patient": (
        "patient", "patient_id", "patientid", "subject_id", "subjectid", "subject", "participant_id", "pid",
    ),
    "study": ("study", "study_id", "studyid"),
    "split": ("split", "subset"),
    "view": ("view", "view_position", "viewposition", "projection", "ap/pa"),
    "sex": ("sex", "gender", "patient_sex", "patient_gender"),
    "age": ("age", "patient_age", "age_years"),
}  # fmt: skip
_SIDE = "Frontal/Lateral"
"""CheXpert's column for lateral films, beside AP/PA."""
_TABLES = re.compile(r"[^.].*\.[ct]sv(?:\.(?:gz|bz2|xz|zip|zst|7z))?", re.IGNORECASE)
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
    outside: Sequence[Path] = (),
    strict: bool = False,
    **columns: str | None,
) -> Summary:
    """Import a table as the cohort `name`; columns, which come before `mapping`, and errors as for `read`.

    A column of "" is none, though the table may have one of a usual name.
    """
    folder = store.place(name)
    given: dict[str, Any] = {"table": table, "labels": tuple(labels), **columns}
    said = read_mapping(mapping) if mapping else {}
    request = said | {key: value for key, value in given.items() if value or (value == "" and key in USUAL)}
    found = find_table(root, request.get("table"))
    notes = list(found.notes)
    return store.write(
        folder,
        source="csv_table",
        root=found.path.parent,
        records=read(root, **request, outside=outside, notes=notes),
        notes=notes,
        progress=progress,
        outside=outside,
        strict=strict,
        num_films=found.num_rows,
        request=tables.request(found.path, **request),
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
    outside: Sequence[Path] = (),
    notes: list[str] | None = None,
) -> Iterator[StudyRecord | Skipped]:
    """Yield the studies of a table in the order of their first row, and the rows that were left out.

    A study is yielded once its last row is read: no more of the table is in memory than lies between.

    Args:
        root: the table, or the folder that holds it. Film paths are relative to the table's folder.
        table: the table's file name, where the folder holds several.
        film: column of the film's path; like those below, by default found among the usual names.
        text: column of the report. Without one the films only have labels.
        patient: column of the patient; without one patients are taken from the paths (`path_names`), and
            where these name none, every study is its own patient.
        study: column of the study; without one it is the film, or a folder of it (`path_names.study`) where
            patients are taken from the paths and the folder's rows agree.
        split: column of train, val or test; blank for a split to be drawn.
        view: column of the view.
        labels: columns, or patterns of columns (`label_*`), of 0, 1, -1 (uncertain), a number between 0 and
            1, blank (unknown), or the words of `cells.label`.
        sex: column of the patient's sex.
        age: column of the patient's age in years.
        outside: see `records.Rules`; without such folders, paths that leave the table's are left out.
        notes: gets what is to be known of patients, complete with the first study.

    Raises:
        CohortError: no table, several, one that is no text, or a column that it does not have.
    """
    found = find_table(root, table)
    wanted = dict(
        film=film, text=text, patient=patient, study=study, split=split, view=view, sex=sex, age=age
    )
    columns = {role: _column(found, role, column) for role, column in wanted.items()}
    columns["side"] = None if view else tables.column_of(found, _SIDE)
    plan = Plan(found, columns, tuple(_label_columns(found, labels)), may_leave=bool(outside))
    plan, left, note = surveyed(plan)
    if notes is not None and note:
        notes.append(note)
    yield from joined.studies(_rows(plan), left)


def _rows(plan: Plan) -> Iterator[joined.Row]:
    for row, cells in tables.rows(plan.table):
        if isinstance(cells, Skipped):
            yield row, "", cells.reason
            continue
        key = ""
        try:
            path = plan.film(cells)
            key = plan.study(cells, path)
            yield row, key, plan.record(cells, path, key)
        except (RowError, PathError) as error:
            yield row, key, str(error)


def find_table(root: Path, table: str | None = None) -> Table:
    """Find the table of an export and read its header; CohortError if there is none, or several of them."""
    return tables.open_table(root if root.is_file() else _only(root, table))


def tables_in(folder: Path) -> list[Path]:
    """Return the tables that lie in a folder, by name."""
    return sorted(path for path in folder.iterdir() if is_table(path.name) and path.is_file())


def is_table(name: str) -> bool:
    """Return whether a file of this name is a table."""
    return bool(_TABLES.fullmatch(name))


def is_usual(name: str) -> bool:
    """Return whether a table of this name is taken where there are several."""
    return name.split(".")[0].casefold() in _USUAL_TABLES


def _column(table: Table, role: str, wanted: str | None) -> str | None:
    if wanted == "" and role != "film":
        return None
    column = (
        tables.named(table, role, "") if wanted == "" else tables.column(table, role, wanted, USUAL[role])
    )
    if column is None and role == "film":
        raise tables.unnamed(table, "film paths")
    return column


def _label_columns(table: Table, wanted: Sequence[str]) -> list[str]:
    """Return the columns of labels, each once, in the order asked for; a pattern stands for all that fit."""
    names: list[str] = []
    for label in wanted:
        label = unicodedata.normalize("NFC", label)
        fitting = [column for column in filter(None, table.columns) if fnmatchcase(column, label)]
        is_pattern = any(sign in label for sign in "*?[") and label not in table.columns
        names += fitting if is_pattern and fitting else [tables.named(table, "label", label)]
    return list(dict.fromkeys(names))


def _only(root: Path, table: str | None) -> Path:
    if not root.is_dir():
        raise CohortError(f"csv_table: expected a table or the folder that holds one, got {str(root)!r}")
    found = tables_in(root)
    names = ", ".join(path.name for path in found) or "none"
    if table is not None:
        try:
            named = root / film_path(table)
            if named.is_file() and named.resolve().is_relative_to(root.resolve()):
                return named
        except (PathError, OSError):
            pass
        raise CohortError(f"csv_table: table: expected one of {names}; got {table[:80]!r}")
    usual = [path for path in found if is_usual(path.name)]
    for candidates in (found, usual):
        if len(candidates) == 1:
            return candidates[0]
    raise CohortError(
        f"csv_table: expected one table in {root.name}, got {names}: name the one that lists the films"
    )
