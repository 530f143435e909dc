"""PadChest: 160,868 films of 67,625 patients with Spanish reports and labels of 193 findings and diagnoses.

Owns the published table: a row a film, joined by StudyID. Reports are kept as they are published, in lower
case and stemmed. Labels that physicians gave are one source, those of a network trained on them another.
Refuses a folder without the table, and one that lacks a column. Source: Bustos et al., Medical Image Analysis
66:101797 (2020); bimcv.cipf.es/bimcv-projects/padchest.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from timnet.cohorts.readers import archives, joined, on_disk, tables
from timnet.cohorts.readers import cells as meaning
from timnet.cohorts.records import CohortError, FilmRecord, Skipped, StudyRecord
from timnet.cohorts.tasks import NO_FINDING
from timnet.counting import counted

SOURCE = "padchest"
PHYSICIAN, NETWORK = "physician", "rnn_model"
MOST = 40
"""Labels that are kept where none are named: each is a value of every study."""
_TABLES = (
    "PADCHEST_chest_x_ray_images_labels_160K*.csv*",
    "PADCHEST*.csv*",
    "chest_x_ray_images_labels*.csv*",
)
_KEYS = ("ImageID", "StudyID", "PatientID", "Projection", "Report", "MethodLabel", "Labels")
_MAX_LABELS = 10_000  # characters of a cell
_NORMAL = "normal"
_YEAR = re.compile(r"((?:19|20)\d\d)(?:\d{4})?(?:\.0)?")


def read(
    root: Path, *, labels: Sequence[str] = (), notes: list[str] | None = None
) -> Iterator[StudyRecord | Skipped]:
    """Yield the studies in the order of their first row.

    Args:
        root: the folder that holds the table and the films, in folders called as ImageDir says or any other.
        labels: those to keep, or patterns of them (`*effusion`); by default the MOST frequent.
        notes: gets what is to be known of the table, complete once the last study is out.

    Raises:
        CohortError: no table, one that lacks a column, or a label that no row has.
    """
    items = [] if notes is None else notes
    table, frequent = _table(root), Counter[str]()
    items += table.notes
    for _, cells in tables.rows(table, "ImageID"):
        with contextlib.suppress(meaning.RowError):
            if not isinstance(cells, Skipped):
                frequent.update(_labels(cells["Labels"]) or ())
    films, listed = on_disk.films(root), set[str]()
    record = partial(_record, films, listed, _chosen(frequent, labels, items))
    yield from joined.of_tables([table], lambda _: "ImageID", lambda cells: cells["StudyID"].strip(), record)
    items += on_disk.not_listed(films, listed)


def _record(
    films: Mapping[str, str], listed: set[str], names: Sequence[str], cells: joined.Cells
) -> StudyRecord:
    """Return a row's record, and add its film to those `listed`; RowError where it cannot be used."""
    stem = Path(cells["ImageID"].strip()).stem
    listed.add(stem)
    if cells["Projection"].strip().upper() == "EXCLUDE":
        raise meaning.RowError("X-ray is marked EXCLUDE")
    if stem not in films:
        raise meaning.RowError("film is missing")
    said = _labels(cells["Labels"])
    values = {} if said is None else {name: float(name in said) for name in names}
    method = cells["MethodLabel"].strip().lower()
    if method not in ("", PHYSICIAN, NETWORK):
        raise meaning.RowError(f"MethodLabel is none of {PHYSICIAN} and {NETWORK}")
    view = meaning.view(cells["Projection"]) or meaning.view(cells.get("ViewPosition_DICOM", ""))
    return StudyRecord(
        study=cells["StudyID"].strip(),
        patient=cells["PatientID"].strip(),
        report=meaning.known(cells["Report"]),
        films=(FilmRecord(films[stem], None if view == "UNK" else view),),
        labels=values if method == PHYSICIAN else {},
        other_labels={} if method == PHYSICIAN else {NETWORK: values},
        split=None,
        sex=meaning.sex(cells.get("PatientSex_DICOM", "")),
        age=_age(cells.get("StudyDate_DICOM", ""), cells.get("PatientBirth", "")),
    )


def _labels(cell: str) -> frozenset[str] | None:
    """Return the labels of a cell (`['normal']`), None where it names none; RowError if it is no list."""
    if not meaning.known(cell):
        return None
    try:
        said = ast.literal_eval(cell.strip()) if len(cell) <= _MAX_LABELS else None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        said = None
    if not isinstance(said, list) or not all(isinstance(each, str) for each in said):
        raise meaning.RowError("Labels is no list of labels such as ['normal']")
    # Some of the published names begin or end with a blank.
    names = {" ".join(each.replace(",", " ").lower().split()) for each in said} - {""}
    return frozenset(NO_FINDING if name == _NORMAL else name for name in names) or None


def _chosen(frequent: Counter[str], wanted: Sequence[str], notes: list[str]) -> tuple[str, ...]:
    """Return the labels to keep, the most frequent first, and note the others."""
    ordered = sorted(frequent, key=lambda name: (-frequent[name], name))
    for each in wanted:
        if not any(fnmatchcase(name.lower(), each.lower()) for name in ordered):
            known = ", ".join(ordered[:10])
            raise CohortError(f"padchest: labels: expected some of {known}, ...; got {each[:80]!r}")
    kept = [name for name in ordered if any(fnmatchcase(name.lower(), each.lower()) for each in wanted)]
    kept = kept if wanted else ordered[:MOST]
    if others := len(ordered) - len(kept):
        notes.append(f"{counted(others, 'label')} of {len(ordered)} left out: --labels names those to keep")
    return tuple(kept)


def _age(study: str, birth: str) -> float | None:
    """Return the age from the years of study and birth; None where one is not known."""
    years = [_YEAR.fullmatch(cell.strip()) for cell in (study, birth)]
    if years[0] is None or years[1] is None:
        return None
    age = int(years[0][1]) - int(years[1][1])
    return float(age) if 0 <= age <= meaning.MAX_AGE else None


def _table(root: Path) -> tables.Table:
    return archives.needed(
        SOURCE, root, _TABLES, "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", _KEYS
    )


def _depends(root: Path, labels: Sequence[str] = ()) -> list[Path]:
    return [_table(root).path]


run = archives.importer(SOURCE, read, _depends, lambda root: _table(root).num_rows, label_source=PHYSICIAN)
"""Import the films below a folder as a cohort; `labels` and errors as for `read`."""
