"""The studies of a PACS export: which of its DICOM files belong together, whose they are, what they report.

Owns two passes: all headers, of which little is kept, then the studies one by one, de-identified if there is
a key. A study is what has one StudyInstanceUID; its report comes from a table, else from the structured
reports beside its films. Names what cannot be used by its reason: other modalities, several frames, copies,
damaged headers, reports without a film.
"""

from __future__ import annotations

import io
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import FileDataset

from timnet.cohorts.importing import pseudonyms
from timnet.cohorts.paths import read_inside
from timnet.cohorts.readers.report_tables import Reports
from timnet.cohorts.readers.tables import LFS
from timnet.cohorts.records import (
    LEAVES,
    CohortError,
    FilmRecord,
    PathError,
    Progress,
    Skipped,
    StudyRecord,
)
from timnet.films import dicom_headers
from timnet.films.dicom_headers import word
from timnet.films.dicom_pixel_header import MODALITIES
from timnet.films.film import MAX_BYTES, Admit, FilmError, guarded, silent
from timnet.films.read import sniff
from timnet.reports import deidentify, dicom_sr
from timnet.reports.deidentify import Known

_FIRST_BYTES = 2**16  # enough to tell DICOM without its preamble from anything else
_TAGS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesNumber", "InstanceNumber", "Modality", "Rows",
    "NumberOfFrames", "BurnedInAnnotation", "PatientSex", "PatientAge", "PatientBirthDate", "StudyDate",
    *deidentify.TAGS,
)  # fmt: skip
_DIRECTORY = "1.2.840.10008.1.3.10"


@dataclass
class _Study:
    """What the first pass keeps of a study."""

    patient: str
    accession: str = ""
    sex: str | None = None
    age: float | None = None
    films: list[tuple[float, float, str]] = field(default_factory=list)  # series, instance, path
    reports: list[str] = field(default_factory=list)  # paths of structured reports
    known: Known = field(default_factory=Known)


