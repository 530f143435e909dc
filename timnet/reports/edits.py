"""Counterfactual findings: the same text with one sentence denied, left out, or left and right swapped.

Owns which edits a text has, and the swap of sides that simulated reports use too. Each edit changes one
thing; what cannot be edited honestly is refused with its reason. Pure text: what an edit does to a match, the
Reader says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from timnet.reports import phrase_tables, report_text
from timnet.reports.negation import EditError, negated

__all__ = ["MOST", "Edit", "EditError", "Refusal", "every", "mirrored", "misplaced", "negated", "swapped"]

Kind = Literal["remove", "negate", "swap"]

MOST = 30
"""Sentences that are edited, from the first on: a report has fewer, a pasted book more."""

_ONE_SIDED = re.compile(
    r"\b(?:(?:left|right|[lr]t?\.?)\s+(?:middle\s+lobe|atri\w*|ventric\w*|heart|aortic)|rml|lingula\w*)\b",
    re.IGNORECASE,
)


_NOT_THERE = re.compile(
    r"\b(?:no|not|nor|non|without|never|absen\w*|negative|clear\w*|free|normal\w*|unremarkable|unchanged|"
    r"resol\w*|exclude\w*)\b",
    re.IGNORECASE,
)
"""A sentence with one of these may be as true of the other side."""


_BOTH = re.compile(r"\b(?:bilateral(?:ly)?|both|either)\b", re.IGNORECASE)
_LITTLE_SAID = {
    "a", "an", "the", "there", "is", "are", "was", "were", "in", "on", "at", "of", "also", "again", "now",
    "and", "side", "sided", "sides", "hand", "ward", "lung", "lungs", "seen", "noted", "present",
    "identified", "visible", "demonstrated", "pleural", "pulmonary", "some", "as", "well", "still", "another",
}  # fmt: skip
"""Words that put a finding neither elsewhere nor into another size."""


@dataclass(frozen=True)
class Edit:
    """One edit of a text."""

    kind: Kind
    sentence: int | None
    """Which sentence, from 0; None for the whole text."""
    before: str
    after: str
    """The sentence after the edit; empty where it is left out."""
    text: str
    """The whole text after the edit."""

    @property
    def name(self) -> str:
        """Return what tells the edit from the others of its text."""
        return self.kind if self.sentence is None else f"{self.kind} {self.sentence + 1}"


@dataclass(frozen=True)
class Refusal:
    """An edit that is not made, and why."""

    kind: Kind
    sentence: int | None
    before: str
    reason: str


@cache
def _others() -> dict[str, str]:
    """Return the words of a side, and those of the other."""
    sides = phrase_tables.pairs("sides.toml", "sides")
    return {**sides, **{other: side for side, other in sides.items()}}


@cache
def _side() -> re.Pattern[str]:
    # `left in place` is no side, nor is the letter of `2 L`, `R/O` and `L spine`.
    return re.compile(
        rf"(?<![&\w])(?:{'|'.join(map(re.escape, _others()))})(?=ward|\b)(?!\s+(?:in\s+place|behind)\b)"
        r"|(?<![\w.'’/-])(?<!\d )(?-i:[RL])(?:(?=-sided)|(?![\w'’/-]|\s+spine))",
        re.IGNORECASE,
    )


def mirrored(text: str) -> str:
    """Swap left and right, case preserved: the report of the mirrored patient."""

    others = {**_others(), "r": "l", "l": "r"}

    def other(side: re.Match[str]) -> str:
        new = others.get(side[0].lower(), side[0])
        return new.upper() if side[0].isupper() else new.title() if side[0][0].isupper() else new

    return _side().sub(other, text)


def swapped(text: str) -> str:
    """Return a sentence or text with left and right swapped, as another film could show it.

    Raises:
        EditError: it names no side, or a part that has no counterpart on the other side.
    """
    if not _side().search(text):
        raise EditError("it names no side")
    if part := _ONE_SIDED.search(text):
        raise EditError(f"\u201c{part[0]}\u201d has no counterpart on the other side")
    return mirrored(text)


def misplaced(findings: str) -> str | None:
    """Return findings with left and right swapped where that makes them wrong; None where it may not.

    It does where a sentence puts something on one side alone that no other sentence puts on the other side or
    on both, and no part is named that one side has.
    """
    if _ONE_SIDED.search(findings):
        return None
    asserted = [
        (_halves(sentence), _content(sentence))
        for sentence in report_text.sentences(findings)
        if not _NOT_THERE.search(sentence)
    ]
    for halves, content in asserted:
        if len(halves) == 1 and not any(
            others - halves and (content <= other or other <= content) for others, other in asserted
        ):
            return mirrored(findings)
    return None


def _halves(sentence: str) -> set[str]:
    """Return on which sides, l and r, a sentence puts something."""
    if _BOTH.search(sentence):
        return {"l", "r"}
    left = {"l", *phrase_tables.pairs("sides.toml", "sides")}
    return {"l" if side.lower() in left else "r" for side in _side().findall(sentence)}


def _content(sentence: str) -> set[str]:
    """Return the words of a sentence that say what is there, in the singular, without its sides."""
    words = set(re.findall(r"[a-z]+", _BOTH.sub("", _side().sub("", sentence)).lower())) - _LITTLE_SAID
    return {re.sub(r"(?<=[a-z]{4})s\Z", "", word) for word in words}


def every(findings: str) -> tuple[list[Edit], list[Refusal]]:
    """Return the edits of findings (as of `reports.findings`), and those that were refused.

    Sentence by sentence, of the first MOST: left out, denied, its sides swapped; then the sides of the whole
    text, where more than one sentence names one. A swap where no side is named is no edit and not refused
    either; the only sentence is not left out.
    """
    sentences = report_text.sentences(findings)
    edits: list[Edit] = []
    refusals: list[Refusal] = []

    def whole(place: int, after: str) -> str:
        return " ".join(filter(None, [*sentences[:place], after, *sentences[place + 1 :]]))

    changes: tuple[tuple[Kind, Callable[[str], str]], ...] = (("negate", negated), ("swap", swapped))
    sided = [bool(_side().search(sentence)) for sentence in sentences]
    for place, sentence in enumerate(sentences[:MOST]):
        if len(sentences) > 1:
            edits.append(Edit("remove", place, sentence, "", whole(place, "")))
        for kind, changed in changes:
            if kind == "swap" and not sided[place]:
                continue
            try:
                after = changed(sentence)
            except EditError as error:
                refusals.append(Refusal(kind, place, sentence, str(error)))
            else:
                edits.append(Edit(kind, place, sentence, after, whole(place, after)))
    if sum(sided) > 1:
        joined = " ".join(sentences)
        try:
            edits.append(Edit("swap", None, joined, swapped(joined), swapped(joined)))
        except EditError as error:
            refusals.append(Refusal("swap", None, joined, str(error)))
    return edits, refusals
