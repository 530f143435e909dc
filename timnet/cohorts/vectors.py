"""Vectors of all films and reports of a cohort under one checkpoint: where they lie, how far they are.

Owns the folder `vectors/CHECKPOINT-KEY` of a cohort, whose key is made of the cohort's import and the
checkpoint's weights, and the process that a page starts to fill it. What fills it is
`model.embed`. Half precision; written in order, so that an interrupted build goes on. State is read
off a lock and a file, never off a process id.

Shapes: N films in the order of the pixel cache, M reports, D joint width.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pydantic_core
from numpy.typing import NDArray

from timnet import files, processes
from timnet.cohorts.records import CohortError
from timnet.cohorts.store import Cohort

FOLDER = "vectors"
_FILMS, _REPORTS, _DONE, _LOG = "films.npy", "reports.npy", "done.json", "log.txt"
_LOCK, _STARTED = ".lock", ".started"
_TYPE = np.float16
_RULE = "2"
"""Raise it when films or texts are encoded in another way: older vectors are then made anew."""
_KEY = 16
_BLOCK = 8192


class BusyError(CohortError):
    """Vectors that another process writes now."""


@dataclass(frozen=True)
class Vectors:
    """Complete vectors, memory-mapped; what is written into them stays out of the files."""

    films_ND: NDArray[np.float16]
    reports_MD: NDArray[np.float16]


@dataclass(frozen=True)
class State:
    """How far vectors are: films and reports done and in all."""

    name: Literal["none", "building", "stopped", "complete"]
    done: int = 0
    total: int = 0
    message: str = ""
    """Why it stopped, in the builder's last line."""


def place(cohort: Cohort, checkpoint: Path) -> Path:
    """Return the folder of a cohort's vectors under a checkpoint.

    Raises:
        CohortError: the checkpoint's description cannot be read.
    """
    try:
        weights = pydantic_core.from_json((checkpoint / "model.json").read_bytes())["weights_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise CohortError(
            f"{checkpoint.name}: expected a checkpoint with a description, found none"
        ) from None
    key = hashlib.sha256(f"{_RULE} {cohort.imported} {weights}".encode()).hexdigest()[:_KEY]
    return cohort.folder / FOLDER / f"{checkpoint.name}-{key}"


def reports(cohort: Cohort) -> pd.DataFrame:
    """Return one row a report, in the order of its vectors: study, patient, findings, film (its first)."""
    table = cohort.films()[["study", "patient", "findings", "film"]]
    return table[table["findings"].str.strip() != ""].drop_duplicates("study").reset_index(drop=True)


def state(folder: Path) -> State:
    """Return how far the vectors of a folder are."""
    if not folder.is_dir():
        return State("none")
    held = is_held(folder)
    done, total = _progress(folder)
    if total and done == total:
        return State("complete", done, total)
    if held:
        return State("building", done, total)
    return State("stopped", done, total, processes.tail(folder / _LOG).removeprefix("timnet: "))


def load(folder: Path) -> Vectors:
    """Open complete vectors; CohortError where they are not, or are damaged: then they are made anew."""
    if state(folder).name != "complete":
        raise CohortError(f"{folder.name}: expected the vectors of a cohort, found none or only a part")
    try:
        found = Vectors(*(np.load(folder / name, mmap_mode="c") for name in (_FILMS, _REPORTS)))
        if all(_is_finite(each) for each in (found.films_ND, found.reports_MD)):
            return found
        reason = "expected finite vectors, got NaN or infinity"
    except (OSError, ValueError, EOFError):
        reason = "its vectors cannot be read"
    (folder / _DONE).unlink(missing_ok=True)
    raise CohortError(f"{folder.name}: {reason}; they are made anew when they are next asked for")


def _is_finite(vectors_ND: NDArray[np.float16]) -> bool:
    """Say whether vectors hold numbers alone, a block at a time."""
    return all(np.isfinite(vectors_ND[at : at + _BLOCK]).all() for at in range(0, len(vectors_ND), _BLOCK))


def remove_older(folder: Path) -> None:
    """Remove vectors of the same checkpoint's name under another key: no one will ask for them again."""
    name = folder.name[:-_KEY]
    for other in folder.parent.glob(f"{glob.escape(name)}{'[0-9a-f]' * _KEY}"):
        if other != folder and not is_held(other):
            shutil.rmtree(other)