class Folder:
    """The first pass over an export: its studies, and what was left out."""

    def __init__(
        self,
        root: Path,
        admit: tuple[Admit, ...] = (),
        key: bytes | None = None,
        aside: Path | None = None,
        progress: Progress | None = None,
        outside: Sequence[Path] = (),
    ) -> None:
        """Read every header below `root`.

        Args:
            root: folder of the export.
            admit: see `films.Admit`.
            key: of the pseudonyms; None keeps the identifiers.
            aside: a file that is no part of the export, such as the table of reports.
            progress: called with the headers read and None, before any film is.
            outside: see `records.Rules`.

        Raises:
            CohortError: there is no such folder.
        """
        if not root.is_dir():
            raise CohortError(f"dicom: expected the folder of an export, got {str(root)!r}")
        self._root, self._admit, self._key = root.resolve(), admit, key
        self._outside = tuple(folder.resolve() for folder in outside)
        self._studies: dict[str, _Study] = {}
        self._instances: set[str] = set()
        self._everyone: set[str] = set()  # whose names and numbers a path may hold
        self._left_out: list[tuple[str, str]] = []  # path, reason
        self._burned_in = 0
        self.notes: list[str] = []
        """What the summary should say; complete once `studies` is at its end."""
        for number, path in enumerate(_files(self._root, self._outside), 1):
            relative = path.relative_to(self._root).as_posix()
            try:
                if aside is not None and path.name == aside.name and path.samefile(aside):
                    continue
                with silent(), guarded(path.name, "the header"):
                    self._take(path, relative)
            except FilmError as error:
                self._left_out.append((relative, error.reason))
            except OSError:
                self._left_out.append((relative, "file cannot be read"))
            if progress is not None:
                progress(number, None)

    @property
    def num_films(self) -> int:
        """Return how many films the studies list."""
        return sum(len(study.films) for study in self._studies.values())

    def studies(self, table: Reports | None = None) -> Iterator[StudyRecord | Skipped]:
        """Yield every study that has a film, in the order of their first files, then what was left out."""
        counts: Counter[str] = Counter()
        for uid, study in self._studies.items():
            if not study.films:
                self._left_out += [(path, "report has no film in its study") for path in study.reports]
                continue
            report = table.of(study.accession, uid) if table else ""
            if not report and study.reports:
                report = self._structured(study)
                counts["structured"] += bool(report)
            counts["silent"] += not report
            counts["nobody"] += not study.patient
            if self._key is not None:
                report, marks = deidentify.scrub(report, study.known)
                counts.update(marks)
                counts["paths"] += sum(deidentify.mentions(path, study.known) for *_, path in study.films)
            identity = self._identity("study", uid)
            yield StudyRecord(
                study=identity,
                patient=self._identity("patient", study.patient) if study.patient else identity,
                report=report,
                films=tuple(FilmRecord(path) for *_, path in sorted(study.films)),
                labels={},
                split=None,
                sex=study.sex,
                age=study.age,
            )
        for number, (path, reason) in enumerate(self._left_out, 1):
            hidden = self._key is not None and self._names_someone(path)
            yield Skipped(f"file {number} of those left out" if hidden else path, reason)
        if table is not None:
            yield from table.faults()
        self.notes += self._said(counts)

    def _take(self, path: Path, relative: str) -> None:
        """Add one file to its study; FilmError with the reason if it does not belong there."""
        header = _header(path, (self._root, *self._outside))
        if str(header.file_meta.get("MediaStorageSOPClassUID")) == _DIRECTORY:
            raise FilmError(relative, "a DICOM directory, not an image")
        uid, modality = str(header.get("StudyInstanceUID") or ""), word(header, "Modality")
        known, is_report = deidentify.known(header), modality == "SR"
        self._everyone |= known.names | known.numbers
        if not uid:
            raise FilmError(relative, "no StudyInstanceUID")
        if not is_report:
            self._check_image(header, modality, relative)
        instance = str(header.get("SOPInstanceUID") or relative)
        if instance in self._instances:
            raise FilmError(relative, "SOPInstanceUID is there twice")
        patient = str(header.get("PatientID") or "").strip()
        study = self._studies.setdefault(uid, _Study(patient))
        if patient != study.patient:
            raise FilmError(relative, "PatientID differs from that of its study's first file")
        self._instances.add(instance)
        study.accession = study.accession or str(header.get("AccessionNumber") or "").strip()
        if study.sex is None and (sex := word(header, "PatientSex")) in ("F", "M", "O"):
            study.sex = sex
        if study.age is None:
            age, born, on = (
                str(header.get(tag) or "") for tag in ("PatientAge", "PatientBirthDate", "StudyDate")
            )
            oldest = math.inf if self._key is None else deidentify.OLDEST
            study.age = deidentify.age_years(age, born, on, oldest)
        study.known |= known
        if is_report:
            study.reports.append(relative)
        else:
            study.films.append((_number(header, "SeriesNumber"), _number(header, "InstanceNumber"), relative))
            self._burned_in += word(header, "BurnedInAnnotation") == "YES"

    def _check_image(self, header: FileDataset, modality: str, relative: str) -> None:
        if modality and modality not in MODALITIES and "any-modality" not in self._admit:
            raise FilmError(relative, f"expected a radiograph, got modality {modality}")
        if header.get("Rows") is None:
            raise FilmError(relative, "no image in the file")
        frames = _number(header, "NumberOfFrames")
        if frames not in (math.inf, 1.0) and "first-frame" not in self._admit:
            raise FilmError(relative, "expected one frame, got several")

    def _structured(self, study: _Study) -> str:
        """Return the text of a study's structured reports, and learn whom they name."""
        texts = []
        for path in study.reports:
            try:
                data = read_inside(self._root, path, MAX_BYTES, self._outside)
                with silent(), guarded(path, "the report"):
                    tags = ("ContentSequence", *deidentify.TAGS)
                    dataset, _ = dicom_headers.opened(io.BytesIO(data), path, tags)
                    study.known |= deidentify.known(dataset)
                    texts.append(dicom_sr.text(dataset))
            except (PathError, FilmError) as error:
                reason = error.reason if isinstance(error, FilmError) else str(error)
                self._left_out.append((path, reason))
        return "\n\n".join(filter(None, dict.fromkeys(texts)))

    def _identity(self, kind: str, value: str) -> str:
        return value if self._key is None else pseudonyms.pseudonym(self._key, kind, value)

    def _names_someone(self, path: str) -> bool:
        """Tell whether a word of a path is a name or a number of somebody in the export."""
        return not deidentify.path_words(path).isdisjoint(self._everyone)

    def _said(self, counts: Counter[str]) -> Iterator[str]:
        if counts["silent"]:
            yield f"studies without a report: {counts['silent']}"
        if counts["structured"]:
            yield f"reports taken from DICOM structured reports: {counts['structured']}"
        if counts["nobody"]:
            yield f"studies without a PatientID, each taken for a patient of its own: {counts['nobody']}"
        if self._burned_in:
            yield f"films whose file says that text is burned into the image: {self._burned_in}"
        if self._key is None:
            yield "identifiers were kept: patients and studies go by their own numbers, reports are unchanged"
            return
        marks = ", ".join(f"{counts[mark]} {mark}" for mark in deidentify.MARKS)
        yield f"patients and studies go by keyed hashes; marks put into reports: {marks}"
        if counts["paths"]:
            yield (
                "films whose path holds their patient's name or number, which the cohort keeps"
                f" (docs/privacy.md): {counts['paths']}"
            )


def _files(root: Path, outside: Sequence[Path] = ()) -> Iterator[Path]:
    """Yield the files below a folder in a fixed order, hidden ones left out.

    A link to a folder is followed if it leads into one of `outside`, once; else it is yielded as it is.
    """
    seen: set[Path] = set()
    for folder, inside, names in os.walk(root, followlinks=bool(outside)):
        links, shown = [], sorted(name for name in inside if name[0] != ".")
        for name in shown:
            if Path(folder, name).is_symlink():
                place = Path(folder, name).resolve()
                if place in seen or not any(place.is_relative_to(each) for each in outside):
                    links.append(name)
                seen.add(place)
        inside[:] = [name for name in shown if name not in links]
        yield from (Path(folder, name) for name in sorted([*names, *links]) if name[0] != ".")


def _header(path: Path, roots: Sequence[Path]) -> FileDataset:
    """Read what the first pass needs; FilmError if it is no DICOM file inside `roots`."""
    try:
        if not any(path.resolve().is_relative_to(root) for root in roots):
            raise FilmError(path.name, LEAVES)
        if not path.is_file():
            raise FilmError(path.name, "not a file")
        with path.open("rb") as file:
            first = file.read(_FIRST_BYTES)
            if first.startswith(LFS.encode()):
                raise FilmError(path.name, "a Git LFS pointer, not a film")
            if sniff(first) != "dicom":
                raise FilmError(path.name, "not a DICOM file")
            file.seek(0)
            return dicom_headers.opened(file, path.name, _TAGS, pixels=False)[0]
    except OSError:
        raise FilmError(path.name, "file cannot be read") from None


def _number(header: FileDataset, keyword: str) -> float:
    """Return a number of the header, infinity where there is none."""
    try:
        return dicom_headers.numbers(header, keyword)[0]
    except (IndexError, ValueError):
        return math.inf
