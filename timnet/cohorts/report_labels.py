"""Labels of a cohort by the words of its reports: source `report`, below every other source.

Owns which text is read (findings and impression), what is written and counted, and that a second run replaces
the first. All of it is one transaction: an interrupted run leaves the labels that were there. A new import of
the cohort labels its reports again. Reports in other languages than the tables' get no label and are counted.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from timnet.cohorts import label_store, schema
from timnet.cohorts.records import CohortError, Progress, Study, fold
from timnet.reports import label_words, language
from timnet.reports.phrase_tables import LABELS

NO_TEXT = "no findings or impression"
OTHER_LANGUAGE = "language other than English, German, French and Spanish, or too few words to tell"
NUM_NAMED = 5
"""Studies of another language that are named."""
_TEXTS = (
    "SELECT s.id, s.study, findings, impression FROM studies s JOIN reports r ON r.study = s.id ORDER BY s.id"
)
_VALUES = {schema.sign(value): value for value in (1.0, 0.0, -1.0)}


@dataclass(frozen=True)
class Labelled:
    """What the reports of a cohort told.

    `signs` holds a study's labels in the order of LABELS as `schema.sign` writes them; `labels` counts them:
    label -> present, absent, uncertain -> studies. `left_out`: reason -> studies.
    """

    signs: Mapping[int, str]
    labels: Mapping[str, Mapping[str, int]]
    languages: Mapping[str, int]
    left_out: Mapping[str, int]
    first_left_out: tuple[str, ...]
    seconds: float


def label(folder: Path, progress: Progress | None = None) -> Labelled:
    """Label a cohort by its reports, in place of what an earlier run wrote.

    Raises:
        CohortError: no report to label, or the cohort cannot be written or was imported again meanwhile.
        PhraseError: a phrase table is damaged.
    """
    with schema.connect(folder) as connection:
        before = _identity(connection)
        found = read(connection, progress)
    if not found.signs:
        why = "; ".join(f"{reason} ({count})" for reason, count in found.left_out.items())
        raise CohortError(f"{folder.name}: expected reports to label, found none: {why or 'no studies'}")
    with label_store.lock(folder), schema.change(folder) as connection:
        if _identity(connection) != before:
            raise CohortError(f"{folder.name}: was imported again meanwhile: label it again")
        replace(connection, found.signs)
        connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'revision'")
    return found


def is_labelled(folder: Path) -> bool:
    """Tell whether a cohort has labels by its reports."""
    with schema.connect(folder) as connection:
        sql = "SELECT EXISTS (SELECT 1 FROM labels WHERE source = ?)"
        return bool(connection.execute(sql, (schema.REPORT_NUMBER,)).fetchone()[0])


def read(connection: sqlite3.Connection, progress: Progress | None = None) -> Labelled:
    """Return what the reports of a cohort's database tell, and write nothing."""
    began, signs, languages = time.monotonic(), dict[int, str](), Counter[str]()
    counts = {name: Counter(present=0, absent=0, uncertain=0) for name in LABELS}
    left_out, examples = Counter[str](), list[str]()
    (total,) = connection.execute("SELECT count(*) FROM reports").fetchone()
    for done, (key, study, *texts) in enumerate(connection.execute(_TEXTS), 1):
        spoken = language.detect("\n".join(texts))
        found = label_words.labels(texts, spoken) if spoken else None
        if found is None:
            has_text = any(text.strip() for text in texts)
            left_out[OTHER_LANGUAGE if has_text else NO_TEXT] += 1
            examples += [study] if has_text and len(examples) < NUM_NAMED else []
        else:
            languages[spoken] += 1
            signs[key] = "".join(schema.sign(found[name].value if name in found else None) for name in LABELS)
        if progress is not None and (done % 500 == 0 or done == total):
            progress(done, total)
    words = {schema.SIGN_PRESENT: "present", schema.SIGN_ABSENT: "absent", schema.SIGN_UNCERTAIN: "uncertain"}
    for row, times in Counter(signs.values()).items():
        for name, sign in zip(LABELS, row, strict=True):
            if sign in words:
                counts[name][words[sign]] += times
    seconds = round(time.monotonic() - began, 2)
    fields = {name: dict(count) for name, count in counts.items()}
    return Labelled(signs, fields, dict(languages), dict(left_out), tuple(examples), seconds)


def replace(connection: sqlite3.Connection, signs: Mapping[int, str]) -> None:
    """Write labels in place of those that an earlier run wrote, in the transaction that is open."""
    source = schema.REPORT_NUMBER
    connection.execute("DELETE FROM labels WHERE source = ?", (source,))
    connection.execute("INSERT OR REPLACE INTO label_sources VALUES (?, ?)", (source, schema.REPORT))
    numbers = [label_store.number_of(connection, name) for name in LABELS]
    connection.executemany("INSERT INTO labels VALUES (?, ?, ?, ?)", _rows(signs, numbers, source))
    label_store.fill_signs(connection)


def sentences(study: Study) -> dict[str, str]:
    """Return the sentence behind each label that the source `report` has of a study, by the label's name.

    "" where the tables tell another value today than they did when the cohort was labelled.
    """
    found = label_words.labels([study.findings, study.impression]) or {}
    fields = {fold(name): each for name, each in found.items()}
    return {
        name: fields[fold(name)].sentence
        if fold(name) in fields and fields[fold(name)].value == value
        else ""
        for name, value in study.labels_by_source.get(schema.REPORT, {}).items()
    }


def _rows(signs: Mapping[int, str], numbers: list[int], source: int) -> Iterable[tuple[int, int, int, float]]:
    for study, row in signs.items():
        for number, sign in zip(numbers, row, strict=True):
            if sign in _VALUES:
                yield study, number, source, _VALUES[sign]


def _identity(connection: sqlite3.Connection) -> str:
    (found,) = connection.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()
    return str(found)
