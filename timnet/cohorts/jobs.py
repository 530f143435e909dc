"""Imports in a process of their own: a page starts one, looks how far it is, and may be closed meanwhile.

Owns the folder of such an import (`.imports/NAME` beside the cohorts): what it prints, and a lock that lives
as long as its process. State is read off the lock and the files, never off a process id. Refuses a folder
that the operator has not opened to pages, the name of a cohort that is there, and two imports at once.
"""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from timnet import config
from timnet.cohorts import schema, store
from timnet.cohorts.records import CohortError, PathError, film_path

FOLDER = ".imports"
_LOCK, _TOLD, _LOG = ".lock", "summary.txt", "log.txt"
_SHARE = re.compile(r"(\d+) of (\d+)")
_TAIL = 4096


@dataclass(frozen=True)
class Job:
    """One import: `told` is its summary once it is done, its last line of progress or of complaint before."""

    name: str
    state: Literal["running", "done", "failed"]
    told: str
    share: float = 0.0
    """Films done, in 0..1; 0 where that is not known."""


def allowed(folder: str) -> Path:
    """Return a folder that pages may import from.

    Raises:
        CohortError: pages may not import at all, or not from there, or there is no such folder.
    """
    return _open(folder, Path.is_dir, "folder")


def allowed_file(name: str) -> Path:
    """Return a file that pages may read weights from; CohortError as of `allowed`."""
    return _open(name, Path.is_file, "file")


def _open(name: str, there: Callable[[Path], bool], what: str) -> Path:
    roots = config.importable()
    if not roots:
        raise CohortError("import: the operator of this app has turned imports from pages off")
    try:
        path = Path(name.strip()).expanduser().resolve()
        found = there(path)
    except (OSError, RuntimeError, ValueError):  # no path at all, such as one with NUL
        found = False
    inside = found and any(path.is_relative_to(root) for root in roots)
    if not name.strip() or not inside:
        # The same words for what is missing and for what is closed: a page tells of neither.
        listed = ", ".join(map(str, roots))
        raise CohortError(f"import: expected a {what} inside {listed}; got {name.strip()[:200]!r}")
    return path


def inside(root: Path, name: str) -> Path:
    """Return a file of an export by its path inside it; CohortError if it leads out or is not there."""
    try:
        path = (root / film_path(name)).resolve()
    except PathError:
        path = root.parent
    if not path.is_relative_to(root) or not path.is_file():
        raise CohortError(f"import: expected a file inside the folder, got {name[:200]!r}")
    return path


def start(kind: str, root: Path, name: str, options: Mapping[str, Sequence[str]] | None = None) -> None:
    """Start the import of an export as the cohort `name`, and return at once.

    Args:
        kind: the reader's word on the command line.
        root: folder of the export.
        name: of the new cohort.
        options: further words of the command, by option.

    Raises:
        CohortError: a bad name, a cohort of that name is there, or an import is running.
    """
    if (store.place(name) / schema.DATABASE).exists():
        raise CohortError(
            f"{name}: a cohort of that name is there; choose another, or replace it in a terminal"
        )
    running = [job.name for job in jobs() if job.state == "running"]
    if running:
        raise CohortError(f"{running[0]}: is being imported now; start the next one after it")
    folder = config.home() / FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    words = [word for option, values in (options or {}).items() for word in (f"--{option}", *values)]
    command = [sys.executable, "-m", "timnet", "import", kind, str(root), "--name", name, *words]
    with (
        (folder / _LOCK).open("wb") as lock,
        (folder / _TOLD).open("wb") as told,
        (folder / _LOG).open("wb") as log,
    ):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CohortError(f"{name}: is being imported now") from None
        process = subprocess.Popen(
            command,
            cwd=config.REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=log,
            # The open lock goes along: it is held until the process has ended, whatever becomes of us.
            pass_fds=[lock.fileno()],
            start_new_session=True,
        )
    threading.Thread(target=process.wait, daemon=True).start()


def jobs() -> list[Job]:
    """Return the imports that pages have started and that ended or go on, the last started first."""
    folders = [path.parent for path in (config.home() / FOLDER).glob(f"*/{_LOCK}")]
    return [_job(folder) for folder in sorted(folders, key=lambda each: -(each / _LOCK).stat().st_mtime)]


def forget(name: str) -> None:
    """Take an import that has ended off the list."""
    (config.home() / FOLDER / name / _LOCK).unlink(missing_ok=True)


def _job(folder: Path) -> Job:
    log = _tail(folder / _LOG)
    last = log.splitlines()[-1] if log else ""
    with (folder / _LOCK).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            share = _SHARE.search(last)
            done = int(share[1]) / max(int(share[2]), 1) if share else 0.0
            return Job(folder.name, "running", last or "starting", min(done, 1.0))
    if summary := _tail(folder / _TOLD):
        return Job(folder.name, "done", summary, 1.0)
    reason = last.removeprefix("timnet: ") or "the import ended without a word"
    return Job(folder.name, "failed", reason)


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - _TAIL, 0))
            return file.read().decode("utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""
