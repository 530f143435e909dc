"""Data efficiency: how good a classifier is for the share of labels that it was given.

Owns the summary over draws, a draw being one seed: other labels drawn, other new layers. An interval needs
two draws or more; of one draw it is nan, not zero wide. Source: Liang et al. 2022, Figs. 3 to 5.
"""

from __future__ import annotations

import math

import pandas as pd

FRACTIONS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
"""The paper's shares of the labelled training films."""

LEVEL = 0.95
COLUMNS = ("initialisation", "fraction", "films", "metric", "mean", "low", "high", "draws")


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
    defined = points.dropna(subset=["value"])
    drawn = defined.groupby([*groups, "seed"], as_index=False).agg(
        value=("value", "mean"), films=("films", "max")
    )
    table = drawn.groupby(groups, as_index=False).agg(
        films=("films", "max"), mean=("value", "mean"), spread=("value", "std"), draws=("seed", "size")
    )
    half = [half_width(spread, draws) for spread, draws in zip(table["spread"], table["draws"], strict=True)]
    # Every metric lies between 0 and 1; of two draws the t-interval alone would reach far beyond.
    low, high = (table["mean"] - half).clip(0, 1), (table["mean"] + half).clip(0, 1)
    return table.assign(low=low, high=high)[list(COLUMNS)]


def half_width(spread: float, draws: int) -> float:
    """Return half the t-interval of a mean from the sample's standard deviation."""
    if draws < 2:
        return math.nan
    from scipy import special

    return float(special.stdtrit(draws - 1, (1 + LEVEL) / 2)) * spread / math.sqrt(draws)
