"""Report text: its sections, the findings that stand for a study, and sentences.

Owns which words of a report go with a film (the findings; where they are empty, the impression) and where
a sentence ends. Pure text, in one pass, linear in its length whatever it holds. Changes white space and the
marks of lists and tables alone (an item without a full stop gets one): the `___` and `XXXX` of de-identified
reports stay. Leaves out sentences that tell who was informed and nothing of the film.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from timnet.cohorts import section_names as names
from timnet.cohorts.sections import is_header, sections

__all__ = ["SEARCHED", "Extract", "extract", "findings", "is_header", "sections", "sentences"]

SEARCHED = {*names.FINDINGS, *names.REPORT, *names.IMPRESSION, *names.COMMENT}
"""Headers of the sections that may stand for a study."""
_CLOSERS, _OPENERS = "\"')]}»”’", "\"'([{«“‘"

_LABEL = re.compile(r"[ \t]*+[A-Z][A-Za-z /&-]{2,30}+:(?=\s)")
_BULLET = re.compile(r"[ \t]*+(?:[-*•·▪–]|#{1,6}|>)[ \t]++")
_RULE = re.compile(r"[ \t]*+(?:[-=~*]{3,}+)?[ \t]*")
_UNFINISHED = {
    "a", "an", "the", "of", "to", "with", "and", "or", "is", "are", "was", "were", "in", "on", "for", "by",
    "at", "no", "than", "from", "as",
}  # fmt: skip
_TITLE = re.compile(r"\s*(?:FINAL|PRELIMINARY|RADIOLOGY) REPORT\b[ \t]*:?")
_VIEWS = re.compile(r"(?:\A|\n)[ \t]*+([A-Z][A-Za-z0-9 ,/&()-]{2,80}+):")
_VIEW_WORD = re.compile(r"\bCHEST\b|(?i:\b(?:views?|radiographs?|x-rays?)\b)")
_BLANK_LINE = re.compile(r"\n[ \t]*+\n")
_NOTHING = re.compile(
    r"(?:none|nil|n ?/ ?a|na|nothing|deferred|unavailable|no text"
    r"|not (?:applicable|available|given|provided|stated)"
    r"|(?:please )?(?:see|refer to|as|per|as per|as in|as stated in|as described in|deferred to|same as)"
    r"(?: the| under| to)?(?: (?:above|below|impression|conclusion|findings|report|opinion|comment"
    r"|body of report|described|stated|noted|section|text|full|separate|dictated|final))+"
    r"|keine|entfällt|s(?:iehe|\.)? ?(?:oben|unten|o\.|u\.|beurteilung|befund)|néant|aucune?"
    r"|voir (?:conclusion|ci-dessous|ci-dessus|impression)|ningun[oa]|no aplica"
    r"|ver (?:impresión|conclusión))"
)
"""Sections that say nothing, in lower case and without their punctuation."""
_TOLD = re.compile(
    r"\b(?:discussed|communicated|conveyed|relayed|telephoned|phoned|called|paged|informed|notified|e-?mailed|messaged"
    r"|reported|made aware|acknowledged|signed|dictated|transcribed|reviewed)\b",
    re.IGNORECASE,
)
_WHOM = re.compile(
    r"\b(?:drs?|doctor|md|physician|surgeon|nurse|rn|team|clinicians?|consultant|registrar|resident"
    r"|house ?officer|gp|ward|service|provider|patient|(?:tele)?phone|pager|e-?mail|dashboard)\b"
    r"|\d:\d\d|\b[ap]\.?m\b|___",
    re.IGNORECASE,
)
_OF_THE_FILM = re.compile(
    r"effusion|pneumo|consolid|opaci|o?edema|fractur|nodul|\bmass|cardi|atelect|tub(?:e|ing)|cathet|\blines?\b|lead|device"
    r"|\bair\b|lung|heart|pleur|position|hilar|hila\b|mediast|infiltrat|lesion|lobe|normal|clear|right|left|aort|rib|bone"
    r"|lymph|emphysem|congest|disease|process|diaphragm|unremarkable|thorac|chest|spine|osseous|interstit|scarr|fibros",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Extract:
    """What of a report stands for its study."""

    findings: str
    """On one line; "" where the report says nothing of the film."""
    section: str
    """Where it was found: findings, views (as `FRONTAL VIEW OF THE CHEST:`), text before the headers,
    impression, comment, text after the headers, addendum (or wet read) or whole text; "" where nowhere."""
    impression: str
    """On one line; "" where there is none."""


def findings(text: str) -> str:
    """Return the words that stand for the study, on one line; "" where the report says nothing.

    The findings section, or what a header of views (`FRONTAL VIEW OF THE CHEST:`) opens, or what stands
    before the first header if it speaks of the chest; where these are empty, the impression; where there is
    none either, a comment, or what follows the last section's first paragraph, or a wet read or addendum. A
    text without headers is its own findings.
    """
    return extract(text).findings


def extract(text: str) -> Extract:
    """Return what stands for the study, as `findings`, with where it was found, and the impression."""
    bodies = sections(text)
    if bodies.keys() == {""}:
        whole = _collapsed(_TITLE.sub("", bodies[""], count=1) if _TITLE.match(bodies[""]) else bodies[""])
        return Extract(whole, "whole text" if whole else "", "")
    impression = _merged(bodies, names.IMPRESSION)
    places = {
        "findings": _merged(bodies, names.FINDINGS) or _merged(bodies, names.REPORT),
        "views": _of_views(bodies),
        "text before the headers": _leading(bodies),
        "impression": impression,
        "comment": _merged(bodies, names.COMMENT),
        "text after the headers": _closing(bodies),
        "addendum": _merged(bodies, names.PRELIMINARY),
    }
    section = next((place for place, words in places.items() if words), "")
    return Extract(places.get(section, ""), section, impression)


def _of_views(bodies: dict[str, str]) -> str:
    for header in (*names.CIRCUMSTANCES, ""):
        for opening in _VIEWS.finditer(bodies.get(header, "")):
            if _VIEW_WORD.search(opening[1]):
                return _collapsed(bodies[header][opening.end() :])
    return ""


def _leading(bodies: dict[str, str]) -> str:
    """Return the sentences before the first header; a title is none."""
    text = _collapsed(bodies.get("", ""))
    return text if text.endswith((".", "!")) and not text.isupper() and _OF_THE_FILM.search(text) else ""


def _closing(bodies: dict[str, str]) -> str:
    last = list(bodies)[-1]
    paragraphs = _BLANK_LINE.split(bodies[last]) if last in names.CIRCUMSTANCES else []
    return _collapsed("\n\n".join(paragraphs[1:]))


def _merged(bodies: dict[str, str], wanted: tuple[str, ...]) -> str:
    return " ".join(filter(None, (_collapsed(body) for header, body in bodies.items() if header in wanted)))


def _collapsed(body: str) -> str:
    """Return a body on one line without the marks of its lists; "" where it says nothing of the film.

    What a line break alone has ended (an item, a paragraph, a labelled line) gets a full stop.
    """
    blocks: list[list[str]] = []
    starts = True
    for line in body.splitlines():
        if _RULE.fullmatch(line):
            starts = True
            continue
        bullet = _BULLET.match(line)
        words = line[bullet.end() if bullet else 0 :].replace("**", "").split()
        if words and (starts or bullet or _ITEM.fullmatch(words[0]) or _LABEL.match(line)):
            blocks.append([])
        if words:
            blocks[-1] += words
            starts = False
    for words, following in pairwise(blocks):
        last = words[-1].rstrip(_CLOSERS)
        if last[-1:].isalnum() and last.lower() not in _UNFINISHED and not following[0][0].islower():
            words[-1] += "."
    text = " ".join(word for words in blocks for word in words)
    if _TOLD.search(text):
        text = " ".join(sentence for sentence in sentences(text) if not _is_message(sentence))
    bare = text.casefold().strip(" \t.,;:!-–—*[]()")
    return "" if not any(map(str.isalpha, bare)) or _NOTHING.fullmatch(bare) else text


def _is_message(sentence: str) -> bool:
    """Tell whether a sentence says who was informed, or who signed, and nothing of the film."""
    return bool(_TOLD.search(sentence) and _WHOM.search(sentence) and not _OF_THE_FILM.search(sentence))


_TITLES = {"dr.", "drs.", "mr.", "mrs.", "ms.", "prof."}
_NEVER_LAST = {
    *_TITLES, "vs.", "e.g.", "i.e.", "cf.", "fig.", "figs.", "approx.", "incl.", "st.", "pt.", "dept.", "ca.",
    "resp.", "z.b.", "d.h.", "bzw.", "nr.", "sr.", "sra.", "mme.",
}  # fmt: skip
_SELDOM_LAST = {
    "etc.", "al.", "cm.", "mm.", "ml.", "in.", "min.", "hr.", "hrs.", "wk.", "wks.", "mo.", "yr.", "yrs.",
    "bilat.", "lat.", "ant.", "post.", "inf.", "sup.", "esp.", "prob.", "max.", "ext.",
}  # fmt: skip
_LETTERS = re.compile(r"(?:[a-z]\.){2,}")
_ITEM = re.compile(r"\(?(\d{1,2})[.)]")
_COUNTED = {
    "rib", "ribs", "number", "segment", "segments", "grade", "stage", "level", "type", "zone", "vertebra",
    "image", "series", "and", "or", "to", "of", "than", "day", "view", "views", "age",
}  # fmt: skip
"""Words after which a number with a full stop is no item of a list."""
_RUN_ON = re.compile(r"(?<=[a-z]{3}[.!?])(?=[A-Z][a-z])")
_BULLETS = {"-", "*", "•", "–"}


def sentences(text: str) -> list[str]:
    """Split a text into sentences that hold every word of it in order, none of them empty.

    A sentence ends at a full stop, question or exclamation mark that does not belong to a number, an
    abbreviation, an initial or a list's number; an empty line and a list's next item end it too. A full stop
    between a word and a capital (`clear.No`) ends it without a space.
    """
    found: list[list[str]] = []
    words: list[str] = []
    item = 0

    def close() -> None:
        if not words:
            return
        # A stop that stands alone belongs to the sentence before it.
        if found and not any(character.isalnum() for word in words for character in word):
            found[-1].extend(words)
        else:
            found.append(words.copy())
        words.clear()

    lines = [_RUN_ON.sub(" ", line).split() for line in text.splitlines()]
    for line, next_line in zip(lines, [*lines[1:], []], strict=False):
        if not line:
            close()
            continue
        if line[0] in _BULLETS or _ITEM.fullmatch(line[0]):
            close()
        for word, following in zip(line, [*line[1:], *next_line[:1], ""], strict=False):
            number = _ITEM.fullmatch(word)
            if number and words and int(number[1]) == item + 1 > 1 and _starts_item(words, following):
                close()
            if number and not words:
                item = int(number[1])
            words.append(word)
            if _ends(words, following):
                close()
    close()
    return [" ".join(sentence) for sentence in found]


def _starts_item(words: list[str], following: str) -> bool:
    """Tell whether the next number of a list opens its item, although no full stop stands before it."""
    return following[:1].isupper() and words[-1].lower() not in _COUNTED and not _ITEM.fullmatch(words[-1])


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
    is_named = len(words) > 1 and words[-2].lower() in {*_TITLES, "by"}
    # `R. lung`: but a text in lower case alone ends its sentences so.
    return not (is_initial and (is_named or (word in ("r.", "l.") and following[:1].islower())))
