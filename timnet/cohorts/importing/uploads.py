"""Uploaded exports: films, tables and ZIP archives become one folder, which is imported like any other.

Owns where they stay (`.uploads/NAME` beside the cohorts, because a cohort's films stay where they are) and
what is let in. Refuses paths that leave the folder, links, encrypted archives, names that occur twice, and
more files or bytes than the limits, counted while unpacking: what an archive says of itself is not believed.
"""

from __future__ import annotations

import errno
import io
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from timnet import config, files
from timnet.cohorts.readers import compressed, csv_table
from timnet.cohorts.records import CohortError, PathError, check_name, film_path
from timnet.films.film import MAX_BYTES

FOLDER = ".uploads"
MAX_FILES = 2_000
MAX_TOTAL = 512 * 2**20
"""Bytes of all files together, unpacked."""
_CHUNK = 2**20


@files.private()
def keep(files: Sequence[tuple[str, bytes]], name: str) -> Path:
    """Write uploaded files, archives unpacked, into the folder of an upload, in place of an earlier one.

    Args:
        files: name and content of each; what is an archive, its content says.
        name: of the cohort to be.

    Returns:
        The folder to import from.

    Raises:
        CohortError: nothing was given, or something that is not let in.
    """
    if not files:
        raise CohortError("upload: expected films and a table, or a ZIP archive of them; got no file")
    place = config.home() / FOLDER / check_name(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=place.parent))
    try:
        total = 0
        for number, (path, content) in enumerate(_contents(files), 1):
            if number > MAX_FILES:
                raise CohortError(f"upload: expected at most {MAX_FILES:,} files, got more")
            total += _written(draft, path, content, MAX_TOTAL - total)
        shutil.rmtree(place, ignore_errors=True)
        draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    folders = [each for each in place.iterdir() if not each.name.startswith(".")]
    # An archive often holds one folder with everything in it.
    return folders[0] if len(folders) == 1 and folders[0].is_dir() else place


def tables(files: Sequence[tuple[str, bytes]], into: Path) -> list[Path]:
    """Write the tables among uploaded files into an empty folder; return those that an import would find.

    Raises:
        CohortError: something that is not let in.
    """
    names, total = [], 0
    for path, content in _contents(files):
        names.append(PurePosixPath(_name(path)))
        if csv_table.is_table(names[-1].name):
            total += _written(into, path, content, MAX_TOTAL - total)
    tops = {name.parts[0] for name in names}
    alone = len(tops) == 1 and all(len(name.parts) > 1 for name in names)
    root = into / tops.pop() if alone else into
    return csv_table.tables_in(root) if root.is_dir() else []


def _contents(files: Sequence[tuple[str, bytes]]) -> Iterator[tuple[str, io.IOBase]]:
    """Yield the path and the opened content of every file, those of archives included."""
    for name, data in files:
        if not data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            yield Path(name.replace("\\", "/")).name, io.BytesIO(data)
            continue
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for entry in archive.infolist():
                    hidden = any(part.startswith((".", "__MACOSX")) for part in entry.filename.split("/"))
                    if entry.filename.endswith("/") or (hidden and ".." not in entry.filename):
                        continue
                    if stat.S_ISLNK(entry.external_attr >> 16):
                        raise CohortError("upload: expected files in the archive, got a link")
                    if entry.flag_bits & 1:
                        raise CohortError("upload: expected an archive without a password")
                    if entry.filename.lower().endswith(".zip"):
                        raise CohortError("upload: expected films and tables in the archive, got an archive")
                    with archive.open(entry) as content:
                        yield entry.filename, content  # type: ignore[misc]
        except compressed.DAMAGED_ZIP as error:
            raise error if isinstance(error, CohortError) else _damaged(error) from None


def _read(content: io.IOBase) -> bytes:
    try:
        return bytes(content.read(_CHUNK))
    except compressed.DAMAGE as error:
        raise _damaged(error) from None


def _damaged(error: Exception) -> CohortError:
    return CohortError(f"upload: expected a ZIP archive that can be unpacked ({compressed.why(error)})")


def _name(path: str) -> str:
    """Return a file's path in one spelling; one that leads out of its folder or is none is refused."""
    try:
        return film_path(path)
    except PathError as error:
        reason = str(error).partition(":")[0].replace("no film path", "expected a file name, got none")
        raise CohortError(f"upload: {reason.replace('film path', 'a path')}") from None


def _written(root: Path, path: str, content: io.IOBase, left: int) -> int:
    """Write one file below a folder and return its size; never more than `left` bytes or one film's limit."""
    target, limit, size = root / _name(path), min(MAX_BYTES, left), 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            while chunk := _read(content):
                size += len(chunk)
                if size > limit:
                    raise CohortError(
                        f"upload: expected files of at most {MAX_BYTES >> 20} MB and {MAX_TOTAL >> 20} MB in "
                        "all, unpacked; got more"
                    )
                file.write(chunk)
    except (FileExistsError, NotADirectoryError):
        raise CohortError("upload: expected each file name once, got one twice") from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise CohortError("upload: expected file names of at most 255 bytes, got a longer one") from None
    return size
