"""One label judged: against scikit-learn and formulas, and nothing is ever chosen on test films."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import special
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score, roc_curve

from timnet.evaluation import appraisal, auroc
from timnet.evaluation.predictions import TEST, VALIDATION, Predictions


def made(number=400, seed=0, sureness=3.0, unknown=0.1) -> Predictions:
    """Films of one label whose true log odds are known; the network says them `sureness` times as large."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 1.5, (number, 1))
    truth = (rng.random((number, 1)) < special.expit(odds)).astype(float)
    truth[rng.random((number, 1)) < unknown] = np.nan
    validation = np.arange(number) % 2 == 0
    return Predictions("0" * 16, ("x",), np.arange(number), validation, truth, sureness * odds)


def known(kept, part):
    films = kept.part(part)
    rows = ~np.isnan(films.truth_NL[:, 0])
    return films.truth_NL[rows, 0], films.p_NL[rows, 0]


def test_decisions_and_curves_are_those_of_scikit_learn_on_the_test_films():
    kept = made()
    found = appraisal.of(kept, "x")
    truth, p = known(kept, TEST)
    for decision in (found.half, found.chosen):
        clears, alarms, misses, hits = confusion_matrix(truth, p >= decision.threshold).ravel()
        assert (decision.hits, decision.misses) == (hits, misses)
        assert (decision.alarms, decision.clears) == (alarms, clears)
        assert decision.sensitivity.value == hits / (hits + misses)
        assert decision.specificity.value == clears / (clears + alarms)
        assert decision.positive_value.value == hits / (hits + alarms)
        assert decision.negative_value.value == clears / (clears + misses)
    assert found.area == auroc.area(truth, p)
    assert np.trapezoid(found.roc["true"], found.roc["false"]) == pytest.approx(roc_auc_score(truth, p))
    curve = found.precision_recall
    area = -np.sum(np.diff(curve["recall"]) * curve["precision"][:-1])
    assert area == pytest.approx(average_precision_score(truth, p))
    assert (found.films, found.positives) == (len(truth), truth.sum())


def test_the_operating_point_is_youdens_on_validation_films():
    kept = made()
    truth, p = known(kept, VALIDATION)
    false, true, thresholds = roc_curve(truth, p, drop_intermediate=False)
    assert appraisal.of(kept, "x").chosen.threshold == thresholds[(true - false).argmax()]


def test_the_temperature_of_logits_three_times_too_large_is_three_and_mends_them():
    found = appraisal.of(made(20_000, unknown=0), "x")
    assert found.temperature == pytest.approx(3, rel=0.08)
    assert found.cooled.error < 0.02 < 0.1 < found.said.error


def test_other_test_films_change_neither_threshold_nor_temperature():
    kept = made()
    test = ~kept.validation_N
    other = replace(kept, truth_NL=np.where(test[:, None], 1 - kept.truth_NL, kept.truth_NL))
    first, second = appraisal.of(kept, "x"), appraisal.of(other, "x")
    assert first.chosen.threshold == second.chosen.threshold
    assert first.temperature == second.temperature
    assert first.half != second.half


def test_without_validation_films_of_both_classes_nothing_is_chosen_and_a_sentence_says_why():
    kept = made()
    none = appraisal.of(replace(kept, validation_N=np.zeros(400, bool)), "x")
    assert none.chosen is none.temperature is none.cooled is None
    assert "no validation films" in none.unchosen
    negative = np.where(kept.validation_N[:, None], 0.0, kept.truth_NL)
    one = appraisal.of(replace(kept, truth_NL=negative), "x")
    assert one.chosen is None and one.unchosen.endswith("200, are all negative")
    assert one.half == appraisal.of(kept, "x").half


def test_test_films_of_one_class_leave_undefined_what_needs_two():
    kept = made()
    found = appraisal.of(
        replace(kept, truth_NL=np.where(kept.validation_N[:, None], kept.truth_NL, 1.0)), "x"
    )
    assert math.isnan(found.area.value) and math.isnan(found.half.specificity.value)
    assert found.roc.empty and found.precision_recall.empty
    assert found.half.hits + found.half.misses == found.films == found.positives
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert told["auROC"] is None and told["sensitivity"] is not None


def test_a_share_has_wilsons_interval():
    z, share, number = 1.959963984540054, 18 / 20, 20
    centre = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z / (1 + z**2 / number) * math.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    found = appraisal.Decision(0.5, hits=18, misses=2, alarms=0, clears=0).sensitivity
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half))


def kept(truth, logits, validation=None):
    truth = np.array(truth, float)[:, None]
    number = len(truth)
    part = np.zeros(number, bool) if validation is None else np.array(validation, bool)
    return Predictions(
        "c", ("Opacity",), 10 * np.arange(number), part, truth, np.array(logits, float)[:, None]
    )


def test_the_surest_come_first_of_each_kind_and_right_or_unknown_films_never():
    told = kept([1, 1, 0, 0, 1, np.nan, 0], [-3, -1, 2, 4, 5, -9, -2])
    missed, alarms = appraisal.surest_mistakes(told, "Opacity", 0.5, 5)
    assert [each.film for each in missed] == [0, 10] and [each.film for each in alarms] == [30, 20]
    assert [each.positive for each in missed + alarms] == [True, True, False, False]
    assert missed[0].probability == pytest.approx(1 / (1 + np.exp(3)))
    assert appraisal.surest_mistakes(told, "Opacity", 0.5, 1)[0] == missed[:1]


def test_validation_films_are_left_out():
    assert (
        appraisal.surest_mistakes(kept([1, 1], [-3, -1], [True, False]), "Opacity", 0.5, 5)[0][0].film == 10
    )


def test_at_every_threshold_there_are_as_many_as_the_decision_counts():
    rng = np.random.default_rng(0)
    told = kept(rng.integers(0, 2, 200), rng.normal(size=200))
    for threshold in (0.1, 0.5, 0.9):
        missed, alarms = appraisal.surest_mistakes(told, "Opacity", threshold, 1000)
        p = told.p_NL[:, 0]
        made = appraisal.decided(told.truth_NL[:, 0], p, threshold)
        assert (len(missed), len(alarms)) == (made.misses, made.alarms)
