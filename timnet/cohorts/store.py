"""A cohort on disk: studies, films, labels, splits and a full-text index in SQLite, pixels as a memory map.

Owns reading: what comes after the import asks the cohort, and lists are filtered and cut in SQL. A cohort
never changes under its reader: an import puts a new one in its place, and an older `Cohort` then says so.
Refuses unknown names, films that are gone or changed, and words that are no query, each in one sentence.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd

from timnet import config
from timnet.cohorts import pixels as pixel_cache
from timnet.cohorts import queries, schema
from timnet.cohorts.facets import Facets, LabelCount, facets
from timnet.cohorts.films import MAX_BYTES, Film, FilmError, read_film
from timnet.cohorts.importing import write
from timnet.cohorts.queries import Filter, Filters
from timnet.cohorts.records import (
    CohortError,
    FilmRecord,
    PathError,
    Progress,
    Skipped,
    Study,
    StudyFilm,
    StudyRecord,
    Summary,
    check_name,
    read_inside,
)

__all__ = [
    "Cohort",
    "CohortError",
    "Facets",
    "FilmRecord",
    "Filters",
    "LabelCount",
    "Skipped",
    "Study",
    "StudyFilm",
    "StudyRecord",
    "Summary",
    "available",
    "find",
    "place",
    "write",
]

_FILMS = """
SELECT f.film, s.study, s.patient, s.split, f.view, f.path, f.rows, f.columns, s.findings, s.report
FROM films f JOIN studies s ON s.id = f.study ORDER BY f.film
"""
_STUDIES = """
SELECT s.study, s.patient, s.split, s.sex, s.age,
    (SELECT count(*) FROM films f WHERE f.study = s.id) AS films,
    (SELECT min(film) FROM films f WHERE f.study = s.id) AS film, s.findings, s.report