def start(cohort: Cohort, checkpoint: Path) -> None:
    """Start a process that builds a cohort's vectors, and return at once; one that runs goes on alone."""
    launch(place(cohort, checkpoint), ["embed", str(cohort.folder), "--checkpoint", str(checkpoint)])


@files.private()
def launch(folder: Path, words: Sequence[str]) -> None:
    """Start the command of `python -m timnet` that fills a folder, unless a process is at it."""
    folder.mkdir(parents=True, exist_ok=True)
    if is_held(folder):
        return
    with processes.hold(folder / _STARTED) as lock:
        if lock is not None:
            # The lock goes along: it is held also before the process holds its own.
            with (folder / _LOG).open("wb") as log:
                processes.start(words, log, lock=lock)


@contextmanager
def building(folder: Path, films: int, reports: int, width: int) -> Iterator[Build]:
    """Hold a folder's lock and give what is written into it, as far as it is.

    Raises:
        BusyError: another process writes them now.
    """
    with files.private():
        folder.mkdir(parents=True, exist_ok=True)
        with processes.hold(folder / _LOCK) as lock:
            if lock is None:
                raise BusyError(f"{folder.name}: these vectors are being built now")
            yield Build(folder, (films, reports), width)


class Build:
    """Vectors being written, first those of the films and then those of the reports, each in order."""

    def __init__(self, folder: Path, sizes: tuple[int, int], width: int) -> None:
        self._folder, self._sizes = folder, sizes
        done, total = _progress(folder)
        self.done = done if total == sum(sizes) else 0
        self._row_bytes = width * np.dtype(_TYPE).itemsize
        self._starts = [
            _header(folder / name, (size, width), self.done > 0)
            for name, size in zip((_FILMS, _REPORTS), sizes, strict=True)
        ]

    def append(self, vectors_BD: NDArray[np.float32]) -> None:
        """Write the next vectors; what is counted as done is on the disk.

        Raises:
            CohortError: the disk does not take them, or they are not finite in half precision.
        """
        rows_BD = vectors_BD.astype(_TYPE)
        if not np.isfinite(rows_BD).all():
            raise CohortError(
                f"{self._folder.name}: expected finite vectors, got NaN or infinity from the network"
            )
        films = self._sizes[0]
        which = int(self.done >= films)
        row = self.done - which * films
        try:
            # Written, not mapped: where the disk is full a write says so, a memory map ends the process.
            with (self._folder / (_FILMS, _REPORTS)[which]).open("r+b") as file:
                file.seek(self._starts[which] + row * self._row_bytes)
                file.write(rows_BD.tobytes())
                file.flush()
                os.fsync(file.fileno())
            self.done += len(vectors_BD)
            progress = json.dumps({"done": self.done, "total": sum(self._sizes)})
            files.write_whole(self._folder / _DONE, progress.encode())
        except OSError as error:
            raise CohortError(
                f"{self._folder.name}: vectors cannot be written: {error.strerror or error}"
            ) from None


def _header(path: Path, shape: tuple[int, int], goes_on: bool) -> int:
    """Return where the rows of a file of vectors begin; a new one holds no row yet."""
    try:
        array = np.lib.format.open_memmap(
            path, mode="r+" if goes_on else "w+", dtype=None if goes_on else _TYPE, shape=shape
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged: remove the folder"
        raise CohortError(f"{path.parent.name}: {path.name} cannot be written: {reason}") from None
    if array.shape != shape or array.dtype != _TYPE:
        raise CohortError(f"{path.parent.name}: {path.name} is damaged: remove the folder")
    return int(array.offset)


def _progress(folder: Path) -> tuple[int, int]:
    try:
        content = json.loads((folder / _DONE).read_text())
        return int(content["done"]), int(content["total"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0


def is_held(folder: Path) -> bool:
    """Say whether a process is at a folder's vectors, or was started to be."""
    return is_written(folder) or processes.is_held(folder / _STARTED)


def is_written(folder: Path) -> bool:
    """Return whether a process writes a folder's vectors; one that was started may still be loading."""
    return processes.is_held(folder / _LOCK)
