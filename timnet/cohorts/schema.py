"""The database of a cohort: its tables, its version, and how it is opened for reading and for labelling.

Owns the schema. A draft is written with a write-ahead log. A published database is exchanged whole by
renaming, which no such log survives, so it has a rollback journal and opens from a read-only folder too.
Refuses files of another version; the one before is brought up to date by `migration`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from timnet.cohorts.records import UNCERTAIN, CohortError
from timnet.reports import assertion

DATABASE = "cohort.sqlite"
VERSION = 2
WAIT_SECONDS = 30  # for another process that adds a label

APP, EXPERT = "app", "expert"
"""Sources of labels that come before the reader's own: added in the app, and read by experts."""
SOURCES = {APP: 0, EXPERT: 1}
"""Their numbers; the reader's sources follow in the order in which it names them. The lowest is best."""
REPORT, REPORT_NUMBER = "report", 2**31
"""Source of labels by the words of the reports (`report_labels`), after all others."""

# kind: split, sex, decade of age and views, so that one column answers every count but that of labels.
# views: those of its films in order, each followed by SEPARATOR, "" where a film states none.
# signs: one character a label, see `sign`; the value of the best source.
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE studies (
    id INTEGER PRIMARY KEY, study TEXT NOT NULL UNIQUE, patient TEXT NOT NULL,
    split TEXT CHECK (split IN ('train', 'val', 'test')), sex TEXT, age REAL,
    film INTEGER, films INTEGER NOT NULL, views TEXT NOT NULL, has_findings INTEGER NOT NULL,
    signs TEXT NOT NULL DEFAULT '',
    kind TEXT GENERATED ALWAYS AS (
        ifnull(split, '') || char(9) || ifnull(sex, '') || char(9) ||
        ifnull(CAST(age AS INTEGER) / 10 * 10, '') || char(9) || views
    ) STORED
);
CREATE TABLE reports (
    study INTEGER PRIMARY KEY REFERENCES studies,
    report TEXT NOT NULL, findings TEXT NOT NULL, impression TEXT NOT NULL
);
CREATE TABLE sentences (
    study INTEGER NOT NULL REFERENCES studies, place INTEGER NOT NULL, sentence TEXT NOT NULL,
    PRIMARY KEY (study, place)
) WITHOUT ROWID;
CREATE TABLE films (
    film INTEGER PRIMARY KEY, study INTEGER NOT NULL REFERENCES studies, path TEXT NOT NULL UNIQUE, view TEXT,
    rows INTEGER NOT NULL, columns INTEGER NOT NULL, row_mm REAL, column_mm REAL,
    kind TEXT NOT NULL, bits INTEGER NOT NULL, sha256 TEXT NOT NULL,
    file_view TEXT, bytes INTEGER, modified_ns INTEGER, remark TEXT
);
CREATE TABLE boxes (
    film INTEGER NOT NULL REFERENCES films, place INTEGER NOT NULL, label TEXT NOT NULL,
    "left" REAL NOT NULL, top REAL NOT NULL, width REAL NOT NULL, height REAL NOT NULL,
    PRIMARY KEY (film, place)
) WITHOUT ROWID;
CREATE TABLE label_names (label INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE label_sources (source INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE labels (
    study INTEGER NOT NULL REFERENCES studies, label INTEGER NOT NULL REFERENCES label_names,
    source INTEGER NOT NULL REFERENCES label_sources,
    value REAL NOT NULL CHECK (value = -1 OR value BETWEEN 0 AND 1), PRIMARY KEY (study, label, source)
) WITHOUT ROWID;
CREATE TABLE caches (side INTEGER PRIMARY KEY, sha256 TEXT NOT NULL);
CREATE VIRTUAL TABLE words USING fts5(
    findings, impression, content='reports', content_rowid='study',
    tokenize='porter unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE asserted USING fts5(
    findings, impression, content='', tokenize='porter unicode61 remove_diacritics 2'
);
"""
INDEX = "INSERT INTO words (words) VALUES ('rebuild')"
ASSERTED = """
INSERT INTO asserted (rowid, findings, impression)
SELECT study, asserted(findings), asserted(impression) FROM reports
"""
"""What the reports assert (`assertion`), as an index without texts; cohorts of before have none."""
FILMS_OF = "CREATE INDEX films_study ON films (study)"

SEPARATOR = "\x1f"
"""After every view in a study's `views`; no view holds it."""
SIGN_PRESENT, SIGN_ABSENT, SIGN_UNCERTAIN, SIGN_UNKNOWN = "10-."


def fill_index(connection: sqlite3.Connection) -> None:
    """Index the reports, and what they assert."""
    connection.execute(INDEX)
    connection.create_function("asserted", 1, assertion.asserted, deterministic=True)
    connection.execute(ASSERTED)


def sign(value: float | None) -> str:
    """Return the character under which a label's value is counted; None is unknown."""
    if value is None:
        return SIGN_UNKNOWN
    return {1.0: SIGN_PRESENT, 0.0: SIGN_ABSENT}.get(value, SIGN_UNCERTAIN)


def is_value(value: float) -> bool:
    """Tell whether a known label may have this value: 0 to 1, or UNCERTAIN."""
    return value == UNCERTAIN or 0 <= value <= 1


@contextmanager
def connect(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open a cohort's database for reading; CohortError if it is gone, damaged or of another version."""
    with _opened(folder) as connection:
        connection.execute("PRAGMA query_only=ON")
        yield connection


@contextmanager
def change(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open a cohort's database for one change: all of what is done happens, or nothing does.

    Raises:
        CohortError: it is gone, damaged, of another version, or cannot be written.
    """
    with _opened(folder) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            # Of a full disk SQLite has taken all back itself.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def version(folder: Path) -> int:
    """Return the version of a cohort's database; CohortError if it cannot be read."""
    with reported(folder), closing(attach(folder)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def reported(folder: Path) -> Iterator[None]:
    """Turn what SQLite says of a cohort's file into a CohortError."""
    try:
        yield
    except sqlite3.Error as error:
        raise CohortError(f"{folder.name}: the cohort cannot be read or written: {error}") from error


@contextmanager
def _opened(folder: Path) -> Iterator[sqlite3.Connection]:
    with reported(folder), closing(attach(folder)) as connection:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found != VERSION:
            raise CohortError(f"{folder.name}: expected schema {VERSION}, got {found}: import it again")
        yield connection


def attach(folder: Path) -> sqlite3.Connection:
    """Return a connection to a cohort's database as it is, whatever its version."""
    # SQLite itself falls back to reading where the file cannot be written; `rw` never creates one.
    address = f"{(folder / DATABASE).as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=WAIT_SECONDS, isolation_level=None)
