"""How the reader of a published archive becomes an import: its records, written as a cohort.

Owns what such imports have in common. Which tables there are, and what they say, is each reader's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from timnet.cohorts import store
from timnet.cohorts.readers import tables
from timnet.cohorts.records import Skipped, StudyRecord, Summary

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
