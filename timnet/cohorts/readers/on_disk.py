"""The films of an archive by name, wherever in its folder a download, its zips or a copy have put them.

Owns which files count as films, how deep they are looked for, and what a DICOM file says of its patient where
an archive's tables say nothing. Where one film is there in several formats, DICOM comes first, then PNG.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from timnet.cohorts.readers import cells as meaning
from timnet.films import dicom_headers
from timnet.films.film import FilmError, guarded, silent

DICOM = (".dicom", ".dcm")
PICTURES = (".png", ".jpg", ".jpeg")
SUFFIXES = (*DICOM, *PICTURES)
"""Of films, the best first."""


def films(root: Path, depth: int = 3) -> dict[str, str]:
    """Return the films below a folder, at most `depth` folders down: name without its ending -> path."""
    found: dict[str, tuple[int, str]] = {}
    for place, folders, names in os.walk(root):
        inside = Path(place).relative_to(root)
        deepest = len(inside.parts) >= depth
        folders[:] = [] if deepest else sorted(each for each in folders if each[0] not in "._")
        for name in sorted(names):
            stem, suffix = Path(name).stem, Path(name).suffix
            if suffix.lower() in SUFFIXES and name[0] != ".":
                rank = SUFFIXES.index(suffix.lower())
                if stem not in found or rank < found[stem][0]:
                    found[stem] = rank, (inside / name).as_posix()
    return {stem: path for stem, (_, path) in found.items()}


def pictures(folders: Iterable[Path], suffixes: Collection[str] = PICTURES) -> Iterator[Path]:
    """Yield the films that lie in folders themselves, by name; a folder that is not there has none."""
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix.lower() in suffixes and path.name[0] != ".":
                yield path


def is_dicom(path: str) -> bool:
    """Return whether a film's name is that of a DICOM file."""
    return path.lower().endswith(DICOM)


def person(root: Path, path: str) -> tuple[str | None, float | None]:
    """Return sex and age as a DICOM film's header has them; None where it is silent or cannot be read.

    An age of 0 is none: the archives that this is for hold adults, and write 0 for what they do not know.
    """
    if not is_dicom(path):
        return None, None
    try:
        place = (root / path).resolve(strict=True)
        if not place.is_relative_to(root.resolve()):
            return None, None
        with place.open("rb") as file, silent(), guarded(place.name, "the header"):
            header, _ = dicom_headers.opened(file, place.name, ("PatientSex", "PatientAge"), pixels=False)
            sex, age = (dicom_headers.word(header, tag) for tag in ("PatientSex", "PatientAge"))
    except (OSError, FilmError):
        return None, None
    return meaning.sex(sex), meaning.age(age) or None


def not_listed(on_disk: dict[str, str], listed: set[str]) -> tuple[str, ...]:
    """Return the note on films that no row of the tables names; none where there is no such film."""
    more = [path for stem, path in on_disk.items() if stem not in listed]
    return (f"X-rays that no row lists, left out: {len(more)}, such as {more[0]}",) if more else ()
