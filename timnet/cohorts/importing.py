"""The way into a cohort: a draft is built in a hidden folder beside its place and takes it by renaming.

Owns the exchange: the pixels go first, under a name of their own, the database last. A failed or killed
import leaves the cohort that was there as it was. Refuses a folder that holds anything else, and two imports
at once.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import filelock

from timnet.cohorts import pixels, schema, splits
from timnet.cohorts.draft import AS_USUAL, Draft, Reading
from timnet.cohorts.records import CohortError, Progress, Skipped, StudyRecord, Summary

logger = logging.getLogger(__name__)


def write(
    folder: Path,
    *,
    source: str,
    root: Path,
    records: Iterable[StudyRecord | Skipped],
    shares: Mapping[str, float] = splits.SHARES,
    seed: int = 0,
    side: int = 224,
    notes: Sequence[str] = (),
    reading: Reading = AS_USUAL,
    progress: Progress | None = None,
) -> Summary:
    """Write a cohort from a reader's records, in place of the one that was there.

    Args:
        folder: of the cohort; its last part is the cohort's name.
        source: which reader, in one word.
        root: folder of the export. Films stay there; their paths are kept relative to it.
        records: studies, and rows the reader left out.
        shares: of a split by patient, drawn with `seed` for studies whose record and patient bring none.
        side: of the pixel cache that is filled on the way, in pixels.
        notes: what the reader wants to be known, one sentence each; read once the records are at their end.
        reading: what is admitted as a film, and what is remarked of it.
        progress: called with films done and films in all (None if the records have no length).

    Raises:
        CohortError: nothing could be imported, the folder holds something else, another import of it is
            running, or it cannot be written. The previous cohort stays.
    """
    folder, root, started = folder.resolve(), root.resolve(), time.monotonic()
    if not root.is_dir():
        raise CohortError(f"root: expected the folder of an export, got {str(root)!r}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _check_place(folder)
        with filelock.FileLock(folder.parent / f".{folder.name}.lock", timeout=0):
            prefix = f".{folder.name}.importing-"
            for left_over in folder.parent.iterdir():
                if left_over.name.startswith(prefix):  # of a killed import: its lock is free
                    shutil.rmtree(left_over, ignore_errors=True)
            place = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
            try:
                draft = Draft(place, source, root, side, reading)
                draft.fill(records, progress)
                summary = draft.finish(folder.name, shares, seed, notes, started)
                _publish(place, folder, draft.fingerprint)
            finally:
                shutil.rmtree(place, ignore_errors=True)
    except filelock.Timeout:
        raise CohortError(f"{folder.name}: another import of this cohort is running") from None
    except (OSError, sqlite3.Error) as error:
        raise CohortError(f"{folder.name}: cannot be written: {_cause(error)}") from error
    logger.info("cohort %s: %d films, %d skipped", folder.name, summary.films, sum(summary.skipped.values()))
    return summary


def _check_place(folder: Path) -> None:
    """Refuse a folder that holds anything but a cohort."""
    if not folder.exists() or (folder / schema.DATABASE).exists():
        return
    if not folder.is_dir() or any(not path.name.startswith((".", "pixels-")) for path in folder.iterdir()):
        raise CohortError(
            f"{folder.name}: expected a new folder or a cohort to replace, got something else there"
        )


def _publish(place: Path, folder: Path, fingerprint: str) -> None:
    """Move a finished draft into its place: the caches first, under their own names, the database last."""
    _sync(place / schema.DATABASE)
    folder.mkdir(exist_ok=True)
    for cache in place.glob("pixels-*.npy"):
        cache.replace(folder / cache.name)
    (place / schema.DATABASE).replace(folder / schema.DATABASE)
    _sync(folder)
    _sync(folder.parent)
    pixels.remove_other(folder, fingerprint)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cause(error: OSError | sqlite3.Error) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
