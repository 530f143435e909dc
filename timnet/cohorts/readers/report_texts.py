"""The reports of MIMIC-CXR, one text file a study, in a folder or still in their zip.

Owns where the reports lie and how one is read: by the name that its study's numbers make, never by a name
from the archive, at most MAX_BYTES of it. Refuses an archive that is none. A report that cannot be read comes
back as the reason.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from timnet.cohorts.paths import read_inside
from timnet.cohorts.readers import compressed
from timnet.cohorts.readers.tables import LFS
from timnet.cohorts.records import CohortError, PathError

MAX_BYTES = 2**20
"""Of one report, unpacked; MIMIC's longest is below 10 kB."""
MAX_MEMBERS = 2_000_000
ARCHIVE, FOLDER = "mimic-cxr-reports.zip", "mimic-cxr-reports"

TextOf = Callable[[str], tuple[str, str]]
"""A study's path (`files/p10/p10000032/s50414267.txt`) -> its text, and what is wrong with it or ""."""


def find(root: Path) -> Path:
    """Return where an export's reports lie: in its own folder, unless they are found packed or beside it."""
    for folder in (root, root.parent):
        for place in (folder / ARCHIVE, folder / FOLDER / ARCHIVE):
            if place.is_file():
                return place
        if (folder / FOLDER / "files").is_dir():
            return folder / FOLDER
    return root


@contextmanager
def open_reports(place: Path, outside: Sequence[Path] = ()) -> Iterator[TextOf]:
    """Open a folder or a zip of reports; CohortError if it is neither."""
    if place.is_dir():
        root = place.resolve()
        folders = [each.resolve() for each in outside]
        yield lambda path: _decoded(_from_folder(root, path, folders))
        return
    try:
        archive = zipfile.ZipFile(place)
    except compressed.DAMAGED_ZIP as error:
        raise CohortError(
            f"{place.name}: expected the reports' folder or zip, got none ({type(error).__name__})"
        ) from None
    with archive:
        if (count := len(archive.infolist())) > MAX_MEMBERS:
            raise CohortError(f"{place.name}: expected at most {MAX_MEMBERS} reports, got {count}")
        yield lambda path: _decoded(_from_archive(archive, path))


def _from_folder(root: Path, path: str, outside: Sequence[Path]) -> bytes | str:
    try:
        return read_inside(root, path, MAX_BYTES, outside)
    except PathError as error:
        return str(error).replace("film", "report")


def _from_archive(archive: zipfile.ZipFile, path: str) -> bytes | str:
    for member in (path, f"{FOLDER}/{path}"):
        try:
            # The size that the archive states is not trusted: one byte more than allowed is asked for.
            with archive.open(member) as file:
                data = file.read(MAX_BYTES + 1)
                break
        except KeyError:
            continue
        except compressed.DAMAGE:
            return "report cannot be unpacked"
    else:
        return "report is missing"
    return data if len(data) <= MAX_BYTES else f"report is larger than {MAX_BYTES // 2**20} MiB"


def _decoded(read: bytes | str) -> tuple[str, str]:
    if isinstance(read, str):
        return "", read
    if read.startswith(LFS.encode()):
        return "", "report is a Git LFS pointer"
    try:
        text, fault = read.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        text, fault = read.decode("cp1252", errors="replace"), "report is not UTF-8: read as Windows-1252"
    return (text, fault) if text.strip() else ("", "report is empty")
