"""Calibration: bins by hand, known temperatures found again, order kept, the line where Youden draws it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss, roc_auc_score

from timnet.evaluation.calibration import measures


def sure(seed, number=4000, factor=1.0):
    """Films whose truth follows sigmoid(logit), and logits that overstate it by a factor."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, number)
    return (rng.random(number) < special.expit(logits)).astype(float), logits * factor


def test_the_error_of_four_films_by_hand():
    y, p = np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.1, 0.3, 0.9, 0.95])
    # Two bins: (0.1, 0.3) says 0.2 and finds 0.5; (0.9, 0.95) says 0.925 and finds 0.5.
    assert measures.expected_error(y, p, bins=2) == pytest.approx((0.3 + 0.425) / 2)


def test_the_bins_are_scikit_learns():
    y, logits = sure(0)
    p = special.expit(logits)
    table = measures.reliability(y, p)
    found, said = calibration_curve(y, p, n_bins=10)
    np.testing.assert_allclose(table["found"], found)
    np.testing.assert_allclose(table["said"], said)
    assert table["n"].sum() == len(y)


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_a_known_temperature_is_found_again_and_mends_the_error(factor):
    y, logits = sure(1, 20_000, factor)
    found = measures.temperature(y, logits)
    assert found == pytest.approx(factor, rel=0.06)
    before, after = (measures.calibrated(logits, each) for each in (1.0, found))
    assert measures.expected_error(y, after) < 0.02
    assert log_loss(y, after) <= log_loss(y, before) + 1e-6
    assert roc_auc_score(y, after) == pytest.approx(roc_auc_score(y, before))


def test_no_other_temperature_has_a_smaller_loss():
    y, logits = sure(2, 500, 2.0)
    best = measures.temperature(y, logits)
    losses = [log_loss(y, measures.calibrated(logits, best * factor)) for factor in (0.9, 0.99, 1, 1.01, 1.1)]
    assert np.argmin(losses) == 2


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=30))
def test_no_other_line_has_more_sensitivity_and_specificity(films):
    y, p = (np.array(column, float) for column in zip(*films, strict=True))
    p /= 8
    if len(np.unique(y)) < 2:
        with pytest.raises(measures.CalibrationError, match="positive and negative"):
            measures.operating_point(y, p)
        return

    def youden(line):
        said = p >= line
        return said[y == 1].mean() + (~said)[y == 0].mean()

    chosen = measures.operating_point(y, p)
    best = max(youden(line) for line in [*p, 2.0])
    # A line above every film, which calls nothing positive, is never chosen: it has 1 exactly.
    assert youden(chosen) == pytest.approx(max(youden(line) for line in p))
    assert best == pytest.approx(max(youden(chosen), 1.0))


def test_one_class_has_no_temperature_and_unknown_films_do_not_count():
    with pytest.raises(measures.CalibrationError, match="got 3 positive of 3"):
        measures.temperature(np.ones(3), np.arange(3.0))
    y, logits = sure(3, 300)
    padded = measures.temperature(np.append(y, np.nan), np.append(logits, 50.0))
    assert padded == pytest.approx(measures.temperature(y, logits))
    assert np.isnan(measures.expected_error(np.array([np.nan]), np.array([0.5])))
