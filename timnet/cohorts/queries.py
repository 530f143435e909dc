"""Filters and what a user types into the search box become SQL, or one sentence that says why not.

Owns the filters, and the little language: words (all must occur), "phrases", AND, OR, NOT, brackets, `effus*`
for a beginning. Every word is quoted, so hyphens, colons and the index's own operators are searched for,
never run. Refuses what SQLite's FTS5 cannot parse, without ever showing its error.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypedDict

import pandas as pd

from timnet.cohorts import labelling, schema
from timnet.cohorts.records import UNCERTAIN, CohortError

MAX_CHARACTERS = 500
ENDINGS = (
    "y", "ies", "ion", "ions", "n", "ns", "e", "es", "is", "ed", "ing", "s", "al", "ic", "a", "ity", "ness",
    "ment", "ation",
)  # fmt: skip
"""Of English words, those that a stemmer takes off."""
_JOINING = {"AND", "OR", "NOT", ")"}
_SIGNS = _JOINING | {"("}
_TOKEN = re.compile(r'"[^"]*"|[()"]|[^\s()"]+')


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
    view: str | None = None
    sex: str | None = None
    age: tuple[float, float] | None = None
    has_report: bool | None = None

    def sql(self, label_names: Sequence[str]) -> tuple[str, list[Any]]:
        """Return FROM and WHERE over studies `s`, with `words` if there is a query, and the values bound."""
        source, clauses, values = "FROM studies s", list[str](), list[Any]()

        def wanted(clause: str, *bound: Any) -> None:
            clauses.append(clause)
            values.extend(bound)

        if self.has_query:
            source += " JOIN words ON words.rowid = s.id"
            wanted("words MATCH ?", expression(self.query or ""))
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
            number = labelling.label_number(self.label, label_names) + 1
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
        """Tell whether words are all that is asked for."""
        return self == Filter(query=self.query) and self.has_query

    @property
    def has_query(self) -> bool:
        """Tell whether words are searched for."""
        return self.query is not None and bool(self.query.strip())


def expression(query: str) -> str:
    """Return the FTS5 expression of a query; CohortError if it is empty, too long or has an open quote."""
    if not query.strip() or len(query) > MAX_CHARACTERS:
        raise _error(query)
    parts: list[str] = []
    for token in _TOKEN.findall(query.replace("\0", " ")):
        if token == '"':
            raise _error(query)
        if token not in _SIGNS and not token.startswith('"'):
            word = token.rstrip("*")
            token = f'"{word}"' if word == token else _beginning(word)
        # Spelled out: FTS5's own implicit AND does not go with brackets.
        if parts and token not in _JOINING and parts[-1] not in _SIGNS - {")"}:
            parts.append("AND")
        parts.append(token)
    return " ".join(parts)


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
        'search: expected words, "phrases", AND, OR, NOT between words, and matching brackets (at most '
        f"{MAX_CHARACTERS} characters), got {shown!r}"
    )
