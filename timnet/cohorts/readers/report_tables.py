"""A table of reports, a row a report, found by accession number or study UID.

Owns which columns these are, and that rows of one key that differ are parts of one report (an addendum), in
the table's order. Refuses a table without such columns; a row that no study asks for is handed on as Skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from timnet.cohorts.readers.cells import known
from timnet.cohorts.readers.tables import (
    REPORT_KEYS,
    REPORT_TEXTS,
    column,
    named,
    open_table,
    rows,
    unnamed,
    usual,
)
from timnet.cohorts.records import Skipped


class Reports:
    """The reports of a table, and which of them a study has asked for."""

    def __init__(self, path: Path, key: str | None = None, text: str | None = None) -> None:
        """Read the table; CohortError if it is none or has not the columns.

        Args:
            path: CSV or TSV, also packed.
            key: column of accession numbers or study UIDs; by default those of the usual names.
            text: column of the report's text.
        """
        table = open_table(path)
        keys = [named(table, "report key", key)] if key else usual(table, REPORT_KEYS)
        text = column(table, "report text", text, REPORT_TEXTS)
        if not keys or text is None:
            raise unnamed(table, "the report" if keys else "the accession or study")
        self.notes = table.notes
        self._faults: list[Skipped] = []
        self._texts: list[tuple[str, str]] = []  # row, text
        self._rows: dict[str, list[int]] = {}
        self._used: set[int] = set()
        for row, cells in rows(table, keys[0]):
            if isinstance(cells, Skipped):
                self._faults.append(cells)
                continue
            keyed = {known(cells[one]) for one in keys} - {""}
            if not keyed or not known(cells[text]):
                empty = "no report in the row" if keyed else "no accession number or study in the row"
                self._faults.append(Skipped(row, empty))
                continue
            earlier = [self._texts[at][1] for one in keyed for at in self._rows.get(one, ())]
            if cells[text].strip() in earlier:
                self._faults.append(Skipped(row, "report is listed twice"))
                continue
            for one in sorted(keyed):
                self._rows.setdefault(one, []).append(len(self._texts))
            self._texts.append((row, cells[text].strip()))

    def of(self, accession: str, study: str) -> str:
        """Return a study's report by its accession number, else by its UID; "" where there is none."""
        for key in filter(None, (accession.strip(), study.strip())):
            if rows := self._rows.get(key):
                self._used.update(rows)
                return "\n\n".join(self._texts[row][1] for row in rows)
        return ""

    def faults(self) -> Iterator[Skipped]:
        """Yield the rows that could not be read, and then those that no study has asked for."""
        yield from self._faults
        for at, (row, _) in enumerate(self._texts):
            if at not in self._used:
                yield Skipped(row, "report belongs to no study with a film")
