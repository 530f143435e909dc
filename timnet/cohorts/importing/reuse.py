"""The films of the cohort that an import will replace: those that have not changed are not decoded again.

Owns when a film counts as unchanged: same folder, path, size and time of change, read by the same rule, and
its row in a pixel cache whose checksum still holds. Refuses nothing: any other film is read from the export.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import numpy as np

from timnet.cohorts import decode_pool, pixels, schema
from timnet.cohorts.decode_pool import Reading, Taken
from timnet.cohorts.paths import state_inside
from timnet.cohorts.records import CohortError, PathError

_FILM = """
SELECT film, rows, columns, row_mm, column_mm, kind, bits, sha256, file_view, remark FROM films
WHERE path = ? AND bytes = ? AND modified_ns = ?
"""


class Previous:
    """The films of a cohort, by path; none where there is no cohort to take them from."""

    def __init__(
        self,
        root: Path,
        outside: tuple[Path, ...],
        connection: sqlite3.Connection | None,
        cache_NSS: np.ndarray | None,
    ) -> None:
        self._root, self._outside = root, outside
        self._connection, self._cache_NSS = connection, cache_NSS

    def find(self, path: str) -> Taken | None:
        """Return what the cohort keeps of a film of the export, None if it must be read."""
        if self._connection is None or self._cache_NSS is None:
            return None
        try:
            state = state_inside(self._root, path, self._outside)
        except PathError:
            return None
        # All rows at once: an open answer would lock the cohort against labels.
        found = self._connection.execute(_FILM, (path, state.bytes, state.modified_ns)).fetchall()
        if not found:
            return None
        film, *columns, view, remark = found[0]
        return Taken(path, np.array(self._cache_NSS[film]), tuple(columns), view, state, remark)


@contextmanager
def opened(folder: Path, root: Path, side: int, reading: Reading) -> Iterator[Previous]:
    """Open what is there for an import of `root` with pixels of a side and films read in one way."""
    with ExitStack() as stack:
        connection, cache_NSS = None, None
        if (folder / schema.DATABASE).is_file():
            try:
                if schema.version(folder) == schema.VERSION:
                    connection = stack.enter_context(closing(schema.attach(folder)))
                    with schema.reported(folder):
                        cache_NSS = _cache(folder, connection, root, side, reading)
            except CohortError:  # damaged: all is read anew
                connection = None
        yield Previous(root, reading.outside, connection, cache_NSS)


def _cache(
    folder: Path, connection: sqlite3.Connection, root: Path, side: int, reading: Reading
) -> np.ndarray | None:
    facts = dict(connection.execute("SELECT key, value FROM meta"))
    checksums = dict(connection.execute("SELECT side, sha256 FROM caches"))
    if facts["root"] != str(root) or facts.get("rule") != pixels.RULE or side not in checksums:
        return None
    if facts.get("reading", decode_pool.AS_USUAL.rule) != reading.rule:
        return None
    path = pixels.cache_path(folder, side, facts["fingerprint"])
    cache_NSS = pixels.open_cache(path, int(facts["films"]), side)
    return cache_NSS if cache_NSS is not None and pixels.checksum(path) == checksums[side] else None
