"""What a grid has measured: a tidy table, as Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from timnet import config, files, spreadsheet
from timnet.training import run_results
from timnet.training.grids import finished

COLUMNS = (
    "run", "task", "initialisation", "fraction", "films", "positives", "seed", "label", "metric", "value"
)  # fmt: skip
MORE = ("low", "high", "kind", "group", "images")
"""Of a table by subgroup."""


def table(settings: Sequence[config.Finetune], root: Path, part: str = run_results.TEST) -> pd.DataFrame:
    """Return what the runs that are done have measured: COLUMNS, one row a run, label and metric.

    With `part` SUBGROUPS a row a run, label and group: COLUMNS and MORE.
    """
    columns = [*COLUMNS, *(MORE if part == run_results.SUBGROUPS else ())]
    names = {folder.name for folder in finished(settings, root).values()}
    points = run_results.points(root, part)
    if points.empty:
        return pd.DataFrame(columns=columns)
    chosen = points[points["run"].isin(names)]
    ordered = chosen.sort_values(["fraction", "initialisation", "seed"], kind="stable")
    return ordered[columns].reset_index(drop=True)


def write(of: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet so that a reader sees the old file or the new one."""
    files.write_whole(path, spreadsheet.parquet(of))
