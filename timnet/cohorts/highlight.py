"""Which words of a report a search has found: the index marks them itself, on the texts at hand.

Owns the cutting of texts into pieces, found or not. The tokenizer of the cohort's index reads them, so
endings, accents, phrases and `effus*` are found as they were searched. Text stays text: no markup is made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing

from timnet.cohorts.search import parsed, readable

TOKENIZER = "porter unicode61 remove_diacritics 2"
_START, _END = "\x01", "\x02"
_NO_MARKS = str.maketrans({_START: " ", _END: " "})

Pieces = list[tuple[str, bool]]
"""Parts of a text in order, each with whether it was found; together they are the text."""


def found(texts: Sequence[str], query: str | None) -> list[Pieces]:
    """Return each text in pieces, by what a query finds in all of them together.

    Args:
        texts: such as the sections of one report; control characters 1 and 2 become spaces.
        query: as for `Cohort.search`; blank finds nothing.

    Raises:
        CohortError: the query cannot be read.
    """
    texts = [text.translate(_NO_MARKS) for text in texts]
    if not texts or not query or not query.strip():
        return [[(text, False)] for text in texts]
    columns = [f"c{i}" for i in range(len(texts))]
    marks = ", ".join(f"highlight(words, {i}, char(1), char(2))" for i in range(len(texts)))
    with closing(sqlite3.connect(":memory:")) as connection, readable(query):
        connection.execute(
            f"CREATE VIRTUAL TABLE words USING fts5({', '.join(columns)}, tokenize='{TOKENIZER}')"
        )
        connection.execute(f"INSERT INTO words VALUES ({', '.join('?' * len(texts))})", texts)
        words, is_denied = parsed(query)
        sql = f"SELECT {marks} FROM words WHERE words MATCH ?"
        row = None if is_denied else connection.execute(sql, (words,)).fetchone()
    return [_pieces(text) for text in row or texts]


def _pieces(marked: str) -> Pieces:
    pieces: Pieces = []
    for i, part in enumerate(marked.split(_START)):
        inside, mark, outside = part.partition(_END)
        if i and mark:
            pieces.append((inside, True))
        rest = outside if i else part
        if rest:
            pieces.append((rest, False))
    return pieces or [("", False)]
