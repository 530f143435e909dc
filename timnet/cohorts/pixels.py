"""The pixel cache of a cohort: every film letterboxed to one side, as one memory-mapped uint8 file.

Owns `pixels-<side>-<fingerprint>.npy`, (N, side, side), row = film index. Its name holds the fingerprint of
the films, so that of other films is never opened; it appears whole, by one rename, or not at all.
Refuses a file of another shape: such a one is built anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import numpy as np

from timnet.cohorts import films
from timnet.cohorts.records import CohortError, Progress

# N films, S side of the letterboxed square.
MIN_SIDE, MAX_SIDE = 8, 2048
# Large films are decoded without the interpreter's lock: 40 of 8 megapixels: 2.3 s with 1 thread, 1.2 with 2.
WORKERS = min(os.cpu_count() or 1, 8)
_BATCH = 32
_RULE = (
    "letterbox 1"  # raise it when films are read or letterboxed in another way: caches are then built anew
)


def letterbox(film: films.Film, side: int) -> np.ndarray:
    """Return the film as the cache holds it: uint8 (side, side)."""
    return films.to_uint8(films.Letterbox(film.rows, film.columns, side).apply(film.pixels))


def fingerprint(sha256s: Iterable[str]) -> str:
    """Return 16 hexadecimal digits that name these films, by the sha256 of their files, in this order."""
    return hashlib.sha256("\n".join([_RULE, *sha256s]).encode()).hexdigest()[:16]


def cache_path(folder: Path, side: int, films_fingerprint: str) -> Path:
    """Return where the cache of one side lies; CohortError for a side below 8 or above 2,048 pixels."""
    if not MIN_SIDE <= side <= MAX_SIDE:
        raise CohortError(f"side: expected {MIN_SIDE} to {MAX_SIDE} pixels, got {side}")
    return folder / f"pixels-{side}-{films_fingerprint}.npy"


def open_cache(path: Path, num_films: int, side: int) -> np.memmap | None:
    """Open a cache read-only; None if it is missing, cut short, or of another shape."""
    try:
        pixels_NSS = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if not isinstance(pixels_NSS, np.memmap):
        return None
    fits = pixels_NSS.dtype == np.uint8 and pixels_NSS.shape == (num_films, side, side)
    return pixels_NSS if fits and pixels_NSS.flags.c_contiguous else None


def build(
    path: Path, load: Callable[[int], films.Film], num_films: int, side: int, progress: Progress | None = None
) -> np.memmap:
    """Return the cache at `path`, written from the films that `load` gives if it is missing or does not fit.

    One process writes, others wait and then open what it wrote.

    Raises:
        CohortError: raised by `load`, or the cache cannot be written; nothing is left behind.
    """
    part = path.with_suffix(".part")
    try:
        with filelock.FileLock(path.parent / ".pixels.lock"):
            cache = open_cache(path, num_films, side)
            if cache is None:
                part.unlink(missing_ok=True)  # of a killed process: its lock is free
                try:
                    with Writer(part, side) as rows:
                        for done, row_SS in enumerate(_rows(load, num_films, side), 1):
                            rows.append(row_SS)
                            if progress is not None:
                                progress(done, num_films)
                    part.replace(path)
                finally:
                    part.unlink(missing_ok=True)
                cache = open_cache(path, num_films, side)
    except OSError as error:
        raise CohortError(
            f"{path.parent.name}: pixels of side {side} cannot be written: {error.strerror}"
        ) from error
    if cache is None:
        raise CohortError(f"{path.parent.name}: pixels of side {side} cannot be read back")
    return cache


def _rows(load: Callable[[int], films.Film], num_films: int, side: int) -> Iterator[np.ndarray]:
    """Yield the rows in order, a few films being decoded at a time."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for start in range(0, num_films, _BATCH):
            batch = range(start, min(start + _BATCH, num_films))
            yield from pool.map(lambda film: letterbox(load(film), side), batch)


def remove_other(folder: Path, films_fingerprint: str) -> None:
    """Remove the caches of films that the cohort no longer holds."""
    for path in folder.glob("pixels-*.npy"):
        if not path.stem.endswith(films_fingerprint):
            path.unlink(missing_ok=True)


class Writer:
    """Write rows one after the other; the file is valid once `close` has run without an error."""

    def __init__(self, path: Path, side: int) -> None:
        self._side = side
        self._num = 0
        self._file = path.open("xb")
        self._start = self._header()

    def append(self, row_SS: np.ndarray) -> None:
        """Add one film's uint8 (side, side) pixels."""
        self._file.write(np.ascontiguousarray(row_SS, dtype=np.uint8).tobytes())
        self._num += 1

    def close(self) -> None:
        """Write the final shape into the header and put everything on the disk."""
        self._file.seek(0)
        # NumPy pads the header so that the first axis can grow in place.
        assert self._header() == self._start
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()

    def _header(self) -> int:
        shape = (self._num, self._side, self._side)
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        return self._file.tell()
