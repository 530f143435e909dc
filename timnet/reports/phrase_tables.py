"""The phrase tables: what names a label, what denies or doubts it, one TOML file a language, edited by hand.

Owns their format (`phrases/README.md`) and how a phrase is found among the words of a sentence, in time
linear in their number. Refuses a damaged or misspelt table in one sentence that names file and entry. Words
are compared in lower case without diacritics.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any, NamedTuple

from timnet.errors import TimnetError
from timnet.reports.plain_text import plain

LANGUAGES = ("en", "de", "fr", "es")
OTHERS = "other.toml"
"""Words of languages without a table, by language: a text in one of them is left alone."""
LABELS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
"""The 14 observations of Irvin et al., AAAI 2019."""
FURTHER = {
    "Nodule": "Lung Lesion",
    "Mass": "Lung Lesion",
    "Pleural Thickening": "Pleural Other",
    "Emphysema": "",
    "Fibrosis": "",
    "Hernia": "",
    "Other": "",
}
"""Findings that tables name besides, and the observation they are; "": one that excludes `No Finding`."""
PAIRS = (("search.toml", "spellings"), ("search.toml", "abbreviations"), ("sides.toml", "sides"))
"""Entries of pairs of words: what a search finds besides, and what is swapped where sides are."""
KINDS = ("present", "uncertain", "absent", "denied")
"""Phrases that name a label, leave it open, say that it is absent, or count only where they are denied."""
CUES = (
    "deny_before", "deny_behind", "no_denial", "hedge_before", "hedge_behind", "hedge_around",
    "untold_before", "untold_behind", "breaks",
)  # fmt: skip
MASKS = "masks"
SINGLES = ("openers", "before_openers", "joins", "alternatives", "verbs", "states")
GAP, ANY = -1, -2
"""Numbers of no element: several words or none, and one word whatever it is."""
WIDEST = 9
_WORD = re.compile(r"[^\W_]+|[,;:?()]|(?<=\s)[-–—](?=\s)|(?<=[^\W\d_]{3})/(?=[^\W\d_]{3})")
_PART = re.compile(r"[^\W_*]*\*?[^\W_*]*\*?|[,:?./-]")
_SIGNS = {"(": ",", ")": ",", "–": "-", "—": "-"}


class PhraseError(TimnetError):
    """A phrase table that cannot be used; the message names file and entry."""


class Word(NamedTuple):
    """A word or sign of a sentence, and where it stands in it."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Phrase:
    """Parts in order: an element's number, or GAP, and whether it may be missing; and what it stands for."""

    parts: tuple[tuple[int, bool], ...]
    kind: str
    label: str


class _Entries(NamedTuple):
    where: str
    texts: Sequence[str]


class Found(NamedTuple):
    """A phrase in a sentence: the places of its words."""

    phrase: Phrase
    places: tuple[int, ...]


def words(sentence: str) -> list[Word]:
    """Return the words and signs of a sentence, and a full stop at its end."""
    found = [
        Word(_SIGNS.get(each[0], each[0].casefold()), *each.span())
        for each in _WORD.finditer(plain(sentence))
    ]
    return [*found, Word(".", len(sentence), len(sentence))]


