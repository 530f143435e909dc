"""Known names in a report: every usual way of writing a name of the study's tags, and no ordinary word.

Owns the keys of a name (PS3.5 6.2, PN: groups `=`, components `^`) and where a text has one of them. A word
that reports use too (`ordinary_words`) is a name where its capital shows it: inside a sentence, in the
genitive, or next to the rest of the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from itertools import pairwise

from timnet.reports.ordinary_words import SPELLING
from timnet.reports.plain_text import clean, fold, plain

Span = tuple[int, int]

_PARTICLES = """
    o d l mc mac st van von vom zu zur zum de den der des del della dell di da das dos du la le les lo el al
    y e ten ter ibn bin ben abu vande vander vanden
"""
PARTICLES = frozenset(_PARTICLES.split())
_TITLES = """
    iii ii iv jr sr md mr mrs ms miss phd dr med prof herr frau mme mlle dra sra pan pani lek hab anonymous
    anonymized unknown
"""
# What names of places are made of.
_PLACE_WORDS = """
    and at for of the room san santa saint portable radiology regional research school services state station
    trauma unit university women womens xray cancer care center centre children childrens clinic clinical
    college community county department dept emergency general health healthcare hospital imaging institute
    medical medicine memorial national street road avenue klinik klinikum krankenhaus praxis radiologie
    zentrum institut abteilung universitat universitatsklinikum stadt fur und strasse hopital clinique
    hospitalier universitaire service rue et clinica centro universitario servicio calle szpital kliniczny
    uniwersytecki oddzial zaklad przychodnia radiologii ulica im
