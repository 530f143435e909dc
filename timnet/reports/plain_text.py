"""Text as patterns and names see it: one case of every letter, apostrophe, dash and blank.

Owns `clean` (composed, NFC, without invisible characters), `plain` (as long as its input, so that positions
agree), `fold` (one spelling for every usual way of writing a name) and `any_of` (a pattern from a list).
"""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
_ALIKE = {
    **dict.fromkeys("‘’‛ʼʹʻ`´′＇", "'"),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    **dict.fromkeys("\u00a0\u2007\u2009\u202f\u3000", " "),
    **dict(zip("øØłŁđĐıħĦ", "oOlLdDihH", strict=True)),
}
_WRITTEN_OUT = str.maketrans({"æ": "ae", "œ": "oe", "þ": "th", "ð": "d"})


class _Plain(dict[int, str]):
    """A table for `str.translate` that grows with the characters it meets."""

    def __missing__(self, code: int) -> str:
        parts = unicodedata.normalize("NFD", chr(code))
        # The parts of a Korean syllable are no marks.
        self[code] = parts[0] if all(map(unicodedata.combining, parts[1:])) else chr(code)
        return self[code]


_PLAIN = _Plain({ord(character): base for character, base in _ALIKE.items()})


def clean(text: str) -> str:
    """Return a text in NFC without soft hyphens and blanks of no width."""
    return unicodedata.normalize("NFC", text.translate(_INVISIBLE))


def plain(text: str) -> str:
    """Return a text of the same length without diacritics, with one apostrophe, dash and blank."""
    return text.translate(_PLAIN)


def fold(word: str) -> str:
    """Return what `Müller`, `Mueller`, `MULLER` and their kin have in common; letters only."""
    letters = plain(word).casefold().translate(_WRITTEN_OUT)
    letters = "".join(filter(str.isalpha, letters))
    return re.sub("([aou])e|a(a)", r"\1\2", letters) if len(letters) > 3 else letters


def any_of(words: str) -> str:
    """Return a pattern, in any case, for one of those listed, the longest first; `_` stands for blanks."""
    ordered = sorted(set(words.split()), key=lambda word: (-len(word), word))
    return f"(?i:{'|'.join(ordered)})".replace("_", r"[ \t]{1,2}")
