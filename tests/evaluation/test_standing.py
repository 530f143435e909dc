"""A value's place among others, held to scikit-learn's area under the ROC curve."""

import math

import numpy as np
from sklearn.metrics import roc_auc_score

from timnet.evaluation.standing import beaten


def test_the_share_beaten_is_the_area_under_the_curve_of_one_against_the_others():
    rng = np.random.default_rng(0)
    for _ in range(30):
        others = rng.integers(0, 8, 25) / 8
        value = rng.integers(0, 8) / 8
        expected = roc_auc_score([1] + [0] * 25, [value, *others])
        assert math.isclose(beaten(value, others), expected)


def test_among_none_no_value_has_a_place():
    assert math.isnan(beaten(0.5, np.array([])))


def test_a_network_that_says_the_same_of_every_report_beats_half_of_them():
    """Rounding makes 0.505 of every report differ in its last digits: that is no win."""
    others = 0.505 + np.random.default_rng(0).normal(0, 1e-5, 200)
    assert beaten(0.505 + 4e-5, others) == 0.5
    assert beaten(0.507, others) == 1
