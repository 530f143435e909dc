"""Data efficiency: how good a classifier is for the share of labels that it was given.

Owns the summary over draws, a draw being one seed: other labels drawn, other new layers. An interval over
draws needs two or more; of one draw it is nan, not zero wide. Source: Liang et al. 2022, Figs. 3 to 5.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from timnet.evaluation import subgroups

FRACTIONS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
"""The paper's shares of the labelled training films."""

LEVEL = 0.95
COLUMNS = ("initialisation", "fraction", "films", "metric", "mean", "low", "high", "draws")
BY_GROUP = (
    "label", "initialisation", "fraction", "films", "kind", "group", "images", "value", "low", "high",
    "draws", "note",
)  # fmt: skip


def curve(points: pd.DataFrame) -> pd.DataFrame:
    """Summarise runs over their draws.

    Args:
        points: one row a run and metric, with columns initialisation, fraction, films, metric, seed, value;
            an undefined value (nan) is left out. Runs that share a seed count as one draw, their mean.

    Returns:
        COLUMNS, one row an initialisation, fraction and metric, in that order: the mean, and the 95 %
        t-interval of the mean over `draws` seeds, cut at 0 and 1, nan where there is only one.
    """
    if points.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    groups = ["initialisation", "metric", "fraction"]
    return _over_draws(points.dropna(subset=["value"]), groups)[list(COLUMNS)]


def by_group(points: pd.DataFrame) -> pd.DataFrame:
    """Summarise runs over their draws for each sex, age band and view of the test X-rays.

    Args:
        points: as of `run_results.points` of subgroups: with label, kind, group, images, low and high, too.

    Returns:
        BY_GROUP, one row a label, initialisation, fraction and group: `value` is the mean over draws; low and
        high are the farther ends of the t-interval and of the mean of the runs' own intervals, which hold
        the chance of the test patients: all draws have the same. Groups that are too few to measure are nan.
    """
    if points.empty:
        return pd.DataFrame(columns=list(BY_GROUP))
    groups = ["label", "initialisation", "fraction", "kind", "group"]
    # Where no run has a value, a column is of None alone.
    points = points.astype({"value": float, "low": float, "high": float})
    own = points.groupby(groups, as_index=False).agg(
        images=("images", "max"), least=("low", "mean"), most=("high", "mean")
    )
    table = _over_draws(points, groups).merge(own, on=groups).rename(columns={"mean": "value"})
    table["low"], table["high"] = table[["low", "least"]].min(axis=1), table[["high", "most"]].max(axis=1)
    table["note"] = np.where(table["value"].isna(), subgroups.FEW, "")
    return table[list(BY_GROUP)]


def _over_draws(points: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """Return a row a group of points: films, mean, its t-interval cut at 0 and 1, and draws with a value."""
    drawn = points.groupby([*groups, "seed"], as_index=False).agg(
        value=("value", "mean"), films=("films", "max")
    )
    table = drawn.groupby(groups, as_index=False).agg(
        films=("films", "max"), mean=("value", "mean"), spread=("value", "std"), draws=("value", "count")
    )
    half = [half_width(spread, draws) for spread, draws in zip(table["spread"], table["draws"], strict=True)]
    # Every metric lies between 0 and 1; of two draws the t-interval alone would reach far beyond.
    low, high = (table["mean"] - half).clip(0, 1), (table["mean"] + half).clip(0, 1)
    return table.assign(low=low, high=high)


def half_width(spread: float, draws: int) -> float:
    """Return half the t-interval of a mean from the sample's standard deviation."""
    if draws < 2:
        return math.nan
    from scipy import special

    return float(special.stdtrit(draws - 1, (1 + LEVEL) / 2)) * spread / math.sqrt(draws)
