"""Filters and what a user types into the search box become SQL, or one sentence that says why not.

Owns the little language: words (all must occur), "phrases", AND, OR, NOT, brackets, `effus*` for a beginning.
Every word is quoted, so hyphens, colons and the index's own operators are searched for, never run.
Refuses what SQLite's FTS5 cannot parse, without ever showing its error.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd

from timnet.cohorts.records import CohortError, match_name

MAX_CHARACTERS = 500
_JOINING = {"AND", "OR", "NOT", ")"}
_SIGNS = _JOINING | {"("}
_TOKEN = re.compile(r'"[^"]*"|[()"]|[^\s()"]+')


@dataclass(frozen=True)
class Filter:
    """Which studies are wanted; None is any. `value` nan means unknown, None with a label means known."""

    split: str | None = None
    label: str | None = None
    value: float | None = None
    query: str | None = None

    def sql(self, label_names: Sequence[str]) -> tuple[str, list[Any]]:
        """Return FROM and WHERE over studies `s`, with `words` if there is a query, and the values bound."""
        source, clauses, values = "FROM studies s", list[str](), list[Any]()
        if self.has_query:
            source += " JOIN words ON words.rowid = s.id"
            clauses.append("words MATCH ?")
            values.append(expression(self.query or ""))
        if self.split is not None:
            clauses.append("s.split = ?")
            values.append(self.split)
        if self.label is not None:
            name = match_name(self.label, label_names)
            if name is None:
                raise CohortError(f"label: expected one of {', '.join(label_names)}; got {self.label[:80]!r}")
            clauses.append("(SELECT value FROM labels l WHERE l.study = s.id AND l.label = ?)")
            values.append(label_names.index(name))
            if self.value is None:
                clauses[-1] += " IS NOT NULL"
            else:
                clauses[-1] += " IS ?"
                values.append(self.value)  # nan is bound as NULL
        return " WHERE ".join([source, " AND ".join(clauses)] if clauses else [source]), values

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
            token = f'"{word}"' + ("*" if word != token else "")
        # Spelled out: FTS5's own implicit AND does not go with brackets.
        if parts and token not in _JOINING and parts[-1] not in _SIGNS - {")"}:
            parts.append("AND")
        parts.append(token)
    return " ".join(parts)


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
