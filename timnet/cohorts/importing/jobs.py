"""Imports in a process of their own: a page starts one, looks how far it is, and may be closed meanwhile.

Owns the folder of such an import (`.imports/NAME` beside the cohorts): its settings, what it prints, and a
lock that lives as long as its process. What a form says travels in a file and never as arguments, and the
process checks it again. State is read off the lock and the files, never off a process id. A failed import is
listed until somebody dismisses it, a finished one for a day at most: the next import ends that, as does
deleting or renaming its cohort. Refuses a folder that the operator has not opened to pages, the name of a
cohort that is there, and two imports at once.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from timnet import config, files, processes
from timnet.cohorts import schema, store
from timnet.cohorts.importing import uploads
from timnet.cohorts.readers import csv_table
from timnet.cohorts.records import LEAVES, CohortError, PathError, film_path

FOLDER = ".imports"
_LOCK, _TOLD, _LOG, _SETTINGS = ".lock", "summary.txt", "log.txt", "settings.json"
_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "csv": ("table", *csv_table.USUAL, "labels"),
    "dicom": ("reports", "report_key", "report_text"),
}
"""What a page may say of an import beyond folder and name, by its kind."""
_LEAVES = (
    "film path leads out of the upload, or of the folders that the operator opens to pages by TIMNET_IMPORTS"
)
"""What a page says for `LEAVES`, which names an option of the command."""
_NEWS = 24 * 3600
"""Seconds that a finished import is told of."""
_SHARE = re.compile(r"(\d+) of (\d+)")


@dataclass(frozen=True)
class Job:
    """One import; `message` is its summary once it is done, before that its last line."""

    name: str
    state: Literal["running", "done", "failed"]
    message: str
    share: float = 0.0
    """Films done, in 0..1; 0 where that is not known."""


@dataclass(frozen=True)
class Settings:
    """What a page says of an import."""

    __pydantic_config__ = files.STRICT

    kind: Literal[
        "csv", "mimic", "dicom", "nih", "open_i", "chexpert", "padchest", "vindr", "rsna", "mendeley", "demo"
    ]
    """The reader's word on the command line."""
    root: str
    """Folder of the export, among those that pages may import from, or an upload."""
    name: str
    """Of the new cohort."""
    options: dict[str, str | list[str]]
    """Columns and tables by the names of the command's options; `labels` is a list, all others are names."""


_SETTINGS_TYPE = TypeAdapter(Settings)


def settings(folder: Path) -> Settings:
    """Read what the import of a folder is to do; CohortError where the file is damaged or says more."""
    try:
        return files.read(folder / _SETTINGS, _SETTINGS_TYPE, CohortError)
    except FileNotFoundError:
        raise CohortError(f"import: {folder.name}: expected the settings of an import, found none") from None


def checked(settings: Settings) -> tuple[Path, dict[str, Any]]:
    """Return the export's folder and the reader's keyword arguments.

    Raises:
        CohortError: a bad name or one that is taken, a folder that pages may not import from, a file that is
            not inside it, or an option that a page has not.
    """
    if (store.place(settings.name) / schema.DATABASE).exists():
        raise CohortError(
            f"{settings.name}: a cohort of that name is there; choose another, or delete or rename that one"
        )
    root, given = Path(settings.root).resolve(), dict[str, Any]()
    if not (config.importable() and root.is_relative_to(config.home() / uploads.FOLDER) and root.is_dir()):
        root = allowed_export(settings.root) if settings.kind == "csv" else allowed(settings.root)
        given["outside"] = tuple(folder for folder in config.importable() if folder.is_dir())
    for key, value in settings.options.items():
        several = key == "labels"
        if key not in _OPTIONS.get(settings.kind, ()) or isinstance(value, list) != several:
            raise CohortError(f"import: {settings.kind}: expected no option {key[:80]!r}, got {value!r:.80}")
        given[key] = value
    if "table" in given:
        inside(root, given["table"])
    if "reports" in given:
        given["reports"] = inside(root, given["reports"])
    return root, given


def allowed(folder: str) -> Path:
    """Return a folder that pages may import from.

    Raises:
        CohortError: pages may not import at all, or not from there, or there is no such folder.
    """
    return _open(folder, Path.is_dir, "folder")


def allowed_export(name: str) -> Path:
    """Return a folder or a table that pages may import from; CohortError as of `allowed`."""
    return _open(name, Path.exists, "folder or a table")


def allowed_start(name: str) -> Path:
    """Return a file or folder that pages may read weights from; CohortError as of `allowed`."""
    return _open(name, Path.exists, "file or folder")


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


@files.private()
def start(kind: str, root: Path, name: str, options: Mapping[str, str | Sequence[str]] | None = None) -> None:
    """Start the import of an export as the cohort `name`, and return at once.

    Args:
        kind: as of `Settings`, like all below.
        root: folder of the export.
        name: of the new cohort.
        options: columns and tables by name.

    Raises:
        CohortError: as of `checked`, or an import is running.
    """
    text = json.dumps({"kind": kind, "root": str(root), "name": name, "options": dict(options or {})})
    try:
        checked(_SETTINGS_TYPE.validate_json(text))
    except ValidationError as error:
        raise CohortError(f"import: {files.sentence(error)}") from None
    known = [_job(folder) for folder in _folders()]
    if running := [job.name for job in known if job.state == "running"]:
        raise CohortError(f"{running[0]}: is being imported now; start the next one after it")
    for job in known:
        if job.state == "done":
            forget(job.name)
    folder = config.home() / FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    with processes.hold(folder / _LOCK) as lock:
        if lock is None:
            raise CohortError(f"{name}: is being imported now")
        (folder / _SETTINGS).write_text(text, encoding="utf-8")
        with (folder / _TOLD).open("wb") as result, (folder / _LOG).open("wb") as log:
            processes.start(["import", "page", str(folder)], log, result, lock)


def jobs() -> list[Job]:
    """Return the imports of pages that go on, failed, or were done within a day, the last started first."""
    return [
        job for folder in _folders() if (job := _job(folder)).state != "done" or _age(folder / _TOLD) < _NEWS
    ]


def forget(name: str) -> None:
    """Remove what is left of an import that has ended; its cohort stays."""
    shutil.rmtree(config.home() / FOLDER / name, ignore_errors=True)


def _folders() -> list[Path]:
    folders = [path.parent for path in (config.home() / FOLDER).glob(f"*/{_LOCK}")]
    return sorted(folders, key=lambda each: _age(each / _LOCK))


def _age(path: Path) -> float:
    """Return for how many seconds a file is unchanged; infinity where another page removed it meanwhile."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return math.inf


def _job(folder: Path) -> Job:
    last = processes.tail(folder / _LOG).replace(LEAVES, _LEAVES)
    if processes.is_held(folder / _LOCK):
        share = _SHARE.search(last)
        done = int(share[1]) / max(int(share[2]), 1) if share else 0.0
        return Job(folder.name, "running", last or "starting", min(done, 1.0))
    if summary := processes.tail(folder / _TOLD, 1000):
        return Job(folder.name, "done", summary.replace(LEAVES, _LEAVES), 1.0)
    reason = last.removeprefix("timnet: ") or "the import ended without a word"
    return Job(folder.name, "failed", reason)
