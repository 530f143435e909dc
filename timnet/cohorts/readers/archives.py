"""How the reader of a published archive becomes an import: its records, written as a cohort.

Owns what such imports have in common, and what is said of tables that are not there. Which tables there are,
and what they say, is each reader's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from timnet.cohorts import store
from timnet.cohorts.readers import tables
from timnet.cohorts.records import CohortError, Skipped, StudyRecord, Summary

Read = Callable[..., Iterator[StudyRecord | Skipped]]


def importer(
    source: str,
    read: Read,
    found: Callable[..., Iterable[Path | None]],
    num_films: Callable[[Path], int],
    *,
    label_source: str | None = None,
    is_told_outside: bool = False,
) -> Callable[..., Summary]:
    """Return a reader's `run(root, name, progress, **options)`: it imports `root` as the cohort `name`.

    Args:
        source: which reader, in one word.
        read: yields the records of a folder; takes `notes` and the reader's own options.
        found: returns the files that records depend on besides films; takes the reader's own options.
        num_films: returns how many films a folder lists.
        label_source: see `store.write`.
        is_told_outside: `read` opens files that a link may lead out of the folder, and takes `outside`.
    """

    def run(
        root: Path,
        name: str,
        progress: Callable[[int, int | None], None] | None = None,
        *,
        outside: Sequence[Path] = (),
        strict: bool = False,
        **options: object,
    ) -> Summary:
        folder, notes, depends = store.place(name), list[str](), list(found(root, **options))
        given = {**options, "outside": outside} if is_told_outside else options
        return store.write(
            folder,
            source=source,
            root=root,
            records=read(root, notes=notes, **given),
            notes=notes,
            progress=progress,
            outside=outside,
            strict=strict,
            num_films=num_films(root),
            label_source=label_source,
            request=tables.request(*depends, **options),
        )

    return run


def first_of(folders: Iterable[Path], patterns: Sequence[str]) -> Path | None:
    """Return what `one_of` finds in the first of some folders that has it."""
    return next(filter(None, (tables.one_of(folder, patterns) for folder in folders)), None)


def needed(
    source: str, root: Path, patterns: Sequence[str], wanted: str, columns: Sequence[str] = ()
) -> tables.Table:
    """Open the table of an export without which there is no import; CohortError where it is not there.

    Args:
        source: the reader, and `wanted` the table's usual name, for messages.
        root: folder of the export.
        patterns: see `tables.one_of`.
        columns: see `tables.open_table`.
    """
    path = tables.one_of(root, patterns)
    if path is None:
        raise missing(source, root, wanted)
    return tables.open_table(path, columns)


def missing(source: str, root: Path, wanted: str) -> CohortError:
    """Return the error of an export without its table."""
    return CohortError(f"{source}: expected {wanted} in {root.name or root}, found none")


def optional(
    root: Path, patterns: Sequence[str], columns: Sequence[str], without: str, notes: list[str]
) -> tables.Table | None:
    """Open a table that an import can do without, and note what is to be known of it.

    Args:
        root: folder of the export.
        patterns: see `tables.one_of`; the first is the table's usual name.
        columns: see `tables.open_table`.
        without: what follows where the table is not there.
        notes: gets that, or the notes of the table.
    """
    path = tables.one_of(root, patterns)
    if path is None:
        notes.append(f"no table {patterns[0].rstrip('*')}: {without}")
        return None
    table = tables.open_table(path, columns)
    notes += table.notes
    return table
