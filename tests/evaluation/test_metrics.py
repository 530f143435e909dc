"""Metrics: scikit-learn on the known entries, nan where undefined, intervals that respect patients."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference
from sklearn.metrics import roc_auc_score

from timnet.evaluation import metrics
from timnet.evaluation.metrics import percentile_rank


def value(table, label, metric, column="value"):
    return table.set_index(["label", "metric"]).loc[(label, metric), column]


def draw(number=200, labels=1, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random((number, labels)) < 0.4).astype(float)
    return y, np.clip(0.3 * y + 0.7 * rng.random((number, labels)), 0, 1)


def test_the_six_metrics_equal_scikit_learns():
    y, p = draw()
    table = metrics.evaluate(y, p, [str(i) for i in range(200)], ["Pneumonia"], draws=20)
    truth, said = y[:, 0], p[:, 0] >= 0.5
    assert table["metric"].tolist() == ["ACC", "auROC", "Prec", "Recall", "F1", "AP"]
    assert value(table, "Pneumonia", "ACC") == pytest.approx(reference.accuracy_score(truth, said))
    assert value(table, "Pneumonia", "auROC") == pytest.approx(reference.roc_auc_score(truth, p[:, 0]))
    assert value(table, "Pneumonia", "Prec") == pytest.approx(reference.precision_score(truth, said))
    assert value(table, "Pneumonia", "Recall") == pytest.approx(reference.recall_score(truth, said))
    assert value(table, "Pneumonia", "F1") == pytest.approx(reference.f1_score(truth, said))
    assert value(table, "Pneumonia", "AP") == pytest.approx(reference.average_precision_score(truth, p[:, 0]))
    assert value(table, "Pneumonia", "ACC", "n") == 200
    assert value(table, "Pneumonia", "ACC", "positives") == truth.sum()


def test_unknown_labels_are_left_out_of_every_number():
    y, p = draw()
    kept = metrics.evaluate(y[:100], p[:100], [str(i) for i in range(100)], ["a"], draws=5)
    y[100:] = math.nan
    table = metrics.evaluate(y, p, [str(i) for i in range(200)], ["a"], draws=5)
    assert table["value"].tolist() == kept["value"].tolist()
    assert table["n"].tolist() == [100] * 6


def test_several_labels_have_the_macro_and_the_micro_average_too():
    y, p = draw(labels=3)
    table = metrics.evaluate(y, p, [str(i) for i in range(200)], ["a", "b", "c"], draws=5)
    assert value(table, "macro", "auROC") == pytest.approx(reference.roc_auc_score(y, p, average="macro"))
    assert value(table, "micro", "auROC") == pytest.approx(reference.roc_auc_score(y, p, average="micro"))
    assert value(table, "micro", "AP") == pytest.approx(
        reference.average_precision_score(y, p, average="micro")
    )


def test_one_class_alone_has_no_auroc_and_no_ap():
    table = metrics.evaluate(np.ones((5, 1)), np.full((5, 1), 0.7), list("abcde"), ["a"], draws=5)
    assert math.isnan(value(table, "a", "auROC"))
    assert math.isnan(value(table, "a", "AP"))
    assert value(table, "a", "ACC") == 1


def test_weighted_scores_equal_scikit_learns_with_sample_weights_ties_included():
    rng = np.random.default_rng(0)
    y, p = (rng.random(60) < 0.4).astype(float), np.round(rng.random(60), 1)
    weights = rng.integers(0, 4, (8, 60)).astype(float)
    truth, said = y == 1, p >= 0.5
    for weight, scores in zip(weights, metrics.weighted_scores(y, p, weights), strict=True):
        expected = [
            reference.accuracy_score(truth, said, sample_weight=weight),
            reference.roc_auc_score(truth, p, sample_weight=weight),
            reference.precision_score(truth, said, sample_weight=weight),
            reference.recall_score(truth, said, sample_weight=weight),
            reference.f1_score(truth, said, sample_weight=weight),
            reference.average_precision_score(truth, p, sample_weight=weight),
        ]
        np.testing.assert_allclose(scores, expected, rtol=1e-9)


def test_areas_alone_equal_scikit_learns_and_the_rows_of_all_metrics():
    rng = np.random.default_rng(0)
    y, p = (rng.random(60) < 0.4).astype(float), np.round(rng.random(60), 1)
    y[:5] = math.nan
    weights, known = rng.integers(0, 4, (8, 60)).astype(float), ~np.isnan(y)
    expected = [reference.roc_auc_score(y[known], p[known], sample_weight=each[known]) for each in weights]
    np.testing.assert_allclose(metrics.weighted_areas(y, p, weights)[:, 0], expected, rtol=1e-9)
    y, p = draw(labels=3)
    y[y[:, 0] == 1, 1] = math.nan
    asked = (y, p, [str(i // 2) for i in range(200)], ["a", "b", "c"])
    every, alone = (metrics.evaluate(*asked, draws=50, area_alone=alone) for alone in (False, True))
    every = every[every["metric"] == "auROC"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, every, check_exact=False, rtol=1e-12)


def test_weighted_scores_are_undefined_where_the_plain_ones_are():
    one_class = metrics.weighted_scores(np.array([1.0, 0.0]), np.array([0.2, 0.1]), np.array([[2.0, 0.0]]))[0]
    assert [math.isnan(value) for value in one_class] == [False, True, True, False, False, True]
    nobody = metrics.weighted_scores(np.array([math.nan]), np.array([0.2]), np.array([[1.0]]))[0]
    assert all(math.isnan(value) for value in nobody)


def test_nothing_said_positive_leaves_precision_undefined_not_zero():
    y = np.array([[1.0], [0.0]])
    table = metrics.evaluate(y, np.full((2, 1), 0.1), ["a", "b"], ["x"], draws=5)
    assert math.isnan(value(table, "x", "Prec"))
    assert value(table, "x", "Recall") == 0


def test_the_interval_holds_the_value_and_repeats_with_the_seed():
    y, p = draw()
    patients = [str(i // 2) for i in range(200)]
    first = metrics.evaluate(y, p, patients, ["a"], seed=3, draws=200)
    assert (first["low"] <= first["value"]).all()
    assert (first["value"] <= first["high"]).all()
    assert first.equals(metrics.evaluate(y, p, patients, ["a"], seed=3, draws=200))


def test_films_of_one_patient_are_drawn_together():
    """Ten copies of each film add no information: the interval must not shrink."""
    y, p = draw(number=40)
    single = metrics.evaluate(y, p, [str(i) for i in range(40)], ["a"], draws=400)
    copies = metrics.evaluate(
        np.repeat(y, 10, 0), np.repeat(p, 10, 0), [str(i // 10) for i in range(400)], ["a"], draws=400
    )
    wide = value(single, "a", "ACC", "high") - value(single, "a", "ACC", "low")
    same = value(copies, "a", "ACC", "high") - value(copies, "a", "ACC", "low")
    assert same == pytest.approx(wide, rel=0.25)
    naive = metrics.evaluate(
        np.repeat(y, 10, 0), np.repeat(p, 10, 0), [str(i) for i in range(400)], ["a"], draws=400
    )
    assert value(naive, "a", "ACC", "high") - value(naive, "a", "ACC", "low") < 0.6 * wide


def test_the_bootstrap_interval_agrees_with_the_binomial_one():
    y, p = draw(number=400)
    table = metrics.evaluate(y, p, [str(i) for i in range(400)], ["a"], draws=1000)
    accuracy = value(table, "a", "ACC")
    half = 1.96 * math.sqrt(accuracy * (1 - accuracy) / 400)
    assert value(table, "a", "ACC", "low") == pytest.approx(accuracy - half, abs=0.01)
    assert value(table, "a", "ACC", "high") == pytest.approx(accuracy + half, abs=0.01)


def test_records_are_json_with_null_for_undefined():
    table = metrics.evaluate(np.ones((3, 1)), np.full((3, 1), 0.7), list("abc"), ["a"], draws=5)
    rows = json.loads(json.dumps(metrics.records(table), allow_nan=False))
    assert rows[1] == {"label": "a", "metric": "auROC", "value": None, "low": None, "high": None} | {
        "n": 3,
        "positives": 3,
    }


@pytest.mark.parametrize("labels", [("a",), ("a", "b")])
def test_no_metric_of_eight_films_claims_certainty(labels):
    y_NL = np.tile((np.arange(8) % 2)[:, None], len(labels)).astype(float)
    table = metrics.evaluate(y_NL, 0.1 + 0.8 * y_NL, [str(i) for i in range(8)], labels)
    assert (table["value"] == 1).all() and (table["high"] == 1).all()
    # Four patients of each kind, eight in all, each right: the exact lower ends.
    expected = np.where(table["metric"] == "ACC", 0.025 ** (1 / 8), 0.025 ** (1 / 4))
    np.testing.assert_allclose(table["low"].astype(float), expected)


def test_the_share_beaten_is_the_area_under_the_curve_of_one_against_the_others():
    rng = np.random.default_rng(0)
    for _ in range(30):
        others = rng.integers(0, 8, 25) / 8
        value = rng.integers(0, 8) / 8
        expected = roc_auc_score([1] + [0] * 25, [value, *others])
        assert math.isclose(percentile_rank(value, others), expected)


def test_among_none_no_value_has_a_place():
    assert math.isnan(percentile_rank(0.5, np.array([])))


def test_a_network_that_says_the_same_of_every_report_beats_half_of_them():
    """Rounding makes 0.505 of every report differ in its last digits: that is no win."""
    others = 0.505 + np.random.default_rng(0).normal(0, 1e-5, 200)
    assert percentile_rank(0.505 + 4e-5, others) == 0.5
    assert percentile_rank(0.507, others) == 1
