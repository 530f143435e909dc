"""What a start saves: differences draw by draw, and the share of labels that it does not need.

Owns the comparison of two starts on the draws they share, and the paper's label reduction: how many fewer
labels start A needs to be as good as start B ever gets. Refuses starts without a draw in common. Source:
Liang et al. 2022, Sec. V ((30 - 0.5) / 30 = 98.33 % in Fig. 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from timnet.errors import TimnetError
from timnet.evaluation.label_efficiency.curve import half_width

COLUMNS = ("initialisation", "fraction", "films", "mean", "low", "high", "draws")
REPLICATES = 2000


class SavingsError(TimnetError):
    """Starts that cannot be compared; the message says why."""


@dataclass(frozen=True)
class Reduction:
    """How many fewer labels start A needs to reach the best of start B.

    Attributes:
        best: B's best mean. at: the share of the labels where B has it.
        needed: A's smallest share whose mean reaches it; None where none does.
        saved: 1 - labelled films at `needed` / those at `at`, below 0 where A needs more; None where A never
            reaches it.
        low, high: 95 % interval over draws of those that reach it; None where saved is, or of one draw.
        reached: share of the resampled draws in which A reaches B's best.
        draws: draws that both have at every share that is compared.
    """

    best: float
    at: float
    needed: float | None
    saved: float | None
    low: float | None
    high: float | None
    reached: float
    draws: int


def differences(points: pd.DataFrame, first: str) -> pd.DataFrame:
    """Compare every other start with `first`, draw by draw.

    Args:
        points: one row a run of one metric: initialisation, fraction, films, seed, value.
        first: the start that is taken away.

    Returns:
        COLUMNS: mean difference and its 95 % t-interval over the draws (seeds) that both starts have; nan
        where there is only one. A share of labels without a common draw is left out.
    """
    drawn = _drawn(points)
    if first not in drawn.columns.get_level_values("initialisation"):
        return pd.DataFrame(columns=list(COLUMNS))
    films = points.groupby("fraction")["films"].max()
    rows = []
    for name in drawn.columns.get_level_values("initialisation").unique().drop(first):
        common = (drawn[name] - drawn[first]).dropna(how="all", axis=1)
        for fraction, change in common.items():
            known = change.dropna()
            half = half_width(float(known.std()), len(known))
            mean = float(known.mean())
            rows.append((name, fraction, films[fraction], mean, mean - half, mean + half, len(known)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def reduction(points: pd.DataFrame, start: str, other: str, seed: int = 0) -> Reduction:
    """Return how many fewer labels `start` needs to be as good as `other` at its best.

    Args:
        points: as for `differences`.

    Raises:
        SavingsError: no draw that both starts have at the shares they have in common.
    """
    drawn = _drawn(points)
    known = points.dropna(subset=["value"]).groupby("initialisation")["fraction"].agg(set)
    if start not in known or other not in known:
        raise SavingsError(f"label reduction: expected runs of {start} and {other}")
    shares = sorted(known[start] & known[other])
    values = np.stack([drawn[[(name, share) for share in shares]].to_numpy() for name in (start, other)])
    complete = ~np.isnan(values).any((0, 2))
    values = values[:, complete]
    if not values.size:
        raise SavingsError(
            f"label reduction: {start} and {other} have no draw in common at every share of labels"
        )
    fractions, draws = np.array(shares, float), values.shape[1]
    best, at, needed = _reach(values.mean(1), fractions)
    rows = np.random.default_rng(seed).integers(draws, size=(REPLICATES, draws))
    found = [_reach(values[:, row].mean(1), fractions) for row in rows] if draws > 1 else []
    # Films rather than shares: those that stopped runs early were labelled, too.
    films = points.groupby("fraction")["films"].max()
    saved = np.array([1 - films[of] / films[there] for _, there, of in found if of is not None])
    interval = np.percentile(saved, [2.5, 97.5]) if needed is not None and len(saved) else (None, None)
    return Reduction(
        best=best,
        at=at,
        needed=needed,
        saved=None if needed is None else float(1 - films[needed] / films[at]),
        low=None if interval[0] is None else float(interval[0]),
        high=None if interval[1] is None else float(interval[1]),
        reached=len(saved) / len(found) if found else float(needed is not None),
        draws=draws,
    )


def _drawn(points: pd.DataFrame) -> pd.DataFrame:
    """Return one row a draw and one column a start and share; runs that share a seed count as one."""
    return points.pivot_table(index="seed", columns=["initialisation", "fraction"], values="value")


def _reach(means_2F: np.ndarray, fractions: np.ndarray) -> tuple[float, float, float | None]:
    """Return the other's best mean, its share, and the smallest share where the start is as good."""
    mine, theirs = means_2F
    place = int(theirs.argmax())
    enough = np.flatnonzero(mine >= theirs[place])
    return float(theirs[place]), float(fractions[place]), float(fractions[enough[0]]) if len(enough) else None