"""
_NO_PERSON = PARTICLES | frozenset(_TITLES.split())
_NO_PLACE = _NO_PERSON | frozenset(_PLACE_WORDS.split())
_RUN = re.compile(r"[^\W\d_]+")
# Scripts that are written without blanks between words: found wherever they stand.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]"
)
_MOST_JOINED = 5
_GAP = re.compile(r"[ \t]?[' \t.-]?[ \t\n]?")
# What follows a name as its genitive, or its case in Polish.
_ENDING_LETTERS = "s es ns en n a e y i u owi em iem ie ego iego emu iemu ej iej im ym"
_ENDINGS = tuple(_ENDING_LETTERS.split())
_PERSON_DOES = re.compile(
    r"[ ]{1,2}(?:(?:was|is|has been) (?:seen|told|notified|informed|called|admitted|examined)|"
    r"presents|presented|denies|complains|reports|agrees|returned|underwent|is an? \d|has a history|"
    r"wurde|klagt|kommt)\b"
)
# Titles that are words or initials as well: enough before a name that is known.
_TITLE = re.compile(r"(?<![^\W_])(?:M\.|DRS?\.?|Hr\.|Fr\.|Pr\.?|Don|[Pp]an[aiu]?)[ \t]{1,2}$")
_INITIALS_BEFORE = re.compile(r"(?<![^\W_])(?:[A-Z]\.[ -]?){1,3}$|(?<![^\W_])[A-Z]{1,3}[ ]$")
_INITIALS_AFTER = re.compile(r",?[ ](?:[A-Z]\.[ -]?){1,3}(?!\w)|,?[ ][A-Z](?=[,;:)\n]|$)")
_HYPHENED_BEFORE = re.compile(r"(?<![^\W_])[A-Z][\w']{2,30}-$")
_HYPHENED_AFTER = re.compile(r"-[A-Z][\w']{2,30}")
_NEXT_TO = re.compile(r"[ \t,^_]{1,3}(?:[A-Z]\.?[ \t]{1,2})?")


def keys(name: str, person: bool = True) -> set[str]:
    """Return the folded words of a name of at least two letters, and what they make joined.

    Args:
        name: a value such as `Doe^Jane=...`, or of a place.
        person: join words (`van der Berg`); names of places only give their words.
    """
    found = set[str]()
    excluded = _NO_PERSON if person else _NO_PLACE
    for group in clean(name).split("="):
        parts = [_RUN.findall(plain(part)) for part in group.split("^")]
        found.update(fold(run) for part in parts for run in part if run.casefold() not in excluded)
        # Le or Ben, where it is the whole family or given name.
        found.update(fold(*part) for part in parts[:2] if len(part) == 1 and part[0].casefold() in PARTICLES)
        if not person:
            continue
        titles = [part for part in parts[2:] if part and all(run.casefold() in PARTICLES for run in part)]
        family, given = (*parts, [], [])[:2]
        for runs in (*parts, *(title + family for title in titles), family + given, given + family):
            found.update(_joined(runs))
    return {key for key in found if len(key) > 1}


def _joined(runs: list[str]) -> Iterator[str]:
    for first in range(len(runs)):
        for last in range(first + 1, min(first + _MOST_JOINED, len(runs))):
            key = fold("".join(runs[first : last + 1]))
            if runs[last].casefold() not in _NO_PERSON and (len(key) > 3 or _UNSPACED.search(key)):
                yield key


@dataclass(frozen=True)
class _Word:
    """A run of letters, or several that make one name; `sure` if it is a name by itself."""

    start: int
    end: int
    text: str
    sure: bool


def spans(text: str, names: Set[str]) -> list[Span]:
    """Return where a clean text holds one of the folded names, in order, without overlap."""
    flat = plain(text)
    runs = list(_RUN.finditer(flat))
    stems = {stem for name in names for stem in _stems(name)}
    initials = {name[0] for name in names}
    words: list[_Word] = []
    at = 0
    while at < len(runs):
        length = 0
        if fold(runs[at][0][0])[:1] in initials:
            length = _length(flat, runs[at : at + _MOST_JOINED], names, stems)
        if length:
            start, end = runs[at].start(), runs[at + length - 1].end()
            sure = length > 1 or _is_sure(flat, runs, at)
            words.append(_Word(start, end, flat[start:end], sure))
        at += length or 1
    chosen = [word.sure for word in words]
    for one, (left, right) in enumerate(pairwise(words)):
        near = _NEXT_TO.fullmatch(flat, left.end, min(right.start, left.end + 8))
        if near and near.end() == right.start and left.text[0].isupper() and right.text[0].isupper():
            chosen[one] = chosen[one + 1] = True
    found = [(word.start, word.end) for word, is_name in zip(words, chosen, strict=True) if is_name]
    found = [_with_initials(flat, span, initials) for span in found]
    return merged(found + list(_unspaced(flat, names)))


def _stems(name: str) -> Iterator[str]:
    """Yield what stays of a name in its other cases: Anna, Anny; Marek, Marka; Kowalski, Kowalskiego."""
    if len(name) > 3 and name[-1] in "aeioy":
        yield name[:-1]
    if len(name) > 4 and name[-2] == "e":
        yield name[:-2] + name[-1]


def _length(flat: str, runs: list[re.Match[str]], names: Set[str], stems: Set[str]) -> int:
    """Return of how many runs, from the first on, a known name is made; 0 if of none."""
    first = runs[0][0]
    key = fold(first)
    alone = key in names or _inflected(first, key, names, stems)
    for length in range(len(runs), 1, -1):
        if runs[length - 1][0] in ("s", "S"):  # of a genitive, which stays
            continue
        gaps = [flat[left.end() : right.start()] for left, right in pairwise(runs[:length])]
        # Glued by a hyphen or an apostrophe, or begun by a particle, or `Smith Jones` for Smith-Jones.
        glued = all(set(gap) & {"'", "-"} for gap in gaps)
        capitals = all(run[0][0].isupper() for run in runs[:length])
        particle = first.casefold() in PARTICLES and runs[length - 1][0][0].isupper()
        if not (glued or (not alone and (particle or capitals))) or not all(map(_GAP.fullmatch, gaps)):
            continue
        word = "".join(run[0] for run in runs[:length])
        key = fold(word)
        if (glued or particle or len(key) > 5) and (key in names or _inflected(word, key, names, stems)):
            return length
    return int(alone)


def _inflected(word: str, key: str, names: Set[str], stems: Set[str]) -> bool:
    if len(key) < 4 or word.casefold() in SPELLING:
        return False
    genitive = word.endswith("s") and word[0].isupper()  # Kleins, whereas plurals are listed
    for ending in _ENDINGS:
        stem = key.removesuffix(ending)
        # In lower case an ending is as likely that of another word.
        if stem != key and len(stem) > 2 and (word[0].isupper() or (ending == "s" and len(stem) > 3)):
            if stem in names and (ending == "s" or len(stem) > 3) and (stem not in SPELLING or genitive):
                return True
            if stem in stems and ending not in ("s", "es", "ns", "n"):
                return True
    return False


def _is_sure(flat: str, runs: list[re.Match[str]], at: int) -> bool:
    """Tell whether a run is somebody's name wherever it stands, rather than a word of the report."""
    run = runs[at]
    word = run[0]
    usual = SPELLING.get(word.casefold())
    capitalised = word[0].isupper() and not word[1:].isupper()
    if usual is None:
        return len(word) > 2 or word[0].isupper()
    if usual.isupper():
        return capitalised
    if not capitalised:
        return False
    if flat.startswith("'s", run.end()) or _TITLE.search(flat[max(0, run.start() - 8) : run.start()]):
        return True
    if usual[0].isupper():
        return False
    before = runs[at - 1] if at else None
    inside = (
        before is not None
        and before[0].islower()
        and re.fullmatch(r"[ \t]{1,2}|,[ \t]", flat[before.end() : run.start()])
    )
    return bool(inside or _PERSON_DOES.match(flat, run.end()))


def _with_initials(flat: str, span: Span, initials: set[str]) -> Span:
    """Return a span with the initials of known names (`J. Doe`, `Doe, J.`) and all of `Doe-Roe`."""
    start, end = span
    if hyphened := _HYPHENED_BEFORE.search(flat[max(0, start - 33) : start]):
        start -= len(hyphened[0])
    if hyphened := _HYPHENED_AFTER.match(flat, end):
        end = hyphened.end()
    before = _INITIALS_BEFORE.search(flat[max(0, start - 12) : start])
    if before and _are_initials(before[0], initials):
        start -= len(before[0])
    after = _INITIALS_AFTER.match(flat, end)
    if after and _are_initials(after[0], initials):
        end += len(after[0].rstrip(" -"))
    return start, end


def _are_initials(text: str, initials: set[str]) -> bool:
    letters = "".join(filter(str.isalpha, text)).casefold()
    # `A` and `PA` are no initials, `A.` is.
    return set(letters) <= initials and ("." in text or letters not in SPELLING)


def _unspaced(flat: str, names: Set[str]) -> Iterator[Span]:
    if found := sorted((name for name in names if _UNSPACED.search(name)), key=len, reverse=True):
        for match in re.finditer("|".join(map(re.escape, found)), flat):
            yield match.span()


def merged(found: Iterable[Span]) -> list[Span]:
    """Return spans in order, those that overlap as one."""
    joined: list[Span] = []
    for start, end in sorted(found):
        if joined and start < joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined
