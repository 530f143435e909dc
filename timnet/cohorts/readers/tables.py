"""The tables of an export as they really come: packed or not, of any delimiter and encoding, a row at a time.

Owns opening a CSV, its header and its rows. A table is never held in memory. Refuses, by CohortError, what is
no table at all: a Git LFS pointer, a damaged archive, a header that names a column twice or lacks one that is
needed, a quote that is never closed or that swallows rows. A row that cannot be used is handed on as Skipped.
"""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from timnet.cohorts.readers import lines
from timnet.cohorts.readers.cells import RowError
from timnet.cohorts.readers.lines import Encoding, Row
from timnet.cohorts.records import CohortError, Skipped, fold

LFS = "version https://git-lfs"
"""How a Git LFS pointer begins: what a clone holds in place of a big file that was not fetched."""
_DELIMITERS = ",;\t|"
_STATED = re.compile(r'"?sep=([^"\w\s]|[\t ])"?[,;\t|]*', re.IGNORECASE)
"""A first line that states the delimiter, as Excel reads and writes it."""
_BLANK = '\ufeff\0 \t\r\n,;|"'

REPORT_KEYS = (
    "accession", "accession_number", "accessionnumber", "acc", "acc_no", "accession_no", "study_instance_uid",
    "studyinstanceuid", "study_uid", "studyuid", "study_id", "study",
)  # fmt: skip
REPORT_TEXTS = ("report", "text", "report_text", "reporttext", "findings", "narrative", "result")
"""Usual names of the columns of a table of reports, see `report_tables`."""
Made = TypeVar("Made")


@dataclass(frozen=True)
class Table:
    """A table that was found, and how to read it."""

    path: Path
    encoding: Encoding
    delimiter: str
    columns: tuple[str, ...]
    header: tuple[int, int]
    """Number of the first line after the header, and of the first row after it as a spreadsheet counts."""
    num_rows: int
    """How many rows follow the header, blank ones left out."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What an import's summary says of it."""
        return (self.encoding.note,) if self.encoding.note else ()


def open_table(path: Path, needed: Sequence[str] = ()) -> Table:
    """Read a table's header and check its rows from end to end.

    Args:
        path: CSV or TSV, also packed, whatever its name ends in.
        needed: columns without which it cannot be used, in their exact spelling.

    Raises:
        CohortError: it cannot be read, is a Git LFS pointer, its header lacks or repeats a column, or a quote
            is never closed.
    """
    encoding, name = lines.encoding(path), path.name
    with lines.opened(path, encoding) as file:
        delimiter, number, header = "", 0, 0
        for line in file:
            number += 1
            if line.startswith(LFS):
                raise CohortError(f"{name}: expected a table, got a Git LFS pointer: fetch the file itself")
            if not delimiter and (stated := _STATED.fullmatch(line.lstrip("\ufeff").strip("\r\n"))):
                delimiter = stated[1]
                continue
            header += 1
            if line.strip(_BLANK):
                break
        else:
            raise CohortError(f"{name}: expected a header of column names, got none")
        unquoted = re.sub(r'"[^"]*"', "", line)
        delimiter = delimiter or max(_DELIMITERS, key=unquoted.count)
        found = lines.rows(chain([line.lstrip("\ufeff")], file), delimiter, name, number)
        columns = _header(next(found).text, delimiter, name, needed)
        first = next(found, None)
        blank = delimiter + " \t\r\n\0"
        every = chain([first] if first else [], found)
        count = sum(bool(row.text.strip(blank) or row.fault) for row in every)
    return Table(path, encoding, delimiter, columns, (first.line if first else 1, header + 1), count)


def rows(table: Table, key: str | None = None) -> Iterator[tuple[str, dict[str, str] | Skipped]]:
    """Yield every row's name, as a spreadsheet counts it, and its cells by column or why it has none.

    Args:
        table: as of `open_table`.
        key: a column whose cells are alike in every row, such as a path or a number: by it a cell is
            recognised that holds the rows below it, because its quote was closed late.

    Raises:
        CohortError: such a cell.
    """
    width, (start, first) = len(table.columns), table.header
    if not table.num_rows:
        return
    with lines.opened(table.path, table.encoding) as file:
        found = lines.rows(islice(file, start - 1, None), table.delimiter, table.path.name, start)
        for number, row in enumerate(found, first):
            name = f"row {number}"
            if row.is_several_lines and key is not None:
                _check_swallowed(table, row, table.columns.index(key))
            if row.fault:
                yield name, Skipped(name, row.fault)
                continue
            try:
                cells = next(csv.reader((row.text,), delimiter=table.delimiter))
            except csv.Error:
                yield name, Skipped(name, f"a cell is longer than {csv.field_size_limit()} characters")
                continue
            if len(cells) > width:
                cells = [*cells[:width], *_stripped(cells[width:])]
            if not any(cell.strip("\0 \t\r\n") for cell in cells):
                continue
            if "\0" in row.text:
                yield name, Skipped(name, "a cell holds a NUL character")
            elif len(cells) == width:
                yield name, dict(zip(table.columns, cells, strict=True))
            else:
                yield name, Skipped(name, "row has not as many cells as the header")


