"""A cohort on disk: studies, films, labels, splits and a full-text index in SQLite, pixels as a memory map.

Owns reading: what comes after the import asks the cohort, and lists are filtered and cut in SQL. A cohort
never changes under its reader: an import puts a new one in its place, and an older `Cohort` then says so.
Refuses unknown names, films that are gone or changed, and words that are no query, each in one sentence.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from timnet import config
from timnet.cohorts import label_store, lists, rows
from timnet.cohorts import search as queries
from timnet.cohorts.caches import Caches
from timnet.cohorts.decode_pool import Reading
from timnet.cohorts.facets import Facets, LabelCount, facets
from timnet.cohorts.importing.pipeline import write
from timnet.cohorts.opened import Opened
from timnet.cohorts.originals import Originals
from timnet.cohorts.places import available, find, place
from timnet.cohorts.records import (
    Box,
    CohortError,
    FilmRecord,
    Progress,
    Skipped,
    Study,
    StudyFilm,
    StudyRecord,
    Summary,
)
from timnet.cohorts.search import Filter, Filters
from timnet.films.film import Admit, Film

__all__ = [
    "Box", "Cohort", "CohortError", "Facets", "FilmRecord", "Filters", "LabelCount", "Reading", "Skipped",
    "Study", "StudyFilm", "StudyRecord", "Summary", "available", "find", "place", "write",
]  # fmt: skip

_FILMS = """
SELECT f.film, s.study, s.patient, s.split, f.view, f.path, f.rows, f.columns, r.findings, r.report
FROM films f JOIN studies s ON s.id = f.study JOIN reports r ON r.study = s.id ORDER BY f.film
"""
_PEOPLE = "SELECT s.sex, s.age, f.view FROM films f JOIN studies s ON s.id = f.study ORDER BY f.film"
_FILE = "path, sha256 FROM films f"
_SENTENCES = (
    "SELECT s.study, place, sentence FROM sentences t JOIN studies s ON s.id = t.study ORDER BY s.id, place"
)
RANKED = 10_000
"""With more matches than this, lists keep the import order: words so common hardly tell a best match."""


class Cohort(Opened):
    """A cohort opened for reading; every call has its own connection, so threads may share one object."""

    def __init__(self, folder: Path, facts: Mapping[str, str]) -> None:
        super().__init__(folder, facts)
        self.admit: tuple[Admit, ...] = tuple(json.loads(facts.get("admit", "[]")))
        """What its import let in besides radiographs of one frame."""
        outside = tuple(map(Path, json.loads(facts.get("outside", "[]"))))
        self._originals = Originals(self.name, self.root, outside, self.admit)
        self._summary = Summary.from_dict(json.loads(facts["summary"]))
        self._films: pd.DataFrame | None = None
        self._labels: pd.DataFrame | None = None
        self._facets: Facets | None = None
        self._caches = Caches(self.folder, self.fingerprint, len(self), self._connection, self._rows)

    def _relabelled(self) -> None:
        self._labels = self._facets = None

    def __enter__(self) -> Cohort:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of tables and memory maps; nothing else is held between calls."""
        self._films = self._labels = None
        self._caches.close()

    def summary(self) -> Summary:
        """Return what the import brought in and left out."""
        return self._summary

    def films(self) -> pd.DataFrame:
        """Return one row a film, its index and column `film` being the row of the pixel cache.

        Columns: film, study, patient, split, view, path, rows, columns, findings, report. A view that is not
        known is missing (`isna`).
        """
        if self._films is None:
            self._films = self._table(_FILMS)
        return self._films.copy(deep=False)  # copy on write: a caller's change stays the caller's

    def people(self) -> pd.DataFrame:
        """Return sex (M, F, O or missing), age in years and view of every film, in the order of `films`."""
        return self._table(_PEOPLE).astype({"age": float})

    def viewed(self, views: config.Views) -> NDArray[np.bool_]:
        """Return which films (N,) are of these views; a view that is not known counts as frontal."""
        lateral_N = (self.films()["view"] == "LATERAL").to_numpy(bool)
        return np.ones_like(lateral_N) if views == "all" else lateral_N == (views == "lateral")

    def labels(self, source: str | None = None) -> pd.DataFrame:
        """Return one row a film, as in `films`, and one float column a label, nan where unknown.

        Args:
            source: whose values, one of `label_sources`; by default for every study and label the best source
                that says something. UNCERTAIN (-1) stays: `tasks.settle` says what it counts as.

        Raises:
            CohortError: no such source.
        """
        with self._connection() as connection:
            if source is None and self._labels is not None:
                return self._labels.copy(deep=False)
            if source is not None and source not in self.label_sources():
                known = ", ".join(self.label_sources()) or "none"
                raise CohortError(f"label source: expected one of {known}; got {source[:80]!r}")
            table = rows.labels(connection, source)
        if source is None:
            self._labels = table
        return table.copy(deep=False)

    def label_sources(self) -> tuple[str, ...]:
        """Return whose labels there are, the best first: app, expert, the reader's, report."""
        sql = "SELECT name FROM label_sources WHERE source IN (SELECT source FROM labels) ORDER BY source"
        return tuple(self._table(sql)["name"])

    def add_label(self, study: str, label: str, value: float) -> None:
        """Say what a label of a study is, as source `app`; see `labelling.add` for what is refused."""
        label_store.add(self.folder, study, label, value)

    def remove_label(self, study: str, label: str) -> None:
        """Take back what `add_label` said; see `labelling.remove` for what is refused."""
        label_store.remove(self.folder, study, label)

    def boxes(self) -> pd.DataFrame:
        """Return where experts saw labels on films: film, label, left, top, width, height in film pixels."""
        return self._table(f"{rows.BOXES} ORDER BY film, place")

    def sentences(self) -> pd.DataFrame:
        """Return the sentences of all findings in order: study, place (from 0), sentence."""
        return self._table(_SENTENCES)

    def studies(self, *, limit: int | None = 50, offset: int = 0, **wanted: Unpack[Filters]) -> pd.DataFrame:
        """Return one page of studies, in import order, or best match first where there is a query.

        Where more than RANKED studies match, they stay in import order.

        Args:
            limit: most rows returned; None for all.
            offset: rows left out before.
            wanted: see `queries.Filters`.

        Returns:
            Columns study, patient, split, sex, age, films (how many), film (the first), findings, impression,
            report. `film` is missing where a study has none.

        Raises:
            CohortError: a label that the cohort has not, or a query that cannot be read.
        """
        with self._chosen(wanted) as (connection, chosen):
            return lists.page(connection, chosen, limit, offset, RANKED)

    def count(self, **wanted: Unpack[Filters]) -> int:
        """Return how many studies `studies` would list with these filters."""
        with self._chosen(wanted) as (connection, chosen):
            return lists.count(connection, chosen)

    def facets(self, **wanted: Unpack[Filters]) -> Facets:
        """Return what the studies of these filters hold, in counts; errors as for `studies`."""
        with self._chosen(wanted) as (connection, chosen):
            # Of the whole cohort: the longest to count, and asked for most.
            known = self._facets if chosen == Filter() else None
            found = known or facets(connection, chosen, label_store.label_names(connection))
            self._facets = found if chosen == Filter() else self._facets
            return found

    @contextmanager
    def _chosen(self, wanted: Filters) -> Iterator[tuple[sqlite3.Connection, Filter]]:
        """Connect for a question to the studies of filters; CohortError for words that cannot be read."""
        chosen = Filter(**wanted)
        if chosen.asserted and chosen.has_query and not self.tells_denials:
            raise CohortError(f"{self.name}: expected an index of what reports deny: import the cohort again")
        with self._connection() as connection, queries.readable(chosen.query):
            yield connection, chosen

    @property
    def tells_denials(self) -> bool:
        """Tell whether a search may leave denied words out: cohorts imported by older versions may not."""
        return bool(self._first("SELECT count(*) FROM sqlite_master WHERE name = 'asserted'")[0])

    def search(self, query: str, limit: int = 50, offset: int = 0) -> list[str]:
        """Return the studies whose findings or impression hold the words, in the order of `studies`.

        Args:
            query: words (all must occur), "phrases", AND, OR, NOT or `-word`, brackets; `effus*` for a
                beginning.
            limit: most studies returned.
            offset: studies left out before.

        Raises:
            CohortError: the query is empty or cannot be read.
        """
        return self.studies(query=queries.checked(query), limit=limit, offset=offset)["study"].tolist()

    def study(self, study: str) -> Study:
        """Return one study; CohortError if the cohort has none of that name."""
        with self._connection() as connection:
            found = rows.study(connection, study)
        if found is None:
            raise CohortError(f"{self.name}: expected one of its studies, got {study[:80]!r}")
        return found

    def study_of(self, film: int) -> Study:
        """Return the study that a film belongs to; CohortError if the cohort has no such film."""
        (study,) = self._of_film("s.study FROM films f JOIN studies s ON s.id = f.study", film)
        return self.study(study)

    def films_of(self, studies: Sequence[str]) -> pd.DataFrame:
        """Return one row a film of some studies, in the order of `films`: film, study, view."""
        return self._table(rows.OF_STUDIES, json.dumps(list(studies)))

    def films_of_patient(self, patient: str) -> pd.DataFrame:
        """Return one row a film of a patient, in the order of `films`: film, study, view."""
        return self._table(rows.OF_PATIENT, patient)

    def position(self, study: str) -> int:
        """Return how many studies stand before one in import order."""
        sql = "SELECT count(*) FROM studies WHERE id < (SELECT id FROM studies WHERE study = ?)"
        return int(self._first(sql, study)[0])

    def pixels(self, side: int = 224, progress: Progress | None = None, checked: bool = False) -> np.memmap:
        """Return every film letterboxed to a side, read-only; built at the first call for that side.

        Args:
            side: in pixels, 8 to 2,048.
            progress: called with films done and films in all while the cache is built.
            checked: prove the cache by its checksum, once for a file of this size and time; takes about a
                second a GB. What computes something that is kept wants this.

        Returns:
            (N, side, side) uint8, row = film.

        Raises:
            CohortError: a film is gone or is no longer the one imported, or the cache is damaged or cannot be
                written.
        """
        return self._caches.of(side, progress, checked)

    def verify(self) -> list[int]:
        """Read database and pixel caches from end to end; return the sides whose caches are whole.

        Raises:
            CohortError: either is damaged.
        """
        if self._first("PRAGMA quick_check(1)")[0] != "ok" or self._first("PRAGMA foreign_key_check"):
            raise CohortError(f"{self.name}: the cohort's database is damaged: import it again")
        return self._caches.verify()

    def read_film(self, film: int, invert: bool = False) -> Film:
        """Return a film as it was exported, or with its greys turned against what its file states.

        Raises:
            CohortError: no such film, or its file is gone, has changed, or now leads out of the export.
        """
        path, sha256 = self._of_film(_FILE, film)
        return self._originals.film(path, sha256, invert)

    def original(self, film: int) -> bytes:
        """Return the bytes of a film's file as it was imported; CohortError as for `read_film`."""
        return self._originals.content(*self._of_film(_FILE, film))

    def read_file(self, path: str) -> bytes:
        """Return the bytes of a film's file by its path; CohortError if it is gone or leads out."""
        return self._originals.content(path)

    def _rows(self, first: int, side: int) -> Iterator[np.ndarray]:
        """Yield the rows of a pixel cache from a film on."""
        with self._connection() as connection:
            sql = "SELECT path, sha256 FROM films WHERE film >= ? ORDER BY film"
            films = connection.execute(sql, (first,)).fetchall()
        return self._originals.rows(films, side)
