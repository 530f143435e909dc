"""A cohort in the making: every film is decoded once, whatever cannot be used is named and counted.

Owns which studies and films are let in, the films' order (that of the records), and the splits of studies
that brought none. Refuses twice the same study or film, labels other than 0 to 1 and -1, and an import
without a film.
"""

from __future__ import annotations

import json
import math
import secrets
import sqlite3
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from timnet.cohorts import films, pixels, reports, schema, splits
from timnet.cohorts.records import (
    SPLITS,
    UNCERTAIN,
    CohortError,
    FilmRecord,
    PathError,
    Progress,
    Skipped,
    StudyRecord,
    Summary,
    film_path,
    fold,
    read_inside,
)

AHEAD = 16  # studies whose films may wait for their turn
MAX_REASONS = 40  # different reasons that a summary names; the rest is counted together
NUM_EXAMPLES = 8


@dataclass(frozen=True)
class _Loaded:
    """What the cohort keeps of a decoded film."""

    path: str
    view: str | None
    row_SS: np.ndarray
    columns: tuple[object, ...]  # of the table films, from rows on
    sha256: str


def _load(root: Path, record: FilmRecord, path: str, side: int) -> _Loaded | Skipped:
    try:
        film = films.read_film(read_inside(root, path, films.MAX_BYTES), name=path)
    except (PathError, films.FilmError) as error:
        return Skipped(path, error.reason if isinstance(error, films.FilmError) else str(error))
    spacing = film.spacing_mm or (None, None)
    columns = (film.rows, film.columns, *spacing, film.kind, film.bits, film.sha256)
    return _Loaded(path, record.view or film.view, pixels.letterbox(film, side), columns, film.sha256)


