"""What the database knows of one study, and of every film's labels, as the values that readers get.

Owns which source of a label counts: the best that says something. Refuses nothing: what is not there is None
or nan.
"""

from __future__ import annotations

import math
import sqlite3
from typing import Any

import numpy as np
import pandas as pd

from timnet.cohorts import label_store
from timnet.cohorts.records import Box, Study, StudyFilm

_STUDY = """
SELECT s.study, s.patient, s.split, s.sex, s.age, r.report, r.findings, r.impression, s.id
FROM studies s JOIN reports r ON r.study = s.id WHERE s.study = ?
"""
_STUDY_LABELS = """
SELECT o.name, n.name, l.value FROM labels l
JOIN label_names n USING (label) JOIN label_sources o USING (source)
WHERE l.study = ? ORDER BY o.source, n.label
"""
_STUDY_FILMS = """
SELECT film, path, view, rows, columns, row_mm, column_mm, kind, bits, sha256
FROM films WHERE study = ? ORDER BY film
"""
OF_STUDIES = """
SELECT f.film, s.study, f.view FROM films f JOIN studies s ON s.id = f.study
WHERE s.study IN (SELECT value FROM json_each(?)) ORDER BY f.film
"""
OF_PATIENT = """
SELECT f.film, s.study, f.view FROM films f JOIN studies s ON s.id = f.study
WHERE s.patient = ? ORDER BY f.film
"""
BOXES = 'SELECT film, label, "left", top, width, height FROM boxes'
_LABEL = np.dtype([("study", np.int64), ("label", np.int64), ("value", np.float64)])
_OF_SOURCE = "SELECT study, label, value FROM labels JOIN label_sources USING (source) WHERE name = ?"


def study(connection: sqlite3.Connection, study: str) -> Study | None:
    """Return one study by its name."""
    found = connection.execute(_STUDY, (study,)).fetchone()
    if found is None:
        return None
    name, patient, split, sex, age, report, findings, impression, key = found
    labels = dict.fromkeys(label_store.label_names(connection), math.nan)
    by_source: dict[str, dict[str, float]] = {}
    for source, label, value in connection.execute(_STUDY_LABELS, (key,)):
        by_source.setdefault(source, {})[label] = value
    for said in reversed(by_source.values()):
        labels |= said
    films = connection.execute(_STUDY_FILMS, (key,)).fetchall()
    return Study(
        study=name,
        patient=patient,
        split=split,
        sex=sex,
        age=age,
        report=report,
        findings=findings,
        labels=labels,
        films=tuple(_film(connection, row) for row in films),
        impression=impression,
        labels_by_source=by_source,
    )


def labels(connection: sqlite3.Connection, source: str | None) -> pd.DataFrame:
    """Return one row a film and one column a label, by one source, or by the best where that is None."""
    names = label_store.label_names(connection)
    film_study = [key for (key,) in connection.execute("SELECT study FROM films ORDER BY film")]
    sql, values = (label_store.BEST, ()) if source is None else (_OF_SOURCE, (source,))
    known = np.fromiter(connection.execute(sql, values), _LABEL)
    (last,) = connection.execute("SELECT max(id) FROM studies").fetchone()
    by_study = np.full((last + 1, len(names)), np.nan)
    by_study[known["study"], known["label"]] = known["value"]
    return pd.DataFrame(by_study[film_study], columns=names)


def _film(connection: sqlite3.Connection, row: tuple[Any, ...]) -> StudyFilm:
    boxes = connection.execute(f"{BOXES} WHERE film = ? ORDER BY place", row[:1]).fetchall()
    spacing_mm = None if row[5] is None else (row[5], row[6])
    fields: list[Any] = [*row[:5], spacing_mm, *row[7:], tuple(Box(*box[1:]) for box in boxes)]
    return StudyFilm(*fields)