def gather(
    table: Table, key: str | None, take: Callable[[dict[str, str]], Made | Skipped | None]
) -> Iterator[Made | Skipped]:
    """Yield what `take` makes of the cells of every row, if anything; rows are named with their table.

    Args:
        table: as of `open_table`.
        key: see `rows`.
        take: refuses a row by RowError.
    """
    for row, cells in rows(table, key):
        try:
            if isinstance(cells, Skipped):
                raise RowError(cells.reason)
            made = take(cells)
        except RowError as error:
            yield Skipped(f"{table.path.name} {row}", str(error))
        else:
            if made is not None:
                yield made


def labelled(name: str, columns: Collection[str], labels: Sequence[str], notes: list[str]) -> list[str]:
    """Return the labels that are columns of a table of that name, and note the others."""
    if lacking := [label for label in labels if label not in columns]:
        notes.append(f"{name} has no column {', '.join(lacking)}")
    return [label for label in labels if label in columns]


def named(table: Table, role: str, wanted: str) -> str:
    """Return a column by its name, whatever its case; CohortError naming those there are."""
    column = column_of(table, wanted)
    if column is None:
        raise CohortError(
            f"{table.path.name}: {role}: expected a column among {listed(table)}; got {wanted[:80]!r}"
        )
    return column


def column_of(table: Table, name: str) -> str | None:
    """Return the column that is meant by a name, see `records.fold`; CohortError where it may be several."""
    if (exact := unicodedata.normalize("NFC", name)) in table.columns:
        return exact
    found = [column for column in table.columns if fold(column) == fold(name)]
    if len(found) > 1:
        raise CohortError(f"{table.path.name}: expected one column {name!r}, got {', '.join(found)}")
    return found[0] if found else None


def usual(table: Table, names: Sequence[str]) -> list[str]:
    """Return the columns that have one of some names, each once, in the names' order."""
    return list(dict.fromkeys(column for name in names if (column := column_of(table, name))))


def column(table: Table, role: str, wanted: str | None, names: Sequence[str]) -> str | None:
    """Return the column that is named, else the first of the usual names; None where there is none of these.

    Raises:
        CohortError: no column of the name `wanted`.
    """
    return named(table, role, wanted) if wanted else next(iter(usual(table, names)), None)


def unnamed(table: Table, what: str) -> CohortError:
    """Return the error of a table in which a column has no usual name."""
    return CohortError(f"{table.path.name}: expected a column of {what} among {listed(table)}: name it")


def listed(table: Table) -> str:
    """Return the columns of a table in one line."""
    return ", ".join(filter(None, table.columns))


def one_of(folder: Path, patterns: Sequence[str]) -> Path | None:
    """Return the first file of a folder that fits one of the patterns, in their order; None for none."""
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_file() and path.name[0] != ".":
                return path
    return None


def request(*paths: Path | None, **given: object) -> str:
    """Return what records depend on: tables by name, size and time of change, and the words given."""
    states = [(path.name, path.stat()) for path in paths if path is not None]
    tables = [(name, state.st_size, state.st_mtime_ns) for name, state in states]
    return json.dumps([tables, given], sort_keys=True, default=str)


def _header(text: str, delimiter: str, name: str, needed: Sequence[str]) -> tuple[str, ...]:
    try:
        cells = next(csv.reader((text,), delimiter=delimiter), [])
    except csv.Error:
        cells = []
    columns = [unicodedata.normalize("NFC", " ".join(cell.split())) for cell in cells]
    filled = list(filter(None, columns))
    if not filled:
        raise CohortError(f"{name}: expected a header of column names, got none")
    if len(set(filled)) < len(filled):
        twice = sorted({column for column in filled if filled.count(column) > 1})
        raise CohortError(f"{name}: expected each column once, got {', '.join(map(repr, twice))} more often")
    if missing := [column for column in needed if column not in columns]:
        raise CohortError(f"{name}: expected a column {missing[0]!r}, got {', '.join(filled)}")
    return _stripped(columns)


def _check_swallowed(table: Table, row: Row, key: int) -> None:
    """Refuse a row of which one line is a row by itself: as many cells, a key of the same form."""
    first, *others = re.split(r"\r\n|\r|\n", row.text)
    form = _form(first, table.delimiter, key)
    for number, line in enumerate(others, row.line + 1):
        is_wide = line.count(table.delimiter) >= len(table.columns) - 1
        if form and is_wide and _form(line, table.delimiter, key) == form:
            raise CohortError(
                f"{table.path.name}: a quote that opens in the row of line {row.line} is not closed before "
                f"line {number}, which looks like a row of its own"
            )


def _form(line: str, delimiter: str, key: int) -> str:
    """Return the form of a line's cell: letters as `a`, digits as `9`; "" where that tells too little."""
    cells = line.split(delimiter)
    cell = cells[key].strip(' "') if key < len(cells) else ""
    if cell.isdecimal():
        return "9" * len(cell) if len(cell) > 3 else ""
    form = re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", cell))
    return form if "9" in form or "." in form[1:-1] else ""


def _stripped(cells: Sequence[str]) -> tuple[str, ...]:
    """Return the cells without the blank ones at the end."""
    end = len(cells)
    while end and not cells[end - 1].strip():
        end -= 1
    return tuple(cells[:end])
