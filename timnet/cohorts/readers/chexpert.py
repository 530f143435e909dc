"""CheXpert: 224,316 films of 65,240 patients, 14 labels mined from reports; CheXpert Plus with the reports.

Owns both layouts. The path of a film says split, patient and study, whatever its archive's folder is called
today; the films are looked for by these, under the suffix that is on this disk. A table of the test set may
list studies instead of films. Refuses a folder without a table, and one that lacks the column of paths.
Source: Irvin et al., AAAI 2019; Chambon et al. 2024, arXiv:2405.19538 (CheXpert Plus).
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from timnet.cohorts.readers import archives, joined, on_disk, tables
from timnet.cohorts.readers import cells as meaning
from timnet.cohorts.records import CohortError, FilmRecord, Skipped, StudyRecord
from timnet.cohorts.tasks import CHEXPERT14

SOURCE, PLUS = "chexpert", ("df_chexpert_plus_*.csv*",)
_PARTS: Mapping[str, tuple[str, ...]] = {
    "train": ("train.csv", "train.csv.*"),
    "valid": ("valid.csv", "valid.csv.*"),
    "test": ("test.csv", "test.csv.*", "test_labels.csv*", "groundtruth.csv*"),
}
_PLUS_LABELS = ("impression_fixed.json", "report_fixed.json")
"""CheXbert's labels of CheXpert Plus, a JSON object a film; CheXpert's own are of the impression too."""
_PATHS = ("Path", "path_to_image", "Study")
_PATH = re.compile(r"(?:.*/)?(train|valid|test)/(patient\d+)/(study\d+)(?:/([^/]+))?/?")
_PATIENT = re.compile(r"patient\d+")
_SECTIONS = ("clinical_history", "history", "comparison", "technique", "findings", "impression")
_Labels = dict[str, tuple[float, ...]]
"""Of CheXpert Plus: path in the table -> the 14 labels."""


def read(root: Path, *, notes: list[str] | None = None) -> Iterator[StudyRecord | Skipped]:
    """Yield the studies in the order of their first row.

    Args:
        root: the folder that holds train.csv, valid.csv and the films, or df_chexpert_plus_240401.csv and
            PNG; or the folder that they were unpacked into.
        notes: gets what is to be known of the tables, complete once the last study is out.

    Raises:
        CohortError: no table, or one without a column of paths or of labels.
    """
    items = [] if notes is None else notes
    opened = [tables.open_table(path) for path in _tables(root)]
    is_plus, labels = opened[0].path.match(PLUS[0]), _Labels()
    for table in opened:
        items += table.notes
        _path_column(table)
        if not is_plus and not tables.labelled(table.path.name, table.columns, CHEXPERT14, items):
            raise CohortError(
                f"{table.path.name}: expected a column {CHEXPERT14[0]!r}, got {tables.listed(table)}"
            )
    if is_plus:
        yield from _gather_labels(root, labels, items)
    parts = {
        where[1]
        for table in opened
        for _, cells in tables.rows(table, _path_column(table))
        if not isinstance(cells, Skipped) and (where := _where(cells))
    }
    if len(parts) == 1:
        items.append(f"only rows of {min(parts)}: splits are drawn")
    elif lacks := [part for part in _PARTS if part not in parts]:
        items.append(f"no rows of {', '.join(lacks)}: that split is empty")
    record = partial(_record, root, _folders(root), labels if is_plus else None, len(parts) > 1)
    yield from joined.of_tables(opened, _path_column, _study, record)


def _record(
    root: Path,
    folders: Mapping[tuple[str, str], str],
    plus: _Labels | None,
    is_split: bool,
    cells: joined.Cells,
) -> StudyRecord:
    """Return a row's record; RowError where its path or a label cannot be used.

    Args:
        root: folder of the export.
        folders: split and patient -> the patient's folder.
        plus: labels of CheXpert Plus; None for the labels of the row.
        is_split: whether the table has more than one split.
        cells: of the row.
    """
    where = _where(cells)
    if where is None:
        raise meaning.RowError("path is not SPLIT/patientN/studyN/FILM with a split train, valid or test")
    split, patient, study, name = where.groups()
    if plus is None:
        values = {label: meaning.verdict(label, cells[label]) for label in CHEXPERT14 if label in cells}
    else:
        said = plus.get(where.string, (math.nan,) * len(CHEXPERT14))
        values = dict(zip(CHEXPERT14, said, strict=True))
    view = meaning.view(_either(cells, "AP/PA", "ap_pa"))
    is_lateral = _either(cells, "Frontal/Lateral", "frontal_lateral").strip().lower().startswith("lat")
    films = _films(root, f"{folders.get((split, patient), f'{split}/{patient}')}/{study}", name)
    return StudyRecord(
        study=_study(cells),
        patient=patient,
        report=_report(cells),
        films=tuple(
            FilmRecord(film, meaning.LATERAL if is_lateral or "lateral" in Path(film).stem else view)
            for film in films
        ),
        labels=values,
        split=meaning.split(split) if is_split else None,
        sex=meaning.sex(_either(cells, "Sex", "sex")),
        # All are adults: 0 stands for an age that is not known.
        age=meaning.age(_either(cells, "Age", "age")) or None,
    )


def _films(root: Path, folder: str, name: str | None) -> list[str]:
    """Return a row's film under the suffix it has on this disk, or those of a study that names none."""
    place = root / folder
    if name is None:
        found = [f"{folder}/{each.name}" for each in on_disk.pictures([place], on_disk.SUFFIXES)]
        if not found:
            raise meaning.RowError("film is missing")
        return found
    names = (name, *(f"{Path(name).stem}{suffix}" for suffix in on_disk.SUFFIXES))
    return [f"{folder}/{next((each for each in names if (place / each).is_file()), name)}"]


