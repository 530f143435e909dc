"""X-rays that are read one after the other: of a file, a folder, a list or a cohort, with their findings.

Owns which they are, in which order, what each is called, and how its bytes are fetched. What a list's row
lacks is told of that row alone. Refuses, by CohortError, a source that is none of these or holds no X-ray.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from timnet.cohorts import places, schema, store
from timnet.cohorts.readers import csv_table, tables
from timnet.cohorts.records import CohortError, Skipped
from timnet.films import read
from timnet.films.film import Admit

FILES = ("findings_file", "report_file", "text_file")
"""Usual names of a list's column of text files."""
_LONGEST_TEXT = 2**20


@dataclass(frozen=True)
class Columns:
    """Which columns of a list are what; those of usual names where none is given."""

    film: str | None = None
    findings: str | None = None
    file: str | None = None
    """Of text files that hold the findings, one an X-ray."""


@dataclass(frozen=True)
class Listed:
    """One X-ray that is to be read."""

    name: str
    """Its path as listed or below its folder, or its study and number in a cohort."""
    fetch: Callable[[], bytes]
    """Returns its file's bytes; FilmError or CohortError where there are none."""
    findings: str | None = None
    state: object = None
    """What differs where its file does."""
    admit: tuple[Admit, ...] = ()
    fault: str = ""
    """Why it cannot be read whatever its file holds; empty where it may be."""


@dataclass(frozen=True)
class Listing:
    """The X-rays of one source; close it after they are read."""

    xrays: tuple[Listed, ...]
    cohort: str = ""
    """The name of the cohort that they are of."""


def is_several(source: Path) -> bool:
    """Tell whether a source is a folder, a list or a cohort rather than one file."""
    if source.exists():
        return source.is_dir() or _is_table(source)
    return str(source) in places.available()


def of(source: Path, findings: str | None, matched: bool, columns: Columns = Columns()) -> Listing:
    """Return the X-rays of a source; one that exists as a path is no cohort's name.

    Args:
        source: a file, a folder, a CSV or TSV list, or the name or folder of a cohort.
        findings: of every X-ray alike; by default those of its list's row or of its study, or the text file
            of its own name beside it (`a.png`, `a.txt`).
        matched: findings are needed.
        columns: of a list.

    Raises:
        CohortError: no such source, no X-ray in it, or no column as named or needed.
    """
    cohort = ""
    if source.is_dir() and not (source / schema.DATABASE).is_file():
        found = list(_of_folder(source, findings, matched))
    elif source.is_file() and _is_table(source):
        found = list(_of_list(source, findings, matched, columns))
    elif source.is_file():
        text = _beside(source) if matched and findings is None else findings
        found = [Listed(source.name, partial(read.content, source), text, _state(source))]
    else:
        with store.Cohort.open(store.find(str(source))) as opened:
            cohort, found = opened.name, list(_of_cohort(opened, findings, matched))
    if not found:
        raise CohortError(f"{source.name}: expected X-rays, got none")
    return Listing(tuple(found), cohort)


def _of_folder(folder: Path, findings: str | None, matched: bool) -> Iterator[Listed]:
    beside = matched and findings is None
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if not path.is_file() or any(part.startswith(".") for part in inside.parts):
            continue
        if beside and path.suffix.lower() == ".txt":
            continue
        text = _beside(path) if beside else findings
        yield Listed(inside.as_posix(), partial(read.content, path), text, _state(path))


def _of_list(path: Path, findings: str | None, matched: bool, columns: Columns) -> Iterator[Listed]:
    table = tables.open_table(path)
    film = tables.column(table, "film", columns.film, csv_table.USUAL["film"])
    if film is None:
        raise tables.unnamed(table, "X-rays")
    text = file = None
    if matched and findings is None:
        file = tables.column(table, "findings file", columns.file, () if columns.findings else FILES)
        text = tables.column(table, "findings", columns.findings, () if file else csv_table.USUAL["text"])
        if text is None and file is None:
            raise tables.unnamed(table, "the findings")
    for row, cells in tables.rows(table, film):
        if isinstance(cells, Skipped):
            yield Listed(row, bytes, fault=cells.reason)
            continue
        name = cells[film].strip()
        if not name:
            yield Listed(row, bytes, fault="no X-ray in the row")
            continue
        place = path.parent / name
        result, fault = findings, ""
        if file is not None:
            result = _text(path.parent / cells[file].strip())
            fault = "" if result is not None else f"the file of {file} cannot be read"
        elif text is not None:
            result = cells[text]
        yield Listed(name, partial(read.content, place), result, _state(place), fault=fault)


def _of_cohort(cohort: store.Cohort, findings: str | None, matched: bool) -> Iterator[Listed]:
    rows = cohort.films()[cohort.viewed("frontal")]
    for film, study, result in zip(rows["film"].tolist(), rows["study"], rows["findings"], strict=True):
        text = findings if findings is not None or not matched else result
        fetch = partial(cohort.original, film)
        yield Listed(f"{study}, X-ray {film}", fetch, text, [cohort.identity, film], cohort.admit)


def _is_table(path: Path) -> bool:
    return any(suffix.lower() in (".csv", ".tsv") for suffix in path.suffixes)


def _beside(film: Path) -> str:
    return _text(film.with_suffix(".txt")) or ""


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_TEXT).decode("utf-8-sig", errors="replace")
    except (OSError, ValueError):
        return None


def _state(path: Path) -> object:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns]


def digest_of(xrays: tuple[Listed, ...]) -> str:
    """Return a text that differs where X-rays, their files or their findings do."""
    return json.dumps([[each.name, each.state, each.findings, each.fault] for each in xrays])
