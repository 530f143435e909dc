"""The pixel cache of a cohort: every film letterboxed to one side, as one memory-mapped uint8 file.

Owns `pixels-<side>-<fingerprint>.npy`, (N, side, side), row = film index. Its name holds the fingerprint of
the films, so that of other films is never opened; it appears whole, by one rename, or not at all. What was
written of it before a kill is gone on with. Refuses a file of another shape: such a one is built anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import filelock
import numpy as np

from timnet import files
from timnet.cohorts.records import CohortError, Progress
from timnet.counting import counted

# N films, S side of the letterboxed square.
MIN_SIDE, MAX_SIDE = 8, 2048
SYNC_EVERY = 1024  # films of a cache that a kill may cost
RULE = "letterbox 2"  # raise it when films are read or letterboxed in another way: caches are then built anew
FEATURES = "features"
"""Folder beside the caches for what a trunk makes of their films (`features`)."""
_BLOCK = 2**22
_STAMP = ".proved"
"""Ends the name of the file that says which state of a cache was proved by its checksum."""


def fingerprint(sha256s: Iterable[str]) -> str:
    """Return 16 hexadecimal digits that name these films, by the sha256 of their files, in this order."""
    digest = hashlib.sha256(RULE.encode())
    for sha256 in sha256s:
        digest.update(f"\n{sha256}".encode())
    return digest.hexdigest()[:16]


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


def checksum(path: Path) -> str:
    """Return the sha256 of a cache's rows, without the header before them."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        _read_header(file)
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@files.private()
def proved(path: Path, sha256: str) -> bool:
    """Return whether a cache's rows have this checksum; a file of the same size and time is read once."""
    status, stamp = path.stat(), path.with_suffix(_STAMP)
    known = f"{status.st_size} {status.st_mtime_ns} {sha256}"
    if stamp.is_file() and stamp.read_text() == known:
        return True
    if checksum(path) != sha256:
        return False
    # Where the folder is read-only it is proved again next time.
    with suppress(OSError):
        files.write_whole(stamp, known.encode())
    return True


@files.private()
def build(
    path: Path,
    rows_from: Callable[[int], Iterator[np.ndarray]],
    num_films: int,
    side: int,
    record: Callable[[str], None],
    progress: Progress | None = None,
) -> np.memmap:
    """Return the cache at `path`, written if it is missing or does not fit.

    One process writes, others wait and then open what it wrote. What a killed one wrote is gone on with.

    Args:
        path: see `cache_path`.
        rows_from: called with the first film that is wanted, gives the rows from it on.
        num_films: rows of the cache.
        side: of a row.
        record: called with the checksum before the file takes its place.
        progress: called with films done and films in all.

    Raises:
        CohortError: raised by `rows_from`, or the cache cannot be written; nothing is left behind.
    """
    part = path.with_suffix(".part")
    try:
        with filelock.FileLock(path.parent / ".pixels.lock", mode=0o600):
            cache = open_cache(path, num_films, side)
            if cache is None:
                try:
                    with Writer(part, side, keep=None) as writer:
                        for row_SS in rows_from(writer.num):
                            writer.append(row_SS)
                            if writer.num % SYNC_EVERY == 0:
                                writer.sync()
                            if progress is not None:
                                progress(writer.num, num_films)
                    # Read back rather than summed on the way: this is also the check that it was written.
                    record(writer.sha256)
                    if checksum(part) != writer.sha256:
                        raise CohortError(f"{path.parent.name}: pixels of side {side} were not written right")
                    part.replace(path)
                except Exception:
                    part.unlink(missing_ok=True)
                    raise
                cache = open_cache(path, num_films, side)
    except OSError as error:
        raise CohortError(
            f"{path.parent.name}: pixels of side {side} cannot be written: {error.strerror}"
        ) from error
    if cache is None:
        raise CohortError(f"{path.parent.name}: pixels of side {side} cannot be read back")
    return cache


def remove_other(folder: Path, films_fingerprint: str) -> None:
    """Remove the caches of films that the cohort no longer holds, and features of them."""
    for path in (folder / FEATURES).glob("*"):
        if films_fingerprint not in path.name:
            shutil.rmtree(path)
    for path in [
        *folder.glob("pixels-*.npy"),
        *folder.glob("pixels-*.part"),
        *folder.glob(f"pixels-*{_STAMP}"),
    ]:
        if not path.stem.endswith(films_fingerprint):
            path.unlink(missing_ok=True)


class Writer:
    """Write rows one after the other; what `sync` has counted in the header outlives a kill."""

    def __init__(self, path: Path, side: int, keep: int | None = 0) -> None:
        """Open a cache to go on after `keep` of its rows: 0 for a new one, None for as many as it counts.

        Raises:
            CohortError: it holds fewer rows than are to be kept.
        """
        self._side = side
        self._file = path.open("r+b" if path.exists() else "w+b")
        found = self._counted()
        self.num = found if keep is None else keep
        if found < self.num:
            self._file.close()
            raise CohortError(f"{path.name}: expected {counted(self.num, 'X-ray')}, found {found}")
        self._start = self._write_header()
        self.cut(self.num)

    def append(self, row_SS: np.ndarray) -> None:
        """Add one film's uint8 (side, side) pixels."""
        row = np.ascontiguousarray(row_SS, dtype=np.uint8).tobytes()
        self._file.write(row)
        self._digest.update(row)
        self.num += 1

    def cut(self, num: int) -> None:
        """Drop all rows from `num` on."""
        self.num = num
        self._file.truncate(self._start + num * self._side**2)
        self._file.seek(self._start)
        self._digest = hashlib.sha256()
        while block := self._file.read(_BLOCK):
            self._digest.update(block)

    def sync(self) -> None:
        """Put the rows on the disk, and only then count them in the header."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.seek(0)
        # NumPy pads the header so that the first axis can grow in place.
        if self._write_header() != self._start:
            raise CohortError(f"pixels of side {self._side}: too many films for the header of their file")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.seek(0, os.SEEK_END)

    @property
    def sha256(self) -> str:
        """The checksum of the rows so far, see `checksum`."""
        return self._digest.hexdigest()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                self.sync()
        finally:
            self._file.close()

    def _counted(self) -> int:
        """Return the rows that the file counts and holds; 0 for another shape."""
        try:
            shape = _read_header(self._file)
        except (ValueError, EOFError):
            return 0
        held = (os.fstat(self._file.fileno()).st_size - self._file.tell()) // self._side**2
        return min(shape[0], held) if shape[1:] == (self._side, self._side) else 0

    def _write_header(self) -> int:
        self._file.seek(0)
        shape = (self.num, self._side, self._side)
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        return self._file.tell()


def _read_header(file: BinaryIO) -> tuple[int, ...]:
    file.seek(0)
    np.lib.format.read_magic(file)
    shape, _, _ = np.lib.format.read_array_header_1_0(file)
    return shape
