"""A cohort's database opened for reading: by whom it was imported, and one connection a call.

Owns that a cohort never changes under its reader: one that was imported again meanwhile says so, and what was
read of labels is forgotten where one was added.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pandas as pd

from timnet.cohorts import schema, schema_migration
from timnet.cohorts.places import find
from timnet.cohorts.records import CohortError


class Opened:
    """What is known of an opened cohort besides its contents."""

    def __init__(self, folder: Path, facts: Mapping[str, str]) -> None:
        self.folder, self.name = folder, folder.name
        self.source, self.root = facts["source"], Path(facts["root"])
        self._imported, self._revision = facts["identity"], facts["revision"]
        self._num_films, self._fingerprint = int(facts["films"]), facts["fingerprint"]

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Open a cohort by its name or folder; CohortError if there is none or it has another schema."""
        folder = find(folder) if isinstance(folder, str) else folder
        folder = folder.expanduser().resolve()
        if not (folder / schema.DATABASE).is_file():
            raise CohortError(f"{folder.name}: expected a cohort ({schema.DATABASE}), found none in {folder}")
        schema_migration.upgrade(folder)
        with schema.connect(folder) as connection:
            facts = dict(connection.execute("SELECT key, value FROM meta"))
        try:
            return cls(folder, facts)
        except (KeyError, TypeError, ValueError) as error:
            raise CohortError(f"{folder.name}: the cohort is damaged ({type(error).__name__})") from None

    @property
    def identity(self) -> str:
        """New with every import and with every label added: a key for whatever is cached about the cohort."""
        return self._imported if self._revision == "0" else f"{self._imported}-{self._revision}"

    @property
    def imported(self) -> str:
        """New with every import alone: a key for what films and reports say, whatever their labels."""
        return self._imported

    @property
    def fingerprint(self) -> str:
        """Name the films and their order: a film's row means the same film while this is the same."""
        return self._fingerprint

    def __len__(self) -> int:
        """Return the number of films."""
        return self._num_films

    def _relabelled(self) -> None:
        """Forget what was read of labels."""

    def _of_film(self, sql: str, film: int) -> tuple[Any, ...]:
        """Return what a query of films `f`, without its WHERE, says of one; CohortError if there is none."""
        if (found := self._first(f"SELECT {sql} WHERE f.film = ?", int(film))) is None:
            raise CohortError(f"{self.name}: expected a film from 0 to {self._num_films - 1}, got {film}")
        return found

    def _table(self, sql: str, *values: str) -> pd.DataFrame:
        with self._connection() as connection:
            return pd.read_sql_query(sql, connection, params=values)

    def _first(self, sql: str, *values: object) -> Any:
        with self._connection() as connection:
            return connection.execute(sql, values).fetchone()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Connect for one call; CohortError if an import has put another cohort in this one's place."""
        with schema.connect(self.folder) as connection:
            facts = dict(
                connection.execute("SELECT key, value FROM meta WHERE key IN ('identity', 'revision')")
            )
            if facts["identity"] != self._imported:
                raise CohortError(f"{self.name}: was imported again meanwhile: open it anew")
            if facts["revision"] != self._revision:
                self._revision = facts["revision"]
                self._relabelled()
            yield connection