def _report(cells: joined.Cells) -> str:
    """Return the sections of a report of CheXpert Plus; its whole text where it was not cut into these."""
    said = {name: meaning.known(cells.get(f"section_{name}", "")) for name in _SECTIONS}
    if not said["findings"] and not said["impression"]:
        return meaning.known(cells.get("report", ""))
    return "\n\n".join(f"{name.upper().replace('_', ' ')}: {text}" for name, text in said.items() if text)


def _gather_labels(root: Path, labels: _Labels, notes: list[str]) -> Iterator[Skipped]:
    """Read the labels of CheXpert Plus, which lie in a file of their own."""
    path = _below(root, _PLUS_LABELS)
    if path is None:
        notes.append(f"no {' or '.join(_PLUS_LABELS)}: no labels")
        return
    notes.append(f"labels are those of {path.name}")
    known: dict[tuple[float, ...], tuple[float, ...]] = {}  # most films have another one's labels
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(filter(str.strip, file), 1):
            try:
                said = json.loads(line)
                cells = ("" if said.get(label) is None else str(said[label]) for label in CHEXPERT14)
                values = tuple(map(meaning.verdict, CHEXPERT14, cells))
                labels[said["path_to_image"].strip()] = known.setdefault(values, values)
            except meaning.RowError as error:
                yield Skipped(f"{path.name} line {number}", str(error))
            except (ValueError, KeyError, AttributeError, RecursionError):
                yield Skipped(f"{path.name} line {number}", "line is no JSON object with path_to_image")


def _tables(root: Path) -> list[Path]:
    """Return the tables of an export: that of CheXpert Plus, else those of the splits."""
    found = [path for names in (PLUS, *_PARTS.values()) if (path := _below(root, names))]
    if not found:
        raise archives.missing(SOURCE, root, "train.csv, valid.csv or df_chexpert_plus_240401.csv")
    return found[:1] if found[0].match(PLUS[0]) else found


def _below(root: Path, names: Sequence[str]) -> Path | None:
    """Return the first file of such a name in a folder, or in one inside it."""
    inside = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    return archives.first_of((root, *inside), names)


def _folders(root: Path, depth: int = 3) -> dict[tuple[str, str], str]:
    """Return where each patient's folder is: `train/patient00001`, `... batch 2 (train 1)/patient00001`."""
    found: dict[tuple[str, str], str] = {}
    waiting = [(root, 0)]
    for place, down in waiting:
        names = sorted(each.name for each in os.scandir(place) if each.is_dir() and each.name[0] not in "._")
        patients = [name for name in names if _PATIENT.fullmatch(name)]
        split = next((part for part in _PARTS if part in place.name.lower()), None)
        for name in patients if split else ():
            found.setdefault((str(split), name), (place / name).relative_to(root).as_posix())
        if down < depth and not patients:
            waiting += [(place / name, down + 1) for name in names]
    return found


def _path_column(table: tables.Table) -> str:
    column = next((name for name in _PATHS if name in table.columns), None)
    if column is None:
        raise CohortError(f"{table.path.name}: expected a column 'Path', got {tables.listed(table)}")
    return column


def _where(cells: joined.Cells) -> re.Match[str] | None:
    path = next(cells[name] for name in _PATHS if name in cells)
    return _PATH.fullmatch(path.strip().replace("\\", "/"))


def _study(cells: joined.Cells) -> str:
    where = _where(cells)
    return "/".join(where.groups()[:3]) if where else ""


def _either(cells: joined.Cells, name: str, other: str) -> str:
    return cells.get(name, cells.get(other, ""))


def _num_films(root: Path) -> int:
    return sum(tables.open_table(path).num_rows for path in _tables(root))


run = archives.importer(SOURCE, read, lambda root: (*_tables(root), _below(root, _PLUS_LABELS)), _num_films)
"""Import the films below a folder as a cohort; errors as for `read`."""
