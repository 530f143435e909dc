"""The text of a table: its encoding, its lines, and which lines are one row.

Owns the encodings (UTF-8, UTF-16 and UTF-32 with or without mark, else Windows-1252) and the rule that a byte
that is not UTF-8 costs no other line. A row ends where its last quote is closed (RFC 4180). Refuses, by
CohortError, binary data, more than MAX_CHARACTERS, and a quote that is never closed, naming its line.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from timnet.cohorts.readers import compressed
from timnet.cohorts.records import CohortError
from timnet.counting import counted

MAX_CHARACTERS = 2**31  # of a table: a packed file can unpack to anything
MAX_ROW = 2**20
"""Characters of a row; of a longer one the text is not held."""
MALFORMED = "a quote stands inside a quoted cell: double it"
TOO_LONG = f"row is longer than {MAX_ROW} characters"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What no Western word has: three letters beyond ASCII in a row, a sign inside a word, or what the Czech,
# Slovak or Hungarian letters of Windows-1250 and ISO-8859-2 become (`pøíznaky`, `zánìt`, `èást`, `tüdõ`).
_STRANGE = re.compile(
    r"[^\W\d_a-zA-Z]{3}|[^\W\d_][\u0080-\u00a6\u00a8-\u00ac\u00ae-\u00b6\u00b8-\u00bf][a-z]|\ufffd"
    r"|ø[aiáíéóúìù]|[áéíýóú]ø|[ìù][a-zà-ÿ]|\b[èÈ](?!re)[a-zà-ÿ]|õ(?![^\W_])"
)
_QUOTED = re.compile(r'[^"]*(?:""[^"]*)*')


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("timnet.windows-1252", _as_windows_1252)


@dataclass(frozen=True)
class Encoding:
    """How a table's bytes become text, and what an import should say of it."""

    name: str
    errors: str = "strict"
    note: str = ""


class Row(NamedTuple):
    """The text of one row, the line that it begins in (from 1), and what is wrong with it or ""."""

    line: int
    text: str
    fault: str = ""
    is_several_lines: bool = False


def encoding(path: Path) -> Encoding:
    """Return the encoding of a table; CohortError if it is binary or too long."""
    with compressed.opened(path) as file:
        head = file.read(4096)
    name = next((name for mark, name in _MARKS if head.startswith(mark)), None) or _unmarked(head)
    if "\0" in re.split("[\r\n]", head.decode(name, "replace"), maxsplit=1)[0]:
        raise CohortError(f"{path.name}: expected a table of text, got binary data")
    try:
        with opened(path, Encoding(name)) as file:
            total = 0
            while part := file.read(2**20):
                total += len(part)
                if total > MAX_CHARACTERS:
                    raise CohortError(f"{path.name}: expected at most {MAX_CHARACTERS} characters, got more")
        return Encoding(name)
    except UnicodeError:
        if name != "utf-8-sig":
            return Encoding(name, "replace", f"{path.name}: characters that are not {name.upper()} are lost")
    return _mixed(path)


def _unmarked(head: bytes) -> str:
    """Return UTF-16 where every second byte is mostly 0, as in ASCII text, else UTF-8."""
    pairs = len(head) // 2
    even, odd = head[: 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    if odd > 0.4 * pairs and even < 0.05 * pairs:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 * pairs and odd < 0.05 * pairs else "utf-8-sig"


def _mixed(path: Path) -> Encoding:
    """Return the encoding of a table that is not UTF-8 throughout."""
    valid, invalid, strange = 0, list[int](), 0
    with opened(path, Encoding("latin-1")) as file:
        for number, line in enumerate(file, 1):
            if not line.isascii():
                try:
                    line.encode("latin-1").decode("utf-8")
                    valid += 1
                except UnicodeDecodeError:
                    invalid.append(number)
                    strange += bool(_STRANGE.search(line.encode("latin-1").decode("cp1252", "replace")))
    if not valid and 4 * strange > max(len(invalid), 3):
        got = f"got letters of another encoding in {counted(strange, 'line')}: save it as UTF-8"
        raise CohortError(f"{path.name}: expected UTF-8 or Windows-1252, {got}")
    if not valid:
        return Encoding("cp1252", "replace", f"{path.name} is not UTF-8: read as Windows-1252")
    many = f"{counted(len(invalid), 'line')}, the first is "
    where = f"line {invalid[0]}" if len(invalid) == 1 else f"{many}{invalid[0]}"
    note = f"{path.name}: bytes that are not UTF-8 read as Windows-1252: {where}"
    return Encoding("utf-8-sig", "timnet.windows-1252", note)


@contextmanager
def opened(path: Path, known: Encoding) -> Iterator[io.TextIOWrapper]:
    """Open a table as text, unpacked; lines keep their ends, whatever these are."""
    with (
        compressed.opened(path) as data,
        io.TextIOWrapper(data, known.name, known.errors, newline="") as file,
    ):
        yield file


def rows(lines: Iterable[str], delimiter: str, name: str, first: int = 1) -> Iterator[Row]:
    """Yield the rows of a table.

    Args:
        lines: of the file, in order.
        delimiter: between two cells.
        name: of the file, for messages.
        first: number of the first of these lines in the file.

    Raises:
        CohortError: a quote is open at the end.
    """
    held, size, begin, opened_in, is_odd = list[str](), 0, 0, 0, False
    for number, line in enumerate(lines, first):
        if not opened_in and '"' not in line:
            yield Row(number, line)
            continue
        if not held:
            begin, size, is_odd = number, 0, False
        size += len(line)
        held.append(line if size <= MAX_ROW else "")
        is_open, is_same, is_misplaced = _scan(line, delimiter, opened_in > 0)
        is_odd |= is_misplaced
        if is_open:
            opened_in = opened_in if is_same else number
            continue
        opened_in, text, several = 0, "".join(held), len(held) > 1
        held = []
        # What some programs write for a quote, `\"`, ends the cell by RFC 4180.
        fault = MALFORMED if is_odd and (several or text.count('"') % 2 or '\\"' in text) else ""
        yield Row(begin, text, TOO_LONG if size > MAX_ROW else fault, several)
    if opened_in:
        raise CohortError(f"{name}: the quote that opens in line {opened_in} is never closed")


def _scan(line: str, delimiter: str, is_open: bool) -> tuple[bool, bool, bool]:
    """Follow the quotes of a line.

    Returns:
        Whether one is open at the line's end, whether it is the one that was open at its beginning, and
        whether one was closed by a quote with neither delimiter nor line end behind it.
    """
    opening = f'{delimiter}"'
    at, is_same, is_misplaced = 0, is_open, False
    if not is_open:
        at = 1 if line.startswith('"') else line.find(opening) + 2
        if at == 1 and not line.startswith('"'):
            return False, False, False
    while True:
        at = _QUOTED.match(line, at).end()  # type: ignore[union-attr]
        if at == len(line):
            return True, is_same, is_misplaced
        at, is_same = at + 1, False
        is_misplaced |= line[at : at + 1] not in ("", delimiter, "\r", "\n")
        at = line.find(opening, at) + 2
        if at == 1:
            return False, False, is_misplaced
