"""Rows of a table, one a film, joined into the studies that they belong to.

Owns that the rows of one study must agree, that a film counts once, and the order: that of each study's
first row. A study is handed on once its last row is read: no more is in memory than lies between. A row that
cannot be used comes out as Skipped.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from timnet.cohorts.readers import tables
from timnet.cohorts.readers.cells import RowError
from timnet.cohorts.records import Skipped, StudyRecord

Row = tuple[str, str, StudyRecord | str]
"""Its name, its study ("" where that is not known), and its record or why it has none."""
Cells = Mapping[str, str]


def of_tables(
    opened: Sequence[tables.Table],
    key: Callable[[tables.Table], str],
    study: Callable[[Cells], str],
    record: Callable[[Cells], StudyRecord],
) -> Iterator[StudyRecord | Skipped]:
    """Yield the studies of tables, and the rows that are left out.

    Args:
        opened: in order.
        key: of a table, the column of films' names, see `tables.rows`.
        study: of a row's cells, the study; "" where they name none.
        record: of a row's cells, its record; may raise RowError.
    """
    left = Counter(
        study(cells)
        for each in opened
        for _, cells in tables.rows(each, key(each))
        if not isinstance(cells, Skipped)
    )

    def rows() -> Iterator[Row]:
        for table in opened:
            for row, cells in tables.rows(table, key(table)):
                name = f"{table.path.name} {row}"
                if isinstance(cells, Skipped):
                    yield name, "", cells.reason
                    continue
                try:
                    yield name, study(cells), record(cells)
                except RowError as error:
                    yield name, study(cells), str(error)

    yield from studies(rows(), left)


def studies(rows: Iterable[Row], left: Counter[str]) -> Iterator[StudyRecord | Skipped]:
    """Yield the studies of rows, and the rows that are left out.

    Args:
        rows: in the table's order; the records of one study agree in patient, report, split and labels.
        left: how many rows each study has; used up.
    """
    waiting: OrderedDict[str, StudyRecord | None] = OrderedDict()
    seen: set[str] = set()
    for name, study, record in rows:
        left[study] -= 1
        known = waiting.setdefault(study, None)
        try:
            if isinstance(record, str):
                raise RowError(record)
            if any(film.path in seen for film in record.films):
                raise RowError("film is listed twice")
            waiting[study] = _joined(known, record)
            seen.update(film.path for film in record.films)
        except RowError as error:
            yield Skipped(name, str(error))
        while waiting and left[first := next(iter(waiting))] <= 0:
            if (ready := waiting.pop(first)) is not None:
                yield ready


def _joined(known: StudyRecord | None, row: StudyRecord) -> StudyRecord:
    """Add a row's films to its study; RowError if they say different things of it."""
    if known is None:
        return row
    for what in ("patient", "report", "split"):
        if getattr(known, what) != getattr(row, what):
            raise RowError(f"{what} differs from the first row of its study")
    for one, other in ((known, row), (row, known)):
        for name, value in one.labels.items():
            first = other.labels.get(name, math.nan)
            if value != first and not (math.isnan(value) and math.isnan(first)):
                raise RowError(f"label {name} differs from the first row of its study")
    if known.other_labels != row.other_labels:
        raise RowError("labels differ from the first row of their study")
    return replace(known, films=known.films + row.films)
