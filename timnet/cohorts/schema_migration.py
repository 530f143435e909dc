"""A cohort of the schema before becomes one of this schema, in place, so that nobody has to import it again.

Owns one step, 1 to 2, in one transaction of the database: a kill leaves version 1. What version 1 did not
keep (a film's size and time of change) stays unknown, so that the next import decodes such films anew.
Refuses nothing: another version is `schema`'s to refuse.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from timnet.cohorts import label_store, schema
from timnet.reports import report_text

logger = logging.getLogger(__name__)

_RENAME = "ALTER TABLE {0} RENAME TO old_{0}"
_TABLES = ("studies", "films", "label_names", "labels")
_STUDIES = """
INSERT INTO studies (id, study, patient, split, sex, age, film, films, views, has_findings, signs)
SELECT s.id, s.study, patient, split, sex, age, min(f.film), count(f.film), '', findings <> '', ''
FROM old_studies s LEFT JOIN old_films f ON f.study = s.id GROUP BY s.id ORDER BY s.id
"""
_FILMS = """
INSERT INTO films
SELECT film, study, path, view, rows, columns, row_mm, column_mm, kind, bits, sha256, NULL, NULL, NULL, NULL
FROM old_films ORDER BY film
"""


def upgrade(folder: Path) -> None:
    """Bring a cohort of version 1 up to date; CohortError if its folder cannot be written."""
    if schema.version(folder) != 1:
        return
    logger.info("cohort %s: bringing schema 1 up to date", folder.name)
    address = f"{(folder / schema.DATABASE).as_uri()}?mode=rw"
    with (
        schema.reported(folder),
        closing(sqlite3.connect(address, uri=True, timeout=600, isolation_level=None)) as connection,
    ):
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have been quicker.
        if connection.execute("PRAGMA user_version").fetchone()[0] == 1:
            _upgrade(connection)
            connection.execute("PRAGMA user_version=2")
        connection.execute("COMMIT")


def _upgrade(connection: sqlite3.Connection) -> None:
    connection.execute("DROP TABLE words")
    for table in _TABLES:
        connection.execute(_RENAME.format(table))
    for index in ("films_study", "studies_split"):
        connection.execute(f"DROP INDEX {index}")
    for statement in schema.SCHEMA.split(";"):
        if statement.strip() and "CREATE TABLE meta" not in statement:
            connection.execute(statement)
    connection.execute(_STUDIES)
    connection.execute(_FILMS)
    connection.execute(schema.FILMS_OF)
    connection.executemany("INSERT INTO reports VALUES (?, ?, ?, ?)", _reports(connection))
    connection.executemany(
        "INSERT INTO sentences VALUES (?, ?, ?)",
        (
            (study, place, sentence)
            for study, findings in connection.execute("SELECT study, findings FROM reports")
            for place, sentence in enumerate(report_text.sentences(findings))
        ),
    )
    source = connection.execute("SELECT value FROM meta WHERE key = 'source'").fetchone()[0]
    sources = [*schema.SOURCES, source]
    connection.executemany("INSERT INTO label_sources VALUES (?, ?)", enumerate(sources))
    connection.execute("INSERT INTO meta VALUES ('revision', '0')")
    connection.execute("INSERT INTO label_names SELECT label, name FROM old_label_names")
    connection.execute("INSERT INTO labels SELECT study, label, 2, value FROM old_labels")
    _fill_views(connection)
    label_store.fill_signs(connection)
    for table in reversed(_TABLES):
        connection.execute(f"DROP TABLE old_{table}")
    schema.fill_index(connection)


def _reports(connection: sqlite3.Connection) -> Iterator[tuple[int, str, str, str]]:
    rows = connection.execute("SELECT id, report, findings FROM old_studies ORDER BY id")
    for study, report, findings in rows:
        yield study, report, findings, report_text.extract(report).impression


def _fill_views(connection: sqlite3.Connection) -> None:
    views: dict[int, str] = defaultdict(str)
    for study, view in connection.execute("SELECT study, ifnull(view, '') FROM films ORDER BY film"):
        views[study] += " ".join(view.split()) + schema.SEPARATOR
    connection.executemany(
        "UPDATE studies SET views = ? WHERE id = ?", ((each, study) for study, each in views.items())
    )
