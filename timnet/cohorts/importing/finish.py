"""A draft that holds every record becomes a cohort: splits, indexes, counts and the facts that readers need.

Owns the splits of studies that brought none, the check that no patient crosses them, and the summary. All of
it is one transaction: a kill leaves the draft as it was. Refuses a draft without a film.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from timnet.cohorts import label_store, pixels, schema, splits
from timnet.cohorts.decode_pool import Reading
from timnet.cohorts.importing.draft import Draft
from timnet.cohorts.records import SPLITS, CohortError, Summary

NUM_NAMED = 5
"""Patients and films of a kind that a summary names."""


@dataclass(frozen=True)
class Facts:
    """What an import knows of its cohort besides the records."""

    name: str
    source: str
    root: Path
    side: int
    shares: Mapping[str, float]
    seed: int
    started: float
    """By `time.monotonic`."""
    reading: Reading
    strict: bool = False


def complete(
    connection: sqlite3.Connection, draft: Draft, facts: Facts, notes: Sequence[str], checksum: str
) -> None:
    """Draw missing splits, index, sum up, and mark the draft as a cohort; CohortError if it has no film."""
    began = time.monotonic()
    films, repeated = connection.execute(
        "SELECT count(*), count(*) - count(DISTINCT sha256) FROM films"
    ).fetchone()
    if not films:
        why = "; ".join(f"{reason} ({count})" for reason, count in draft.skipped.most_common(3))
        raise CohortError(f"{facts.name}: no film could be imported: {why or 'the export lists none'}")
    connection.execute("BEGIN")
    items = [*notes, *_remarks(connection), *_draw_splits(connection, facts.shares, facts.seed)]
    crossing, leaks = _leaks(connection)
    items += leaks
    if leaks and facts.strict:
        raise CohortError(f"{facts.name}: --strict: {'; '.join(leaks)}")
    if repeated:
        items.append(f"films that repeat another one byte for byte: {repeated}")
    _fill_up_signs(connection)
    connection.execute(schema.FILMS_OF)
    schema.fill_index(connection)
    records = draft.digest()
    connection.execute("DROP TABLE consumed")
    connection.execute("INSERT INTO caches VALUES (?, ?)", (facts.side, checksum))
    sha256s = (sha256 for (sha256,) in connection.execute("SELECT sha256 FROM films ORDER BY film"))
    fingerprint = pixels.fingerprint(sha256s)
    now = time.monotonic()
    summary = _sum_up(connection, draft, facts, tuple(items), crossing, now - began)
    known = {
        "source": facts.source,
        "root": str(facts.root),
        "identity": secrets.token_hex(8),
        "revision": "0",
        "rule": pixels.RULE,
        "fingerprint": fingerprint,
        "records": records,
        "films": str(films),
        "reading": facts.reading.rule,
        "admit": json.dumps(facts.reading.admit),
        "outside": json.dumps([str(folder) for folder in facts.reading.outside]),
        "summary": json.dumps(summary.as_dict()),
    }
    connection.executemany("INSERT INTO meta VALUES (?, ?)", known.items())
    connection.execute("ANALYZE")
    connection.execute(f"PRAGMA user_version={schema.VERSION}")
    connection.execute("COMMIT")


def _remarks(connection: sqlite3.Connection) -> list[str]:
    """Count the films of every remark, and name the first few."""
    sql = "SELECT remark, path FROM films WHERE remark IS NOT NULL ORDER BY film"
    films: dict[str, list[str]] = {}
    for remark, path in connection.execute(sql):
        films.setdefault(remark, []).append(path)
    commonest = sorted(films.items(), key=lambda item: (-len(item[1]), item[0]))
    return [f"{remark}: {len(paths)}, such as {', '.join(paths[:NUM_NAMED])}" for remark, paths in commonest]


def _draw_splits(connection: sqlite3.Connection, shares: Mapping[str, float], seed: int) -> list[str]:
    """Give studies without a split that of their patient's other studies, or one drawn by patient.

    Patients who share a film, byte for byte, are drawn as one: it must not be learned from and tested on.
    """
    one = _sharing(connection)
    known = connection.execute("SELECT patient, split FROM studies WHERE split IS NOT NULL ORDER BY id DESC")
    given = {one.get(patient, patient): split for patient, split in known}
    unknown = connection.execute("SELECT id, patient FROM studies WHERE split IS NULL ORDER BY id")
    rows = [(study, one.get(patient, patient)) for study, patient in unknown]
    drawn = [(study, patient) for study, patient in rows if patient not in given]
    if drawn:
        y_NL = np.full((rows[-1][0] + 1, len(label_store.label_names(connection))), np.nan)
        for study, label, value in connection.execute(label_store.BEST):
            if study < len(y_NL):
                y_NL[study, label] = value
        strata = splits.strata(y_NL[[study for study, _ in drawn]])
        names = splits.by_patient([patient for _, patient in drawn], seed, shares, strata)
        given |= dict(zip((patient for _, patient in drawn), names, strict=True))
    assigned = [(given[patient], study) for study, patient in rows]
    connection.executemany("UPDATE studies SET split = ? WHERE id = ?", assigned)
    return [f"studies without a split, drawn by patient with seed {seed}: {len(rows)}"] if rows else []


def _sharing(connection: sqlite3.Connection) -> dict[str, str]:
    """Return one patient for all who are linked by films they share; without those who share none."""
    rows = connection.execute(
        "SELECT DISTINCT sha256, patient FROM films f JOIN studies s ON s.id = f.study WHERE sha256 IN"
        " (SELECT sha256 FROM films GROUP BY sha256 HAVING count(*) > 1) ORDER BY s.id"
    )
    groups: dict[str, set[str]] = {}
    first: dict[str, str] = {}
    for sha256, patient in rows:
        group = groups.setdefault(first.setdefault(sha256, patient), set())
        other = groups.setdefault(patient, {patient})
        if other is not group:
            group |= other
            groups |= dict.fromkeys(other, group)
    return {patient: min(group) for patient, group in groups.items() if len(group) > 1}


def _leaks(connection: sqlite3.Connection) -> tuple[int, list[str]]:
    """Return how many patients are in two splits, and what is to be said of these and of repeated films."""
    patients = connection.execute(
        "SELECT patient, group_concat(DISTINCT split) FROM studies GROUP BY patient"
        " HAVING count(DISTINCT split) > 1 ORDER BY min(id)"
    ).fetchall()
    films = connection.execute(
        "SELECT group_concat(path, ' = '), group_concat(DISTINCT split)"
        " FROM (SELECT sha256, path, s.split FROM films f JOIN studies s ON s.id = f.study ORDER BY f.film)"
        " GROUP BY sha256 HAVING count(DISTINCT split) > 1 ORDER BY min(path)"
    ).fetchall()
    found = (("patients in two splits", patients), ("films that are in two splits, byte for byte", films))
    return len(patients), [f"{what}: {_by_splits(rows)}" for what, rows in found if rows]


def _by_splits(rows: Sequence[tuple[str, str]]) -> str:
    """Return how many names there are, by the splits they are in, and the first few of them."""
    named = [(name, " and ".join(sorted(splits.split(","), key=SPLITS.index))) for name, splits in rows]
    counts = Counter(splits for _, splits in named)
    by_splits = ", ".join(f"{count} in {splits}" for splits, count in counts.most_common())
    first = ", ".join(f"{name[:200]} ({splits})" for name, splits in named[:NUM_NAMED])
    return f"{len(rows)} ({by_splits}), such as {first}"


def _fill_up_signs(connection: sqlite3.Connection) -> None:
    """Give studies that came before a label's first mention a sign for it."""
    unknown = schema.SIGN_UNKNOWN * len(label_store.label_names(connection))
    connection.execute(
        "UPDATE studies SET signs = signs || substr(?, length(signs) + 1) WHERE length(signs) < ?",
        (unknown, len(unknown)),
    )


