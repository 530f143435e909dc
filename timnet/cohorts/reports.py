"""Report text: its sections, the findings that stand for a study, and sentences.

Owns which words of a report go with a film (the findings; where they are empty, the impression) and where
a sentence ends. Pure text, in one pass, linear in its length whatever it holds. Changes nothing but white
space: the `___` and `XXXX` of de-identified reports stay. Source for reports that have neither section: the
section parser of MIMIC-CXR (github.com/MIT-LCP/mimic-cxr, txt/section_parser.py).
"""

from __future__ import annotations

import re

FINDINGS = (
    "findings and impression",
    "findings & impression",
    "findings/impression",
    "impression and findings",
    "findings",
    "finding",
)
IMPRESSION = ("impressions", "impression", "conclusions", "conclusion", "opinion")
_BEFORE = (
    "clinical history", "clinical information", "clinical indication", "clinical data", "patient history",
    "history", "indications", "indication", "reason for examination", "reason for exam",
    "reason for the exam", "reason for this examination", "reason for study", "examinations",
    "examination", "exam", "study", "procedure", "technique", "comparison studies", "comparisons",
    "comparison",
)  # fmt: skip
_OTHER = (
    "recommendations", "recommendation", "notifications", "notification", "addendum",
    "wet read", "dictated by", "electronically signed",
)  # fmt: skip


def _either(names: tuple[str, ...]) -> str:
    return "|".join(map(re.escape, names))


_NAMES = (*FINDINGS, *IMPRESSION, *_BEFORE, *_OTHER)
_UPPER = tuple(name.upper() for name in _NAMES)
_AT_START = re.compile(rf"[ \t*#>-]*+(?=[A-Z])((?i:{_either(_NAMES)}))[ \t]*:")
_ALONE = re.compile(rf"[ \t*#>-]*+({_either(_UPPER)})[ \t]*$")
_INLINE = re.compile(rf"(?<![A-Za-z])({_either(_UPPER)})[ \t]*:")
_VIEWS = re.compile(r"(?:\A|\n)[ \t]*+([A-Z][A-Z0-9 ,/&()-]{2,80}+):")
_VIEW_WORD = re.compile(r"\b(?:VIEWS?|RADIOGRAPHS?|CHEST)\b")
_BLANK_LINE = re.compile(r"\n[ \t]*+\n")


def sections(text: str) -> dict[str, str]:
    """Split a report at its headers.

    A header is one of the usual names with a colon, capitalised at a line's start or anywhere in upper
    case; in upper case it may also be a line of its own. Other words with a colon (`LUNGS:`) are text.

    Returns:
        Lower-case header -> body, in order of appearance; the bodies of a repeated header are joined. Text
        before the first header has the key "", and so has a text without any header.
    """
    bodies: dict[str, list[str]] = {"": []}
    header = ""
    for line in text.splitlines():
        if not line:
            bodies[header].append(line)
            continue
        at = 0
        opening = _AT_START.match(line) if ":" in line else _ALONE.match(line)
        if opening:
            header, at = opening[1].lower(), opening.end()
            bodies.setdefault(header, [])
        for inline in _INLINE.finditer(line, at) if ":" in line else ():
            bodies[header].append(line[at : inline.start()])
            header, at = inline[1].lower(), inline.end()
            bodies.setdefault(header, [])
        bodies[header].append(line[at:])
    joined = {name: "\n".join(lines).strip() for name, lines in bodies.items()}
    if not joined[""] and len(joined) > 1:
        del joined[""]
    return joined


def findings(text: str) -> str:
    """Return the words that stand for the study, white space collapsed; "" where the report says nothing.

    The findings section, or what a header of views (`FRONTAL VIEW OF THE CHEST:`) opens; where that is empty,
    the impression; where there is none either, what follows the last section's first paragraph. A text
    without headers is its own findings.
    """
    return findings_and_impression(text)[0]