class Draft:
    """A cohort in the making, in a folder of its own."""

    def __init__(self, place: Path, source: str, root: Path, side: int) -> None:
        self._place, self._source, self._root, self._side = place, source, root, side
        self._cache = pixels.cache_path(place, side, "draft")
        self._skipped: Counter[str] = Counter()
        self._examples: list[str] = []
        self._paths: set[str] = set()
        self._studies: set[str] = set()
        self._labels: dict[str, int] = {}
        self._sha256s: list[str] = []
        self._done = 0
        self.fingerprint = ""

    def fill(self, records: Iterable[StudyRecord | Skipped], progress: Progress | None) -> None:
        """Decode every film and write studies, films and labels, in one transaction."""
        total = None
        if isinstance(records, Sequence):
            total = sum(len(record.films) for record in records if isinstance(record, StudyRecord))
        with (
            closing(sqlite3.connect(self._place / schema.DATABASE, isolation_level=None)) as connection,
            pixels.Writer(self._cache, self._side) as cache,
            ThreadPoolExecutor(pixels.WORKERS) as pool,
        ):
            # The draft is thrown away if anything happens, so it needs no journal of its own.
            connection.executescript(
                f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {schema.SCHEMA} BEGIN;"
            )
            connection.execute("PRAGMA foreign_keys=ON")
            for study, waiting in self._ahead(pool, records):
                loaded = []
                for future in waiting:
                    film = future.result()
                    if isinstance(film, Skipped):
                        self._skip(film)
                    else:
                        loaded.append(film)
                    self._done += 1
                    if progress is not None:
                        progress(self._done, total)
                if loaded or not study.films:  # a report alone can be searched for
                    self._insert(connection, study, loaded, cache)
            connection.execute("COMMIT")
        if progress is not None and total is not None and self._done != total:
            progress(total, total)  # films that were refused unread count as done

    def finish(
        self, name: str, shares: Mapping[str, float], seed: int, notes: Sequence[str], started: float
    ) -> Summary:
        """Draw missing splits, index, and sum up; CohortError if no film came in."""
        if not self._sha256s:
            why = "; ".join(f"{reason} ({count})" for reason, count in self._skipped.most_common(3))
            raise CohortError(f"{name}: no film could be imported: {why or 'the export lists none'}")
        self.fingerprint = pixels.fingerprint(self._sha256s)
        with closing(sqlite3.connect(self._place / schema.DATABASE)) as connection:
            connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;")
            drawn = self._draw_splits(connection, shares, seed)
            connection.executescript(schema.INDEXES)
            summary = self._sum_up(connection, name, (*notes, *drawn), started)
            facts = {
                "source": self._source,
                "root": str(self._root),
                "identity": secrets.token_hex(8),
                "fingerprint": self.fingerprint,
                "films": str(summary.films),
                "summary": json.dumps(summary.as_dict()),
            }
            connection.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
            connection.execute(f"PRAGMA user_version={schema.VERSION}")
            connection.commit()
        self._cache.rename(pixels.cache_path(self._place, self._side, self.fingerprint))
        return summary

    def _ahead(
        self, pool: ThreadPoolExecutor, records: Iterable[StudyRecord | Skipped]
    ) -> Iterator[tuple[StudyRecord, list[Future[_Loaded | Skipped]]]]:
        """Yield studies in order while the films of the next ones are already being read."""
        queue: deque[tuple[StudyRecord, list[Future[_Loaded | Skipped]]]] = deque()
        for record in records:
            if isinstance(record, Skipped):
                self._skip(record)
                continue
            if reason := self._refused(record):
                self._skip(Skipped(record.study, reason))
                continue
            self._studies.add(record.study)
            waiting = []
            for film in record.films:
                try:
                    path = self._new_path(film)
                except PathError as error:
                    self._skip(Skipped(repr(film.path[:120]), str(error)))
                    continue
                waiting.append(pool.submit(_load, self._root, film, path, self._side))
            queue.append((record, waiting))
            if len(queue) > AHEAD:
                yield queue.popleft()
        yield from queue

    def _refused(self, record: StudyRecord) -> str | None:
        if record.study in self._studies:
            return "study is listed twice"
        if not record.study.strip() or not record.patient.strip():
            return "study or patient has no identifier"
        try:
            f"{record.study}{record.patient}{record.sex}".encode()
        except UnicodeEncodeError:
            return "an identifier is not text"
        if not record.films and not record.report.strip():
            return "study lists no film"
        if record.split is not None and record.split not in SPLITS:
            return f"split is none of {', '.join(SPLITS)}"
        for value in record.labels.values():
            if not (math.isnan(value) or value == UNCERTAIN or 0 <= value <= 1):
                return "a label is not 0 to 1 or -1 (uncertain)"
        return None

    def _new_path(self, film: FilmRecord) -> str:
        path = film_path(film.path)
        if path in self._paths:
            raise PathError("film is listed twice")
        self._paths.add(path)
        return path

    def _insert(
        self, connection: sqlite3.Connection, study: StudyRecord, loaded: list[_Loaded], cache: pixels.Writer
    ) -> None:
        age = None if study.age is None or math.isnan(study.age) else study.age
        report = study.report.encode(errors="replace").decode()  # a lone surrogate cannot be stored
        row = (study.study, study.patient, study.split, study.sex, age, report, reports.findings(report))
        key = connection.execute("INSERT INTO studies VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", row).lastrowid
        for film in loaded:
            cache.append(film.row_SS)
            values = (len(self._sha256s), key, film.path, film.view, *film.columns)
            connection.execute(f"INSERT INTO films VALUES ({', '.join('?' * len(values))})", values)
            self._sha256s.append(film.sha256)
        for name, value in study.labels.items():
            label = self._label(connection, name)
            if not math.isnan(value):  # unknown = no row
                connection.execute("INSERT INTO labels VALUES (?, ?, ?)", (label, key, value))

    def _label(self, connection: sqlite3.Connection, name: str) -> int:
        if name not in self._labels:
            if not name.strip() or "," in name or fold(name) in map(fold, self._labels):
                raise CohortError(f"label name: expected one of its own, without a comma, got {name[:80]!r}")
            self._labels[name] = len(self._labels)
            values = (self._labels[name], name, self._source)
            connection.execute("INSERT INTO label_names VALUES (?, ?, ?)", values)
        return self._labels[name]

    def _draw_splits(
        self, connection: sqlite3.Connection, shares: Mapping[str, float], seed: int
    ) -> list[str]:
        """Give studies without a split that of their patient's other studies, or one drawn by patient."""
        given = dict(
            connection.execute("SELECT patient, split FROM studies WHERE split IS NOT NULL ORDER BY id DESC")
        )
        rows = connection.execute(
            "SELECT id, patient FROM studies WHERE split IS NULL ORDER BY id"
        ).fetchall()
        drawn = [(study, patient) for study, patient in rows if patient not in given]
        if drawn:
            y_NL = np.full((rows[-1][0] + 1, len(self._labels)), np.nan)
            for label, study, value in connection.execute("SELECT label, study, value FROM labels"):
                if study < len(y_NL):
                    y_NL[study, label] = value
            strata = splits.strata(y_NL[[study for study, _ in drawn]])
            names = splits.by_patient([patient for _, patient in drawn], seed, shares, strata)
            given |= dict(zip((patient for _, patient in drawn), names, strict=True))
        assigned = [(given[patient], study) for study, patient in rows]
        connection.executemany("UPDATE studies SET split = ? WHERE id = ?", assigned)
        return [f"studies without a split, drawn by patient with seed {seed}: {len(rows)}"] if rows else []

    def _sum_up(
        self, connection: sqlite3.Connection, name: str, notes: tuple[str, ...], started: float
    ) -> Summary:
        def counts(sql: str) -> dict[str, int]:
            return dict(connection.execute(sql).fetchall())

        def number(sql: str) -> int:
            return int(connection.execute(sql).fetchone()[0])

        by_split = pd.read_sql_query("SELECT patient, split FROM studies", connection)
        if crossing := len(splits.crossing(by_split)):
            notes += (f"patients in two splits of the export: {crossing}",)
        if repeated := len(self._sha256s) - len(set(self._sha256s)):
            notes += (f"films that repeat another one byte for byte: {repeated}",)
        positives = (
            "SELECT name, count(film) FROM label_names n"
            " LEFT JOIN labels l ON l.label = n.label AND l.value > 0.5"
            " LEFT JOIN films f ON f.study = l.study GROUP BY n.label ORDER BY n.label"
        )
        per_split = counts(
            "SELECT split, count(*) FROM films f JOIN studies s ON s.id = f.study GROUP BY split"
        )
        return Summary(
            name=name,
            studies=number("SELECT count(*) FROM studies"),
            films=len(self._sha256s),
            patients=number("SELECT count(DISTINCT patient) FROM studies"),
            labels=counts(positives),
            splits={split: per_split[split] for split in SPLITS if split in per_split},
            with_findings=number("SELECT count(*) FROM studies WHERE findings <> ''"),
            skipped=dict(self._skipped.most_common()),
            first_skipped=tuple(self._examples),
            seconds=round(time.monotonic() - started, 2),
            notes=notes,
        )

    def _skip(self, skipped: Skipped) -> None:
        known = skipped.reason in self._skipped or len(self._skipped) < MAX_REASONS
        reason = skipped.reason if known else "other reasons"
        if self._skipped[reason] == 0 or len(self._examples) < NUM_EXAMPLES:
            self._examples.append(f"{skipped.row}: {skipped.reason}")
        self._skipped[reason] += 1
