"""Mendeley-V2: paediatric chest X-rays in the folders train|test / NORMAL|PNEUMONIA, without reports.

Owns the public layout and what file names say of patients. The official set has 5,232 training and 624 test
films; re-packagings moved 16 of the training films into a folder val, and this reader moves them back. Person
numbers restart between train and test, so a patient is named by both. Refuses folders of another layout.
Source: Kermany, Zhang, Goldbaum, Mendeley Data V2, doi:10.17632/rscbjbr9sj.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

from timnet.cohorts import store
from timnet.cohorts.readers import on_disk
from timnet.cohorts.records import CohortError, FilmRecord, Progress, Rules, Skipped, StudyRecord, Summary

LABEL = "pneumonia"
CLASSES = {"NORMAL": 0.0, "PNEUMONIA": 1.0}
# The numbers of val continue those of train (persons up to 1945 there, from 1946 here): one numbering.
OFFICIAL = {"train": "train", "val": "train", "test": "test"}
# As the archives unpack: Mendeley's ChestXRay2017, Kaggle's copy with its folder twice.
_INSIDE = ("chest_xray", "chest_xray/chest_xray", "ChestXRay2017/chest_xray")
_PERSON = re.compile(r"(person\d+)_|((?:NORMAL\d*-)?IM-\d+)-|((?:NORMAL|BACTERIA|VIRUS)-\d+)-")


def run(root: Path, name: str, progress: Progress | None = None, **rules: Unpack[Rules]) -> Summary:
    """Import the films below `root` as the cohort `name`; CohortError if the layout is another."""
    folder, top = store.place(name), _top(root)
    size = sum(1 for _ in _films(top))
    return store.write(
        folder, source="mendeley", root=top, records=read(root), progress=progress, **rules, num_films=size
    )


def read(root: Path) -> Iterator[StudyRecord | Skipped]:
    """Yield one study a film, labelled pneumonia 0 or 1, with its official split.

    Args:
        root: the folder that holds train and test, or one that the archive was unpacked into.

    Raises:
        CohortError: no folder train or test with NORMAL and PNEUMONIA in it.
    """
    for relative in _films(_top(root)):
        part, label, name = relative.split("/")
        yield StudyRecord(
            study=relative,
            patient=f"{OFFICIAL[part]}-{person(Path(name).stem)}",
            report="",
            films=(FilmRecord(relative),),
            labels={LABEL: CLASSES[label]},
            split=OFFICIAL[part],
        )


def person(stem: str) -> str:
    """Return the part of a file's name that stands for the patient; the whole of it where none is known."""
    found = _PERSON.match(f"{stem}-")
    return next(group for group in found.groups() if group) if found else stem


def _films(top: Path) -> Iterator[str]:
    folders = (top / part / label for part in OFFICIAL for label in CLASSES)
    return (path.relative_to(top).as_posix() for path in on_disk.pictures(folders))


def _top(root: Path) -> Path:
    for top in (root, *(root / inside for inside in _INSIDE)):
        if all((top / part / label).is_dir() for part in ("train", "test") for label in CLASSES):
            return top
    raise CohortError(
        f"mendeley: expected folders train and test, each with {' and '.join(CLASSES)}, found none in {root}"
    )
