"""The way into a cohort: a draft is built in a hidden folder beside its place and takes it by renaming.

Owns the exchange (the pixels go first, under a name of their own, the database last) and going on: a draft
outlives a kill, and the same request finishes it. A failed or killed import leaves the cohort that was there.
Refuses a folder that holds anything else, and two imports at once.
"""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import filelock

from timnet import files
from timnet.cohorts import label_store, pixels, report_labels, schema, splits, verdicts
from timnet.cohorts.decode_pool import AS_USUAL, Reading
from timnet.cohorts.importing import draft, finish, reuse
from timnet.cohorts.importing.digest import check_source, digest_of
from timnet.cohorts.records import CohortError, Progress, Skipped, StudyRecord, Summary
from timnet.reports import phrase_tables

DRAFT = "draft"  # in place of a fingerprint, until all films are known
CACHE_KIB = 200_000  # of the database's pages: its indexes are then written once, not at every commit

logger = logging.getLogger(__name__)


@files.private()
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
    progress: Progress | None = None,
    label_source: str | None = None,
    num_films: int | None = None,
    request: str = "",
    reading: Reading = AS_USUAL,
    outside: Sequence[Path] = (),
    strict: bool = False,
) -> Summary:
    """Write a cohort from a reader's records, in place of the one that was there.

    Args:
        folder: of the cohort; its last part is the cohort's name.
        source: which reader, in one word.
        root: folder of the export. Films stay there; their paths are kept relative to it.
        records: studies, and rows the reader left out.
        shares: of a split by patient, drawn with `seed` for studies whose record and patient bring none.
        side: of the pixel cache that is filled on the way, in pixels.
        notes: what the reader wants to be known, one sentence each; read once the records are out.
        progress: called with films done and films in all (None if neither `num_films` nor the records tell).
        label_source: whose labels the records' `labels` are; by default `source`.
        num_films: films in all, where the records do not have a length.
        request: whatever else the records depend on (columns, tables with their times of change). A killed
            import goes on where it was if the next one asks for the same; else it starts anew.
        reading: what is admitted as a film, and what is remarked of it.
        outside: see `records.Rules`, like `strict`.

    Raises:
        CohortError: nothing could be imported, the folder holds something else, another import of it is
            running, it cannot be written, or `strict` is broken. The previous cohort stays.
        PhraseError: a phrase table is damaged.

    A film whose path, size and time of change are those of the cohort that is there is not read again. Labels
    that were added in the app, and verdicts, stay with their studies. Where the cohort was labelled by its
    reports, those of the new one are read for labels, too.
    """
    # More than 60 lines by its arguments alone.
    phrase_tables.check()  # the index that is made last reads reports by them
    folder, root, started = folder.resolve(), root.resolve(), time.monotonic()
    if not root.is_dir():
        raise CohortError(f"root: expected the folder of an export, got {str(root)!r}")
    reading = replace(reading, outside=tuple(_folder(each) for each in outside))
    facts = finish.Facts(folder.name, source, root, side, shares, seed, started, reading, strict)
    label_source = check_source(label_source or source)
    message = [
        schema.VERSION, pixels.RULE, source, str(root), side, dict(shares), seed, label_source, request,
        reading.rule, list(map(str, reading.outside)),
    ]  # fmt: skip
    with _alone(folder) as place:
        try:
            _prepare(place, json.dumps(message), label_source)
            with (
                closing(schema.attach(place)) as connection,
                reuse.opened(folder, root, side, reading) as before,
            ):
                _fill(connection, place, before, facts, label_source, records, num_films, notes, progress)
            summary = _publish(place, folder, side)
        except CohortError:  # nothing that going on would mend
            shutil.rmtree(place, ignore_errors=True)
            raise
        shutil.rmtree(place)
    logger.info("cohort %s: %d films, %d skipped", folder.name, summary.films, sum(summary.skipped.values()))
    return summary


@contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """Hold the place of a cohort for one import, and give that of its draft; CohortError where it cannot."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _check_place(folder)
        with filelock.FileLock(folder.parent / f".{folder.name}.lock", timeout=0, mode=0o600):
            yield folder.parent / f".{folder.name}.importing"
    except filelock.Timeout:
        raise CohortError(f"{folder.name}: another import of this cohort is running") from None
    except (OSError, sqlite3.Error) as error:
        raise CohortError(f"{folder.name}: cannot be written: {_cause(error)}") from error


def _folder(outside: Path) -> Path:
    path = outside.expanduser().resolve()
    if not path.is_dir():
        raise CohortError(f"--outside: expected a folder, got {str(outside)!r}")
    return path


def _prepare(place: Path, message: str, label_source: str) -> None:
    """Have a draft in its place that was begun for the same request, or an empty one."""
    try:
        with closing(schema.attach(place)) as connection:
            (found,) = connection.execute("SELECT value FROM meta WHERE key = 'request'").fetchone()
        if found == message:
            return
    except (sqlite3.Error, TypeError):  # none there, or killed before it was begun
        pass
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    with closing(sqlite3.connect(place / schema.DATABASE, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("BEGIN")
        for statement in (*schema.SCHEMA.split(";")[:-1], draft.CONSUMED):
            connection.execute(statement)
        sources = enumerate(dict.fromkeys((*schema.SOURCES, label_source)))
        connection.executemany("INSERT INTO label_sources VALUES (?, ?)", sources)
        connection.execute("INSERT INTO meta VALUES ('request', ?)", (message,))
        connection.execute("COMMIT")


def _fill(
    connection: sqlite3.Connection,
    place: Path,
    before: reuse.Previous,
    facts: finish.Facts,
    label_source: str,
    records: Iterable[StudyRecord | Skipped],
    num_films: int | None,
    notes: Sequence[str],
    progress: Progress | None,
) -> None:
    """Bring a draft to its end; one that is complete, and still of the same records, is left as it is."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION:
        (digest,) = connection.execute("SELECT value FROM meta WHERE key = 'records'").fetchone()
        if digest_of(records) != digest:
            raise CohortError(f"{facts.name}: the export has changed since the last import: import it again")
        return
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", f"cache_size=-{CACHE_KIB}"):
        connection.execute(f"PRAGMA {pragma}")
    cache = pixels.cache_path(place, facts.side, DRAFT)
    made = draft.Draft(connection, cache, facts.root, facts.side, label_source, facts.reading)
    checksum = made.fill(records, before, num_films, progress)
    finish.complete(connection, made, facts, notes, checksum)


def _check_place(folder: Path) -> None:
    """Refuse a folder that holds anything but a cohort."""
    if not folder.exists() or (folder / schema.DATABASE).exists():
        return
    if not folder.is_dir() or any(not path.name.startswith((".", "pixels-")) for path in folder.iterdir()):
        raise CohortError(
            f"{folder.name}: expected a new folder or a cohort to replace, got something else there"
        )


def _publish(place: Path, folder: Path, side: int) -> Summary:
    """Move a complete draft into its place: the cache first, under its own name, the database last."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)  # also one that an older version made
    with closing(schema.attach(place)) as connection:  # takes minutes where there are many: before the lock
        result = report_labels.read(connection) if _has_report_labels(folder) else None
    with label_store.lock(folder):
        with closing(schema.attach(place)) as connection:
            connection.execute("BEGIN")
            if (folder / schema.DATABASE).exists():
                label_store.carry_over(folder, connection)
                verdicts.carry_over(folder, connection)
            if result is not None:
                report_labels.replace(connection, result.signs)
            connection.execute("COMMIT")
            # A log would be left behind by the exchange; what it holds goes into the database with this.
            connection.execute("PRAGMA journal_mode=DELETE")
            known = dict(connection.execute("SELECT key, value FROM meta"))
        files.sync(place / schema.DATABASE)
        cache = pixels.cache_path(place, side, DRAFT)
        if cache.exists():  # else a killed import has moved it already
            cache.replace(pixels.cache_path(folder, side, known["fingerprint"]))
        (place / schema.DATABASE).replace(folder / schema.DATABASE)
        files.sync(folder)
        files.sync(folder.parent)
    pixels.remove_other(folder, known["fingerprint"])
    return Summary.from_dict(json.loads(known["summary"]))


def _has_report_labels(folder: Path) -> bool:
    return (folder / schema.DATABASE).exists() and report_labels.is_labelled(folder)


def _cause(error: OSError | sqlite3.Error) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
