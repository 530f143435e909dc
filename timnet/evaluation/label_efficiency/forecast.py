"""How many labels for an auROC of x? An inverse power law through a curve, with an interval, or a refusal.

Owns value = ceiling - slope * films ** -power, fitted to the means of a curve, and its bootstrap over draws.
Refuses a curve that is too short, does not rise, or would have to be carried too far beyond its last point:
a number that the runs do not support is worse than none. Source: Figueroa et al., BMC Medical Informatics and
Decision Making 12:8 (2012).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize

from timnet.errors import TimnetError

FEWEST = 4
"""Different numbers of films that a fit needs: it has three unknowns."""
FARTHEST = 10.0
"""Times the most films run: beyond it nothing is forecast."""
REPLICATES = 300
_POWERS = (0.05, 2.0)


class ForecastError(TimnetError):
    """A curve that supports no forecast; the message says why in one sentence."""


@dataclass(frozen=True)
class Law:
    """value = ceiling - slope * films ** -power."""

    ceiling: float
    slope: float
    power: float

    def value(self, films: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the metric at a number of films."""
        return self.ceiling - self.slope * np.asarray(films, float) ** -self.power

    def films(self, value: float) -> float:
        """Return the films that the metric needs to reach a value; inf where the ceiling lies below it."""
        return (
            float((self.slope / (self.ceiling - value)) ** (1 / self.power))
            if value < self.ceiling
            else np.inf
        )


@dataclass(frozen=True)
class Forecast:
    """The films needed for a value, with the 95 % interval over draws; `high` is inf where the value may
    never be reached."""

    value: float
    films: float
    low: float
    high: float
    law: Law


def needed(points: pd.DataFrame, value: float, seed: int = 0) -> Forecast:
    """Return how many labelled films one start needs for a metric to reach a value.

    Args:
        points: one row a run of one start and metric: films, seed, value.
        value: of the metric, above 0 and below 1.

    Raises:
        ForecastError: fewer than FEWEST numbers of films or than two draws, a curve that does not rise, a
            value above the fitted ceiling, or one beyond FARTHEST times the most films run.
    """
    drawn = points.pivot_table(index="seed", columns="films", values="value").dropna()
    films = drawn.columns.to_numpy(float)
    if len(films) < FEWEST or len(drawn) < 2:
        raise ForecastError(
            f"forecast: not enough runs: it needs {FEWEST} shares of the labels with 2 seeds each, and there "
            f"are {len(films)} with {len(drawn)}"
        )
    values = drawn.to_numpy(float)
    law = _fit(films, values.mean(0))
    if law is None or law.value(films[-1]) - law.value(films[0]) < values.std(0, ddof=1).mean() / np.sqrt(
        len(drawn)
    ):
        raise ForecastError(
            "forecast: the curve does not rise by more than the draws differ: more labels or draws"
        )
    if law.films(value) > FARTHEST * films[-1]:
        reach = float(law.value(FARTHEST * films[-1]))
        raise ForecastError(
            f"forecast: {value:g} lies beyond what these runs can tell, which is {reach:.3f} at "
            f"{FARTHEST:g} times the most films run"
        )
    rng = np.random.default_rng(seed)
    laws = [_fit(films, values[rng.integers(len(drawn), size=len(drawn))].mean(0)) for _ in range(REPLICATES)]
    # A resample that does not rise would need any number of films.
    drawn_films = [np.inf if each is None else each.films(value) for each in laws]
    low, high = np.percentile(drawn_films, [2.5, 97.5], method="inverted_cdf")
    return Forecast(value, law.films(value), float(low), float(high), law)


def _fit(films: NDArray[np.float64], means: NDArray[np.float64]) -> Law | None:
    """Return the law of least squares with its ceiling at most 1; None where the means do not rise.

    For a given power the law is linear in ceiling and slope: only the power is searched.
    """

    def linear(power: float) -> tuple[float, float, float]:
        falling = films**-power
        slope, ceiling = np.polyfit(falling, means, 1)
        if ceiling > 1:
            ceiling = 1.0
            slope = float(((means - 1) * falling).sum() / (falling**2).sum())
        return float(ceiling), float(-slope), float(((ceiling + slope * falling - means) ** 2).sum())

    with warnings.catch_warnings():
        # Powers near 0 make the two columns alike; the search leaves them by their error.
        warnings.simplefilter("ignore", np.exceptions.RankWarning)
        power = float(
            optimize.minimize_scalar(lambda each: linear(each)[2], bounds=_POWERS, method="bounded").x
        )
        ceiling, slope, _ = linear(power)
    return Law(ceiling, slope, power) if slope > 0 else None
