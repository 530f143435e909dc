"""The database of a cohort: its tables, its version, and how a reader opens it.

Owns the schema. A finished database is replaced, never written: it has no write-ahead log, needs no lock, and
opens from a read-only folder. Refuses files of another version.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from timnet.cohorts.records import CohortError

DATABASE = "cohort.sqlite"
VERSION = 1

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE studies (
    id INTEGER PRIMARY KEY, study TEXT NOT NULL UNIQUE, patient TEXT NOT NULL,
    split TEXT CHECK (split IN ('train', 'val', 'test')),
    sex TEXT, age REAL, report TEXT NOT NULL, findings TEXT NOT NULL
);
CREATE TABLE films (
    film INTEGER PRIMARY KEY, study INTEGER NOT NULL REFERENCES studies, path TEXT NOT NULL UNIQUE, view TEXT,
    rows INTEGER NOT NULL, columns INTEGER NOT NULL, row_mm REAL, column_mm REAL,
    kind TEXT NOT NULL, bits INTEGER NOT NULL, sha256 TEXT NOT NULL
);
CREATE TABLE label_names (label INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, source TEXT NOT NULL);
CREATE TABLE labels (
    label INTEGER NOT NULL REFERENCES label_names, study INTEGER NOT NULL REFERENCES studies,
    value REAL NOT NULL, PRIMARY KEY (label, study)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5(
    findings, report, content='studies', content_rowid='id', tokenize='porter unicode61 remove_diacritics 2'
);
"""
INDEXES = """
CREATE INDEX films_study ON films (study);
CREATE INDEX studies_split ON studies (split);
INSERT INTO words (words) VALUES ('rebuild');
ANALYZE;
"""


@contextmanager
def connect(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open a cohort's database for reading; CohortError if it is gone, damaged or of another version."""
    try:
        address = f"{(folder / DATABASE).as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version != VERSION:
                raise CohortError(f"{folder.name}: expected schema {VERSION}, got {version}: import it again")
            yield connection
    except sqlite3.Error as error:
        raise CohortError(f"{folder.name}: the cohort cannot be read: {error}") from error
