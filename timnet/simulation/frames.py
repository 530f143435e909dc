"""Sentence frames drawn and filled: a choice of words for a training or a test split, a list spoken."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from timnet.simulation import phrases

PHRASINGS = ("train", "test")


def frames(bank: Sequence[str], phrasing: str) -> list[str]:
    """Return the frames of a bank that a phrasing may use: the 4th, 9th, 14th ... are kept for "test"."""
    if phrasing not in PHRASINGS:
        raise ValueError(f"phrasing must be one of {PHRASINGS}, not {phrasing!r}")
    return [frame for place, frame in enumerate(bank) if (place % 5 == 3) == (phrasing == "test")]


def pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def draw(bank: Sequence[str], rng: np.random.Generator, phrasing: str, **slots: str) -> str:
    """Draw one of the frames that the phrasing may use, fill it and settle its choices."""
    return spin(pick(frames(bank, phrasing), rng).format(**phrases.SHARED | slots), rng)


def spin(text: str, rng: np.random.Generator) -> str:
    """Settle the choices `(a|b)` and `[a]` of a text, the inmost first."""
    while group := re.search(r"\(([^()\[\]]*)\)|\[([^()\[\]]*)\]", text):
        if group[1] is None and rng.random() < 0.5:
            choice = ""
        else:
            choice = pick((group[2] if group[1] is None else group[1]).split("|"), rng)
        text = text[: group.start()] + choice + text[group.end() :]
    return text


def listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)}{',' if len(most) > 1 else ''} or {last}" if most else last


def as_sentence(words: str) -> str:
    """Set the article, a capital and a full stop."""
    words = re.sub(r"\b([Aa]) (?=[aeiouE]|(?:8|11|18)\b(?!\.))", r"\1n ", " ".join(words.split()))
    return f"{words[0].upper()}{words[1:]}."
