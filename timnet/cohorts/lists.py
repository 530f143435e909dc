"""Pages and counts of the studies that filters leave, cut in SQL however large the cohort is."""

from __future__ import annotations

import sqlite3

import pandas as pd

from timnet.cohorts import label_store
from timnet.cohorts.search import Filter

_PAGE = """
WITH page AS MATERIALIZED (SELECT s.id AS id, {rank} AS rank {where} ORDER BY {order} LIMIT ? OFFSET ?)
SELECT s.study, s.patient, s.split, s.sex, s.age, s.films, s.film, r.findings, r.impression, r.report
FROM page JOIN studies s ON s.id = page.id JOIN reports r ON r.study = page.id ORDER BY page.rank, page.id
"""


def page(
    connection: sqlite3.Connection, chosen: Filter, limit: int | None, offset: int, ranked: int
) -> pd.DataFrame:
    """Return one page of studies, see `store.Cohort.studies`: by their match where at most `ranked` match."""
    where, values = chosen.sql(label_store.label_names(connection))
    few = f"SELECT count(*) FROM (SELECT 1 {where} LIMIT ?)"
    # FTS5 yields its matches by rowid: asked for in that order, a page ends after its last row.
    rank = order = f"{chosen.index}.rowid" if chosen.is_joined else "s.id"
    if chosen.is_joined and connection.execute(few, (*values, ranked + 1)).fetchone()[0] <= ranked:
        rank = f"{chosen.index}.rank"
        order = f"{rank}, s.id"
    sql = _PAGE.format(rank=rank, where=where, order=order)
    cut = (-1 if limit is None else max(limit, 0), max(offset, 0))
    return pd.read_sql_query(sql, connection, params=(*values, *cut))


def count(connection: sqlite3.Connection, chosen: Filter) -> int:
    """Return how many studies a filter leaves."""
    where, values = chosen.sql(label_store.label_names(connection))
    if chosen.is_query_alone:  # every word is a study's: no need to look the study up
        where = f"FROM {chosen.index} WHERE {chosen.index} MATCH ?"
    return int(connection.execute(f"SELECT count(*) {where}", values).fetchone()[0])
