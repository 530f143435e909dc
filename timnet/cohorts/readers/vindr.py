"""VinDr-CXR: 18,000 DICOM films, each read by several radiologists, with boxes; also Kaggle's layout.

Owns how readers are combined: a label is what most of an image's readers say, uncertain where as many say
yes as no; a second source holds what all of them agree on, and uncertain where they do not. Boxes of all
readers are kept, in the DICOM files' pixels. Neither layout says which patient an image is of. Refuses a
folder without a table of labels. Source: Nguyen et al., Sci Data 9:429 (2022).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from timnet.cohorts import splits
from timnet.cohorts.readers import archives, box_scale, on_disk, tables
from timnet.cohorts.readers import cells as meaning
from timnet.cohorts.records import UNCERTAIN, Box, CohortError, FilmRecord, Skipped, StudyRecord, match_name
from timnet.cohorts.tasks import NO_FINDING
from timnet.counting import counted

SOURCE, AGREED = "vindr", "all_readers_agree"
KAGGLE = (
    "Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Consolidation", "ILD",
    "Infiltration", "Lung Opacity", "Nodule/Mass", "Other lesion", "Pleural effusion", "Pleural thickening",
    "Pneumothorax", "Pulmonary fibrosis", NO_FINDING,
)  # fmt: skip
LABELS = (
    *KAGGLE[:-1], "Clavicle fracture", "Edema", "Emphysema", "Enlarged PA", "Lung cavity", "Lung cyst",
    "Mediastinal shift", "Rib fracture", "COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases",
    NO_FINDING,
)  # fmt: skip
VAL_SHARE = 0.1
_ALIASES = {"Other disease": "Other diseases"}
"""Names that the table of the test set spells in another way."""
_SIDES = ("x_min", "y_min", "x_max", "y_max")


@dataclass
class _Image:
    """What the tables say of one image, gathered."""

    split: str | None
    readers: dict[str, dict[str, float]] = field(default_factory=dict)
    """Reader -> label -> value; the test set's consensus is one reader."""
    boxes: list[Box] = field(default_factory=list)


def read(root: Path, *, notes: list[str] | None = None) -> Iterator[StudyRecord | Skipped]:
    """Yield one study an image, in the order of the tables.

    Args:
        root: the folder that holds annotations/image_labels_train.csv and the folders train and test, or
            Kaggle's train.csv and train.
        notes: gets what is to be known of tables, readers and boxes, complete once the last study is out.

    Raises:
        CohortError: no table of labels, or one that lacks a column.
    """
    items = [] if notes is None else notes
    images: dict[str, _Image] = {}
    for path in _tables(root):
        split = "test" if path.name.split(".")[0].endswith("test") else "train"
        table = tables.open_table(path, ("image_id",))
        items += table.notes
        if "class_name" in table.columns:
            yield from _gather_boxes(table, split, images)
        else:
            yield from _gather_labels(table, split, images, items)
    _draw_val(images, items)
    films, lost, counts = on_disk.films(root), 0, Counter[int]()
    for image, said in images.items():
        if image not in films:
            yield Skipped(image[:120], "film is missing")
            continue
        boxes = tuple(said.boxes) if on_disk.is_dicom(films[image]) else ()
        lost += len(said.boxes) - len(boxes)
        readers = list(said.readers.values())
        counts[len(readers)] += 1
        sex, age = on_disk.person(root, films[image])
        votes = {label: [reader[label] for reader in readers] for label in readers[0]}
        yield StudyRecord(
            study=image,
            patient=image,
            report="",
            films=(FilmRecord(films[image], boxes=boxes),),
            labels={label: _most(said) for label, said in votes.items()},
            split=said.split,
            sex=sex,
            age=age,
            other_labels={AGREED: {label: _all(said) for label, said in votes.items()}},
        )
    items.append("no patients are published: each image counts as a patient of its own")
    items += (f"read by {counted(number, 'reader')}: {count}" for number, count in sorted(counts.items()))
    if lost:
        items.append(f"boxes are in pixels of the DICOM files; left out for PNG or JPEG copies: {lost}")
    items += on_disk.not_listed(films, set(images))


def _gather_labels(
    table: tables.Table, split: str, images: dict[str, _Image], notes: list[str]
) -> Iterator[Skipped]:
    """Read a row a reader and image, or a row an image of the consensus, and a column a label."""
    folded = {column: match_name(_ALIASES.get(column, column), LABELS) for column in table.columns}
    columns = {label: column for column, label in folded.items() if label}
    if not columns:
        raise CohortError(f"{table.path.name}: expected columns of labels, got {tables.listed(table)}")
    tables.labelled(table.path.name, columns, LABELS, notes)

    def take(cells: dict[str, str]) -> None:
        values = {label: meaning.verdict(label, cells[column]) for label, column in columns.items()}
        said, reader = _image(cells, split, images), cells.get("rad_id", "").strip()
        if reader in said.readers:
            raise meaning.RowError("reader has an earlier row of this image")
        said.readers[reader] = values

    yield from tables.gather(table, "image_id", take)


