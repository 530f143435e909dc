"""Intervals of a curve's points: over draws of labels and test patients where runs keep their predictions.

Owns which interval a point has, and the sentence that says so. A point whose runs keep none, or were tested
on other films than the cohort now has, keeps Student's interval over draws alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import streamlit as st

from timnet import config
from timnet.cohorts.records import CohortError
from timnet.cohorts.store import Cohort
from timnet.evaluation import predictions
from timnet.evaluation.predictions import TEST, Predictions, PredictionsError
from timnet.ui import cache

BOTH, DRAWS = "draws and patients", "draws"
_SAID = {
    frozenset[str](): "",
    frozenset({BOTH}): "Intervals cover the draw of labels (Student's) and the test patients (hierarchical "
    "bootstrap): the wider end of the two.",
    frozenset(
        {DRAWS}
    ): "Intervals are Student's over the draws alone, because these runs keep no predictions "
    "that fit the cohort: other test patients would add to them.",
    frozenset({BOTH, DRAWS}): "Where the table says draws and patients, intervals cover the test patients, "
    "too; elsewhere the runs keep no predictions that fit the cohort, and intervals are Student's over the "
    "draws alone.",
}

Keys = tuple[tuple[str, int], ...]
"""Folders of runs with the times their predictions were written."""


def means(
    table: pd.DataFrame, points: pd.DataFrame, cohort: str, label: str, metric: str
) -> tuple[pd.DataFrame, str]:
    """Return a curve's table with its intervals and what they are over, and the sentence for it.

    Args:
        table: as of `efficiency.curve`. points: the runs it was made of.
        cohort: their name. label, metric: what is shown of them.
    """

    def runs(row: pd.Series) -> tuple[Keys, Keys] | None:
        drawn = _drawn(points, row["initialisation"], row["fraction"])
        return None if drawn is None else (_keys(drawn), ())

    return _widened(table, runs, cohort, label, metric, (0, 1))


def differences(
    table: pd.DataFrame, points: pd.DataFrame, first: str, cohort: str, label: str, metric: str
) -> tuple[pd.DataFrame, str]:
    """Return a table of differences, as of `savings.differences`, in the same way."""

    def runs(row: pd.Series) -> tuple[Keys, Keys] | None:
        both = [_drawn(points, start, row["fraction"]) for start in (first, row["initialisation"])]
        if both[0] is None or both[1] is None:
            return None
        seeds = sorted(set(both[0].index) & set(both[1].index))
        return _keys(both[0][seeds]), _keys(both[1][seeds])

    return _widened(table, runs, cohort, label, metric, (-1, 1))


def _drawn(points: pd.DataFrame, start: object, fraction: object) -> pd.Series | None:
    """Return the run of each seed, None where a seed has two."""
    chosen = (points["initialisation"] == start) & (points["fraction"] == fraction)
    drawn = points[chosen].dropna(subset=["value"]).set_index("seed")["run"].sort_index()
    return drawn if drawn.index.is_unique else None


def _keys(drawn: pd.Series) -> Keys:
    """Return what the runs kept, by folder and time; empty where one of them kept nothing."""
    paths = [config.checkpoints() / run / predictions.FILE for run in drawn]
    if not all(path.exists() for path in paths):
        return ()
    return tuple((str(path.parent), path.stat().st_mtime_ns) for path in paths)


def _widened(
    table: pd.DataFrame,
    runs: Callable[[pd.Series], tuple[Keys, Keys] | None],
    cohort: str,
    label: str,
    metric: str,
    ends: tuple[float, float],
) -> tuple[pd.DataFrame, str]:
    low, high, over = [], [], []
    opened = _opened(cohort)
    for _, row in table.iterrows():
        keys = runs(row) if row["draws"] > 1 and opened else None
        found = None
        if opened and keys and len(keys[0]) == row["draws"]:
            found = _interval(*keys, label, metric, row["low"], row["high"], opened.identity, opened)
        low.append(max(found[0], ends[0]) if found else row["low"])
        high.append(min(found[1], ends[1]) if found else row["high"])
        over.append("" if row["draws"] < 2 else BOTH if found else DRAWS)
    return table.assign(low=low, high=high, interval=over), _SAID[frozenset(filter(None, over))]


def _opened(name: str) -> Cohort | None:
    """Return the cohort whose patients the test films are; None where it is gone."""
    try:
        return cache.cohort(name)
    except CohortError:
        return None


@st.cache_data(max_entries=1024, show_spinner="Resampling patients and labels …")
def _interval(
    first: Keys,
    second: Keys,
    label: str,
    metric: str,
    low: float,
    high: float,
    identity: str,
    _cohort: Cohort,
) -> tuple[float, float] | None:
    """Return the wider interval of one point or of one difference; None where its runs do not fit."""
    from timnet.evaluation.label_efficiency import bootstrap

    try:
        kept = [[_test(folder) for folder, _ in part] for part in (first, second)]
        patients = kept[0][0].patients(_cohort)
        if second:
            found = bootstrap.difference_of_runs(kept[0], kept[1], patients, label, metric)
        else:
            found = bootstrap.of_runs(kept[0], patients, label, metric)
    except (CohortError, PredictionsError, bootstrap.DrawsError):
        return None
    return bootstrap.wider(low, high, found)


def _test(folder: str) -> Predictions:
    kept = predictions.of_run(Path(folder))
    if kept is None:
        raise PredictionsError(f"{Path(folder).name}: its predictions are gone")
    return kept.part(TEST)
