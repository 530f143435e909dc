"""A cohort on disk: studies, films, labels, splits and a full-text index in SQLite, pixels as a memory map.

Owns reading: what comes after the import asks the cohort, and lists are filtered and cut in SQL. A cohort
never changes under its reader: an import puts a new one in its place, and an older `Cohort` then says so.
Refuses unknown names, films that are gone or changed, and words that are no query, each in one sentence.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from timnet import config
from timnet.cohorts import decode_pool, label_store, rows, schema, schema_migration
from timnet.cohorts import pixels as pixel_cache
from timnet.cohorts import search as queries
from timnet.cohorts.decode_pool import Reading
from timnet.cohorts.facets import Facets, LabelCount, facets
from timnet.cohorts.importing.pipeline import write
from timnet.cohorts.paths import read_inside
from timnet.cohorts.places import available, find, place
from timnet.cohorts.records import (
    Box,
    CohortError,
    FilmRecord,
    PathError,
    Progress,
    Skipped,
    Study,
    StudyFilm,
    StudyRecord,
    Summary,
)
from timnet.cohorts.search import Filter, Filters
from timnet.films import sandbox
from timnet.films.film import MAX_BYTES, Admit, Film, FilmError

__all__ = [
    "Box",
    "Cohort",
    "CohortError",
    "Facets",
    "FilmRecord",
    "Filters",
    "LabelCount",
    "Reading",
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
SELECT f.film, s.study, s.patient, s.split, f.view, f.path, f.rows, f.columns, r.findings, r.report
FROM films f JOIN studies s ON s.id = f.study JOIN reports r ON r.study = s.id ORDER BY f.film
"""
_PEOPLE = "SELECT s.sex, s.age, f.view FROM films f JOIN studies s ON s.id = f.study ORDER BY f.film"
_PAGE = """
WITH page AS MATERIALIZED (SELECT s.id AS id, {rank} AS rank {where} ORDER BY {order} LIMIT ? OFFSET ?)
SELECT s.study, s.patient, s.split, s.sex, s.age, s.films, s.film, r.findings, r.impression, r.report
FROM page JOIN studies s ON s.id = page.id JOIN reports r ON r.study = page.id ORDER BY page.rank, page.id
"""
_SENTENCES = (
    "SELECT s.study, place, sentence FROM sentences t JOIN studies s ON s.id = t.study ORDER BY s.id, place"
)
_Place = tuple[str, Path, tuple[Path, ...]]
"""A cohort's name, its export's folder, and those that its films may lie in besides."""
_AHEAD = 32  # films that may wait for their turn in a cache
RANKED = 10_000
"""With more matches than this, lists keep the import order: words so common hardly tell a best match."""


