"""The tables of an export as they really come: packed or not, of any delimiter and encoding, a row at a time.

Owns opening a CSV, its columns, and what split, age and view cells say. A table is never held in memory.
Refuses, by CohortError, what is no table at all: a Git LFS pointer, a damaged archive, a header that names a
column twice or lacks one that is needed. A row that cannot be used is handed on as Skipped.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

from timnet.cohorts.records import CohortError, Skipped, match_name
from timnet.errors import TimnetError

MAX_CHARACTERS = 2**31  # of a table: a gz file can unpack to anything
LFS = "version https://git-lfs"
"""How a Git LFS pointer begins: what a clone holds in place of a big file that was not fetched."""
SPLIT_WORDS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validate": "val",
    "validation": "val", "test": "test",
}  # fmt: skip
LATERAL = "LATERAL"
_VIEWS = {"LL": LATERAL, "RL": LATERAL, "LAT": LATERAL}
_AGE = re.compile(r"0*(\d{1,3}(?:\.\d+)?)\s*([YMWD]?)", re.IGNORECASE)
_PER_YEAR = {"": 1.0, "Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
MAX_AGE = 120.0


class RowError(TimnetError):
    """Why a row is left out."""


@dataclass(frozen=True)
class Table:
    """A table that was found, and how to read it."""

    path: Path
    encoding: str
    delimiter: str
    columns: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What an import's summary says of it."""
        odd = self.encoding == "cp1252"
        return (f"{self.path.name} is not UTF-8: read as Windows-1252",) if odd else ()


def open_table(path: Path, needed: Sequence[str] = ()) -> Table:
    """Read a table's header.

    Args:
        path: CSV or TSV, packed if its name ends in gz.
        needed: columns without which it cannot be used, in their exact spelling.

    Raises:
        CohortError: it cannot be read, is a Git LFS pointer, or its header lacks or repeats a column.
    """
    encoding = _encoding(path)
    with _text(path, encoding, errors="replace") as file:
        header = file.readline(100_000)
        if header.startswith(LFS):
            raise CohortError(f"{path.name}: expected a table, got a Git LFS pointer: fetch the file itself")
        delimiter = max(",;\t|", key=header.count)
        columns = tuple(name.strip() for name in next(csv.reader([header], delimiter=delimiter), []))
    named = list(filter(None, columns))
    if not named:
        raise CohortError(f"{path.name}: expected a header of column names in its first line, got none")
    if len(set(named)) < len(named):
        twice = sorted({name for name in named if named.count(name) > 1})
        raise CohortError(
            f"{path.name}: expected each column once, got {', '.join(map(repr, twice))} more often"
        )
    if missing := [name for name in needed if name not in columns]:
        raise CohortError(f"{path.name}: expected a column {missing[0]!r}, got {', '.join(named)}")
    return Table(path, encoding, delimiter, _stripped(columns))


def rows(table: Table) -> Iterator[tuple[str, dict[str, str] | Skipped]]:
    """Yield every row's name, as a spreadsheet counts it, and its cells by column or why it has none."""
    width = len(table.columns)
    with _text(table.path, table.encoding, errors="replace") as file:
        lines = csv.reader(file, delimiter=table.delimiter)
        next(lines)
        for number in itertools.count(2):
            name = f"row {number}"
            try:
                cells = next(lines)
            except StopIteration:
                return
            except csv.Error:
                reason = f"a cell is longer than {csv.field_size_limit()} characters"
                yield name, Skipped(name, reason)
                continue
            if len(cells) > width:
                cells = [*cells[:width], *_stripped(cells[width:])]
            if len(cells) == width:
                yield name, dict(zip(table.columns, cells, strict=True))
            elif any(cells):
                yield name, Skipped(name, "row has not as many cells as the header")


def count_rows(table: Table) -> int:
    """Return how many rows a table has, blank ones left out."""
    with _text(table.path, table.encoding, errors="replace") as file:
        lines, count = csv.reader(file, delimiter=table.delimiter), -1
        while True:
            try:
                count += any(next(lines))
            except StopIteration:
                return max(count, 0)
            except csv.Error:
                count += 1


def named(table: Table, role: str, wanted: str) -> str:
    """Return a column by its name, whatever its case; CohortError naming those there are."""
    column = wanted if wanted in table.columns else match_name(wanted, table.columns)
    if column is None:
        raise CohortError(
            f"{table.path.name}: {role}: expected a column among {listed(table)}; got {wanted[:80]!r}"
        )
    return column


def listed(table: Table) -> str:
    """Return the columns of a table in one line."""
    return ", ".join(table.columns)


def one_of(folder: Path, patterns: Sequence[str]) -> Path | None:
    """Return the first file of a folder that fits one of the patterns, in their order; None for none."""
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_file() and path.name[0] != ".":
                return path
    return None


def split(cell: str) -> str | None:
    """Return the split that a cell names, None where it is blank; RowError for another word."""
    word = cell.strip().casefold()
    if word and word not in SPLIT_WORDS:
        raise RowError("split is none of train, val, test")
    return SPLIT_WORDS.get(word)


def age(cell: str) -> float | None:
    """Return an age in years (`58`, `058Y`, `006M`); None where it is none up to 120."""
    found = _AGE.fullmatch(cell.strip())
    if not found:
        return None
    years = float(found[1]) / _PER_YEAR[found[2].upper()]
    return years if years <= MAX_AGE else None


def view(cell: str) -> str | None:
    """Return a view in upper case, the left and right lateral as LATERAL; None where it is blank."""
    word = cell.strip().upper()
    return _VIEWS.get(word, word) or None


def request(*paths: Path | None, **given: object) -> str:
    """Return what records depend on: tables by name, size and time of change, and the words given."""
    states = [(path.name, path.stat()) for path in paths if path is not None]
    tables = [(name, state.st_size, state.st_mtime_ns) for name, state in states]
    return json.dumps([tables, given], sort_keys=True, default=str)


def _stripped(cells: Sequence[str]) -> tuple[str, ...]:
    """Return the cells without the blank ones at the end."""
    end = len(cells)
    while end and not cells[end - 1].strip():
        end -= 1
    return tuple(cells[:end])


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
    opener = gzip.open if path.suffix == ".gz" and not _is_pointer(path) else open
    try:
        with opener(path, "rt", encoding=encoding, errors=errors, newline="") as file:
            yield cast(TextIO, file)
    except (OSError, EOFError, zlib.error) as error:
        raise CohortError(f"{path.name}: cannot be read as a table ({type(error).__name__})") from error


def _is_pointer(path: Path) -> bool:
    """Tell whether a file holds a Git LFS pointer in place of what its name says."""
    try:
        with path.open("rb") as file:
            return file.read(len(LFS)) == LFS.encode()
    except OSError:
        return False
