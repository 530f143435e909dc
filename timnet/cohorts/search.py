"""Filters and what a user types into the search box become SQL, or one sentence that says why not.

Owns the filters, and the little language: words (all must occur), "phrases", AND, OR, NOT in any case,
`-word` for NOT, brackets, `effus*` for a beginning; British and American spellings find each other, and so
do abbreviations and what they stand for (`reports/phrases/search.toml`). Every word is quoted, so hyphens,
colons and the index's own operators are searched for, never run. Refuses what SQLite's FTS5 cannot parse,
without ever showing its error.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypedDict

import pandas as pd

from timnet.cohorts import label_store, schema
from timnet.cohorts.records import UNCERTAIN, CohortError
from timnet.reports import phrase_tables

MAX_CHARACTERS = 500
ENDINGS = (
    "y", "ies", "ion", "ions", "n", "ns", "e", "es", "is", "ed", "ing", "s", "al", "ic", "a", "ity", "ness",
    "ment", "ation",
)  # fmt: skip
"""Of English words, those that a stemmer takes off."""
_OPERATORS = {"AND", "OR", "NOT"}
_TOKEN = re.compile(r'-(?=["(])|"[^"]*"|[()"]|[^\s()"]+')
_DEEPEST = 50


class Filters(TypedDict, total=False):
    """Which studies are wanted; what is left out or None does not matter, and all that is said must hold."""

    split: str | None
    """train, val or test."""
    label: str | None
    """A label's name; case, spaces, underscores and hyphens do not matter."""
    value: float | None
    """Of the label: 1 present, 0 absent, -1 anything else that is known, nan unknown, None known."""
    query: str | None
    """Words as for `Cohort.search`; blank is none."""
    asserted: bool
    """Whether words that a report only denies do not count; False where left out."""
    view: str | None
    """Of at least one of its films; "" where none of its films states one."""
    sex: str | None
    """As the export spells it; "" where it is not known."""
    age: tuple[float, float] | None
    """Youngest and oldest in years, both included."""
    has_report: bool | None
    """Whether there are findings to read."""


@dataclass(frozen=True)
class Filter:
    """The filters of one question, see `Filters`."""

    split: str | None = None
    label: str | None = None
    value: float | None = None
    query: str | None = None
    asserted: bool = False
    view: str | None = None
    sex: str | None = None
    age: tuple[float, float] | None = None
    has_report: bool | None = None

    def sql(self, label_names: Sequence[str]) -> tuple[str, list[Any]]:
        """Return FROM and WHERE over studies `s`, with the index where it is joined, and the values."""
        source, clauses, values = "FROM studies s", list[str](), list[Any]()

        def wanted(clause: str, *bound: Any) -> None:
            clauses.append(clause)
            values.extend(bound)

        if self.has_query:
            words, is_denied = parsed(self.query or "")
            index = self.index
            if is_denied:
                wanted(
                    f"s.has_findings AND s.id NOT IN (SELECT rowid FROM {index} WHERE {index} MATCH ?)", words
                )
            else:
                source += f" JOIN {index} ON {index}.rowid = s.id"
                wanted(f"{index} MATCH ?", words)
        if self.split is not None:
            wanted("s.split = ?", self.split)
        if self.sex is not None:
            wanted("ifnull(s.sex, '') = ?", self.sex)
        if self.age is not None:
            wanted("s.age BETWEEN ? AND ?", *self.age)
        if self.has_report is not None:
            wanted("s.has_findings = ?", self.has_report)
        if self.view == "":
            wanted("trim(s.views, char(31)) = ''")
        elif self.view is not None:
            wanted("instr(char(31) || s.views, char(31) || ? || char(31))", self.view)
        if self.label is not None:
            number = label_store.label_number(self.label, label_names) + 1
            wanted(f"substr(s.signs, ?, 1) {self._sign()}", number)
        return " WHERE ".join([source, " AND ".join(clauses)] if clauses else [source]), values

    def _sign(self) -> str:
        """Return what the sign of the label is compared with; signs are constants of the schema."""
        if self.value is None:
            return f"<> '{schema.SIGN_UNKNOWN}'"
        if math.isnan(self.value):
            return f"= '{schema.SIGN_UNKNOWN}'"
        if self.value not in (0, 1, UNCERTAIN):
            raise CohortError(f"value of a label: expected 1, 0, -1, nan or none, got {self.value}")
        return f"= '{schema.sign(self.value)}'"

    @property
    def is_query_alone(self) -> bool:
        """Tell whether words that must occur are all that is asked for."""
        return self == Filter(query=self.query, asserted=self.asserted) and self.is_joined

    @property
    def index(self) -> str:
        """Return the table of the index that is searched."""
        return "asserted" if self.asserted else "words"

    @property
    def is_joined(self) -> bool:
        """Tell whether the studies are those of the index's matches, and not all but those."""
        return self.has_query and not parsed(self.query or "")[1]

    @property
    def has_query(self) -> bool:
        """Tell whether words are searched for."""
        return self.query is not None and bool(self.query.strip())


def expression(query: str) -> str:
    """Return the FTS5 expression of a query, as `parsed`."""
    return parsed(query)[0]


def parsed(query: str) -> tuple[str, bool]:
    """Return the FTS5 expression of a query, and whether the studies wanted are those it does not match.

    FTS5 knows NOT between words alone, so `NOT a` is the complement of `a`, and is carried upwards by the
    rules of De Morgan.

    Raises:
        CohortError: the query is empty or too long, or has an open quote or bracket, or an operator too many.
    """
    if not query.strip() or len(query) > MAX_CHARACTERS or query.count("(") > _DEEPEST:
        raise _error(query)
    tokens = _tokens(query)
    try:
        found = _either(tokens)
    except IndexError:
        raise _error(query) from None
    if tokens:
        raise _error(query)
    return found


