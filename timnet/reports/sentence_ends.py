"""Where a sentence of a report ends: at stops that belong to no abbreviation, number or list.

Pure text, in one pass, linear in its length whatever it holds.
"""

from __future__ import annotations

import re

CLOSERS, _OPENERS = "\"')]}»”’", "\"'([{«“‘"
_TITLES = {"dr.", "drs.", "mr.", "mrs.", "ms.", "prof."}
_NEVER_LAST = {
    *_TITLES, "vs.", "e.g.", "i.e.", "cf.", "fig.", "figs.", "approx.", "incl.", "st.", "pt.", "dept.", "ca.",
    "resp.", "z.b.", "d.h.", "bzw.", "nr.", "sr.", "sra.", "mme.", "med.", "v.a.", "z.n.", "st.p.",
    "lt.", "rt.",
}  # fmt: skip
_SELDOM_LAST = {
    "etc.", "al.", "cm.", "mm.", "ml.", "in.", "min.", "hr.", "hrs.", "wk.", "wks.", "mo.", "yr.", "yrs.",
    "bilat.", "lat.", "ant.", "post.", "inf.", "sup.", "esp.", "prob.", "max.", "ext.",
}  # fmt: skip
_BEFORE_NUMBERS = {
    "no.", "jan.", "feb.", "mar.", "apr.", "jun.", "jul.", "aug.", "sep.", "sept.", "oct.", "nov.", "dec.",
    "env.", "aprox.", "ok.",
}  # fmt: skip
_SHORT = re.compile(r"(?:.*-)?\w{1,3}\.")
"""Words that are likely abbreviations where no capital follows."""
_LETTERS = re.compile(r"(?:[a-z]\.){2,}")
ITEM = re.compile(r"\(?(\d{1,2})[.)]")
_COUNTED = {
    "rib", "ribs", "number", "segment", "segments", "grade", "stage", "level", "type", "zone", "vertebra",
    "image", "series", "and", "or", "to", "of", "than", "day", "view", "views", "age",
}  # fmt: skip
"""Words after which a number with a full stop is no item of a list."""
_RUN_ON = re.compile(r"(?:(?<=[a-z]{3}[.!?])|(?<=\.\.\.)|(?<=[\d ][cm]m\.))(?=[A-Z][a-z])")
_BULLETS = {"-", "*", "•", "–"}


def sentences(text: str) -> list[str]:
    """Split a text into sentences that hold every word of it in order, none of them empty.

    A sentence ends at a full stop, question or exclamation mark that does not belong to a number, an
    abbreviation, an initial or a list's number; an empty line and a list's next item end it too. A full stop
    between a word and a capital (`clear.No`) ends it without a space.
    """
    found: list[list[str]] = []
    words: list[str] = []
    item = 0

    def close() -> None:
        if not words:
            return
        # A stop that stands alone belongs to the sentence before it.
        if found and not any(character.isalnum() for word in words for character in word):
            found[-1].extend(words)
        else:
            found.append(words.copy())
        words.clear()

    lines = [_RUN_ON.sub(" ", line).split() for line in text.splitlines()]
    for line, next_line in zip(lines, [*lines[1:], []], strict=False):
        if not line:
            close()
            continue
        if line[0] in _BULLETS or ITEM.fullmatch(line[0]):
            close()
        for word, following in zip(line, [*line[1:], *next_line[:1], ""], strict=False):
            if word == "•":
                close()
            number = ITEM.fullmatch(word)
            if number and words and int(number[1]) == item + 1 > 1 and _starts_item(words, following):
                close()
            if number and not words:
                item = int(number[1])
            words.append(word)
            if _ends(words, following):
                close()
    close()
    return [" ".join(sentence) for sentence in found]


def _starts_item(words: list[str], following: str) -> bool:
    """Tell whether the next number of a list opens its item, although no full stop stands before it."""
    return following[:1].isupper() and words[-1].lower() not in _COUNTED and not ITEM.fullmatch(words[-1])


def _ends(words: list[str], following: str) -> bool:
    """Tell whether the last of the words so far ends their sentence."""
    word = words[-1].rstrip(CLOSERS)
    if word.endswith(("!", "?")):
        return True
    if not word.endswith(".") or (len(words) == 1 and ITEM.fullmatch(word)):
        return False
    word = word.lstrip(_OPENERS).lower()
    before = words[-2].lower() if len(words) > 1 else ""
    if not _NEVER_LAST.isdisjoint((word, before + word, word + following.lower())):  # `V. a.` is `V.a.`
        return False
    if word in _BEFORE_NUMBERS:
        return not following[:1].isdigit()
    if word in _SELDOM_LAST or _LETTERS.fullmatch(word):
        starts_anew = following.lstrip(_OPENERS)[:1].isupper() or ITEM.fullmatch(following)
        return bool(starts_anew) or not following
    is_initial = len(word) == 2 and word[0].isalpha()
    is_named = len(words) > 1 and words[-2].lower() in {*_TITLES, "by"}
    if (
        words[0][:1].isupper()
        and following[:1].islower()
        and _SHORT.fullmatch(word)
        and word[:-1] not in _COUNTED
    ):
        return False
    # `R. lung`: but a text in lower case alone ends its sentences so.
    return not (is_initial and (is_named or (word in ("r.", "l.") and following[:1].islower())))
