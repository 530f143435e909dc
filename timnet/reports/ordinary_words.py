"""Words that reports use and that are also people's names, in English, German, French, Spanish and Polish.

Owns the case in which reports write each word of `phrases/ordinary_words.txt`, by which `names` tells
`a small effusion` from `Mrs. Small`: lower case, capitalised (German nouns, months, weekdays), or capitals
(abbreviations).
"""

from __future__ import annotations

from importlib import resources

from timnet.reports.plain_text import plain

_WORDS = (resources.files("timnet.reports") / "phrases" / "ordinary_words.txt").read_text(encoding="utf-8")
SPELLING = {plain(word).casefold(): word for word in _WORDS.split()}
"""From each word without diacritics, case folded, to how reports write it."""
