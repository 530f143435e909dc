"""Tables for spreadsheets: CSV in which no cell is a formula."""

from __future__ import annotations

import csv
from collections.abc import Mapping

import pandas as pd

from timnet import __version__, config

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")


def safe_csv(table: pd.DataFrame) -> bytes:
    """Return the table as UTF-8 CSV; a text cell or heading that a spreadsheet could run gets a leading '.

    Numbers stay numbers, negative ones too.
    """
    safe = table.rename(columns=lambda name: _safe(name))
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]):
            safe[column] = safe[column].map(_safe)
    return safe.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC).encode("utf-8")


def traced(table: pd.DataFrame, cohort: str, settings: Mapping[str, object]) -> pd.DataFrame:
    """Return a table with what it comes from in its last columns: cohort, settings, version, and its use.

    Args:
        settings: what was chosen, by name; None and False are not written.
    """
    return table.assign(
        cohort=cohort, settings=in_words(settings), timnet=__version__, note=config.RESEARCH_USE
    )


def in_words(settings: Mapping[str, object]) -> str:
    """Return settings in one cell."""
    return "; ".join(
        f"{name}: {value}" for name, value in settings.items() if value is not None and value is not False
    )


def _safe(cell: object) -> object:
    if not isinstance(cell, str) or not cell.startswith(_STARTS) or _is_number(cell):
        return cell
    return "'" + cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
