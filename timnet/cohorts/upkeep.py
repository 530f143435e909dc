"""Renaming and deleting a cohort with all that lies beside it: caches, vectors, uploaded films.

Owns that either is done whole or not at all, and never while a process imports the cohort, reads its films or
adds a label. What was imported from a folder stays in that folder.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from timnet import config
from timnet.cohorts import audits, checks, label_store, pixels, schema, vectors
from timnet.cohorts.importing import jobs, uploads
from timnet.cohorts.places import place
from timnet.cohorts.records import CohortError
from timnet.cohorts.store import Cohort

_GONE = ".deleted-"


@dataclass(frozen=True)
class Contents:
    """What is lost with a cohort."""

    bytes: int
    labels: int
    """Labels that readers added in the app."""
    uploaded: bool
    """Whether its films were uploaded, so that no other copy may be there."""


def contents(cohort: Cohort) -> Contents:
    """Return what deleting a cohort removes."""
    with schema.connect(cohort.folder) as connection:
        sql = "SELECT count(*) FROM labels WHERE source = ?"
        (labels,) = connection.execute(sql, (schema.SOURCES[schema.APP],)).fetchone()
    folders = [cohort.folder, *filter(None, [_upload(cohort.folder)])]
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return Contents(sum(path.stat().st_size for path in files), labels, len(folders) > 1)


def delete(name: str) -> None:
    """Remove a cohort, its caches and its uploaded films.

    Raises:
        CohortError: no such cohort, or a process is at work on it.
    """
    folder = place(name)
    with _idle(folder):
        upload = _upload(folder)
        # Out of sight at once: were it half removed, what is left would be listed as a damaged cohort.
        gone = Path(tempfile.mkdtemp(prefix=_GONE, dir=folder.parent))
        folder.rename(gone / "cohort")
        if upload:
            upload.rename(gone / "upload")
        jobs.forget(name)
    for each in folder.parent.glob(f"{_GONE}*"):
        shutil.rmtree(each, ignore_errors=True)


def rename(name: str, new: str) -> None:
    """Give a cohort another name; its caches and uploaded films go along.

    Raises:
        CohortError: no such cohort, a name that is bad or taken, or a process is at work on either.
    """
    folder, target = place(name), place(new)
    if target.exists():
        raise CohortError(f"{new}: there is a cohort or folder of that name; choose another")
    with _idle(folder), _import_lock(target):
        upload = _upload(folder)
        moved = config.home() / uploads.FOLDER / new
        with schema.change(folder) as connection:
            (result,) = connection.execute("SELECT value FROM meta WHERE key = 'summary'").fetchone()
            facts = {"summary": json.dumps(json.loads(result) | {"name": new})}
            if upload:
                facts["root"] = str(moved / _root(folder).relative_to(upload))
            sql = "UPDATE meta SET value = ? WHERE key = ?"
            connection.executemany(sql, [(value, key) for key, value in facts.items()])
        if upload:
            # Left of an import that failed, if anything.
            shutil.rmtree(moved, ignore_errors=True)
            upload.rename(moved)
        folder.rename(target)
        jobs.forget(name)


def _root(folder: Path) -> Path:
    with schema.connect(folder) as connection:
        return Path(connection.execute("SELECT value FROM meta WHERE key = 'root'").fetchone()[0])


def _upload(folder: Path) -> Path | None:
    """Return the folder of a cohort's uploaded films; None where they lie elsewhere."""
    upload = config.home() / uploads.FOLDER / folder.name
    return upload if upload.is_dir() and _root(folder).is_relative_to(upload) else None


@contextmanager
def _idle(folder: Path) -> Iterator[None]:
    """Keep a cohort as it is; CohortError where there is none or a process is at work on it."""
    if not (folder / schema.DATABASE).is_file():
        raise CohortError(f"{folder.name}: no cohort of that name")
    with _import_lock(folder), label_store.lock(folder):
        for kind in (vectors.FOLDER, audits.FOLDER, checks.FOLDER, pixels.FEATURES):
            if any(vectors.is_held(each) for each in (folder / kind).glob("*")):
                raise CohortError(f"{folder.name}: its films are being read by a network; wait for it to end")
        yield


@contextmanager
def _import_lock(folder: Path) -> Iterator[None]:
    try:
        with filelock.FileLock(folder.parent / f".{folder.name}.lock", timeout=0):
            yield
    except filelock.Timeout:
        raise CohortError(f"{folder.name}: a cohort of that name is being imported now") from None
