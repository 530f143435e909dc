"""What a sentence asserts, denies, leaves open or only mentions, word by word, by the cues of its language.

Owns how far a cue reaches: from `no` or `without` to the clause's end, or the clause before `is not seen` or
`has resolved`; a comma ends it where no list goes on. `No change in the effusion` denies nothing. By rules of
words alone, as NegEx (Chapman et al., J Biomed Inform 2001); the cues stand in the phrase tables.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from timnet.reports import language, phrase_tables, report_text
from timnet.reports.phrase_tables import Found, Table, Word

DENIED_WORD = "xdeniedx"
"""Stands for denied words, so that no phrase reaches across them."""
LONGEST = 2000
"""Characters that are read at a time."""
ASSERTED, OPEN, DENIED, UNTOLD = range(4)
"""What is said of a word; UNTOLD: asked for, or of the patient's past."""
_BEFORE = {"deny_before": DENIED, "hedge_before": OPEN, "hedge_around": OPEN, "untold_before": UNTOLD}
_BEHIND = {"deny_behind": DENIED, "hedge_behind": OPEN, "hedge_around": OPEN, "untold_behind": UNTOLD}
_SAID = _BEFORE | _BEHIND
_HEDGES = ("hedge_before", "hedge_around")


class Reading(NamedTuple):
    """A sentence as it was read."""

    words: list[Word]
    of_word: list[frozenset[int]]
    """The elements of the table that each word is."""
    clauses: list[int]
    """Where they begin, and the number of words."""
    said: list[int]
    """What is said of each word."""


def asserted(text: str) -> str:
    """Return a text in which DENIED_WORD stands for the words of each denial.

    A text whose language cannot be told is read by the English table: an aid to searching, never a label.
    """
    spoken = language.detect(text) or "en"
    return " ".join(_asserted(spoken, sentence) for sentence in sentences(text))


