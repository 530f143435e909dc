"""NIH ChestX-ray14: 112,120 frontal films of 30,805 patients, labels mined from reports, without the reports.

Owns the published tables: Data_Entry (2017 and v2020), the experts' boxes, the official lists. One film is
one study, as labels are given by film. The lists know train_val and test alone, so val is drawn here from
train_val, by patient. Boxes are given in pixels of 1,024 x 1,024 and carried to the film's own. Refuses a
folder without the label table. Source: Wang et al., CVPR 2017; nihcc.app.box.com/v/ChestXray-NIHCC.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from timnet.cohorts import splits
from timnet.cohorts.readers import archives, box_scale, lines, on_disk, tables
from timnet.cohorts.readers import cells as meaning
from timnet.cohorts.records import Box, CohortError, FilmRecord, Skipped, StudyRecord
from timnet.cohorts.tasks import NO_FINDING
from timnet.counting import counted

SOURCE = "nih"
LABELS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia",
    "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
)  # fmt: skip
BOX_SIDE = 1024
"""Pixels of a side of the films that the boxes were drawn on."""
VAL_SHARE = 0.125
"""Of the patients of train_val: 10 % of all, as the lists put 20 % into test."""
_BOX_NAMES = {"Infiltrate": "Infiltration"}
_ENTRIES = ("Data_Entry_2017_v2020.csv*", "Data_Entry_2017.csv*")
_LISTS = (("test_list.txt",), ("train_val_list.txt",))
_BOXES = ("BBox_List_2017.csv*",)
_FILM, _FINDINGS, _PATIENT = _COLUMNS = "Image Index", "Finding Labels", "Patient ID"
_MAX_LIST = 2**26


def read(
    root: Path,
    *,
    tables_in: Path | None = None,
    notes: list[str] | None = None,
    outside: Sequence[Path] = (),
) -> Iterator[StudyRecord | Skipped]:
    """Yield one study a film in the order of the label table.

    Args:
        root: the folder that holds images, or images_001 to images_012.
        tables_in: folder of Data_Entry_2017_v2020.csv, BBox_List_2017.csv, train_val_list.txt and
            test_list.txt; by default `root`.
        notes: gets what is to be known of the tables, complete once the last study is out.
        outside: see `records.Rules`; for films with boxes.

    Raises:
        CohortError: no label table, or one that lacks a column.
    """
    items = [] if notes is None else notes
    place = tables_in or root
    table = archives.needed(
        SOURCE, place, _ENTRIES, "Data_Entry_2017_v2020.csv", (_FILM, _FINDINGS, _PATIENT)
    )
    items += table.notes
    boxes: dict[str, list[Box]] = {}
    yield from _gather_boxes(place, boxes, items)
    split_of, films, seen = _splits(place, table, items), _films(root), set[str]()

    def take(cells: dict[str, str]) -> StudyRecord | Skipped:
        stem = Path(cells[_FILM].strip()).stem
        said = {word.strip() for word in cells[_FINDINGS].split("|")}
        if unknown := said - {*LABELS, NO_FINDING}:
            raise meaning.RowError(f"finding {min(unknown)[:40]!r} is none of the 14 or {NO_FINDING}")
        if stem in seen:
            raise meaning.RowError("film is listed twice")
        seen.add(stem)
        if stem not in films:
            return Skipped(cells[_FILM][:120], "film is missing")
        on_it = box_scale.on_film(root, films[stem], boxes.get(stem, ()), BOX_SIDE, outside)
        return StudyRecord(
            study=stem,
            patient=cells[_PATIENT].strip(),
            report="",
            films=(FilmRecord(films[stem], meaning.view(cells.get("View Position", "")), on_it),),
            labels={label: float(label in said) for label in (*LABELS, NO_FINDING)},
            split=split_of.get(stem),
            sex=meaning.sex(cells.get("Patient Gender", "")),
            age=meaning.age(cells.get("Patient Age", "")),
        )

    yield from tables.gather(table, _FILM, take)


def _gather_boxes(place: Path, boxes: dict[str, list[Box]], notes: list[str]) -> Iterator[Skipped]:
    """Read the experts' boxes, in pixels of BOX_SIDE x BOX_SIDE, by film."""
    table = archives.optional(place, _BOXES, (_FILM, "Finding Label"), "no experts' boxes", notes)
    if table is None:
        return

    def take(cells: dict[str, str]) -> None:
        finding = cells["Finding Label"].strip()
        finding = _BOX_NAMES.get(finding, finding)
        # The header names the four numbers once: `Bbox [x,y,w,h]`, a comma between.
        left, top, width, height = box_scale.numbers(cells, table.columns[2:6])
        inside = 0 <= left < BOX_SIDE and 0 <= top < BOX_SIDE and width > 0 and height > 0
        if finding not in LABELS or not inside:
            raise meaning.RowError("box has no finding of the 14 or is not on the film")
        boxes.setdefault(Path(cells[_FILM].strip()).stem, []).append(Box(finding, left, top, width, height))

    yield from tables.gather(table, None, take)


def _splits(place: Path, table: tables.Table, notes: list[str]) -> dict[str, str]:
    """Return film -> split by the official lists, val drawn from train_val by patient."""
    test, train_val = (_listed(place / f"{name}_list.txt") for name in ("test", "train_val"))
    if not test and not train_val:
        notes.append("no train_val_list.txt and test_list.txt: splits are drawn")
        return {}
    if both := len(test & train_val):
        notes.append(f"films in both official lists, taken for test: {both}")
    train_val -= test
    stems, patients = [], []
    for _, cells in tables.rows(table):
        if not isinstance(cells, Skipped) and (stem := Path(cells[_FILM].strip()).stem) in train_val:
            stems.append(stem)
            patients.append(cells[_PATIENT].strip())
    # Over the whole published list, whatever films are on this disk: every copy has the same val.
    drawn = splits.by_patient(patients, 0, {"train": 1 - VAL_SHARE, "val": VAL_SHARE})
    held = counted(int((drawn == "val").sum()), "X-ray")
    notes.append(f"val is drawn from train_val by patient with seed 0: {held}")
    return dict.fromkeys(test, "test") | dict(zip(stems, map(str, drawn), strict=True))


def _listed(path: Path) -> set[str]:
    """Return the films of a list, one a line; empty where there is no list."""
    if not path.is_file():
        return set()
    with lines.opened(path, lines.encoding(path)) as file:
        names = file.read(_MAX_LIST).splitlines()
    if names and names[0].startswith(tables.LFS):
        raise CohortError(
            f"{path.name}: expected a list of films, got a Git LFS pointer: fetch the file itself"
        )
    return {Path(name.strip()).stem for name in names if name.strip()}


def _films(root: Path) -> dict[str, str]:
    """Return the films on this disk: name without its ending -> path."""
    folders = (root / "images", *sorted(root.glob("images_0*/images")), *sorted(root.glob("images_0*")))
    found = list(on_disk.pictures(folders))
    return {path.stem: path.relative_to(root).as_posix() for path in reversed(found)}


def _depends(root: Path, tables_in: Path | None = None) -> Iterator[Path | None]:
    return (tables.one_of(tables_in or root, names) for names in (_ENTRIES, _BOXES, *_LISTS))


run = archives.importer(SOURCE, read, _depends, lambda root: len(_films(root)), is_told_outside=True)
"""Import the films below a folder as a cohort; `tables_in` and errors as for `read`."""
