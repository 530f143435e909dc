"""Labels that readers of a cohort add in the app: source `app`, above every other source.

Owns adding, taking back and carrying them over to a new import of the same cohort, and the signs under which
a study's labels are counted. One lock a cohort keeps them and the exchange of its database apart.
Refuses values that are none, and names that cannot be told from others.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import filelock

from timnet.cohorts import schema
from timnet.cohorts.records import CohortError, fold, match_name

BEST = "SELECT study, label, value FROM (SELECT *, min(source) FROM labels GROUP BY study, label)"
"""What the best source says of every study and label."""


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Keep labels and database of a cohort as they are for a moment; CohortError if that cannot be had."""
    try:
        with filelock.FileLock(folder / ".labels.lock", timeout=schema.WAIT_SECONDS, mode=0o600):
            yield
    except filelock.Timeout:
        raise CohortError(f"{folder.name}: its labels are being written by another process") from None
    except PermissionError:
        raise CohortError(f"{folder.name}: labels cannot be added, the folder cannot be written") from None


def add(folder: Path, study: str, label: str, value: float) -> None:
    """Say what a label of a study is; a label of a new name becomes one of the cohort's.

    Raises:
        CohortError: no such study, a value other than 0 to 1 and -1, a label without a name of its own, or a
            cohort that cannot be written.
    """
    if not schema.is_value(value):
        raise CohortError(f"{label[:80]}: expected a value of 0 to 1, or -1 for uncertain, got {value}")
    with lock(folder), schema.change(folder) as connection:
        key = _study(connection, folder, study)
        if match_name(label, names := label_names(connection)) is None:
            check_name(label, names)
        row = (key, number_of(connection, label), schema.SOURCES[schema.APP], float(value))
        connection.execute("INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?)", row)
        _changed(connection, key)


def remove(folder: Path, study: str, label: str) -> None:
    """Take back what was added; what other sources say is left.

    Raises:
        CohortError: no such study or label, or a cohort that cannot be written.
    """
    with lock(folder), schema.change(folder) as connection:
        key = _study(connection, folder, study)
        number = label_number(label, label_names(connection))
        connection.execute(
            "DELETE FROM labels WHERE study = ? AND label = ? AND source = ?",
            (key, number, schema.SOURCES[schema.APP]),
        )
        _changed(connection, key)


def carry_over(old: Path, connection: sqlite3.Connection) -> None:
    """Copy the labels added in the app from a cohort's folder into one to come, where it has their study."""
    with schema.connect(old) as before:
        added = before.execute(
            "SELECT s.study, n.name, l.value FROM labels l JOIN studies s ON s.id = l.study"
            " JOIN label_names n USING (label) WHERE l.source = ? ORDER BY n.label, s.id",
            (schema.SOURCES[schema.APP],),
        ).fetchall()
    source = schema.SOURCES[schema.APP]
    stale = connection.execute("SELECT DISTINCT study FROM labels WHERE source = ?", (source,)).fetchall()
    touched = {study for (study,) in stale}
    connection.execute("DELETE FROM labels WHERE source = ?", (source,))
    for study, label, value in added:
        found = connection.execute("SELECT id FROM studies WHERE study = ?", (study,)).fetchone()
        if found is None:
            continue
        row = (found[0], number_of(connection, label), source, value)
        connection.execute("INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?)", row)
        touched.add(found[0])
    fill_signs(connection, touched)


def fill_signs(connection: sqlite3.Connection, studies: Iterable[int] | None = None) -> None:
    """Write down the signs of studies' labels, by default of all."""
    if studies is None:
        studies = [study for (study,) in connection.execute("SELECT id FROM studies")]
    unknown = schema.SIGN_UNKNOWN * len(label_names(connection))
    for study in studies:
        signs = list(unknown)
        said = "SELECT label, value FROM labels WHERE study = ? ORDER BY source DESC"
        for label, value in connection.execute(said, (study,)):
            signs[label] = schema.sign(value)
        connection.execute("UPDATE studies SET signs = ? WHERE id = ?", ("".join(signs), study))


def label_names(connection: sqlite3.Connection) -> list[str]:
    """Return the labels of a cohort, by number."""
    return [name for (name,) in connection.execute("SELECT name FROM label_names ORDER BY label")]


def number_of(connection: sqlite3.Connection, label: str) -> int:
    """Return the number of a label, which becomes one of the cohort's where it is new."""
    names = label_names(connection)
    if (known := match_name(label, names)) is not None:
        return names.index(known)
    connection.execute("INSERT INTO label_names VALUES (?, ?)", (len(names), label))
    connection.execute("UPDATE studies SET signs = signs || ?", (schema.SIGN_UNKNOWN,))
    return len(names)


def label_number(label: str, names: Sequence[str]) -> int:
    """Return the number of a label by its name; CohortError naming those there are."""
    name = match_name(label, names)
    if name is None:
        raise CohortError(f"label: expected one of {', '.join(names)}; got {label[:80]!r}")
    return names.index(name)


def check_name(label: str, names: Iterable[str]) -> None:
    """Refuse the name of a new label that is blank, holds a comma, or is taken."""
    if not label.strip() or "," in label or fold(label) in map(fold, names):
        raise CohortError(f"label name: expected one of its own, without a comma, got {label[:80]!r}")


def _study(connection: sqlite3.Connection, folder: Path, study: str) -> int:
    found = connection.execute("SELECT id FROM studies WHERE study = ?", (study,)).fetchone()
    if found is None:
        raise CohortError(f"{folder.name}: expected one of its studies, got {study[:80]!r}")
    return int(found[0])


def _changed(connection: sqlite3.Connection, study: int) -> None:
    fill_signs(connection, [study])
    connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'revision'")
