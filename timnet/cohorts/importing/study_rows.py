"""A study and its films as rows of a draft's tables: report, sentences, boxes, and labels by their source."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from dataclasses import astuple

from timnet.cohorts import label_store, schema
from timnet.cohorts.decode_pool import Taken
from timnet.cohorts.importing.digest import check_source
from timnet.cohorts.records import FilmRecord, StudyRecord
from timnet.reports import report_text

_STUDY = """
INSERT INTO studies (id, study, patient, split, sex, age, film, films, views, has_findings, signs)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_FILM = f"INSERT INTO films VALUES ({', '.join('?' * 15)})"


class StudyRows:
    """The labels and sources that a draft's tables name so far, and what is added to these tables."""

    def __init__(self, connection: sqlite3.Connection, label_source: str) -> None:
        """Go on with a draft's tables; `label_source` gives the records' own labels."""
        self._connection, self._label_source = connection, label_source
        names = connection.execute("SELECT name FROM label_sources ORDER BY source")
        self.sources = [name for (name,) in names]
        self.labels = label_store.label_names(connection)

    def insert(
        self, key: int, first: int, study: StudyRecord, taken: Sequence[tuple[FilmRecord, Taken]]
    ) -> None:
        """Write a study under a key, and its films numbered from `first` on."""
        execute, executemany = self._connection.execute, self._connection.executemany
        report = study.report.encode(errors="replace").decode()  # a lone surrogate cannot be stored
        extract = report_text.extract(report)
        views = [" ".join((film.view or found.view or "").split()) for film, found in taken]
        values, signs = self._values(study)
        age = None if study.age is None or math.isnan(study.age) else study.age
        person = (
            study.study,
            study.patient,
            study.split,
            study.sex,
            age,
            first if taken else None,
            len(taken),
        )
        message = ("".join(view + schema.SEPARATOR for view in views), extract.findings != "", signs)
        execute(_STUDY, (key, *person, *message))
        execute(
            "INSERT INTO reports VALUES (?, ?, ?, ?)", (key, report, extract.findings, extract.impression)
        )
        sentences = enumerate(report_text.sentences(extract.findings))
        executemany("INSERT INTO sentences VALUES (?, ?, ?)", ((key, *each) for each in sentences))
        for number, ((film, found), view) in enumerate(zip(taken, views, strict=True), first):
            columns = (*found.columns, found.view, found.state.bytes, found.state.modified_ns, found.remark)
            execute(_FILM, (number, key, found.path, view or None, *columns))
            boxes = ((number, place, *astuple(box)) for place, box in enumerate(film.boxes))
            executemany("INSERT INTO boxes VALUES (?, ?, ?, ?, ?, ?, ?)", boxes)
        labels = ((key, label, source, value) for (label, source), value in values.items())
        executemany("INSERT INTO labels VALUES (?, ?, ?, ?)", labels)

    def _values(self, study: StudyRecord) -> tuple[dict[tuple[int, int], float], str]:
        """Return what is known by label and source, and the signs of the best source's values."""
        values: dict[tuple[int, int], float] = {}
        for source_name, said in ((self._label_source, study.labels), *study.other_labels.items()):
            source = self._number("label_sources", check_source(source_name), self.sources)
            for name, value in said.items():
                if name not in self.labels:
                    label_store.check_name(name, self.labels)
                label = self._number("label_names", name, self.labels)
                if not math.isnan(value):  # unknown = no row
                    values[label, source] = value
        best = {label: value for (label, _), value in sorted(values.items(), reverse=True)}
        return values, "".join(schema.sign(best.get(label)) for label in range(len(self.labels)))

    def _number(self, table: str, name: str, names: list[str]) -> int:
        """Return the number of a label or source, which becomes one of the draft's where it is new."""
        if name not in names:
            self._connection.execute(f"INSERT INTO {table} VALUES (?, ?)", (len(names), name))
            names.append(name)
        return names.index(name)
