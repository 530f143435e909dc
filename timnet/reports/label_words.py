"""Labels that a report states by its words: the 14 observations of CheXpert, with the sentence behind each.

Owns how sentences add up: present before uncertain before absent, and `No Finding`, which is present where
something is said to be normal and nothing to be abnormal, devices aside. Rules of words alone (`assertion`,
`phrases`), in four languages. Refuses nothing: of a text in another language nothing is told.
Source: Irvin et al., AAAI 2019, for the labels and their order of precedence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

from timnet.reports import assertion, language, phrase_tables

PRESENT, ABSENT, UNCERTAIN = 1.0, 0.0, -1.0
_RANK = {PRESENT: 2, UNCERTAIN: 1, ABSENT: 0}
NO_FINDING, DEVICES = "No Finding", "Support Devices"
_ASIDE = (NO_FINDING, DEVICES)

Said = Literal["asserted", "denied", "not named", "unknown"]
_OPACITY = ("Lung Opacity", "Consolidation", "Pneumonia")
_WIDE = {
    "airspace opacity": _OPACITY,
    "infiltration": _OPACITY,
    **{name.casefold(): _OPACITY for name in _OPACITY},
    "effusion": ("Pleural Effusion",),
    "enlarged cardiomediastinum": ("Enlarged Cardiomediastinum", "Cardiomegaly"),
    "fibrosis": ("Fibrosis", "Lung Opacity"),
    "hiatal hernia": ("Hernia",),
    **dict.fromkeys(("lung mass", "mass", "lung nodule", "nodule"), ("Lung Lesion",)),
}
"""Labels of classifiers that a report may name in the words of others."""


class Stated(NamedTuple):
    """The value of a label, 1, 0 or -1 for uncertain, and the sentence that says so."""

    value: float
    sentence: str


def labels(texts: Iterable[str], spoken: str = "") -> dict[str, Stated] | None:
    """Return the labels that the sections of one report state; None where their language cannot be told.

    `spoken` is the language where it is known. Labels that are not named have no entry. Besides those of
    `phrase_tables.LABELS` there are `phrase_tables.FURTHER`.
    """
    parts = list(texts)
    spoken = spoken or language.detect("\n".join(parts))
    if not spoken:
        return None
    found: dict[str, Stated] = {}
    for part in parts:
        for sentence in assertion.sentences(part):
            for label, value in _of_sentence(spoken, sentence):
                if label not in found or _RANK[value] > _RANK[found[label].value]:
                    found[label] = Stated(value, sentence)
    normal = found.pop(NO_FINDING, None)
    worst = max(
        (outcome for label, outcome in found.items() if label not in _ASIDE),
        key=lambda result: _RANK[result.value],
        default=normal,
    )
    if worst is not None and worst.value != ABSENT and worst is not normal:
        found[NO_FINDING] = Stated(ABSENT if worst.value == PRESENT else UNCERTAIN, worst.sentence)
    elif worst is not None:
        found[NO_FINDING] = Stated(PRESENT, (normal or worst).sentence)
    return found


def said(label: str, findings: str) -> Said:
    """Return what findings say of a label by its name, whatever its case, `_` and `-`."""
    name = re.sub(r"[\s_-]+", " ", label).strip().casefold()
    names = {each.casefold(): (each,) for each in (*phrase_tables.LABELS, *phrase_tables.FURTHER)}
    request = _WIDE.get(name, names.get(name, ()))
    found = labels([findings])
    if not request or request == (NO_FINDING,) or found is None:
        return "unknown"
    values = {found[each].value for each in request if each in found}
    return "not named" if not values else "denied" if values == {ABSENT} else "asserted"


@lru_cache(20_000)
def _of_sentence(spoken: str, sentence: str) -> tuple[tuple[str, float], ...]:
    """Return the labels that a sentence states, the highest value of each."""
    table, found = phrase_tables.table(spoken), dict[str, float]()
    result = assertion.read(table, sentence)
    matches = [
        match
        for first, stop in pairwise(result.clauses)
        for match in table.find(table.said, result.of_word, first, stop)
    ]
    masked = {
        place for match in matches if match.phrase.kind == phrase_tables.MASKS for place in match.places
    }
    for match in matches:
        phrase, of_phrase = match.phrase, {result.said[place] for place in match.places}
        if phrase.kind == phrase_tables.MASKS or masked.issuperset(match.places):
            continue
        value = _value(phrase.kind, of_phrase)
        if value is None:
            continue
        for label in filter(None, (phrase.label, phrase_tables.FURTHER.get(phrase.label))):
            found[label] = max(value, found.get(label, ABSENT), key=_RANK.__getitem__)
    return tuple(found.items())


def _value(kind: str, said_of: set[int]) -> float | None:
    """Return the value that a phrase of a kind gives its label by what is said of its words."""
    if assertion.UNTOLD in said_of:
        return None
    if assertion.DENIED in said_of:
        return ABSENT if kind in ("present", "denied") else None
    if assertion.OPEN in said_of:
        return None if kind == "denied" else UNCERTAIN
    return {"present": PRESENT, "uncertain": UNCERTAIN, "absent": ABSENT}.get(kind)
