"""Tables that leave the app say what they come from: cohort, settings and version, in every row."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import streamlit as st

from timnet import __version__, config, spreadsheet
from timnet.cohorts.store import Cohort
from timnet.training.grid_table import COLUMNS
from timnet.ui.diagnose import batch
from timnet.ui.diagnose.batch import Answer, Item
from timnet.ui.efficiency import downloads as keeping
from timnet.ui.explore import results

Downloads = dict[str, Callable[[], bytes]]


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> Downloads:
    """What is offered for download, by its key."""
    offered: Downloads = {}

    def offer(label: str, data: Callable[[], bytes], *more: Any, key: str, **options: Any) -> None:
        offered[key] = data

    monkeypatch.setattr(st, "download_button", offer)
    return offered


def traced(table: pd.DataFrame, cohort: str) -> str:
    """Check the columns that say where a table comes from, and return its settings."""
    assert set(table["cohort"]) == {cohort} and set(table["timnet"]) == {__version__}
    assert set(table["note"]) == {config.RESEARCH_USE}
    (settings,) = set(table["settings"])
    return str(settings)


def test_the_studies_found_carry_cohort_filters_and_version(
    cohort_folder: Path, downloads: Downloads
) -> None:
    cohort = Cohort.open(cohort_folder)
    results.exports(cohort, {"split": "test", "query": "=opacity", "view": None, "asserted": False}, 5)
    written = pd.read_csv(io.BytesIO(downloads["explore_export_CSV"]()))
    assert traced(written, "synthetic") == "split: test; query: =opacity"
    packed = pd.read_parquet(io.BytesIO(downloads["explore_export_Parquet"]()))
    assert traced(packed, "synthetic") == "split: test; query: =opacity"


def test_the_curves_tables_carry_cohort_task_and_training_settings(downloads: Downloads) -> None:
    columns = dict.fromkeys((*COLUMNS, "cohort", "recipe"), "x")
    every = pd.DataFrame([columns | {"cohort": "=nih", "task": "all", "recipe": "20 epochs, 64 px"}])
    keeping.tables(pd.DataFrame({"mean": [0.5], "label": ["Edema"]}), every)
    for key in ("eff_csv", "eff_runs_csv"):
        written = pd.read_csv(io.BytesIO(downloads[key]()))
        assert traced(written, "'=nih") == "task: all; recipe: 20 epochs, 64 px"


def test_the_films_of_a_diagnose_table_carry_their_cohort_and_filters() -> None:
    asked = [
        Item("1", "s1, film 0", print, cohort="nih", filters="split: test"),  # type: ignore[arg-type]
        Item("2", "a.png", print),  # type: ignore[arg-type]
    ]
    told = [Answer("f", "w", {"Edema": 0.1, "cohort": 0.2}), Answer("g", "w", {"Edema": 0.3, "cohort": 0.4})]
    table = batch.table(asked, told, ("Edema", "cohort"), "network", "fair")
    written = pd.read_csv(io.BytesIO(spreadsheet.safe_csv(table)), keep_default_na=False)
    assert written["cohort"].tolist() == ["nih", ""] and written["settings"].tolist() == ["split: test", ""]
    assert written["label cohort"].tolist() == [0.2, 0.4] and set(written["timnet"]) == {__version__}