class Cohort:
    """A cohort opened for reading; every call has its own connection, so threads may share one object."""

    def __init__(self, folder: Path, facts: Mapping[str, str]) -> None:
        self.folder = folder
        self.name = folder.name
        self.source = facts["source"]
        self.root = Path(facts["root"])
        self._imported, self._revision = facts["identity"], facts["revision"]
        self._num_films = int(facts["films"])
        self._fingerprint = facts["fingerprint"]
        self._admit: tuple[Admit, ...] = tuple(json.loads(facts.get("admit", "[]")))
        self._outside = tuple(map(Path, json.loads(facts.get("outside", "[]"))))
        self._summary = Summary.from_dict(json.loads(facts["summary"]))
        self._films: pd.DataFrame | None = None
        self._labels: pd.DataFrame | None = None
        self._facets: Facets | None = None
        self._pixels: dict[int, np.memmap] = {}

    @classmethod
    def open(cls, folder: str | Path) -> Cohort:
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

    def people(self) -> pd.DataFrame:
        """Return sex (M, F, O or missing), age in years and view of every film, in the order of `films`."""
        with self._connection() as connection:
            return pd.read_sql_query(_PEOPLE, connection).astype({"age": float})

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
        with self._connection() as connection:
            found = connection.execute(
                "SELECT name FROM label_sources WHERE source IN (SELECT source FROM labels) ORDER BY source"
            )
            return tuple(name for (name,) in found)

    def add_label(self, study: str, label: str, value: float) -> None:
        """Say what a label of a study is, as source `app`; see `labelling.add` for what is refused."""
        label_store.add(self.folder, study, label, value)

    def remove_label(self, study: str, label: str) -> None:
        """Take back what `add_label` said; see `labelling.remove` for what is refused."""
        label_store.remove(self.folder, study, label)

    def boxes(self) -> pd.DataFrame:
        """Return where experts saw labels on films: film, label, left, top, width, height in film pixels."""
        with self._connection() as connection:
            return pd.read_sql_query(f"{rows.BOXES} ORDER BY film, place", connection)

    def sentences(self) -> pd.DataFrame:
        """Return the sentences of all findings in order: study, place (from 0), sentence."""
        with self._connection() as connection:
            return pd.read_sql_query(_SENTENCES, connection)

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
        chosen = self._filter(wanted)
        page = (-1 if limit is None else max(limit, 0), max(offset, 0))
        with self._connection() as connection, queries.readable(chosen.query):
            where, values = chosen.sql(label_store.label_names(connection))
            ranked = chosen.is_joined and _is_ranked(connection, where, values)
            # FTS5 yields its matches by rowid: asked for in that order, a page ends after its last row.
            plain = f"{chosen.index}.rowid" if chosen.is_joined else "s.id"
            score = f"{chosen.index}.rank"
            rank, order = (score, f"{score}, s.id") if ranked else (plain, plain)
            sql = _PAGE.format(rank=rank, where=where, order=order)
            return pd.read_sql_query(sql, connection, params=(*values, *page))

    def count(self, **wanted: Unpack[Filters]) -> int:
        """Return how many studies `studies` would list with these filters."""
        chosen = self._filter(wanted)
        with self._connection() as connection, queries.readable(chosen.query):
            where, values = chosen.sql(label_store.label_names(connection))
            if chosen.is_query_alone:  # every word is a study's: no need to look the study up
                where = f"FROM {chosen.index} WHERE {chosen.index} MATCH ?"
            return int(connection.execute(f"SELECT count(*) {where}", values).fetchone()[0])

    def facets(self, **wanted: Unpack[Filters]) -> Facets:
        """Return what the studies of these filters hold, in counts; errors as for `studies`."""
        chosen = self._filter(wanted)
        with self._connection() as connection, queries.readable(chosen.query):
            if chosen != Filter():
                return facets(connection, chosen, label_store.label_names(connection))
            if self._facets is None:  # of the whole cohort: the longest to count, and asked for most
                self._facets = facets(connection, chosen, label_store.label_names(connection))
            return self._facets

    def _filter(self, wanted: Filters) -> Filter:
        chosen = Filter(**wanted)
        if chosen.asserted and chosen.has_query and not self.tells_denials:
            raise CohortError(f"{self.name}: expected an index of what reports deny: import the cohort again")
        return chosen

    @property
    def tells_denials(self) -> bool:
        """Tell whether a search may leave denied words out: cohorts imported by older versions may not."""
        with self._connection() as connection:
            sql = "SELECT count(*) FROM sqlite_master WHERE name = 'asserted'"
            return bool(connection.execute(sql).fetchone()[0])

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
        with self._connection() as connection:
            sql = "SELECT s.study FROM films f JOIN studies s ON s.id = f.study WHERE f.film = ?"
            found = connection.execute(sql, (int(film),)).fetchone()
        if found is None:
            raise CohortError(f"{self.name}: expected a film from 0 to {self._num_films - 1}, got {film}")
        return self.study(found[0])

    def films_of(self, studies: Sequence[str]) -> pd.DataFrame:
        """Return one row a film of some studies, in the order of `films`: film, study, view."""
        with self._connection() as connection:
            return rows.films_of(connection, studies)

    def films_of_patient(self, patient: str) -> pd.DataFrame:
        """Return one row a film of a patient, in the order of `films`: film, study, view."""
        with self._connection() as connection:
            return rows.films_of_patient(connection, patient)

    def position(self, study: str) -> int:
        """Return how many studies stand before one in import order."""
        with self._connection() as connection:
            sql = "SELECT count(*) FROM studies WHERE id < (SELECT id FROM studies WHERE study = ?)"
            return int(connection.execute(sql, (study,)).fetchone()[0])

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
        path = pixel_cache.cache_path(self.folder, side, self._fingerprint)
        if side not in self._pixels:
            cache = pixel_cache.open_cache(path, self._num_films, side)
            if cache is None:
                build = (path, lambda first: self._rows(first, side), self._num_films, side)
                cache = pixel_cache.build(*build, lambda sha256: self._record(side, sha256), progress)
            self._pixels[side] = cache
        if checked:
            self._check(side, path)
        return self._pixels[side]

    def verify(self) -> list[int]:
        """Read database and pixel caches from end to end; return the sides whose caches are whole.

        Raises:
            CohortError: either is damaged.
        """
        with self._connection() as connection:
            (told,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if told != "ok" or connection.execute("PRAGMA foreign_key_check").fetchone():
                raise CohortError(f"{self.name}: the cohort's database is damaged: import it again")
            checksums = dict(connection.execute("SELECT side, sha256 FROM caches ORDER BY side"))
        sides = []
        for side, sha256 in checksums.items():
            path = pixel_cache.cache_path(self.folder, side, self._fingerprint)
            if not path.exists():
                continue
            if (
                pixel_cache.open_cache(path, self._num_films, side) is None
                or pixel_cache.checksum(path) != sha256
            ):
                raise self._damaged(side, path)
            sides.append(side)
        return sides

    def _check(self, side: int, path: Path) -> None:
        """Prove a cache by its recorded checksum, unless this very file was proved before."""
        with self._connection() as connection:
            row = connection.execute("SELECT sha256 FROM caches WHERE side = ?", (side,)).fetchone()
        # Cohorts of the first version kept no checksum.
        if row is not None and not pixel_cache.proved(path, row[0]):
            raise self._damaged(side, path)

    def _damaged(self, side: int, path: Path) -> CohortError:
        return CohortError(
            f"{self.name}: pixels of side {side} are damaged: remove {path.name}, and it is made anew"
        )

    def _rows(self, first: int, side: int) -> Iterator[np.ndarray]:
        """Yield the rows of a cache from a film on, several films being read at a time."""
        with self._connection() as connection:
            sql = "SELECT path, sha256 FROM films WHERE film >= ? ORDER BY film"
            originals = connection.execute(sql, (first,)).fetchall()
        with decode_pool.Pool() as pool:
            waiting: deque[Future[np.ndarray]] = deque()
            for path, sha256 in originals:
                waiting.append(pool.submit(_row, self._place, path, sha256, self._admit, side))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _record(self, side: int, sha256: str) -> None:
        with label_store.lock(self.folder), schema.change(self.folder) as connection:
            connection.execute("INSERT OR REPLACE INTO caches VALUES (?, ?)", (side, sha256))

    def read_film(self, film: int, invert: bool = False) -> Film:
        """Return a film as it was exported, or with its greys turned against what its file states.

        Raises:
            CohortError: no such film, or its file is gone, has changed, or now leads out of the export.
        """
        path, sha256 = self._file(film)
        with _original(self._place, path, sha256) as data:
            return sandbox.read_untrusted(data, name=path, admit=self._admit, invert=invert, reuse=True)

    def original(self, film: int) -> bytes:
        """Return the bytes of a film's file as it was imported; CohortError as for `read_film`."""
        with _original(self._place, *self._file(film)) as data:
            return data

    @property
    def admit(self) -> tuple[Admit, ...]:
        """What its import let in besides radiographs of one frame."""
        return self._admit

    def _file(self, film: int) -> tuple[str, str]:
        """Return the path and the sha256 of a film's file."""
        with self._connection() as connection:
            sql = "SELECT path, sha256 FROM films WHERE film = ?"
            found: tuple[str, str] | None = connection.execute(sql, (int(film),)).fetchone()
        if found is None:
            raise CohortError(f"{self.name}: expected a film from 0 to {self._num_films - 1}, got {film}")
        return found

    def read_file(self, path: str) -> bytes:
        """Return the bytes of a film's file by its path; CohortError if it is gone or leads out."""
        return _bytes(self._place, path)

    @property
    def _place(self) -> _Place:
        return self.name, self.root, self._outside

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
                self._revision, self._labels, self._facets = facts["revision"], None, None
            yield connection


def _is_ranked(connection: sqlite3.Connection, where: str, values: list[Any]) -> bool:
    """Tell whether the matches are few enough to be sorted by how well they match."""
    sql = f"SELECT count(*) FROM (SELECT 1 {where} LIMIT ?)"
    return int(connection.execute(sql, (*values, RANKED + 1)).fetchone()[0]) <= RANKED


def _row(place: _Place, path: str, sha256: str, admit: tuple[Admit, ...], side: int) -> np.ndarray:
    with _original(place, path, sha256) as data:
        return sandbox.read_row(data, name=path, side=side, admit=admit).row_SS


@contextmanager
def _original(place: _Place, path: str, sha256: str) -> Iterator[bytes]:
    """Yield the bytes of a film as it was exported; what the block refuses is the cohort's error."""
    name, data = place[0], _bytes(place, path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CohortError(f"{name}: film {path}: has changed since the import: import the export again")
    try:
        yield data
    except FilmError as error:
        raise CohortError(f"{name}: film {path}: {error.reason}") from None


def _bytes(place: _Place, path: str) -> bytes:
    name, root, outside = place
    try:
        return read_inside(root, path, MAX_BYTES, outside)
    except PathError as error:
        raise CohortError(f"{name}: film {path}: {error} (looked in {root})") from None
