"""The files of a cohort's films, where they were exported: read again, and refused where they have changed.

Owns that every refusal is the cohort's, in one sentence that names the film.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from timnet.cohorts import decode_pool
from timnet.cohorts.paths import read_inside
from timnet.cohorts.records import CohortError, PathError
from timnet.films import sandbox
from timnet.films.film import MAX_BYTES, Admit, Film, FilmError

_AHEAD = 32  # films that may wait for their turn in a cache


@dataclass(frozen=True)
class Originals:
    """A cohort's name, its export's folder, those that films may lie in besides, and what it lets in."""

    cohort: str
    root: Path
    outside: tuple[Path, ...]
    admit: tuple[Admit, ...]

    def content(self, path: str, sha256: str | None = None) -> bytes:
        """Return a file's bytes; CohortError if it is gone, leads out, or is not that of `sha256`."""
        with self._told(path):
            data = read_inside(self.root, path, MAX_BYTES, self.outside)
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise CohortError(
                f"{self.cohort}: film {path}: has changed since the import: import the export again"
            )
        return data

    def film(self, path: str, sha256: str, invert: bool) -> Film:
        """Return a film, its greys turned against what its file states if asked; errors as for `content`."""
        data = self.content(path, sha256)
        with self._told(path):
            return sandbox.read_untrusted(data, name=path, admit=self.admit, invert=invert, reuse=True)

    def rows(self, films: Sequence[tuple[str, str]], side: int) -> Iterator[np.ndarray]:
        """Yield films, path and sha256 each, letterboxed to a side, several being read at a time."""
        with decode_pool.Pool() as pool:
            waiting: deque[Future[np.ndarray]] = deque()
            for path, sha256 in films:
                waiting.append(pool.submit(self._row, path, sha256, side))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _row(self, path: str, sha256: str, side: int) -> np.ndarray:
        data = self.content(path, sha256)
        with self._told(path):
            return sandbox.read_row(data, name=path, side=side, admit=self.admit).row_SS

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        """Turn what is wrong with a film into the cohort's error."""
        try:
            yield
        except PathError as error:
            raise CohortError(f"{self.cohort}: film {path}: {error} (looked in {self.root})") from None
        except FilmError as error:
            raise CohortError(f"{self.cohort}: film {path}: {error.reason}") from None