def _gather_boxes(table: tables.Table, split: str, images: dict[str, _Image]) -> Iterator[Skipped]:
    """Read a row a box or `No finding`; where no table of labels is there, as of Kaggle, labels too."""
    tables.open_table(table.path, _SIDES)
    has_labels, seen = any(said.split == split for said in images.values()), set[tuple[str, ...]]()

    def take(cells: dict[str, str]) -> None:
        name, reader = cells["class_name"].strip(), cells.get("rad_id", "").strip()
        label = match_name(_ALIASES.get(name, name), LABELS if has_labels else KAGGLE)
        if label is None:
            raise meaning.RowError(f"class_name {name[:40]!r} is none of the published ones")
        key = (cells["image_id"].strip(), reader, label, *(cells[side] for side in _SIDES))
        if key in seen:
            raise meaning.RowError("row is listed twice")
        seen.add(key)
        box = None if label == NO_FINDING else _box(label, cells)
        if has_labels and key[0] not in images:
            raise meaning.RowError("box belongs to no image of the labels")
        said = _image(cells, split, images)
        if not has_labels:
            said.readers.setdefault(reader, dict.fromkeys(KAGGLE, 0.0))[label] = 1.0
        said.boxes += [box] if box else []

    yield from tables.gather(table, "image_id", take)


def _image(cells: Mapping[str, str], split: str, images: dict[str, _Image]) -> _Image:
    name = cells["image_id"].strip()
    if not name:
        raise meaning.RowError("image_id is none")
    said = images.setdefault(name, _Image(split))
    if said.split != split:
        raise meaning.RowError("image is in two splits")
    return said


def _box(label: str, cells: Mapping[str, str]) -> Box | None:
    """Return a row's box, None where all four cells are blank (a label of the whole image)."""
    if not any(meaning.known(cells[side]) for side in _SIDES):
        return None
    left, top, right, bottom = box_scale.numbers(cells, _SIDES)
    if not (0 <= left < right < math.inf and 0 <= top < bottom < math.inf):
        raise meaning.RowError("box has no area, or begins outside the film")
    return Box(label, left, top, right - left, bottom - top)


def _most(votes: Sequence[float]) -> float:
    """Return what most readers say, UNCERTAIN where as many say yes as no, nan where none says anything."""
    yes, no = votes.count(1.0), votes.count(0.0)
    return float(yes > no) if yes != no else UNCERTAIN if yes or UNCERTAIN in votes else math.nan


def _all(votes: Sequence[float]) -> float:
    """Return what all readers say who say anything, UNCERTAIN where they differ, nan where none does."""
    said = {vote for vote in votes if not math.isnan(vote)}
    return said.pop() if len(said) == 1 else UNCERTAIN if said else math.nan


def _draw_val(images: Mapping[str, _Image], notes: list[str]) -> None:
    """Draw val from the images of train where there is a test set; else leave all splits to be drawn."""
    train = [image for image, said in images.items() if said.split == "train"]
    if len(train) in (0, len(images)):
        notes.append("no test set, or it alone: splits are drawn")
        for said in images.values():
            said.split = None
        return
    drawn = splits.by_patient(train, 0, {"train": 1 - VAL_SHARE, "val": VAL_SHARE})
    for image, split in zip(train, drawn, strict=True):
        images[image].split = str(split)
    notes.append(f"val is drawn from train with seed 0: {counted(int((drawn == 'val').sum()), 'image')}")


def _tables(root: Path) -> list[Path]:
    """Return the tables of an export, those of labels before those of boxes."""
    names = (f"{what}_{part}.csv*" for what in ("image_labels", "annotations") for part in ("train", "test"))
    folders = (root / "annotations", root)
    found = [path for name in names if (path := archives.first_of(folders, (name,)))]
    if any(path.name.startswith("image_labels") for path in found):
        return found
    if kaggle := tables.one_of(root, ("train.csv", "train.csv.*")):
        tables.open_table(kaggle, ("image_id", "class_name", "rad_id", *_SIDES))
        return [kaggle]
    raise archives.missing(SOURCE, root, "annotations/image_labels_train.csv or Kaggle's train.csv")


run = archives.importer(SOURCE, read, _tables, lambda root: len(on_disk.films(root)))
"""Import the films below a folder as a cohort; errors as for `read`."""
