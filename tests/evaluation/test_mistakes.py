"""The surest mistakes of a run: which films they are, and at which threshold."""

from __future__ import annotations

import numpy as np
import pytest

from timnet.evaluation import appraisal, mistakes
from timnet.evaluation.predictions import Predictions


def kept(truth, logits, validation=None):
    truth = np.array(truth, float)[:, None]
    number = len(truth)
    part = np.zeros(number, bool) if validation is None else np.array(validation, bool)
    return Predictions(
        "c", ("Opacity",), 10 * np.arange(number), part, truth, np.array(logits, float)[:, None]
    )


def test_the_surest_come_first_of_each_kind_and_right_or_unknown_films_never():
    told = kept([1, 1, 0, 0, 1, np.nan, 0], [-3, -1, 2, 4, 5, -9, -2])
    missed, alarms = mistakes.surest(told, "Opacity", 0.5, 5)
    assert [each.film for each in missed] == [0, 10] and [each.film for each in alarms] == [30, 20]
    assert [each.positive for each in missed + alarms] == [True, True, False, False]
    assert missed[0].probability == pytest.approx(1 / (1 + np.exp(3)))
    assert mistakes.surest(told, "Opacity", 0.5, 1)[0] == missed[:1]


def test_validation_films_are_left_out():
    assert mistakes.surest(kept([1, 1], [-3, -1], [True, False]), "Opacity", 0.5, 5)[0][0].film == 10


def test_at_every_threshold_there_are_as_many_as_the_decision_counts():
    rng = np.random.default_rng(0)
    told = kept(rng.integers(0, 2, 200), rng.normal(size=200))
    for threshold in (0.1, 0.5, 0.9):
        missed, alarms = mistakes.surest(told, "Opacity", threshold, 1000)
        p = told.p_NL[:, 0]
        made = appraisal.decided(told.truth_NL[:, 0], p, threshold)
        assert (len(missed), len(alarms)) == (made.misses, made.alarms)
