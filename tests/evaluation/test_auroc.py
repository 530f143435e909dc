"""DeLong's interval: the definition by pairs, scikit-learn's area, coverage, two classifiers at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from timnet.evaluation import auroc


def films(seed, number=60, apart=1.0, ties=False):
    rng = np.random.default_rng(seed)
    y = (rng.random(number) < 0.4).astype(float)
    p = rng.normal(apart * y, 1)
    return y, np.round(p) if ties else p


def by_pairs(y, p):
    """DeLong's components as the paper defines them: every positive against every negative."""
    above = (p[y == 1][:, None] > p[y == 0]) + 0.5 * (p[y == 1][:, None] == p[y == 0])
    return above.mean(1), above.mean(0)


@pytest.mark.parametrize("ties", [False, True])
def test_the_area_is_scikit_learns_and_the_variance_that_of_the_definition(ties):
    y, p = films(0, ties=ties)
    found = auroc.area(y, p)
    assert found.value == pytest.approx(roc_auc_score(y, p))
    of_positives, of_negatives = by_pairs(y, p)
    variance = of_positives.var(ddof=1) / len(of_positives) + of_negatives.var(ddof=1) / len(of_negatives)
    logit = [math.log(end / (1 - end)) for end in (found.low, found.high)]
    half = stats.norm.ppf(0.975) * math.sqrt(variance) / (found.value * (1 - found.value))
    assert np.diff(logit)[0] / 2 == pytest.approx(half)


def test_the_difference_has_the_covariance_of_the_definition():
    y, first = films(1)
    second = first + np.random.default_rng(2).normal(0, 1, len(y))
    found = auroc.difference(y, first, second)
    change = [b - a for a, b in zip(by_pairs(y, first), by_pairs(y, second), strict=True)]
    deviation = math.sqrt(sum(part.var(ddof=1) / len(part) for part in change))
    assert found.value == pytest.approx(roc_auc_score(y, second) - roc_auc_score(y, first))
    assert found.high - found.low == pytest.approx(2 * stats.norm.ppf(0.975) * deviation)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(found.value) / deviation))


def test_the_interval_covers_the_true_area_about_19_times_in_20():
    true = stats.norm.cdf(1 / math.sqrt(2))
    found = [auroc.area(*films(seed, 120)) for seed in range(400)]
    assert 0.92 < np.mean([each.low <= true <= each.high for each in found]) < 0.98


def test_the_interval_agrees_with_a_bootstrap_over_films():
    y, p = films(3, 300)
    rng = np.random.default_rng(4)
    drawn = [roc_auc_score(y[rows], p[rows]) for rows in rng.integers(0, len(y), (600, len(y)))]
    found = auroc.area(y, p)
    assert [found.low, found.high] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.015)


def test_the_same_classifier_twice_differs_by_nothing():
    y, p = films(5)
    assert auroc.difference(y, p, 2 * p + 1) == auroc.Difference(0.0, 0.0, 0.0, 1.0)


def test_one_class_is_undefined_and_unknown_films_do_not_count():
    assert math.isnan(auroc.area(np.ones(4), np.arange(4.0)).value)
    assert math.isnan(auroc.difference(np.ones(4), np.arange(4.0), np.arange(4.0)).p_value)
    y, p = films(6)
    padded = auroc.area(np.append(y, np.nan), np.append(p, 99.0))
    assert padded == auroc.area(y, p)


def test_a_perfect_classifier_of_few_films_is_not_certain():
    found = auroc.area(np.array([0.0, 0, 1, 1]), np.arange(4.0))
    # Two independent pairs, both right: Clopper and Pearson's lower end is the root of 0.025.
    assert (found.value, found.high) == (1, 1) and found.low == pytest.approx(0.025**0.5)
    none = auroc.area(np.array([1.0, 1, 0, 0]), np.arange(4.0))
    assert none.low == 0 and none.high == pytest.approx(1 - 0.025**0.5)
    one = auroc.area(np.array([0.0, 0, 0, 1]), np.arange(4.0))
    assert one.low == pytest.approx(0.025)
    many = auroc.area(np.repeat([0.0, 1.0], 200), np.arange(400.0))
    assert many.low == pytest.approx(0.025 ** (1 / 200)) and many.low > 0.98


@pytest.mark.parametrize(("number", "apart"), [(8, 3.0), (8, 1.0), (12, 4.0), (16, 2.0)])
def test_intervals_of_few_films_cover_the_true_area(number, apart):
    true, held = stats.norm.cdf(apart / math.sqrt(2)), []
    y = (np.arange(number) % 2).astype(float)
    for seed in range(400):
        p = np.random.default_rng(seed).normal(apart * y, 1)
        found = auroc.area(y, p)
        held.append(found.low <= true <= found.high)
        assert found.low < found.high
    assert np.mean(held) > 0.94