class Table:
    """The phrases of a language."""

    def __init__(self, name: str, given: Mapping[str, Any]) -> None:
        self._exact: dict[str, set[int]] = defaultdict(set)
        self._patterns: list[tuple[re.Pattern[str], int]] = []
        self._numbers: dict[str, int] = {}
        _check_keys(name, given, ("words", MASKS, "cues", *KINDS))
        self.said, self.cues = defaultdict[int, list[Phrase]](list), defaultdict[int, list[Phrase]](list)
        for kind in KINDS:
            where = f"{name}: {kind}"
            _check_keys(where, given[kind], (*LABELS, *FURTHER), needs_all=False)
            for label in given[kind]:
                self._add(self.said, _entries(where, given[kind], label), kind, label)
        self._add(self.said, _entries(name, given, MASKS), MASKS, "")
        where, cues = f"{name}: cues", given["cues"]
        _check_keys(where, cues, (*CUES, *SINGLES))
        for kind in CUES:
            self._add(self.cues, _entries(where, cues, kind), kind, "")
        singles = (self._elements(_entries(where, cues, key)) for key in SINGLES)
        self.openers, self.before_openers, self.joins, self.alternatives, self.verbs, self.states = singles
        self.own = self._elements(_entries(name, given, "words"))
        self.elements = lru_cache(100_000)(self._found)

    def _add(self, to: dict[int, list[Phrase]], entries: _Entries, kind: str, label: str) -> None:
        for entry in entries.texts:
            parts = tuple(self._part(entries, entry, part) for part in plain(entry).casefold().split())
            if parts[0][0] < 0 or parts[0][1] or parts[-1][0] == GAP:
                raise PhraseError(
                    f"{entries.where}: expected a phrase that begins with a word, got {entry!r:.90}"
                )
            to[parts[0][0]].append(Phrase(parts, kind, label))

    def _elements(self, entries: _Entries) -> frozenset[int]:
        return frozenset(self._part(entries, entry, plain(entry).casefold())[0] for entry in entries.texts)

    def _part(self, entries: _Entries, entry: str, part: str) -> tuple[int, bool]:
        if part == "...":
            return GAP, False
        bare = part.removesuffix("?") or part
        if not all(each and _PART.fullmatch(each) for each in bare.split("|")):
            raise PhraseError(f"{entries.where}: expected words, a|b, a*, a? or ..., got {entry!r:.90}")
        return self._element(bare), bare != part

    def _element(self, text: str) -> int:
        if text == "*":
            return ANY
        if text not in self._numbers:
            number = self._numbers[text] = len(self._numbers)
            for each in text.split("|"):
                if "*" in each:
                    self._patterns.append((re.compile(each.replace("*", "[^\\W_]*")), number))
                else:
                    self._exact[each].add(number)
        return self._numbers[text]

    def _found(self, word: str) -> frozenset[int]:
        matched = (number for pattern, number in self._patterns if pattern.fullmatch(word))
        any_word = (ANY,) if word[0].isalnum() else ()
        return frozenset((*any_word, *self._exact.get(word, ()), *matched))

    def find(
        self,
        phrases: Mapping[int, Sequence[Phrase]],
        of_word: Sequence[frozenset[int]],
        first: int,
        stop: int,
    ) -> Iterator[Found]:
        """Yield the phrases among the words from `first` to `stop`, by where they begin."""
        for at in range(first, stop):
            for element in of_word[at]:
                for phrase in phrases.get(element, ()):
                    if (places := self._match(phrase.parts, of_word, at, stop)) is not None:
                        yield Found(phrase, places)

    def _match(
        self, parts: Sequence[tuple[int, bool]], of_word: Sequence[frozenset[int]], at: int, stop: int
    ) -> tuple[int, ...] | None:
        if not parts:
            return ()
        (element, may_miss), rest = parts[0], parts[1:]
        if element == GAP:
            for after in range(at, min(at + WIDEST, stop)):
                if (places := self._match(rest, of_word, after, stop)) is not None:
                    return places
                if not self.states.isdisjoint(of_word[after]):
                    break
            return None
        if at < stop and element in of_word[at]:
            places = self._match(rest, of_word, at + 1, stop)
            if places is not None:
                return (at, *places)
        return self._match(rest, of_word, at, stop) if may_miss else None


@cache
def table(language: str) -> Table:
    """Return the phrases of a language, one of LANGUAGES; PhraseError where its file is damaged."""
    name = f"{language}.toml"
    return Table(name, _read(name))


def check() -> None:
    """Read every table, before work that must not end for the fault of one; PhraseError as of `table`."""
    for language in LANGUAGES:
        table(language)
    others()
    for file, key in PAIRS:
        pairs(file, key)


@cache
def others() -> Mapping[str, Sequence[str]]:
    """Return words of languages without a table; PhraseError where the file is damaged."""
    given = _read(OTHERS)
    return {name: [plain(each).casefold() for each in _entries(OTHERS, given, name).texts] for name in given}


@cache
def lists(name: str, keys: tuple[str, ...]) -> Mapping[str, Sequence[str]]:
    """Return the lists of words of a file by their keys, all of which it has; PhraseError where damaged."""
    given = _read(name)
    _check_keys(name, given, keys)
    return {key: _entries(name, given, key).texts for key in keys}


@cache
def pairs(name: str, key: str) -> Mapping[str, str]:
    """Return the words of a file's entry and those they are paired with; PhraseError where damaged."""
    found: Any = _read(name).get(key)
    words = [*found, *found.values()] if isinstance(found, dict) else [None]
    if not words or not all(
        isinstance(each, str) and each == each.casefold().strip() != "" for each in words
    ):
        raise PhraseError(f"{name}: {key}: expected pairs of words in lower case, got {found!r:.60}")
    return dict(found)


def _read(name: str) -> dict[str, Any]:
    path = resources.files("timnet.reports") / "phrases" / name
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PhraseError(f"{name}: expected a phrase table: {error!s:.200}") from None


def _check_keys(where: str, given: Any, known: Sequence[str], needs_all: bool = True) -> None:
    if not isinstance(given, dict):
        raise PhraseError(f"{where}: expected a table, got {given!r:.60}")
    for key in given:
        if key not in known:
            raise PhraseError(f"{where}: expected {', '.join(known)}; got {key!r:.60}")
    for key in known:
        if needs_all and key not in given:
            raise PhraseError(f"{where}: expected an entry {key}, found none")


def _entries(where: str, given: Mapping[str, Any], key: str) -> _Entries:
    found = given[key]
    if not isinstance(found, list) or not all(isinstance(each, str) and each.strip() for each in found):
        raise PhraseError(f"{where}: {key}: expected a list of phrases, got {found!r:.60}")
    return _Entries(f"{where}: {key}", found)
