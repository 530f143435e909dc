"""A cohort in the making: every film is decoded once, whatever cannot be used is named and counted.

Owns which studies and films are let in, their order (that of the records), and the batches from which a
killed import goes on: pixels are on the disk before the transaction that counts them. Refuses twice the same
study or film, labels other than 0 to 1 and -1, and what follows the first record that changed since the kill.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

from timnet.cohorts import decode_pool, pixels, schema
from timnet.cohorts.decode_pool import Reading, Taken
from timnet.cohorts.importing.digest import digest_of_all, new_digest
from timnet.cohorts.importing.reuse import Previous
from timnet.cohorts.importing.study_rows import StudyRows
from timnet.cohorts.records import SPLITS, FilmRecord, PathError, Progress, Skipped, StudyRecord, film_path

AHEAD = 32  # records whose films may wait for their turn
COMMIT_SECONDS, COMMIT_FILMS = 5.0, 4096  # of work that a kill may cost
MAX_REASONS = 40  # different reasons that a summary names; the rest is counted together
NUM_EXAMPLES = 8
# Control characters and halves of characters: neither names anybody, and counts are separated by the former.
_NO_TEXT = re.compile(r"[\x00-\x1f\ud800-\udfff]")

# What the draft has taken in, record by record, with the state of its tables after each.
CONSUMED = """
CREATE TABLE consumed (
    record INTEGER PRIMARY KEY, digest BLOB NOT NULL, skipped TEXT NOT NULL,
    studies INTEGER NOT NULL, films INTEGER NOT NULL, labels INTEGER NOT NULL, sources INTEGER NOT NULL
)
"""
# Rows of a study, those that others refer to last.
_CUT = (
    "DELETE FROM labels WHERE study > :studies",
    "DELETE FROM sentences WHERE study > :studies",
    "DELETE FROM boxes WHERE film >= :films",
    "DELETE FROM films WHERE film >= :films",
    "DELETE FROM reports WHERE study > :studies",
    "DELETE FROM studies WHERE id > :studies",
    "DELETE FROM label_names WHERE label >= :labels",
    "DELETE FROM label_sources WHERE source >= :sources",
    "DELETE FROM consumed WHERE record >= :record",
)


@dataclass(frozen=True)
class _Waiting:
    """A record that was let in or refused, its films being read."""

    record: StudyRecord | Skipped
    digest: bytes
    is_let_in: bool
    skipped: list[Skipped]
    films: list[tuple[FilmRecord, Future[Taken | Skipped] | Taken]]


@dataclass(frozen=True)
class _State:
    """How much the draft's tables hold."""

    record: int
    studies: int
    films: int
    labels: int
    sources: int


