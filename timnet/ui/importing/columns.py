"""Which table an import reads and what its columns hold: chosen from the table's header, beside ten rows.

Owns the widgets for a table of X-rays and for a table of reports. A first choice is the column that the
import itself would take by its usual name. Cells are shown as the text they are.
"""

from __future__ import annotations

import itertools
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from timnet.cohorts import tasks
from timnet.cohorts.importing import uploads
from timnet.cohorts.readers import csv_table, nih, tables
from timnet.cohorts.records import Skipped, fold

Options = dict[str, str | list[str]]
"""As of `jobs.start`."""
ROLES: Mapping[str, str] = {
    "film": "Image file",
    "text": "Report",
    "patient": "Patient",
    "study": "Study",
    "split": "Split (train, val, test)",
    "view": "View (PA, AP, lateral)",
    "sex": "Sex",
    "age": "Age",
}
_LABELS = {fold(name) for name in (*tasks.CHEXPERT14, *nih.LABELS)}
"""Findings that public collections label: their columns are offered at first."""
_NONE = "no such column"
_ROWS, _CHARACTERS = 10, 200


@dataclass(frozen=True)
class Head:
    """The beginning of a table."""

    columns: tuple[str, ...]
    usual: Mapping[str, str | None]
    """The column of each role that has one of the role's usual names."""
    rows: pd.DataFrame

    def key(self, role: str) -> str:
        """Return the key of a role's widget; it would keep its choice for a table of other columns."""
        return f"import_{role}_{zlib.crc32(repr(self.columns).encode()):08x}"


def of_folder(folder: Path) -> dict[str, Head | Path]:
    """Return the tables of a folder by name; their heads are read when one is chosen."""
    return {path.name: path for path in csv_table.tables_in(folder)}


def of_upload(files: Sequence[Any]) -> dict[str, Head]:
    """Return the heads of the tables among uploaded files, those in archives included, by name."""
    return _uploaded(tuple(file.file_id for file in files), files)


def films(found: Mapping[str, Head | Path]) -> Options | None:
    """Ask for the table of X-rays and its columns; None while something is to be chosen.

    Raises:
        CohortError: the table cannot be read.
    """
    if not found:
        st.info("There is no table (.csv or .tsv, also packed) here.", icon=":material/table:")
        return None
    names = list(found)
    usual = [name for name in names if csv_table.is_usual(name)]
    likely = names if len(names) == 1 else usual
    table = st.selectbox(
        "Table with one row per image",
        names,
        names.index(likely[0]) if len(likely) == 1 else None,
        key="import_table",
        placeholder="Choose one",
    )
    if table is None:
        return None
    head = _head(found[table])
    options: Options = {"table": table}
    for (role, label), box in zip(ROLES.items(), itertools.cycle(st.columns(2)), strict=False):
        column = _column(box, label, head, role, role != "film")
        if column is None:
            st.info("Choose the column of image files.", icon=":material/arrow_upward:")
            return None
        # Blank where the reader is to take none, though a column may have a usual name.
        options[role] = column
    others = [column for column in head.columns if column not in options.values()]
    labels = st.multiselect(
        "Label columns",
        others,
        [column for column in others if fold(column) in _LABELS],
        key=head.key("labels"),
        placeholder="none",
        help="1 present, 0 absent, -1 uncertain, blank unknown.",
    )
    if labels:
        options["labels"] = labels
    _preview(head)
    return options


def reports(found: Mapping[str, Head | Path]) -> Options | None:
    """Ask for the table of reports of a PACS export, where there is one, and for its columns.

    Raises:
        CohortError: the table cannot be read.
    """
    table = st.selectbox(
        "Table of reports",
        ["", *found],
        format_func=lambda name: name or "none: structured reports are used",
        key="import_reports",
        help="A row a report: accession number or study UID, and the text.",
    )
    if not table:
        return {}
    head, options = _head(found[table]), Options(reports=table)
    for role, label in (("report_key", "Accession number or study UID"), ("report_text", "Report")):
        column = _column(st, label, head, role, False)
        if column is None:
            st.info(f"Choose the column: {label}.", icon=":material/arrow_upward:")
            return None
        # Left to the reader it takes every column of a usual key's name, not the first alone.
        if column != head.usual[role]:
            options[role] = column
    _preview(head)
    return options


def _column(box: Any, label: str, head: Head, role: str, optional: bool) -> str | None:
    """Ask for a column; "" where the table has none, None while one is to be chosen."""
    usual = head.usual[role]
    offered = ["", *head.columns] if optional else list(head.columns)
    first = offered.index(usual) if usual else 0 if optional else None
    chosen = box.selectbox(
        label,
        offered,
        first,
        format_func=lambda name: name or _NONE,
        key=head.key(role),
        placeholder="Choose one",
    )
    return None if chosen is None else str(chosen)


def _preview(head: Head) -> None:
    st.dataframe(
        head.rows, hide_index=True, key="import_preview", height="content", alt="First rows of the table"
    )


def _head(of: Head | Path) -> Head:
    if isinstance(of, Head):
        return of
    stat = of.stat()
    return _of_file(str(of), stat.st_size, stat.st_mtime_ns)


@st.cache_data(max_entries=8, scope="session", show_spinner="Reading the table …")
def _of_file(path: str, size: int, stamp: int) -> Head:
    return _read(Path(path))


@st.cache_data(max_entries=2, scope="session", show_spinner="Reading the table …")
def _uploaded(ids: tuple[str, ...], _files: Sequence[Any]) -> dict[str, Head]:
    with tempfile.TemporaryDirectory() as folder:
        found = uploads.tables([(file.name, file.getvalue()) for file in _files], Path(folder))
        return {path.name: _read(path) for path in found}


def _read(path: Path) -> Head:
    table = tables.open_table(path)
    read = (row for _, row in tables.rows(table) if not isinstance(row, Skipped))
    first = itertools.islice(read, _ROWS)
    rows = pd.DataFrame(list(first), columns=list(table.columns)).map(lambda cell: cell[:_CHARACTERS])
    names = {**csv_table.USUAL, "report_key": tables.REPORT_KEYS, "report_text": tables.REPORT_TEXTS}
    usual = {role: next(iter(tables.usual(table, those)), None) for role, those in names.items()}
    return Head(tuple(filter(None, table.columns)), usual, rows)
