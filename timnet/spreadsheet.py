"""Tables as files: CSV in which no cell is a formula, Parquet, JSON lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from timnet import __version__, config, files
from timnet.errors import TimnetError

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


class TableError(TimnetError):
    """A table that cannot be written; the message says what was expected."""


def writer(out: Path) -> Callable[[pd.DataFrame], None]:
    """Return what writes a table whole, or not at all, to a file of the kind that its name ends in.

    Raises:
        TableError: no such kind, or no such folder.
    """
    made = {".csv": safe_csv, ".parquet": parquet, ".jsonl": _jsonl}.get(out.suffix.lower())
    if made is None or not out.parent.is_dir():
        raise TableError(
            f"out: expected a file ending in .csv, .parquet or .jsonl in a folder that exists, got "
            f"{str(out)[-200:]!r}"
        )
    return lambda table: files.write_whole(out, made(table))


def records(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return rows as JSON can hold them, unknown numbers as None."""
    return table.astype(object).where(table.notna(), None).to_dict("records")  # type: ignore[return-value]


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


def parquet(table: pd.DataFrame) -> bytes:
    """Return the table as a Parquet file."""
    data = io.BytesIO()
    table.to_parquet(data, index=False)
    return data.getvalue()


def _jsonl(table: pd.DataFrame) -> bytes:
    return "".join(files.to_json(row, "table", TableError) + "\n" for row in records(table)).encode()


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