def _tokens(query: str) -> list[str]:
    """Return operators, brackets and FTS5 terms, the last first; a lone `and` in small letters is a word."""
    tokens: list[str] = []
    found = _TOKEN.findall(query.replace("\0", " "))
    for place, token in enumerate(found):
        if token == '"':
            raise _error(query)
        following = found[place + 1] if place + 1 < len(found) else ")"
        is_after_term = bool(tokens) and tokens[-1] not in _OPERATORS | {"("}
        if token in ("(", ")", *_OPERATORS):
            tokens.append(token)
        elif token.upper() in _OPERATORS and following != ")" and (is_after_term or token.upper() == "NOT"):
            tokens.append(token.upper())
        elif token == "-":
            tokens += ["NOT"] if following[0] in '"(' else [_term(token)]
        elif token[0] == "-" and token[1:2].isalnum():
            tokens += ["NOT", _term(token[1:])]
        else:
            tokens.append(_term(token))
    return tokens[::-1]


def _either(tokens: list[str]) -> tuple[str, bool]:
    parts = [_all(tokens)]
    while tokens and tokens[-1] == "OR":
        tokens.pop()
        parts.append(_all(tokens))
    # a OR NOT b = NOT (b NOT a): what is not wanted is joined as what is wanted would be by AND.
    return _joined([(part, not is_denied) for part, is_denied in parts], True)


def _all(tokens: list[str]) -> tuple[str, bool]:
    parts = [_one(tokens)]
    while tokens and tokens[-1] not in ("OR", ")"):
        if tokens[-1] == "AND":
            tokens.pop()
        parts.append(_one(tokens))
    return _joined(parts, False)


def _one(tokens: list[str]) -> tuple[str, bool]:
    token = tokens.pop()
    if token == "NOT":
        part, is_denied = _one(tokens)
        return part, not is_denied
    if token == "(":
        found = _either(tokens)
        if tokens.pop() != ")":
            raise IndexError
        return found
    if token in _OPERATORS or token == ")":
        raise IndexError
    return token, False


def _joined(parts: list[tuple[str, bool]], is_flipped: bool) -> tuple[str, bool]:
    """Return the AND of parts, each wanted or denied, as one expression, wanted or denied."""
    wanted = [part for part, is_denied in parts if not is_denied]
    denied = [part for part, is_denied in parts if is_denied]
    both, any_denied = _bracketed(wanted, "AND"), _bracketed(denied, "OR")
    if not wanted:
        return any_denied, not is_flipped
    return (f"({both} NOT {any_denied})" if denied else both), is_flipped


def _bracketed(parts: list[str], operator: str) -> str:
    return parts[0] if len(parts) == 1 else f"({f' {operator} '.join(parts)})"


def _term(token: str) -> str:
    """Return the FTS5 expression of a word, a beginning or a phrase, in every spelling."""
    text = token.strip('"') if token[0] == '"' else token
    word = text.rstrip("*")
    is_beginning = token[0] != '"' and word != text
    spellings = phrase_tables.pairs("search.toml", "spellings")
    words = [word, _respelt(word, spellings, ""), _respelt(word, _turned(spellings), "(?<![ao])")]
    if not is_beginning:
        stand_for = phrase_tables.pairs("search.toml", "abbreviations")
        plain = " ".join(word.casefold().split())
        words += [each[plain] for each in (stand_for, _turned(stand_for)) if plain in each]
    found = dict.fromkeys(words)
    return _bracketed([_beginning(each) if is_beginning else f'"{each}"' for each in found], "OR")


def _respelt(word: str, spellings: Mapping[str, str], before: str) -> str:
    """Return a word with its parts spelt another way; `before` is what may stand before a part."""
    return re.sub(
        before + "(?:" + "|".join(map(re.escape, spellings)) + ")",
        lambda part: spellings.get(part[0].casefold(), part[0]),  # `İ` matches `i` and is another letter
        word,
        flags=re.IGNORECASE,
    )


def _turned(pairs: Mapping[str, str]) -> dict[str, str]:
    return {right: left for left, right in reversed(list(pairs.items()))}


def _beginning(word: str) -> str:
    """Return the expression of words that begin so.

    The index holds stems, and a beginning may be longer than one: `opacit` against `opac`. So the words that
    the usual endings make of it are searched for, too; the index takes their endings off itself.
    """
    whole = " OR ".join(f'"{word}{ending}"' for ending in ENDINGS) if word else ""
    return f'("{word}"* OR {whole})' if whole else '""*'


def checked(query: str) -> str:
    """Return a query unchanged; CohortError if it is empty or cannot be one."""
    expression(query)
    return query


@contextmanager
def readable(query: str | None) -> Iterator[None]:
    """Turn what SQLite says of words that it cannot parse into a CohortError; other errors pass."""
    try:
        yield
    except (sqlite3.OperationalError, pd.errors.DatabaseError, UnicodeEncodeError) as error:
        if query is None or not query.strip():
            raise
        raise _error(query) from error


def _error(query: str) -> CohortError:
    shown = query.strip()[:80]
    return CohortError(
        'search: expected words, "phrases", AND, OR, NOT or -word, and matching brackets (at most '
        f"{MAX_CHARACTERS} characters), got {shown!r}"
    )