"""
_STUDY = "SELECT study, patient, split, sex, age, report, findings, id FROM studies WHERE study = ?"
_STUDY_LABELS = "SELECT name, value FROM labels JOIN label_names USING (label) WHERE study = ?"
_STUDY_FILMS = """
SELECT film, path, view, rows, columns, row_mm, column_mm, kind, bits, sha256
FROM films WHERE study = ? ORDER BY film
"""
_LABEL = np.dtype([("study", np.int64), ("label", np.int64), ("value", np.float64)])
_LABEL_NAMES = "SELECT name FROM label_names ORDER BY label"


class Cohort:
    """A cohort opened for reading; every call has its own connection, so threads may share one object."""

    def __init__(self, folder: Path, facts: Mapping[str, str]) -> None:
        self.folder = folder
        self.name = folder.name
        self.source = facts["source"]
        self.root = Path(facts["root"])
        self.identity = facts["identity"]
        """16 hexadecimal digits, new with every import: a key for whatever is cached about the cohort."""
        self._num_films = int(facts["films"])
        self._fingerprint = facts["fingerprint"]
        self._summary = Summary.from_dict(json.loads(facts["summary"]))
        self._films: pd.DataFrame | None = None
        self._labels: pd.DataFrame | None = None
        self._pixels: dict[int, np.memmap] = {}

    @classmethod
    def open(cls, folder: Path) -> Cohort:
        """Open the cohort of a folder; CohortError if there is none or it has another schema."""
        folder = Path(folder).expanduser().resolve()
        if not (folder / schema.DATABASE).is_file():
            raise CohortError(f"{folder.name}: expected a cohort ({schema.DATABASE}), found none in {folder}")
        with schema.connect(folder) as connection:
            facts = dict(connection.execute("SELECT key, value FROM meta"))
        try:
            return cls(folder, facts)
        except (KeyError, TypeError, ValueError) as error:
            raise CohortError(f"{folder.name}: the cohort is damaged ({type(error).__name__})") from None

    def __len__(self) -> int:
        """Return the number of films."""
        return self._num_films

    def __enter__(self) -> Cohort:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of tables and memory maps; nothing else is held between calls."""
        self._films = self._labels = None
        self._pixels.clear()

    def summary(self) -> Summary:
        """Return what the import brought in and left out."""
        return self._summary

    def films(self) -> pd.DataFrame:
        """Return one row a film, its index and column `film` being the row of the pixel cache.

        Columns: film, study, patient, split, view, path, rows, columns, findings, report. A view that is not
        known is missing (`isna`).
        """
        if self._films is None:
            with self._connection() as connection:
                self._films = pd.read_sql_query(_FILMS, connection)
        return self._films.copy(deep=False)  # copy on write: a caller's change stays the caller's

    def labels(self) -> pd.DataFrame:
        """Return one row a film, as in `films`, and one float column a label, nan where unknown."""
        if self._labels is None:
            with self._connection() as connection:
                names = _label_names(connection)
                film_study = [key for (key,) in connection.execute("SELECT study FROM films ORDER BY film")]
                known = np.fromiter(connection.execute("SELECT study, label, value FROM labels"), _LABEL)
            last = max(max(film_study), int(known["study"].max(initial=0)))  # a study may have no film
            by_study = np.full((last + 1, len(names)), np.nan)
            by_study[known["study"], known["label"]] = known["value"]
            self._labels = pd.DataFrame(by_study[film_study], columns=names)
        return self._labels.copy(deep=False)

    def studies(self, *, limit: int | None = 50, offset: int = 0, **wanted: Unpack[Filters]) -> pd.DataFrame:
        """Return one page of studies, in import order, or best match first where there is a query.

        Args:
            limit: most rows returned; None for all.
            offset: rows left out before.
            wanted: see `queries.Filters`.

        Returns:
            Columns study, patient, split, sex, age, films (how many), film (the first), findings, report.

        Raises:
            CohortError: a label that the cohort has not, or a query that cannot be read.
        """
        chosen = Filter(**wanted)
        page = (-1 if limit is None else max(limit, 0), max(offset, 0))
        with self._connection() as connection, queries.readable(chosen.query):
            where, values = chosen.sql(_label_names(connection))
            order = "words.rank, s.id" if chosen.has_query else "s.id"
            sql = f"{_STUDIES} {where} ORDER BY {order} LIMIT ? OFFSET ?"
            return pd.read_sql_query(sql, connection, params=(*values, *page))

    def count(self, **wanted: Unpack[Filters]) -> int:
        """Return how many studies `studies` would list with these filters."""
        chosen = Filter(**wanted)
        with self._connection() as connection, queries.readable(chosen.query):
            where, values = chosen.sql(_label_names(connection))
            return int(connection.execute(f"SELECT count(*) {where}", values).fetchone()[0])

    def facets(self, **wanted: Unpack[Filters]) -> Facets:
        """Return what the studies of these filters hold, in counts; errors as for `studies`."""
        chosen = Filter(**wanted)
        with self._connection() as connection, queries.readable(chosen.query):
            return facets(connection, chosen, _label_names(connection))

    def search(self, query: str, limit: int = 50, offset: int = 0) -> list[str]:
        """Return the studies whose report holds the words, best match first.

        Args:
            query: words (all must occur), "phrases", AND, OR, NOT, brackets; `effus*` for a beginning.
            limit: most studies returned.
            offset: studies left out before.

        Raises:
            CohortError: the query is empty or cannot be read.
        """
        with self._connection() as connection, queries.readable(query):
            found = connection.execute(
                "SELECT s.study FROM words JOIN studies s ON s.id = words.rowid WHERE words MATCH ?"
                " ORDER BY words.rank, s.id LIMIT ? OFFSET ?",
                (queries.expression(query), max(limit, 0), max(offset, 0)),
            )
            return [study for (study,) in found]

    def study(self, study: str) -> Study:
        """Return one study; CohortError if the cohort has none of that name."""
        with self._connection() as connection:
            found = connection.execute(_STUDY, (study,)).fetchone()
            if found is None:
                raise CohortError(f"{self.name}: expected one of its studies, got {study[:80]!r}")
            key = found[-1]
            labels = dict.fromkeys(_label_names(connection), math.nan)
            labels |= dict(connection.execute(_STUDY_LABELS, (key,)))
            rows = connection.execute(_STUDY_FILMS, (key,)).fetchall()
        fields: list[Any] = [[*row[:5], None if row[5] is None else row[5:7], *row[7:]] for row in rows]
        return Study(*[*found[:-1], labels, tuple(StudyFilm(*each) for each in fields)])

    def pixels(self, side: int = 224, progress: Progress | None = None) -> np.memmap:
        """Return every film letterboxed to a side, read-only; built at the first call for that side.

        Args:
            side: in pixels, 8 to 2,048.
            progress: called with films done and films in all while the cache is built.

        Returns:
            (N, side, side) uint8, row = film.

        Raises:
            CohortError: a film is gone or is no longer the one imported, or the cache cannot be written.
        """
        if side not in self._pixels:
            path = pixel_cache.cache_path(self.folder, side, self._fingerprint)
            cache = pixel_cache.open_cache(path, self._num_films, side)
            if cache is None:
                with self._connection() as connection:
                    originals = connection.execute("SELECT path, sha256 FROM films ORDER BY film").fetchall()

                def load(film: int) -> Film:
                    return self._original(*originals[film])

                cache = pixel_cache.build(path, load, self._num_films, side, progress)
            self._pixels[side] = cache
        return self._pixels[side]

    def read_film(self, film: int) -> Film:
        """Return a film as it was exported.

        Raises:
            CohortError: no such film, or its file is gone, has changed, or now leads out of the export.
        """
        with self._connection() as connection:
            found = connection.execute(
                "SELECT path, sha256 FROM films WHERE film = ?", (int(film),)
            ).fetchone()
        if found is None:
            raise CohortError(f"{self.name}: expected a film from 0 to {self._num_films - 1}, got {film}")
        return self._original(*found)

    def _original(self, path: str, sha256: str) -> Film:
        try:
            original = read_film(read_inside(self.root, path, MAX_BYTES), name=path)
        except FilmError as error:
            raise CohortError(f"{self.name}: film {path}: {error.reason}") from None
        except PathError as error:
            raise CohortError(f"{self.name}: film {path}: {error} (looked in {self.root})") from None
        if original.sha256 != sha256:
            raise CohortError(
                f"{self.name}: film {path}: has changed since the import: import the export again"
            )
        return original

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Connect for one call; CohortError if an import has put another cohort in this one's place."""
        with schema.connect(self.folder) as connection:
            (identity,) = connection.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()
            if identity != self.identity:
                raise CohortError(f"{self.name}: was imported again meanwhile: open it anew")
            yield connection


def _label_names(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute(_LABEL_NAMES)]


def place(name: str) -> Path:
    """Return where a cohort of this name belongs, whether it exists or not; CohortError for a bad name."""
    return config.home() / check_name(name)


def available() -> list[str]:
    """Return the names of the cohorts that exist, sorted."""
    return sorted(
        path.parent.name for path in config.home().glob(f"*/{schema.DATABASE}") if path.parent.name[0] != "."
    )


def find(name_or_path: str) -> Path:
    """Return the folder of a cohort by its name or its path; CohortError listing the names that exist."""
    for folder in (config.home() / name_or_path, Path(name_or_path).expanduser()):
        try:
            if name_or_path.strip() and (folder / schema.DATABASE).is_file():
                return folder.resolve()
        except (OSError, ValueError):  # no path at all, such as one with NUL
            continue
    names = ", ".join(available()) or "none yet"
    raise CohortError(f"cohort: expected a folder of a cohort or one of: {names}; got {name_or_path[:200]!r}")
