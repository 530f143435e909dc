"""What readers made of the studies of an audit: verdicts with reader, network and time, never overwritten.

Owns a table of the cohort's database that only grows: taking a verdict back adds a row that says so. Several
readers may write at once, under the lock that guards labels. Verdicts go along with a new import, where it
has their study. Refuses words that are no verdict and readers without a name.
"""

from __future__ import annotations

import io
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from timnet import files, spreadsheet
from timnet.cohorts import label_store, schema
from timnet.cohorts.records import CohortError

Word = Literal["fits", "wrong report", "wrong side", "missed finding", "invented finding", "can't tell"]
VERDICTS: tuple[Word, ...] = get_args(Word)
FITS, WRONG_REPORT, WRONG_SIDE, MISSED, INVENTED, CANNOT_TELL = VERDICTS
ERRORS = (WRONG_REPORT, WRONG_SIDE, MISSED, INVENTED)
"""Verdicts that confirm an error."""
LONGEST = 100
"""Characters of a reader's or network's name."""
_Z = 1.959963984540054
"""Of a 95 % interval."""

_TABLE = """
CREATE TABLE IF NOT EXISTS verdicts (
    number INTEGER PRIMARY KEY AUTOINCREMENT, study TEXT NOT NULL, verdict TEXT, reader TEXT NOT NULL,
    network TEXT NOT NULL, time TEXT NOT NULL, undoes INTEGER UNIQUE REFERENCES verdicts
)
"""
# A row with `undoes` takes that row back and gives no verdict itself. Cohorts without verdicts have no table.
_COLUMNS = ("number", "study", "verdict", "reader", "network", "time")
_ALL = f"""
SELECT {", ".join(f"v.{name}" for name in _COLUMNS)}, ifnull(u.time, '') AS undone
FROM verdicts v LEFT JOIN verdicts u ON u.undoes = v.number WHERE v.verdict IS NOT NULL ORDER BY v.number
"""
_LAST = """
SELECT max(number) FROM verdicts v WHERE reader = ? AND verdict IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM verdicts u WHERE u.undoes = v.number)
"""


@dataclass(frozen=True)
class Verdict:
    """One verdict; `time` is UTC in ISO 8601."""

    number: int
    study: str
    verdict: Word
    reader: str
    network: str
    time: str


@dataclass(frozen=True)
class Precision:
    """How many of the studies read are confirmed errors, with Wilson's 95 % interval; nan where none is."""

    read: int
    confirmed: int
    value: float
    low: float
    high: float


def add(folder: Path, study: str, verdict: str, reader: str, network: str) -> Verdict:
    """Keep a reader's verdict on a study; an earlier one of the same reader stays in the history.

    Args:
        folder: of the cohort.
        verdict: one of VERDICTS.
        reader: the reader's name.
        network: the checkpoint whose list was read.

    Raises:
        CohortError: no such study, no verdict, no name, or a cohort that cannot be written.
    """
    if verdict not in VERDICTS:
        raise CohortError(f"verdict: expected one of {', '.join(VERDICTS)}, got {verdict[:80]!r}")
    for what, name in (("reader", reader), ("network", network)):
        if not name.strip() or len(name) > LONGEST or not name.isprintable():
            raise CohortError(f"{what}: expected a name of 1 to {LONGEST} letters, got {name[:80]!r}")
    with label_store.lock(folder), schema.change(folder) as connection:
        if not connection.execute("SELECT 1 FROM studies WHERE study = ?", (study,)).fetchone():
            raise CohortError(f"{folder.name}: expected one of its studies, got {study[:80]!r}")
        connection.execute(_TABLE)
        row = (study, verdict, reader.strip(), network, _now())
        sql = "INSERT INTO verdicts (study, verdict, reader, network, time) VALUES (?, ?, ?, ?, ?)"
        number = connection.execute(sql, row).lastrowid
    return _verdict(number, *row)


def undo(folder: Path, reader: str) -> Verdict | None:
    """Take back the last verdict of a reader that stands, and return it; None where none does.

    Raises:
        CohortError: the cohort cannot be written.
    """
    with label_store.lock(folder), schema.change(folder) as connection:
        connection.execute(_TABLE)
        (number,) = connection.execute(_LAST, (reader.strip(),)).fetchone()
        if number is None:
            return None
        sql = f"SELECT {', '.join(_COLUMNS)} FROM verdicts WHERE number = ?"
        taken = _verdict(*connection.execute(sql, (number,)).fetchone())
        sql = "INSERT INTO verdicts (study, reader, network, time, undoes) VALUES (?, ?, ?, ?, ?)"
        connection.execute(sql, (taken.study, taken.reader, taken.network, _now(), number))
    return taken


