"""The forecast: a known law found again, its interval holding the truth, and every refusal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from timnet.evaluation.label_efficiency import forecast
from timnet.evaluation.label_efficiency.forecast import ForecastError, Law

FILMS = (26, 52, 105, 262, 523, 1046)


def curve(law, spread=0.0, draws=5, seed=0, films=FILMS):
    rng = np.random.default_rng(seed)
    rows = [
        (number, draw, float(law.value(number)) + rng.normal(0, spread))
        for number in films
        for draw in range(draws)
    ]
    return pd.DataFrame(rows, columns=["films", "seed", "value"])


@pytest.mark.parametrize("law", [Law(0.95, 0.8, 0.5), Law(1.0, 1.5, 0.7), Law(0.9, 0.4, 0.3)])
def test_a_known_law_gives_its_own_number_of_films(law):
    target = float(law.value(3000))
    found = forecast.needed(curve(law), target)
    assert found.films == pytest.approx(3000, rel=0.02)
    assert law.films(float(law.value(3000))) == pytest.approx(3000)


@pytest.mark.whole
def test_the_interval_holds_the_truth_about_as_often_as_it_should():
    law, held = Law(0.95, 0.8, 0.5), []
    target = float(law.value(1500))
    for seed in range(20):
        found = forecast.needed(curve(law, spread=0.006, draws=8, seed=seed), target)
        held.append(found.low <= 1500 <= found.high)
    # A bootstrap of 8 draws is a little narrow.
    assert np.mean(held) >= 0.75


def test_a_short_curve_is_refused():
    with pytest.raises(ForecastError, match="there are 3 with 5"):
        forecast.needed(curve(Law(0.95, 0.8, 0.5), films=FILMS[:3]), 0.9)
    with pytest.raises(ForecastError, match="there are 6 with 1"):
        forecast.needed(curve(Law(0.95, 0.8, 0.5), draws=1), 0.9)


def test_a_curve_that_does_not_rise_is_refused():
    with pytest.raises(ForecastError, match="does not rise"):
        forecast.needed(curve(Law(0.8, 0.0, 0.5), spread=0.02), 0.9)
    falling = curve(Law(0.95, 0.8, 0.5))
    with pytest.raises(ForecastError, match="does not rise"):
        forecast.needed(falling.assign(value=1 - falling["value"]), 0.9)


def test_what_lies_above_the_ceiling_or_far_away_is_refused():
    law = Law(0.9, 0.8, 0.5)
    for target in (0.95, float(law.value(200_000))):
        with pytest.raises(ForecastError, match="beyond what these runs can tell"):
            forecast.needed(curve(law), target)


def test_a_ceiling_is_never_above_one():
    rising = pd.DataFrame(
        [(number, draw, 0.1 + 0.12 * np.log(number)) for number in FILMS for draw in range(3)],
        columns=["films", "seed", "value"],
    )
    assert forecast.needed(rising, 0.9).law.ceiling <= 1.0
