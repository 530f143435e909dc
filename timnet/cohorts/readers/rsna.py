"""RSNA's Pneumonia Detection Challenge 2018: 26,684 films out of ChestX-ray14 with boxes of lung opacities.

Owns the tables of stage 2: a row a box, or a row a film without one, and the class of every film. What the
tables call patientId is one image's name: with RSNA's own mapping to ChestX-ray14 beside them the reader
knows the patients, without it each image counts as one. Boxes are in pixels of BOX_SIDE x BOX_SIDE and are
carried to the film's own. Refuses a folder without the table of labels. Source: Shih et al., Radiology AI
1(1), 2019; kaggle.com/c/rsna-pneumonia-detection-challenge.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from timnet.cohorts.readers import archives, box_scale, on_disk, tables
from timnet.cohorts.readers import cells as meaning
from timnet.cohorts.records import Box, CohortError, FilmRecord, Skipped, StudyRecord
from timnet.cohorts.tasks import NO_FINDING
from timnet.counting import counted

SOURCE, LABEL = "rsna", "Pneumonia"
BOX_SIDE = 1024
"""Pixels of a side of all films as they were published."""
CLASSES = {"Normal": 0.0, "No Lung Opacity / Not Normal": 0.0, "Lung Opacity": 1.0}
"""A film's class, and the target that goes with it."""
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
_LABELS = ("stage_2_train_labels.csv*", "*train_labels.csv*")
_CLASSES = ("stage_2_detailed_class_info.csv*", "*detailed_class_info.csv*")
_SIDES = ("x", "y", "width", "height")
_NIH = re.compile(r"(\d{8})_\d{3}\.png")


@dataclass
class _Image:
    """What the tables say of one image, gathered."""

    target: float
    boxes: list[Box] = field(default_factory=list)


def read(
    root: Path, *, notes: list[str] | None = None, outside: Sequence[Path] = ()
) -> Iterator[StudyRecord | Skipped]:
    """Yield one study an image, in the order of the table of labels.

    Args:
        root: the folder that holds stage_2_train_labels.csv and stage_2_train_images.
        notes: gets what is to be known of tables and patients, complete once the last study is out.
        outside: see `records.Rules`; for films with boxes.

    Raises:
        CohortError: no table of labels, one that lacks a column, or a mapping that is none.
    """
    items = [] if notes is None else notes
    table, images = _labels_table(root), dict[str, _Image]()
    items += table.notes
    yield from _gather_boxes(table, images)
    classes: dict[str, str] = {}
    yield from _gather_classes(root, images, classes, items)
    patients, films = _patients(root, items), on_disk.films(root)
    for image, said in images.items():
        if image not in films:
            yield Skipped(image[:120], "film is missing")
            continue
        film, labels = films[image], {LABEL: said.target}
        if classes:
            labels[NO_FINDING] = float(classes[image] == "Normal") if image in classes else math.nan
        boxes = tuple(said.boxes)
        if not on_disk.is_dicom(film):
            boxes = box_scale.on_film(root, film, boxes, BOX_SIDE, outside)
        sex, age = on_disk.person(root, film)
        yield StudyRecord(
            study=image,
            patient=patients.get(image, image),
            report="",
            films=(FilmRecord(film, boxes=boxes),),
            labels=labels,
            split=None,
            sex=sex,
            age=age,
        )
    items += on_disk.not_listed(films, set(images))


def _gather_boxes(table: tables.Table, images: dict[str, _Image]) -> Iterator[Skipped]:
    def take(cells: dict[str, str]) -> None:
        image, target = cells["patientId"].strip(), meaning.verdict("Target", cells["Target"])
        if not image or target not in (0.0, 1.0):
            raise meaning.RowError("Target is none of 0 and 1" if image else "patientId is none")
        box, said = _box(cells) if target else None, images.get(image)
        if said is not None and said.target != target:
            raise meaning.RowError("Target differs from an earlier row")
        if said is not None and (box is None or box in said.boxes):
            raise meaning.RowError("row is listed twice")
        images.setdefault(image, _Image(target)).boxes.extend([box] if box else [])

    yield from tables.gather(table, "patientId", take)


def _box(cells: Mapping[str, str]) -> Box:
    left, top, width, height = box_scale.numbers(cells, _SIDES)
    sides = ((left, width), (top, height))
    if not all(0 <= begin < BOX_SIDE and 0 < size <= BOX_SIDE for begin, size in sides):
        raise meaning.RowError("box is not on the film")
    return Box(LABEL, left, top, width, height)


def _gather_classes(
    root: Path, images: Mapping[str, _Image], classes: dict[str, str], notes: list[str]
) -> Iterator[Skipped]:
    """Read the class of every image: a row a box, hence the same row several times."""
    table = archives.optional(root, _CLASSES, ("patientId", "class"), f"{NO_FINDING} is not known", notes)
    if table is None:
        return

    def take(cells: dict[str, str]) -> None:
        image, name = cells["patientId"].strip(), " ".join(cells["class"].split())
        if name not in CLASSES:
            raise meaning.RowError(f"class {name[:40]!r} is none of {', '.join(CLASSES)}")
        if image in images and images[image].target != CLASSES[name]:
            raise meaning.RowError("class contradicts the Target")
        if classes.setdefault(image, name) != name:
            raise meaning.RowError("class differs from an earlier row")

    yield from tables.gather(table, "patientId", take)


def _patients(root: Path, notes: list[str]) -> dict[str, str]:
    """Return the ChestX-ray14 patient of each image where RSNA's mapping is there."""
    path = tables.one_of(root, (MAPPING,))
    if path is None:
        notes.append(
            "patientId names an image, not a patient: each image counts as a patient of its own, and one "
            f"person may be in two splits; put {MAPPING} beside the tables"
        )
        return {}
    try:
        found = {}
        for each in json.loads(path.read_bytes()):
            if of_nih := _NIH.fullmatch(str(each["img_id"])):
                found[str(each["subset_img_id"])] = str(int(of_nih[1]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise CohortError(f"{path.name}: expected a list of objects with img_id and subset_img_id") from None
    notes.append(f"patients are those of ChestX-ray14 by {path.name}: {counted(len(found), 'image')}")
    return found


def _labels_table(root: Path) -> tables.Table:
    return archives.needed(
        SOURCE, root, _LABELS, "stage_2_train_labels.csv", ("patientId", *_SIDES, "Target")
    )


def _depends(root: Path) -> list[Path | None]:
    return [_labels_table(root).path, tables.one_of(root, _CLASSES), tables.one_of(root, (MAPPING,))]


run = archives.importer(SOURCE, read, _depends, lambda root: len(on_disk.films(root)), is_told_outside=True)
"""Import the films below a folder as a cohort; errors as for `read`."""
