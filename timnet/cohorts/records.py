"""What passes into and out of a cohort as plain values, and which film paths are let in.

Owns studies, films, refusals and summaries, and the rule that a film lies inside its export's folder or one
that the import allows besides. Refuses any path that is spelled as leaving these: absolute, with `..`, a
drive, a share, a URL, NUL. What a path leads to, `paths` checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypedDict
from unicodedata import normalize

from timnet.errors import TimnetError

SPLITS = ("train", "val", "test")
UNCERTAIN = -1.0
"""The value of a label that its source calls uncertain, apart from 0, 1 and unknown (Irvin et al. 2019)."""

Progress = Callable[[int, int | None], None]
"""Called with films done and films in all, None where that is not known."""

MAX_PATH = 1024
LEAVES = "film path leaves the folder: --outside FOLDER allows another one"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
_NO_PATH = re.compile(r"[\0\ud800-\udfff]")  # half a character is no file's name
_LOCATOR = re.compile(r"[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://|(?:data|file):", re.IGNORECASE)


class Rules(TypedDict, total=False):
    """What every import can be told."""

    outside: Sequence[Path]
    """Folders besides the export's own that film paths and links may lead into."""
    strict: bool
    """Refuse a cohort that has a patient or a film in two splits."""


class CohortError(TimnetError):
    """A cohort, export or question to one that cannot be used; the message is one sentence."""


class PathError(TimnetError):
    """A film path that is not let in; the message is the reason alone."""


@dataclass(frozen=True)
class Box:
    """Where an expert saw a label on a film: left and top corner, width and height, in the film's pixels."""

    label: str
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class FileState:
    """By what a film's file is taken for unchanged: its size and its time of change."""

    bytes: int
    modified_ns: int


@dataclass(frozen=True)
class FilmRecord:
    """One film of a study: its posix path relative to the export's folder, its view if known, its boxes."""

    path: str
    view: str | None = None
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class StudyRecord:
    """One study as a reader found it; no `split` means: draw one.

    A label is 0 to 1, UNCERTAIN where its source says so, nan where unknown. `labels` come from the reader's
    first source, `other_labels` from further ones: source -> label -> value.
    """

    study: str
    patient: str
    report: str
    films: tuple[FilmRecord, ...]
    labels: Mapping[str, float]
    split: str | None
    sex: str | None = None
    age: float | None = None
    other_labels: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyFilm:
    """One film of a study: `film` is its row in the pixel cache, `path` relative to the export's folder."""

    film: int
    path: str
    view: str | None
    rows: int
    columns: int
    spacing_mm: tuple[float, float] | None
    kind: str
    bits: int
    sha256: str
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Study:
    """One study with everything a cohort knows of it; a label is nan where unknown.

    `labels` holds every label of the cohort with the value of its best source, `labels_by_source` what each
    source says: source -> label -> value, the best source first.
    """

    study: str
    patient: str
    split: str | None
    sex: str | None
    age: float | None
    report: str
    findings: str
    labels: Mapping[str, float]
    films: tuple[StudyFilm, ...]
    impression: str = ""
    labels_by_source: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """A row that was left out: where it stands, and why, in words that many rows can share."""

    row: str
    reason: str


@dataclass(frozen=True)
class Summary:
    """What an import brought in and left out; label and split counts are in films.

    `crossing` is the number of patients that the export puts into two splits, None where an older version
    did not write it down; `index_seconds` is the part of `seconds` that splits, indexes and counts took.
    """

    name: str
    studies: int
    films: int
    patients: int
    labels: dict[str, int]
    splits: dict[str, int]
    with_findings: int
    skipped: dict[str, int]
    first_skipped: tuple[str, ...]
    seconds: float
    notes: tuple[str, ...] = ()
    crossing: int | None = None
    index_seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON can hold it."""
        fields = asdict(self)
        return fields | {"first_skipped": list(self.first_skipped), "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Summary:
        """Return the summary that `as_dict` wrote."""
        lists = {name: tuple(fields[name]) for name in ("first_skipped", "notes")}
        return cls(**(dict(fields) | lists))


def check_name(name: str) -> str:
    """Return the name of a new cohort unchanged; CohortError unless it is 1 to 64 letters, digits, - or _.

    None begins with a dash: a command would read it as one of its options.
    """
    if not _NAME.fullmatch(name):
        expected = "1 to 64 letters, digits, '-' or '_', the first no '-'"
        raise CohortError(f"cohort name: expected {expected}, got {name[:80]!r}")
    return name


def match_name(wanted: str, names: Iterable[str]) -> str | None:
    """Return the name that is meant: case and spaces, underscores or hyphens between words do not matter."""
    return {fold(name): name for name in names}.get(fold(wanted))


def fold(name: str) -> str:
    """Return the form of a name under which names are compared."""
    return re.sub(r"[\s_-]+", "_", normalize("NFKC", name).strip()).casefold()


def film_path(path: str, may_leave: bool = False) -> str:
    r"""Return a film's path in one spelling: posix, `\` taken for `/`, relative unless it may leave.

    Raises:
        PathError: empty, longer than 1,024 characters, or leading out of the folder.
    """
    text = path.strip().replace("\\", "/")
    if not text:
        raise PathError("no film path")
    if len(text) > MAX_PATH or _NO_PATH.search(text):
        raise PathError("film path is not a path")
    relative = PurePosixPath(text)
    # Both spellings: `./A:` is no drive until the dot is gone, and `./ a` would become another file.
    if _LOCATOR.match(text) or _LOCATOR.match(str(relative)):
        raise PathError("film path is a URL or a drive, expected a path inside the folder")
    if str(relative) != str(relative).strip():
        raise PathError("film path is not a path")
    if not relative.parts or (not may_leave and (relative.is_absolute() or ".." in relative.parts)):
        raise PathError(LEAVES)
    return str(relative)
