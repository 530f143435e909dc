"""A report's headers, and the text that each of them opens.

Recognises headers by name, case and place, in plain text, markdown and its tables. Pure text, in one pass,
linear in its length whatever it holds.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from timnet.reports import section_names as names

_CLOSERS = "\"')]}»”’"
_NUMBER = r"\(?(?:\d{1,2}|[A-H]|[IVX]{1,4})[.)]"
_MARK = re.compile(rf"[ \t]*+(?:(?:[>*•·▪–#_-]{{1,6}}|{_NUMBER})[ \t]++|[*_#]{{1,3}})*+")
_LAST_MARK = re.compile(rf"(?<![^.!?;])\s{{0,9}}{_NUMBER}\s{{0,9}}\Z")  # of the header that follows
_COLON = re.compile(r"(?:\([^()]{0,40}\)[ \t]*)?[*_]{0,3}[ \t]*[:：][*_]{0,3}")
_TAG = re.compile(
    r"<(?:(/?(?:br|p|div|li|ul|ol|tr|table|h[1-6]))|/?(?:b|i|u|em|strong|span|font|td|th))\b[^<>]{0,200}>",
    re.IGNORECASE,
)
_IN_BRACKETS = re.compile(r"(?m)^([ \t]*)[\[<{]([^\W\d_][^\[\]<>{}\n]{2,40})[\]>}](:?)")
_OTHER_SIGN = re.compile(
    r"(?m)^([ \t]*+)[=~–—-]{0,5}+[ \t]*+([^\W\d_a-zß-ÿ](?:[^\W\d_]|[ &/]){2,40}?)[ \t]*"
    r"(?:[;=~|]{1,5}|[–—-]{1,5}(?=\s|$))"
)
"""A header with another sign than a colon: `FINDINGS;`, `Findings- Clear.`, `--FINDINGS--`."""
_WIDE = str.maketrans({"：": ": ", "。": ". ", "；": "; "})
"""Full-width signs of East Asian keyboards."""
_BLANKS = re.compile(r"[^\S\r\n\v\f\x1c-\x1e\x85\u2028\u2029]{4,}")
_NO_SPACE = re.compile(r"(?<=[a-z0-9)][.!?;])(?=[A-Z][A-Za-z ]{2,30}:)")
_UNMARKED = re.compile(
    r"(?<![\w/-])[^\W\d_a-zß-ÿ]{4,30}+(?!\w)(?:[ /][^\W\d_a-zß-ÿ]{2,30}+(?!\w)){0,6}+"
    r"(?=[ \t]+(?!(?:of|is|are|was|were|for|and|with|made)\b)[^\s:(–—-])"
    r"|(?:\A|(?<=[.!?] ))[A-Z][A-Za-z]{3,30}+(?: [A-Za-z]{1,30}+){0,3}+(?:\.|[ \t]+[–—-]+)(?=\s)"
)
_AMID = {"a", "an", "see", "the", "in", "per", "and", "of", "to", "for", "as", "under", "this", "with", "no"}
"""Words before a name in capitals that make it a part of their sentence."""
_WORD = re.compile(r"\S+")
_NAME = re.compile(r"[^\W\d_](?:[^\W\d_]|[ \t/&'’-])*")
_DASH = re.compile(r"([^\W\d_a-z](?:[^\W\d_]|[ &/])+?)[ \t]+[-–—]+[ \t]+(?=\S)")
_PART = {"other", "additional", "incidental", "associated", "ancillary", "clinical", "no", "negative"}
"""Words before a header that make it the name of a part of a section."""


def sections(text: str) -> dict[str, str]:
    """Split a report at its headers.

    A header is one of the usual names (`section_names`), also misspelt, with a colon: in upper case or with a
    capital anywhere, in lower case where a sentence begins. Without a colon it is a line of its own (in upper
    case, as a markdown heading, with a capital, or after a full stop), a dash follows, or it stands in
    capitals amid others, or as a sentence of its own (`Findings. Clear.`). Rows of a markdown table are read
    as `first cell: others`; HTML tags are left out. Other words with a colon (`LUNGS:`) are text.

    Returns:
        Lower-case header -> body, in order of appearance; the bodies of a repeated header are joined. Text
        before the first header has the key "", and so has a text without any header.
    """
    bodies: dict[str, list[str]] = {"": []}
    header, is_fresh = "", True
    for raw in _untabled(_plain(text).splitlines()):
        line, at = _UNMARKED.sub(_with_colon, raw), 0
        for name, start, end in _headers(line, is_fresh):
            if start > at:
                bodies[header].append(_LAST_MARK.sub("", line[at:start]))
            header, at = name, end
            bodies.setdefault(header, [])
        bodies[header].append(line[at:])
        is_fresh = not line.strip() or line.rstrip(" \t*_" + _CLOSERS).endswith((".", "!", "?", ":"))
    joined = {name: "\n".join(lines).strip() for name, lines in bodies.items()}
    if not joined[""] and len(joined) > 1:
        del joined[""]
    return joined


def _plain(text: str) -> str:
    """Return a text without HTML tags, with `[FINDINGS]` as `FINDINGS:` and a space after each sentence."""
    # Blanks say nothing, and a line of many makes patterns look at each of them from each of them.
    text = _BLANKS.sub(" ", text.translate(_WIDE))
    if _TAG.search(text):
        text = html.unescape(_TAG.sub(lambda tag: "\n" if tag[1] else "", text))
    text = _IN_BRACKETS.sub(lambda name: f"{name[1]}{name[2]}:" if names.known(name[2]) else name[0], text)
    text = _OTHER_SIGN.sub(lambda name: f"{name[1]}{name[2]}: " if names.exact(name[2]) else name[0], text)
    return _NO_SPACE.sub(" ", text)


def _with_colon(name: re.Match[str]) -> str:
    """Return a header that stands in its line without a colon, in capitals or as a sentence, with one."""
    before = name.string[max(0, name.start() - 20) : name.start()].split()[-1:]
    title = name[0].rstrip(" \t.–—-")
    return f"{title}:" if names.exact(title) and not _AMID.intersection(before) else name[0]


def _headers(line: str, is_fresh: bool) -> Iterator[tuple[str, int, int]]:
    """Yield the headers of a line: name, where it starts with its marks, and where its body starts.

    Args:
        line: without its end.
        is_fresh: whether the line before has ended its sentence.
    """
    mark = _MARK.match(line).end()  # type: ignore[union-attr]
    if ":" not in line and "：" not in line:
        if bare := _bare_header(line, mark, is_fresh):
            yield bare
        return
    at, window = 0, names.longest() + 20  # characters before a colon: a name and the word before it
    for colon in _COLON.finditer(line):
        first = max(at or mark, colon.start() - window)
        segment = line[first : colon.start()].rstrip(" \t*_")
        if not segment[-1:].isalpha():
            continue
        words = list(_WORD.finditer(segment))
        for place in range(max(len(words) - names.most_words(), first > (at or mark)), len(words)):
            word, before = words[place], words[place - 1][0] if place else ""
            found = _header(segment[word.start() :].lstrip("*_|"), before, is_fresh or bool(at))
            if found:
                start = first + word.start() if before or at else 0
                yield found, start, colon.end()
                at = colon.end()
                break


def _bare_header(line: str, mark: int, is_fresh: bool) -> tuple[str, int, int] | None:
    """Return the header of a line without a colon: alone on it, or before a dash."""
    bare = line[mark : mark + 2 * names.longest()].rstrip(" \t*_#")
    if _NAME.fullmatch(bare) and len(line) <= mark + 2 * names.longest():
        is_set_apart = bare.isupper() or not set("#*_").isdisjoint(line[:mark])
        is_title = is_fresh or bare[0].isupper()
        if name := names.known(bare) if is_set_apart else names.exact(bare) if is_title else "":
            return name, 0, len(line)
    dash = _DASH.match(line, mark)
    name = names.exact(dash[1]) if dash else ""
    return (name, 0, dash.end()) if dash and name else None


def _header(name: str, before: str, is_fresh: bool) -> str:
    """Return the section that a name with a colon opens, by the word before it; "" where it is text."""
    if not _NAME.fullmatch(name):
        return ""
    begins = not before or before.rstrip("*_" + _CLOSERS).endswith((".", "!", "?", ";", ":", "|"))
    if name.isupper():
        return "" if before.lower() in _PART else names.known(name)
    if name[0].isupper():
        if begins:
            return names.known(name)
        found = names.exact(name)
        is_told_apart = found in names.of("impression") and before.lower() not in _PART
        return found if is_told_apart or not before[:1].isupper() else ""
    return names.exact(name) if begins and (before or is_fresh) else ""


def _untabled(lines: list[str]) -> Iterator[str]:
    """Yield lines, rows of a markdown table as `first cell: others` or, under headers, as `header: cell`."""
    columns: list[str] = []
    for line, following in zip(lines, [*lines[1:], ""], strict=False):
        if not line.lstrip().startswith("|"):
            columns = []
            yield line
            continue
        cells = [cell.strip(" \t*_") for cell in line.strip().strip("|").split("|")]
        if not any(character.isalnum() for cell in cells for character in cell):
            continue
        if following.lstrip().startswith("|") and not re.search(r"\w", following):
            columns = cells if all(map(names.known, cells)) else []
            if columns or not names.known(cells[0]):
                continue
        if columns:
            yield from (f"{name}: {cell}" for name, cell in zip(columns, cells, strict=False))
        else:
            title = cells[0] if names.known(cells[0]) else f"- {cells[0]}"
            yield f"{title}: {', '.join(filter(None, cells[1:]))}" if len(cells) > 1 else title


def is_header(name: str) -> bool:
    """Tell whether `sections` takes a capitalised name with a colon for a header."""
    return name[:1].isupper() and bool(_NAME.fullmatch(name)) and bool(names.known(name))