@lru_cache(20_000)
def _asserted(spoken: str, sentence: str) -> str:
    result = read(phrase_tables.table(spoken), sentence)
    kept, at = [], 0
    for word, said in zip(result.words, result.said, strict=True):
        if said == DENIED and word.text.isalnum():
            kept += [sentence[at : word.start], DENIED_WORD]
            at = word.end
    return "".join([*kept, sentence[at:]])


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text, one of more than LONGEST characters in pieces."""
    for sentence in report_text.sentences(text):
        if len(sentence) <= LONGEST:
            yield sentence
        else:  # a table without full stops, or an attack
            yield from textwrap.wrap(sentence, LONGEST, break_on_hyphens=False)


def read(table: Table, sentence: str) -> Reading:
    """Return what a sentence, as of `sentences`, says of each of its words."""
    result = phrase_tables.words(sentence)
    of_word = [table.elements(word.text) for word in result]
    cues = _cues(table, of_word)
    starts = _clauses(table, result, of_word, cues)
    said = [ASSERTED] * len(result)
    for first, stop in pairwise(starts):
        within = [cue for cue in cues if first <= cue.places[0] < stop]
        _clause(table, result, of_word, within, first, stop, said)
    return Reading(result, of_word, starts, said)


def _cues(table: Table, of_word: Sequence[frozenset[int]]) -> list[Found]:
    """Return the cues in order, the longest where several begin or overlap."""
    kept: list[Found] = []
    found = sorted(
        table.find(table.cues, of_word, 0, len(of_word)), key=lambda cue: (cue.places[0], -cue.places[-1])
    )
    for cue in found:
        if not kept or cue.places[0] > kept[-1].places[-1]:
            kept.append(cue)
    return kept


def _clauses(
    table: Table, items: Sequence[Word], of_word: Sequence[frozenset[int]], cues: Sequence[Found]
) -> list[int]:
    """Return where the clauses of a sentence begin, and its length."""
    starts = {0, len(items)}
    starts |= {cue.places[0] for cue in cues if cue.phrase.kind == "breaks"}
    is_listed = False  # an `or` follows before the clause ends: a comma goes on with a list
    for at in range(len(items) - 2, -1, -1):
        opens = not table.openers.isdisjoint(of_word[at + 1])
        is_listed = at + 1 not in starts and (is_listed or not table.alternatives.isdisjoint(of_word[at]))
        if items[at].text == ";" or (
            opens
            and (
                (items[at].text == "," and not is_listed) or not table.before_openers.isdisjoint(of_word[at])
            )
        ):
            starts.add(at)
    # What joins parts of a sentence joins clauses where each has a verb of its own.
    verbs = [at for at, elements in enumerate(of_word) if not table.verbs.isdisjoint(elements)]
    cued = {cue.places[0] for cue in cues if cue.phrase.kind not in ("deny_before", "breaks")}
    for at in range(1, len(items) - 1):
        if table.joins.isdisjoint(of_word[at]) or at + 1 in verbs or at + 1 in cued:
            continue
        before = max(start for start in starts if start <= at)
        after = min(start for start in starts if start > at)
        if any(before <= verb < at for verb in verbs) and any(at < verb < after for verb in verbs):
            starts.add(at)
    return sorted(starts)


def _clause(
    table: Table,
    items: Sequence[Word],
    of_word: Sequence[frozenset[int]],
    cues: Sequence[Found],
    first: int,
    stop: int,
    said: list[int],
) -> None:
    """Write down what is said of the words of one clause."""
    denied = first  # where the denial that runs ends
    for number, cue in enumerate(cues):
        start, end, kind = cue.places[0], cue.places[-1] + 1, cue.phrase.kind
        # `No opacity suspicious for pneumonia`: the denial goes on.
        if kind in _HEDGES and start < denied and items[start - 1].text != ",":
            continue
        if kind in _BEHIND:
            start = _back(table, items, of_word, first, start)
            # `No effusion is suspected` leaves nothing open.
            denials = (other.places[0] for other in cues[:number] if other.phrase.kind == "deny_before")
            if kind == "hedge_behind" and any(start <= place for place in denials):
                continue
        if kind in _BEFORE:
            ends = (other.places[0] for other in cues[number + 1 :] if _ends(other, kind, items))
            end = _forth(table, items, of_word, end, next(ends, stop))
            denied = end if kind == "deny_before" else denied
        if kind in _SAID:
            for at in range(start, end):  # `History of pneumonia?` asks, and leaves nothing open
                if kind != "hedge_behind" or said[at] != UNTOLD:
                    said[at] = _SAID[kind]


def _ends(cue: Found, running: str, items: Sequence[Word]) -> bool:
    """Tell whether a cue ends the reach of one before it."""
    kind = cue.phrase.kind
    if kind == "no_denial":
        return running == "deny_before"
    is_new = cue.places[0] > 0 and items[cue.places[0] - 1].text == ","
    return kind in _BEFORE and (is_new or kind not in _HEDGES)


def _back(
    table: Table, items: Sequence[Word], of_word: Sequence[frozenset[int]], first: int, start: int
) -> int:
    """Return where the reach of a cue behind begins: after a comma, before a whole list."""
    for at in range(start - 1, first - 1, -1):
        if not table.joins.isdisjoint(of_word[at]):
            return first
        if items[at].text == ",":
            return at + 1
    return first


def _forth(
    table: Table, items: Sequence[Word], of_word: Sequence[frozenset[int]], end: int, stop: int
) -> int:
    """Return where the reach of a cue ends: at a comma before another statement."""
    commas = [at for at in range(end, stop) if items[at].text == ","]
    for comma, after in pairwise([*commas, stop]):
        part = of_word[comma + 1 : after]
        if not part or not table.joins.isdisjoint(part[0]):
            continue
        if any(not table.states.isdisjoint(elements) for elements in part):
            return comma
    return stop
