"""The pixel caches of one cohort: built at the first call for a side, and proved by the checksums it keeps.

Owns which checksum a cache must have; the file itself is `pixels`'.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from timnet.cohorts import label_store, pixels, schema
from timnet.cohorts.records import CohortError, Progress

Connect = Callable[[], AbstractContextManager[sqlite3.Connection]]
Rows = Callable[[int, int], Iterator[np.ndarray]]


class Caches:
    """Opened caches, by side."""

    def __init__(self, folder: Path, fingerprint: str, films: int, connect: Connect, rows: Rows) -> None:
        """Open nothing yet: `connect` gives the cohort's database, `rows` those of a side from a film on."""
        self._folder, self._fingerprint, self._films = folder, fingerprint, films
        self._connect, self._rows = connect, rows
        self._opened: dict[int, np.memmap] = {}

    def of(self, side: int, progress: Progress | None, checked: bool) -> np.memmap:
        """Return the cache of a side, see `store.Cohort.pixels`."""
        path = pixels.cache_path(self._folder, side, self._fingerprint)
        if side not in self._opened:
            cache = pixels.open_cache(path, self._films, side)
            if cache is None:
                build = (path, lambda first: self._rows(first, side), self._films, side)
                cache = pixels.build(*build, lambda sha256: self._record(side, sha256), progress)
            self._opened[side] = cache
        # Cohorts of the first version kept no checksum.
        if checked and (sha256 := self._checksums().get(side)) and not pixels.proved(path, sha256):
            raise self._damaged(path, side)
        return self._opened[side]

    def verify(self) -> list[int]:
        """Read the caches that are there from end to end and return their sides; CohortError for damage."""
        sides = []
        for side, sha256 in self._checksums().items():
            path = pixels.cache_path(self._folder, side, self._fingerprint)
            if not path.exists():
                continue
            if pixels.open_cache(path, self._films, side) is None or pixels.checksum(path) != sha256:
                raise self._damaged(path, side)
            sides.append(side)
        return sides

    def close(self) -> None:
        """Let go of the memory maps."""
        self._opened.clear()

    def _checksums(self) -> dict[int, str]:
        with self._connect() as connection:
            return dict(connection.execute("SELECT side, sha256 FROM caches ORDER BY side"))

    def _record(self, side: int, sha256: str) -> None:
        with label_store.lock(self._folder), schema.change(self._folder) as connection:
            connection.execute("INSERT OR REPLACE INTO caches VALUES (?, ?)", (side, sha256))

    def _damaged(self, path: Path, side: int) -> CohortError:
        return CohortError(
            f"{self._folder.name}: pixels of side {side} are damaged: remove {path.name}, and it is made anew"
        )
