"""Films come off an export: read, decoded and letterboxed, several at a time.

Owns what a cohort keeps of a film, and the workers: threads, each of which has its films decoded by a child
process (`decoding`), so that a decoder that crashes or hangs costs one film. Refuses, with a reason, whatever
is no film inside the export's folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from timnet.cohorts.paths import read_with_state
from timnet.cohorts.records import FileState, PathError, Skipped
from timnet.films import frontal_check, sandbox
from timnet.films.film import MAX_BYTES, Admit, Film, FilmError

# S side of the letterboxed square.
WORKERS = min(os.cpu_count() or 1, 8)
_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Reading:
    """How an import reads its films: what it admits, and what it has to say of one, if anything."""

    admit: tuple[Admit, ...] = ()
    remark: Callable[[Film], str | None] = frontal_check.remark
    """A function of a module of timnet that returns one of a few sentences; a summary counts each's films."""
    outside: tuple[Path, ...] = ()
    """Folders besides the export's that its films may lie in, resolved."""

    @property
    def function(self) -> str:
        """Return where to find the remark's function, as `module:name`."""
        return f"{self.remark.__module__}:{self.remark.__qualname__}"

    @property
    def rule(self) -> str:
        """Return a text that differs where films would be read in another way."""
        return json.dumps([sorted(self.admit), self.function.replace(":", ".")])


AS_USUAL = Reading()


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
    remark: str | None = None


def take(root: Path, path: str, side: int, reading: Reading = AS_USUAL) -> Taken | Skipped:
    """Read one film of an export (`root` resolved) and letterbox it to a side in pixels."""
    try:
        data, state = read_with_state(root, path, MAX_BYTES, reading.outside)
        if data.startswith(_LFS):
            return Skipped(path, "a Git LFS pointer, not a film")
        remark = reading.function
        read = sandbox.read_row(data, name=path, side=side, admit=reading.admit, remark=remark)
    except PathError as error:
        return Skipped(path, str(error))
    except FilmError as error:
        return Skipped(path, error.reason)
    film, spacing = read.film, read.film.spacing_mm or (None, None)
    columns = (read.rows, read.columns, *spacing, film.kind, film.bits, film.sha256)
    return Taken(path, read.row_SS, columns, film.view, state, read.remark)


class Pool(ThreadPoolExecutor):
    """Workers for as long as the block lasts; what is still waiting at its end is given up."""

    def __init__(self) -> None:
        super().__init__(WORKERS)

    def __exit__(self, *error: object) -> None:
        self.shutdown(cancel_futures=True)
        sandbox.release()