def _sum_up(
    connection: sqlite3.Connection,
    draft: Draft,
    facts: Facts,
    notes: tuple[str, ...],
    crossing: int,
    index_seconds: float,
) -> Summary:
    positives = (
        f"SELECT name, total(s.films) FROM label_names n LEFT JOIN ({label_store.BEST}) l"
        " ON l.label = n.label AND l.value > 0.5 LEFT JOIN studies s ON s.id = l.study"
        " GROUP BY n.label ORDER BY n.label"
    )
    per_split = dict(connection.execute("SELECT split, sum(films) FROM studies WHERE films GROUP BY split"))
    studies, films, patients, with_findings = connection.execute(
        "SELECT count(*), sum(films), count(DISTINCT patient), sum(has_findings) FROM studies"
    ).fetchone()
    return Summary(
        name=facts.name,
        studies=studies,
        films=films,
        patients=patients,
        labels={name: int(count) for name, count in connection.execute(positives)},
        splits={split: per_split[split] for split in SPLITS if split in per_split},
        with_findings=with_findings,
        skipped=dict(draft.skipped.most_common()),
        first_skipped=tuple(draft.examples),
        seconds=round(time.monotonic() - facts.started, 2),
        notes=notes,
        crossing=crossing,
        index_seconds=round(index_seconds, 2),
    )
