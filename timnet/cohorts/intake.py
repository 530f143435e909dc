"""Films come off an export: read, decoded and letterboxed, several at a time.

Owns what a cohort keeps of a film, and the workers: threads for a few films, processes once there is more to
do than starting them costs. A worker ends with the process that started it, also when that one is killed.
Refuses, with a reason, whatever is no film inside the export's folder.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np

from timnet.cohorts import films, pixels
from timnet.cohorts.records import FileState, PathError, Skipped, read_with_state

# S side of the letterboxed square.
WORKERS = min(os.cpu_count() or 1, 8)
THREADS_SECONDS = 2.0
"""Work that goes on for longer is given to processes: about what it takes to start them."""
_LFS = b"version https://git-lfs.github.com/spec/"

Given = ParamSpec("Given")
Done = TypeVar("Done")


@dataclass(frozen=True)
class Taken:
    """What a cohort keeps of a film."""

    path: str
    row_SS: np.ndarray
    columns: tuple[object, ...]
    """Of the table films: rows, columns, row_mm, column_mm, kind, bits, sha256."""
    view: str | None
    """The one that the file itself states."""
    state: FileState


def take(root: Path, path: str, side: int) -> Taken | Skipped:
    """Read one film of an export (`root` resolved) and letterbox it to a side in pixels."""
    try:
        data, state = read_with_state(root, path, films.MAX_BYTES)
        if data.startswith(_LFS):
            return Skipped(path, "a Git LFS pointer, not a film")
        film = films.read_film(data, name=path)
    except PathError as error:
        return Skipped(path, str(error))
    except films.FilmError as error:
        return Skipped(path, error.reason)
    spacing = film.spacing_mm or (None, None)
    columns = (film.rows, film.columns, *spacing, film.kind, film.bits, film.sha256)
    return Taken(path, pixels.letterbox(film, side), columns, film.view, state)


class Pool:
    """Workers for as long as the block lasts; what is still waiting at its end is given up."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(WORKERS)
        self._processes: ProcessPoolExecutor | None = None
        self._first: float | None = None

    def submit(self, do: Callable[Given, Done], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Done]:
        """Have a module's function called by a worker."""
        if self._first is None:
            self._first = time.monotonic()
        if self._processes is None and WORKERS > 1 and time.monotonic() - self._first > THREADS_SECONDS:
            # Spawned: a forked copy of a threaded process can hold locks that nobody will open.
            self._processes = ProcessPoolExecutor(WORKERS, get_context("spawn"), _end_with_parent)
        return (self._processes or self._threads).submit(do, *args, **kwargs)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        if self._processes is not None:
            self._processes.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Watch the process that started this one: of a killed one nobody else would tell the workers."""
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