def findings_and_impression(text: str) -> tuple[str, str]:
    """Return what stands for the study, as `findings`, and the impression, "" where there is none."""
    bodies = sections(text)
    if bodies.keys() == {""}:
        return _collapsed(bodies[""]), ""
    impression = _merged(bodies, IMPRESSION)
    return _merged(bodies, FINDINGS) or _of_views(bodies) or impression or _closing(bodies), impression


def _of_views(bodies: dict[str, str]) -> str:
    for header in (*_BEFORE, ""):
        for opening in _VIEWS.finditer(bodies.get(header, "")):
            if _VIEW_WORD.search(opening[1]):
                return _collapsed(bodies[header][opening.end() :])
    return ""


def _closing(bodies: dict[str, str]) -> str:
    last = list(bodies)[-1]
    paragraphs = _BLANK_LINE.split(bodies[last]) if last in _BEFORE else []
    return _collapsed(" ".join(paragraphs[1:]))


def _merged(bodies: dict[str, str], names: tuple[str, ...]) -> str:
    return " ".join(filter(None, (_collapsed(body) for header, body in bodies.items() if header in names)))


def _collapsed(body: str) -> str:
    """Collapse white space; a body without a single letter says nothing."""
    return " ".join(body.split()) if any(character.isalpha() for character in body) else ""


_TITLES = {"dr.", "drs.", "mr.", "mrs.", "ms.", "prof."}
_NEVER_LAST = {
    *_TITLES, "vs.", "e.g.", "i.e.", "cf.", "fig.", "figs.", "approx.", "incl.", "st.", "pt.", "dept.",
}  # fmt: skip
_SELDOM_LAST = {
    "etc.", "al.", "cm.", "mm.", "ml.", "in.", "min.", "hr.", "hrs.", "wk.", "wks.", "mo.", "yr.", "yrs.",
}  # fmt: skip
_LETTERS = re.compile(r"(?:[a-z]\.){2,}")
_ITEM = re.compile(r"\(?\d{1,2}[.)]")
_BULLETS = {"-", "*", "•", "–"}
_OPENERS, _CLOSERS = "\"'([{«“‘", "\"')]}»”’"


def sentences(text: str) -> list[str]:
    """Split a text into sentences that hold every word of it in order, none of them empty.

    A sentence ends at a full stop, question or exclamation mark that does not belong to a number, an
    abbreviation, an initial or a list's number; an empty line and a list's next item end it too.
    """
    found: list[list[str]] = []
    words: list[str] = []

    def close() -> None:
        if not words:
            return
        # A stop that stands alone belongs to the sentence before it.
        if found and not any(character.isalnum() for word in words for character in word):
            found[-1].extend(words)
        else:
            found.append(words.copy())
        words.clear()

    lines = [line.split() for line in text.splitlines()]
    for line, next_line in zip(lines, [*lines[1:], []], strict=False):
        if not line:
            close()
            continue
        if line[0] in _BULLETS or _ITEM.fullmatch(line[0]):
            close()
        for word, following in zip(line, [*line[1:], *next_line[:1], ""], strict=False):
            words.append(word)
            if _ends(words, following):
                close()
    close()
    return [" ".join(sentence) for sentence in found]


def _ends(words: list[str], following: str) -> bool:
    """Tell whether the last of the words so far ends their sentence."""
    word = words[-1].rstrip(_CLOSERS)
    if word.endswith(("!", "?")):
        return True
    if not word.endswith(".") or (len(words) == 1 and _ITEM.fullmatch(word)):
        return False
    word = word.lstrip(_OPENERS).lower()
    if word in _NEVER_LAST:
        return False
    if word == "no.":
        return not following[:1].isdigit()
    if word in _SELDOM_LAST or _LETTERS.fullmatch(word):
        starts_anew = following.lstrip(_OPENERS)[:1].isupper() or _ITEM.fullmatch(following)
        return bool(starts_anew) or not following
    is_initial = len(word) == 2 and word[0].isalpha()
    return not (is_initial and len(words) > 1 and words[-2].lower() in {*_TITLES, "by"})
