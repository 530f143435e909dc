"""The names of a report's sections in five languages (`phrases/sections.toml`), and how they are recognised.

A misspelt name of six letters or more counts as the name it resembles, as in the section parser of MIMIC-CXR
(github.com/MIT-LCP/mimic-cxr, txt/section_parser.py), which lists the misspellings of that collection one by
one.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping
from functools import cache, lru_cache

from timnet.reports import phrase_tables

KINDS = (
    "findings", "report", "impression", "comment", "preliminary", "addendum", "circumstances", "other"
)  # fmt: skip
_LEAST_LIKE, _SHORTEST = 0.86, 6
"""How alike a misspelt name must be (difflib's ratio: one slip in eight letters), and its fewest letters."""


def _plain(name: str) -> str:
    """Return a name in lower case, without diacritics, doubled spaces or spaces around a sign."""
    folded = unicodedata.normalize("NFKD", name.casefold())
    bare = "".join(letter for letter in folded if not unicodedata.combining(letter)).replace("’", "'")
    return re.sub(r"\s*([/-])\s*", r"\1", " ".join(bare.split()))


@cache
def of(*kinds: str) -> tuple[str, ...]:
    """Return the names of sections of some KINDS, of all where none is named."""
    given = phrase_tables.lists("sections.toml", KINDS)
    return tuple(name for kind in kinds or KINDS for name in given[kind])


@cache
def longest() -> int:
    """Return how many characters a name may have, a slip or two included."""
    return max(map(len, of())) + 2


@cache
def most_words() -> int:
    """Return how many words a name may have."""
    return max(len(name.split()) for name in of())


@cache
def _by_plain() -> Mapping[str, str]:
    return {_plain(name): name for name in reversed(of())}


@lru_cache(4096)
def exact(name: str) -> str:
    """Return the section name that a name is, whatever its case and accents; "" where it is none."""
    return _by_plain().get(_plain(name), "")


@lru_cache(4096)
def known(name: str) -> str:
    """Return the section name that a name is or misspells; "" where it is none."""
    plain, names = _plain(name), _by_plain()
    if plain in names or not _SHORTEST <= len(plain) <= longest():
        return names.get(plain, "")
    # A slip leaves the first or the last three letters: other names need no long comparison.
    like = [each for each in names if len(each) >= _SHORTEST]
    anagrams = [each for each in like if each[0] == plain[0] and sorted(each) == sorted(plain)]
    if anagrams:  # two letters exchanged
        return names[anagrams[0]]
    near = [each for each in like if each[:3] == plain[:3] or each[-3:] == plain[-3:]]
    return "".join(names[each] for each in difflib.get_close_matches(plain, near, 1, _LEAST_LIKE))
