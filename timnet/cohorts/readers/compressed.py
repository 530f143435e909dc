"""Compressed files, recognised by their first bytes and never by their name.

Owns which formats are unpacked (gzip, bzip2, xz, a ZIP archive of one table) and the errors by which damage
shows. Refuses every other format by its name: an archive of several tables, a workbook, 7z, Zstandard.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

from timnet.cohorts.records import CohortError
from timnet.counting import counted
from timnet.errors import one_line

DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)
"""What reading damaged, encrypted or oddly packed data raises; the last two are RuntimeError."""
DAMAGED_ZIP = (*DAMAGE, ValueError, struct.error)
"""What opening a ZIP archive raises besides: its directory may hold any numbers and names."""
LAYERS = 3
"""How often a file may be packed: some servers and browsers pack what is packed already."""
_OTHER_FORMATS = {
    b"\x28\xb5\x2f\xfd": "a Zstandard archive: unpack it",
    b"\x04\x22\x4d\x18": "an LZ4 archive: unpack it",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"\xd0\xcf\x11\xe0": "an Excel workbook: save it as CSV",
    b"PAR1": "a Parquet file: save it as CSV",
    b"SQLite format 3": "an SQLite database: save it as CSV",
    b"%PDF": "a PDF document",
    b"{\\rtf": "an RTF document: save it as CSV",
}
_HIDDEN = re.compile(r"(?:^|/)(?:\.|__MACOSX)")
_TABLE_ENDINGS = (".csv", ".tsv", ".txt")


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """Open a table's bytes, unpacked; CohortError if it cannot be read or is no table."""
    try:
        with ExitStack() as stack:
            file: Any = stack.enter_context(path.open("rb"))
            for _ in range(LAYERS + 1):
                inner = _unpacked(file, path.name, stack)
                if inner is None:
                    break
                file = stack.enter_context(inner)
            else:
                raise CohortError(f"{path.name}: expected a table packed at most {LAYERS} times, got more")
            yield cast(io.BufferedReader, file)
    except DAMAGE as error:
        raise CohortError(f"{path.name}: cannot be read as a table ({why(error)})") from error


def why(error: Exception) -> str:
    """Return in words why a file cannot be read."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, EOFError):
        return "it ends too early: copy or download it again"
    return getattr(error, "strerror", None) or f"it is damaged: {one_line(error)[:100]}"


def _unpacked(file: Any, name: str, stack: ExitStack) -> Any:
    """Return what a file holds packed, opened; None where it is not packed."""
    head = file.peek(512)[:512]
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file, mode="rb")
    if head.startswith(b"BZh") and head[4:10] == b"1AY&SY":
        return bz2.BZ2File(file)
    if head.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMAFile(file)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _only_table(file, name, stack)
    if head[257:262] == b"ustar":
        raise CohortError(f"{name}: expected a table, got a TAR archive: unpack it")
    for magic, what in _OTHER_FORMATS.items():
        if head.startswith(magic):
            raise CohortError(f"{name}: expected a table, got {what}")
    return None


def _only_table(file: Any, name: str, stack: ExitStack) -> Any:
    try:
        if not file.seekable():  # a ZIP archive within a stream
            file = io.BytesIO(file.read())
        archive = stack.enter_context(zipfile.ZipFile(file))
    except DAMAGED_ZIP as error:
        raise CohortError(f"{name}: cannot be read as a ZIP archive ({why(error)})") from None
    members = [name for name in archive.namelist() if not name.endswith("/")]
    if any(each.startswith("xl/") or each == "content.xml" for each in members):
        raise CohortError(f"{name}: expected a table, got a workbook: save it as CSV")
    members = [each for each in members if not _HIDDEN.search(each)]
    tables = [each for each in members if each.lower().endswith(_TABLE_ENDINGS)]
    if len(tables or members) != 1:
        got = counted(len(members), "file")
        raise CohortError(f"{name}: expected a ZIP archive of one table, got one of {got}")
    if archive.getinfo((tables or members)[0]).flag_bits & 1:
        raise CohortError(f"{name}: expected a ZIP archive without a password")
    return archive.open((tables or members)[0])
