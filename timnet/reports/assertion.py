"""What a text asserts: its words without those that it denies, for a search that leaves denials out.

Owns the scope of a denial: from `no` or `without` to the clause's end, or the clause before `is not seen` or
`has resolved`. `No change in the effusion` and `cannot be excluded` deny nothing. By rules of words alone, as
NegEx (Chapman et al., J Biomed Inform 2001): an aid to searching, never a label.
"""

from __future__ import annotations

import re
from itertools import pairwise

from timnet.reports import report_text

DENIED = "xdeniedx"
"""Stands for denied words, so that no phrase reaches across them."""
_VERB = re.compile(r"\b(?:is|are|was|were|has|have|persists?|remains?)\b", re.IGNORECASE)
_AND = re.compile(rf"\band\s+(?!(?:now|no|not|since)\b|{_VERB.pattern})", re.IGNORECASE)
_CLAUSE = re.compile(
    r";|\b(?:but|however|although|though|except|apart from|aside from|other than|yet)\b"
    r"|(?<=\w\s)\bthere\s+(?=(?:is|are|was|were)\b)|\bwith\s+(?=(?:an?|the|small|mild|moderate|large|persistent|residual|new|increas\w+|worsening|stable"
    r"|unchanged|improv\w+)\b)"
    r"|,\s+(?=(?:and\s+)?there\b|which\b|with\b|a\b|an\b|the\b|small\b|mild\b|moderate\b|large\b|stable\b|unchanged\b)",
    re.IGNORECASE,
)
_CHANGE = (
    r"(?:(?:significant|interval|substantial|appreciable|relevant|further|marked|definite|other|new)\s+)*"
    r"(?:change|increase|decrease|improvement|worsening|progression|growth|enlargement|difference)s?\b"
)
_NOTHING_DENIED = re.compile(
    rf"\b(?:no|without)\s+{_CHANGE}|\bno(?:t)?\s+(?:only|doubt|more than|less than|fewer than)\b"
    r"|\b(?:cannot|can ?not|not|could not|never)\s+(?:be\s+)?(?:entirely\s+|completely\s+)?"
    r"(?:excluded?|ruled? out)\b"
    r"|\bnot\s+(?:\w+\s+)?(?:changed|increased|decreased|improved|resolved|cleared)\b"
    r"|\bnot\s+(?:without|(?:free|clear)\s+of)\b",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"\b(?:no|not|without|neither|nor|never|denies|lacks?|lacking|negative for"
    r"|(?:free|clear|absence|lack|resolution|clearance|disappearance) of|nothing to suggest"
    r"|fails? to (?:show|reveal)|resolved(?=\s+[a-z]))\b",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    r"\b(?:(?:is|are|was|were|been)\s+(?:not|no longer|never)\s+(?:\w+ly\s+)?(?:seen|identified|noted|visible"
    r"|evident|present|visuali[sz]ed|demonstrated|detected|appreciated|apparent|found)"
    r"|(?:has|have)\s+not\s+(?:developed|recurred|appeared|formed)"
    r"|(?::|\s[-–])\s*(?:none|nil|no|absent|negative)(?=\W*\Z)"
    r"|(?:not|no longer)\s+(?:seen|identified|noted|visible|evident|present|visuali[sz]ed|demonstrated"
    r"|detected)|(?:has|have|had)\s+(?:now\s+|completely\s+|since\s+|entirely\s+)*(?:resolved|cleared|disappeared)"
    r"|(?:is|are)\s+(?:now\s+)?(?:absent|resolved|excluded|ruled out))\b",
    re.IGNORECASE,
)


def asserted(text: str) -> str:
    """Return a text in which DENIED stands for the words of each denial."""
    return " ".join(
        "".join(_part(part) for part in _clauses(sentence)) for sentence in report_text.sentences(text)
    )


def _clauses(sentence: str) -> list[str]:
    starts = {0, len(sentence), *(found.start() for found in _CLAUSE.finditer(sentence))}
    for found in _AND.finditer(sentence):  # it joins clauses where each has a verb of its own
        before = max(start for start in starts if start <= found.start())
        if _VERB.search(sentence, before, found.start()) and _VERB.search(sentence, found.end()):
            starts.add(found.start())
    return [sentence[start:end] for start, end in pairwise(sorted(starts))]


def _part(clause: str) -> str:
    if _NOTHING_DENIED.search(clause):
        return clause
    if behind := _BEHIND.search(clause):
        return f" {DENIED} {clause[behind.end() :]}"
    before = _BEFORE.search(clause)
    return f"{clause[: before.start()]}{DENIED} " if before else clause
