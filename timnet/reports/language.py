"""Which language a report is written in, told by its words; none where no table knows it.

Owns the vote: a word of a language's own counts twice, one that its phrases hold once. Languages without
phrases (`other.toml`) vote too, so that a text of a neighbour is not read by the wrong rules.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from functools import lru_cache

from timnet.reports import phrase_tables

_LEAST = 0.15
"""Share of the words that must belong to the language."""


def detect(text: str) -> str:
    """Return the language of a text, one of `phrase_tables.LANGUAGES`; "" where that cannot be told."""
    found = [word.text for word in phrase_tables.words(text) if word.text.isalpha()]
    votes, known = Counter[str](), Counter[str]()
    for word, times in Counter(found).items():
        for language, weight in _votes(word):
            votes[language] += weight * times
            known[language] += times
    best = votes.most_common(2)
    if not best or (len(best) > 1 and best[0][1] == best[1][1]):
        return ""
    language = best[0][0]
    return language if language in phrase_tables.LANGUAGES and known[language] >= _LEAST * len(found) else ""


@lru_cache(100_000)
def _votes(word: str) -> tuple[tuple[str, int], ...]:
    votes = []
    for language in phrase_tables.LANGUAGES:
        table = phrase_tables.table(language)
        if elements := table.elements(word) - {phrase_tables.ANY}:
            votes.append((language, 1 if table.own.isdisjoint(elements) else 2))
    for name, patterns in phrase_tables.others().items():
        if any(fnmatchcase(word, pattern) for pattern in patterns):
            votes.append((name, 2))
    return tuple(votes)
