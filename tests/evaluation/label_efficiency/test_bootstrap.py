"""The interval over draws: its two sources of chance one by one, both together by simulation, and pairs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from timnet.evaluation import metrics
from timnet.evaluation.auroc import Estimate
from timnet.evaluation.label_efficiency import bootstrap
from timnet.evaluation.label_efficiency.curve import half_width
from timnet.evaluation.predictions import Predictions


def made(seed, number=80, runs=5, between=0.3, apart=1.2):
    """Truth, patients of two films each, and runs whose skill varies from draw to draw."""
    rng = np.random.default_rng(seed)
    y = np.repeat(rng.random(number // 2) < 0.5, 2).astype(float)
    skill = apart + rng.normal(0, between, runs)
    logits = skill[:, None] * (y - 0.5) + np.repeat(rng.normal(0, 1, number // 2), 2)
    return y, 1 / (1 + np.exp(-logits)), [f"p{i // 2}" for i in range(number)]


def kept(truth, p_RNL, labels):
    films = np.arange(len(truth))
    # A probability of 0 or 1 has no logit.
    p_RNL = np.clip(p_RNL, 1e-9, 1 - 1e-9)
    return [Predictions("f", labels, films, films < 0, truth, np.log(p / (1 - p))) for p in p_RNL]


def runs(y, p_RN):
    """Runs of one label, x."""
    return kept(y[:, None], p_RN[:, :, None], ("x",))


def test_equal_draws_leave_the_bootstrap_over_patients():
    y, p, patients = made(0, runs=1)
    found = bootstrap.of_runs(runs(y, np.repeat(p, 4, 0)), patients, "x", "auROC", seed=3)
    table = metrics.evaluate(y[:, None], p[0][:, None], patients, ["x"], seed=3).set_index("metric")
    assert (found.value, found.low, found.high) == pytest.approx(
        tuple(table.loc["auROC", ["value", "low", "high"]])
    )


def test_perfectly_steady_patients_leave_the_spread_of_the_draws():
    """Every film its own patient and the score the same for each: only which draws come matters."""
    y = np.tile([0.0, 1.0], 30)
    accuracy = [1.0, 1.0, 0.0, 1.0]
    p = np.stack([y if right else 1 - y for right in accuracy])
    found = bootstrap.of_runs(runs(y, p), [str(i) for i in range(60)], "x", "ACC", replicates=4000)
    counts = np.random.default_rng(0).binomial(4, 0.75, 20_000) / 4
    assert found.value == pytest.approx(0.75)
    assert [found.low, found.high] == pytest.approx(np.percentile(counts, [2.5, 97.5]))


def test_both_sources_widen_the_interval():
    y, p, patients = made(1, between=0.8)
    both = bootstrap.of_runs(runs(y, p), patients, "x", "auROC")
    alone = [bootstrap.of_runs(runs(y, row[None]), patients, "x", "auROC") for row in p]
    same = bootstrap.of_runs(runs(y, np.repeat(p[:1], 5, 0)), patients, "x", "auROC")
    assert both.value == pytest.approx(np.mean([each.value for each in alone]))
    spread = np.std([roc_auc_score(y, row) for row in p])
    assert both.high - both.low > max(2 * spread / np.sqrt(5), 0.8 * (same.high - same.low))


def test_pairs_of_the_same_draws_and_patients_are_compared_more_closely_than_strangers():
    y, p, patients = made(2, between=0.8)
    second = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + 0.3 * (y - 0.5))))
    found = bootstrap.difference_of_runs(runs(y, p), runs(y, second), patients, "x", "auROC")
    assert found.value == pytest.approx(
        np.mean([roc_auc_score(y, b) - roc_auc_score(y, a) for a, b in zip(p, second, strict=True)])
    )
    each = [bootstrap.of_runs(runs(y, part), patients, "x", "auROC") for part in (p, second)]
    assert found.high - found.low < 0.5 * sum(one.high - one.low for one in each)
    assert found.low > 0
    nothing = bootstrap.difference_of_runs(runs(y, p), runs(y, p), patients, "x", "auROC")
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)


def test_other_numbers_of_draws_are_refused():
    y, p, patients = made(3)
    with pytest.raises(ValueError, match="got 5 and 4"):
        bootstrap.difference_of_runs(runs(y, p), runs(y, p[:4]), patients, "x", "ACC")


def test_one_class_is_undefined():
    found = bootstrap.of_runs(runs(np.ones(6), np.full((2, 6), 0.7)), list("abcdef"), "x", "auROC")
    assert np.isnan(found.value) and np.isnan(found.low)


@pytest.mark.parametrize("label", ["b", metrics.MACRO, metrics.MICRO])
@pytest.mark.parametrize("metric", ["auROC", "AP", "F1"])
def test_what_runs_kept_gives_the_numbers_of_the_runs_tables(label, metric):
    made_of = [made(seed) for seed in (3, 4)]
    truth = np.stack([y for y, *_ in made_of], 1)
    truth[::7, 0] = np.nan
    runs = kept(truth, np.stack([p for _, p, _ in made_of], 2), ("a", "b"))
    patients = made_of[0][2]
    found = bootstrap.of_runs(runs, patients, label, metric, seed=5)
    tables = [metrics.evaluate(truth, run.p_NL, patients, ("a", "b"), seed=5) for run in runs]
    rows = [table[(table["label"] == label) & (table["metric"] == metric)].iloc[0] for table in tables]
    assert found.value == pytest.approx(np.mean([row["value"] for row in rows]))
    # Of one run alone the patients are all that varies: the run's own interval.
    alone = bootstrap.of_runs(runs[:1], patients, label, metric, seed=5)
    assert (alone.low, alone.high) == pytest.approx((rows[0]["low"], rows[0]["high"]))


def test_runs_tested_on_other_films_or_truth_are_no_draws_of_one_test():
    y, p, patients = made(0)
    for other in (kept(1 - y[:, None], p[:, :, None], ("x",)), kept(y[:, None], p[:, :, None], ("z",))):
        runs = [kept(y[:, None], p[:, :, None], ("x",))[0], other[1]]
        with pytest.raises(bootstrap.DrawsError, match="same films and labels"):
            bootstrap.of_runs(runs, patients, "x", "auROC")


@pytest.mark.parametrize("number", [2, 5])
@pytest.mark.parametrize(("between", "within"), [(1, 0), (1, 0.3), (1, 1), (0.3, 1)])
def test_the_wider_of_both_intervals_covers_the_truth_where_either_alone_does_not(number, between, within):
    """Means of draws and of patients drawn from normal laws around 0: how often does an interval hold 0?"""
    rng = np.random.default_rng(0)
    held = []
    for _ in range(600):
        values = rng.normal(0, between, number) + rng.normal(0, within)
        shifts = rng.normal(0, within, 400)
        drawn = values[:, None] + shifts
        found = bootstrap._estimate(values, drawn, seed=int(rng.integers(2**31)))
        half = half_width(float(values.std(ddof=1)), number)
        low, high = bootstrap.wider(found.value - half, found.value + half, found)
        held.append(low <= 0 <= high)
    assert np.mean(held) > 0.9


def test_an_undefined_side_leaves_the_other_interval():
    nan = float("nan")
    assert bootstrap.wider(0.2, 0.4, Estimate(0.3, nan, nan)) == (0.2, 0.4)
    assert bootstrap.wider(nan, nan, Estimate(0.3, 0.1, 0.5)) == (0.1, 0.5)
