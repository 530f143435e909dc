"""What is read of a table's rows and where: columns, else patients and studies in the films' paths.

Owns the survey of all rows from which a plan is completed: a form of paths that most rows have names
patients, a folder a study where its rows agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from timnet.cohorts.readers import cells as meaning
from timnet.cohorts.readers import path_names, tables
from timnet.cohorts.readers.cells import RowError
from timnet.cohorts.readers.tables import Table
from timnet.cohorts.records import FilmRecord, PathError, Skipped, StudyRecord, film_path


@dataclass(frozen=True)
class Plan:
    """What is read of a row, and where."""

    table: Table
    columns: Mapping[str, str | None]
    labels: tuple[str, ...]
    form: str | None = None
    """Of `path_names.PATIENTS`, where patients are taken from the paths."""
    has_study_folders: bool = False
    may_leave: bool = False
    """Whether a path may lead out of the table's folder."""
    signs: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Of each label, the cells of one character that its column holds, in lower case."""

    def cell(self, cells: Mapping[str, str], role: str) -> str:
        column = self.columns[role]
        return meaning.known(cells[column]) if column else ""

    def film(self, cells: Mapping[str, str]) -> str:
        path = film_path(self.cell(cells, "film"), self.may_leave)
        folder = self.table.path.parent
        # CheXpert's own table lies inside the folder with which its paths begin.
        if path.startswith(f"{folder.name}/") and not (folder / folder.name).exists():
            return path.partition("/")[2]
        return path

    def study(self, cells: Mapping[str, str], path: str) -> str:
        named = path_names.study(path) if self.has_study_folders else None
        return self.cell(cells, "study") or named or path

    def values(self, cells: Mapping[str, str]) -> dict[str, float]:
        """Return the value of each label."""
        return {label: meaning.label(label, cells[label], self.signs.get(label, ())) for label in self.labels}

    def stated(self, cells: Mapping[str, str]) -> tuple[object, ...]:
        """Return what the rows of one study must agree in."""
        values = tuple(self.values(cells).values())
        split = meaning.split(self.cell(cells, "split"))
        return self.cell(cells, "patient"), self.cell(cells, "text"), split, repr(values)

    def record(self, cells: Mapping[str, str], path: str, study: str) -> StudyRecord:
        patient = self.cell(cells, "patient") or (self.form and path_names.patient(path, self.form))
        view = meaning.view(self.cell(cells, "view"))
        if self.cell(cells, "side").casefold().startswith("lat"):
            view = meaning.LATERAL
        return StudyRecord(
            study=study,
            patient=patient or study,
            report=self.cell(cells, "text"),
            films=(FilmRecord(path, view),),
            labels=self.values(cells),
            split=meaning.split(self.cell(cells, "split")),
            sex=meaning.sex(self.cell(cells, "sex")),
            age=meaning.age(self.cell(cells, "age")),
        )


def surveyed(plan: Plan) -> tuple[Plan, Counter[str], str]:
    """Complete a plan by what all rows say of patients and studies.

    Returns:
        The plan, how many rows each study has, and what is to be known of patients; "" for nothing.
    """
    has_studies, has_patients = bool(plan.columns["study"]), bool(plan.columns["patient"])
    forms, folders, examples = Counter[str](), dict[str, tuple[object, ...]](), dict[str, str]()
    left, total, nameless, agree = Counter[str](), 0, 0, not has_studies
    places, scattered = dict[tuple[str, str], str](), dict[tuple[str, str], None]()
    signs = {label: set[str]() for label in plan.labels}
    plan = replace(plan, signs=signs)
    for _, cells in tables.rows(plan.table, plan.columns["film"]):
        try:
            if isinstance(cells, Skipped):
                continue
            for label in plan.labels:
                if len(cells[label]) == 1:
                    signs[label].add(cells[label].lower())
            if has_patients:
                if named := plan.cell(cells, "study"):
                    left[named] += 1
                nameless += not plan.cell(cells, "patient")
                continue
            path = plan.film(cells)
            total += 1
            if study := plan.cell(cells, "study") or path_names.study(path):
                left[study] += 1
            for form in path_names.PATIENTS:
                if patient := path_names.patient(path, form):
                    forms[form] += 1
                    examples.setdefault(form, patient)
                    place = path.partition(patient.rpartition("/")[2])[0]
                    if places.setdefault((form, patient), place) != place:
                        scattered[form, patient] = None
            if agree and (folder := path_names.study(path)):
                stated = plan.stated(cells)
                agree = folders.setdefault(folder, stated) == stated
        except (RowError, PathError):
            continue
    form, count = forms.most_common(1)[0] if forms else ("", 0)
    if has_patients:
        note = f"rows without a patient: {nameless}; each of their studies counts as one" if nameless else ""
        return plan, left, note
    if 2 * count <= total:
        note = (
            "no column of patients and no patient in the paths: each study counts as a patient of its own, "
            "and one person may be in two splits"
        )
        return plan, left, note
    note = f"no column of patients: taken from the paths ({form}, such as {examples[form]})"
    if count < total:
        note += f"; without one in its path: {total - count}"
    if several := [patient for of_form, patient in scattered if of_form == form]:
        note += f"; in several folders, taken for one person each: {len(several)}, such as {several[0]}"
    return replace(plan, form=form, has_study_folders=agree and bool(folders)), left, note