class Draft:
    """A cohort in the making: an open database and the file of its pixels."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        cache: Path,
        root: Path,
        side: int,
        label_source: str,
        reading: Reading,
    ) -> None:
        self._connection, self._cache, self._root, self._side = connection, cache, root, side
        self._reading = reading
        self._rows = StudyRows(connection, label_source)
        self._state = _State(0, 0, 0, 0, len(dict.fromkeys((*schema.SOURCES, label_source))))
        self._names: set[str] = set()
        self._paths: set[str] = set()
        self.skipped: Counter[str] = Counter()
        self.examples: list[str] = []
        self._done = 0

    def fill(
        self,
        records: Iterable[StudyRecord | Skipped],
        previous: Previous,
        num_films: int | None = None,
        progress: Progress | None = None,
    ) -> str:
        """Take in the records that follow those the draft holds; return the checksum of the pixels."""
        total = _num_films(records) if num_films is None else num_films

        def tell() -> None:
            if progress is not None:
                progress(self._done, total)

        (held,) = self._connection.execute("SELECT count(*) FROM consumed").fetchone()
        (films,) = self._connection.execute("SELECT count(*) FROM films").fetchone()
        with pixels.Writer(self._cache, self._side, keep=films) as cache, decode_pool.Pool() as pool:
            self._begin()
            queue: deque[_Waiting] = deque()
            for number, record in enumerate(records):
                is_let_in, skipped, paths = self._let_in(record)
                digest = new_digest(record)
                if number < held:
                    if self._go_over(number, record, digest):
                        continue
                    self._cut(cache)
                    held = number
                if number == held and self._done:
                    tell()
                waiting: list[tuple[FilmRecord, Future[Taken | Skipped] | Taken]] = []
                for film, path in paths:
                    known = previous.find(path)
                    request = (self._root, path, self._side, self._reading)
                    waiting.append((film, known or pool.submit(decode_pool.take, *request)))
                queue.append(_Waiting(record, digest, is_let_in, skipped, waiting))
                if len(queue) > AHEAD:
                    self._take_in(queue.popleft(), cache, tell)
            if self._state.record < held:
                self._cut(cache)
            while queue:
                self._take_in(queue.popleft(), cache, tell)
            self._commit(cache)
            return cache.sha256

    def digest(self) -> str:
        """Return the digest of all records taken in, in order."""
        rows = self._connection.execute("SELECT digest FROM consumed ORDER BY record")
        return digest_of_all(digest for (digest,) in rows)

    def _begin(self) -> None:
        self._connection.execute("BEGIN")
        self._batch_started, self._batch_films = time.monotonic(), self._state.films

    def _commit(self, cache: pixels.Writer) -> None:
        """End a batch: what the database counts is then on the disk, pixels and rows."""
        cache.sync()
        self._connection.execute("COMMIT")

    def _go_over(self, number: int, record: StudyRecord | Skipped, digest: bytes) -> bool:
        """Count a record that the draft holds already; False if it is no longer the same."""
        found = self._connection.execute("SELECT * FROM consumed WHERE record = ?", (number,)).fetchone()
        if found[1] != digest:
            return False
        self._state = _State(number + 1, *found[3:])
        for row, reason in json.loads(found[2]):
            self._skip(Skipped(row, reason))
        self._done += len(record.films) if isinstance(record, StudyRecord) else 0
        return True

    def _cut(self, cache: pixels.Writer) -> None:
        """Drop what follows the records gone over, from the database first."""
        for statement in _CUT:
            self._connection.execute(statement, asdict(self._state))
        self._connection.execute("COMMIT")
        cache.cut(self._state.films)
        del self._rows.labels[self._state.labels :], self._rows.sources[self._state.sources :]
        self._begin()

    def _let_in(
        self, record: StudyRecord | Skipped
    ) -> tuple[bool, list[Skipped], list[tuple[FilmRecord, str]]]:
        """Return whether a record is let in, what of it is refused, and the films that are to be read."""
        if isinstance(record, Skipped):
            return False, [record], []
        if reason := self._refused(record):
            return False, [Skipped(record.study, reason)], []
        self._names.add(record.study)
        skipped, paths = list[Skipped](), list[tuple[FilmRecord, str]]()
        for film in record.films:
            try:
                path = film_path(film.path, bool(self._reading.outside))
                if path in self._paths:
                    raise PathError("film is listed twice")
            except PathError as error:
                skipped.append(Skipped(repr(film.path[:120]), str(error)))
                continue
            self._paths.add(path)
            paths.append((film, path))
        return True, skipped, paths

    def _refused(self, record: StudyRecord) -> str | None:
        if record.study in self._names:
            return "study is listed twice"
        if not record.study.strip() or not record.patient.strip():
            return "study or patient has no identifier"
        if _NO_TEXT.search(f"{record.study}{record.patient}{record.sex}"):
            return "an identifier is not text"
        if not record.films and not record.report.strip():
            return "study lists no film"
        if record.split is not None and record.split not in SPLITS:
            return f"split is none of {', '.join(SPLITS)}"
        for said in (record.labels, *record.other_labels.values()):
            if not all(math.isnan(value) or schema.is_value(value) for value in said.values()):
                return "a label is not 0 to 1 or -1 (uncertain)"
        return None

    def _take_in(self, waiting: _Waiting, cache: pixels.Writer, tell: Callable[[], None]) -> None:
        """Write a record's study and films, once they are read, and what was left out of it."""
        record, skipped = waiting.record, list(waiting.skipped)
        taken: list[tuple[FilmRecord, Taken]] = []
        for film, result in waiting.films:
            found = result if isinstance(result, Taken) else result.result()
            if isinstance(found, Skipped):
                skipped.append(found)
            else:
                taken.append((film, found))
            self._done += 1
            tell()
        if isinstance(record, StudyRecord) and len(record.films) > len(waiting.films):
            self._done += len(record.films) - len(waiting.films)  # refused unread
            tell()
        for skip in skipped:
            self._skip(skip)
        if isinstance(record, StudyRecord) and waiting.is_let_in and (taken or not record.films):
            key, first = self._state.studies + 1, self._state.films
            self._rows.insert(key, first, record, taken)  # a report alone can be searched for
            for _, found in taken:
                cache.append(found.row_SS)
            self._state = replace(self._state, studies=key, films=first + len(taken))
        state = self._state = replace(
            self._state,
            record=self._state.record + 1,
            labels=len(self._rows.labels),
            sources=len(self._rows.sources),
        )
        content = json.dumps([(each.row, each.reason) for each in skipped])
        row = (state.record - 1, waiting.digest, content, *astuple(state)[1:])
        self._connection.execute("INSERT INTO consumed VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        if (
            time.monotonic() - self._batch_started > COMMIT_SECONDS
            or state.films - self._batch_films >= COMMIT_FILMS
        ):
            self._commit(cache)
            self._begin()

    def _skip(self, skipped: Skipped) -> None:
        known = skipped.reason in self.skipped or len(self.skipped) < MAX_REASONS
        reason = skipped.reason if known else "other reasons"
        if self.skipped[reason] == 0 or len(self.examples) < NUM_EXAMPLES:
            self.examples.append(f"{skipped.row}: {skipped.reason}")
        self.skipped[reason] += 1


def _num_films(records: Iterable[StudyRecord | Skipped]) -> int | None:
    if not isinstance(records, Sequence):
        return None
    return sum(len(record.films) for record in records if isinstance(record, StudyRecord))