def history(folder: Path) -> pd.DataFrame:
    """Return every verdict ever given, the oldest first: as `standing`, and `undone`, its time or ""."""
    with schema.connect(folder) as connection:
        if not _has_table(connection):
            return pd.DataFrame(columns=[*_COLUMNS, "undone"])
        return pd.read_sql_query(_ALL, connection)


def standing(folder: Path) -> pd.DataFrame:
    """Return the verdict of each reader on each study, the oldest first.

    Returns:
        number, study, verdict, reader, network, time (UTC, ISO 8601): the last one that was not taken back.
    """
    given = history(folder)
    kept = given[given["undone"] == ""].drop_duplicates(["study", "reader"], keep="last")
    return kept[list(_COLUMNS)].reset_index(drop=True)


def latest(folder: Path) -> dict[str, Verdict]:
    """Return the last standing verdict of each study, whoever gave it."""
    rows = standing(folder).itertuples(index=False, name=None)
    return {row[1]: _verdict(*row) for row in rows}


def precision(
    verdicts: dict[str, Verdict], ranked: Sequence[str] | None = None, k: int | None = None
) -> Precision:
    """Return how many of the studies read so far are confirmed errors.

    A study counts by its last verdict; one that a reader could not tell is read and not confirmed.

    Args:
        verdicts: as of `latest`.
        ranked: studies of the list, the worst first; others do not count. All count where none is given.
        k: how far down the list to count; a study that stands there twice counts once.
    """
    items = list(verdicts) if ranked is None else list(dict.fromkeys(ranked))[:k]
    read = [verdicts[study].verdict for study in items if study in verdicts]
    confirmed = sum(word in ERRORS for word in read)
    return Precision(len(read), confirmed, *_wilson(confirmed, len(read)))


def to_csv(folder: Path) -> bytes:
    """Return the standing verdicts as UTF-8 CSV in which no cell is a spreadsheet's formula."""
    return spreadsheet.safe_csv(standing(folder))


def to_parquet(folder: Path) -> bytes:
    """Return the standing verdicts as a Parquet file."""
    data = io.BytesIO()
    standing(folder).astype({"number": "int64"}).to_parquet(data, index=False)
    return data.getvalue()


def export(folder: Path, path: Path) -> None:
    """Write the standing verdicts to a file; CohortError unless it ends in .csv or .parquet."""
    made = {".csv": to_csv, ".parquet": to_parquet}.get(path.suffix.lower())
    if made is None:
        raise CohortError(f"{path.name}: expected a file ending in .csv or .parquet")
    with files.private():
        files.write_whole(path, made(folder))


def carry_over(old: Path, connection: sqlite3.Connection) -> None:
    """Copy the verdicts from a cohort's folder into one to come, where it has their study."""
    with schema.connect(old) as before:
        if not _has_table(before):
            return
        rows = before.execute("SELECT * FROM verdicts ORDER BY number").fetchall()
    connection.execute(_TABLE)
    connection.execute("DELETE FROM verdicts")
    known = {study for (study,) in connection.execute("SELECT study FROM studies")}
    kept = [row for row in rows if row[1] in known]
    connection.executemany("INSERT INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?)", kept)


def _wilson(hits: int, trials: int) -> tuple[float, float, float]:
    """Return a share with its 95 % interval. Source: Wilson, J Am Stat Assoc 22 (1927), 209-212."""
    if not trials:
        return math.nan, math.nan, math.nan
    share, square = hits / trials, _Z**2 / trials
    centre = (share + square / 2) / (1 + square)
    half = math.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
    return share, max(centre - half, 0.0), min(centre + half, 1.0)


def _has_table(connection: sqlite3.Connection) -> bool:
    sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'verdicts'"
    return connection.execute(sql).fetchone() is not None


def _verdict(number: int | None, study: str, verdict: Word, reader: str, network: str, time: str) -> Verdict:
    assert number is not None
    return Verdict(int(number), study, verdict, reader, network, time)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
