"""Linear probe: finds what is planted in the features, nothing in noise, and touches no held-out film."""

from __future__ import annotations

import numpy as np
import pytest

from timnet.cohorts import store
from timnet.cohorts.pairs import collect
from timnet.evaluation import probing


@pytest.fixture(scope="module")
def pairs(cohort_folder):
    return collect([str(cohort_folder)], ("val", "test"), side=32)


def area(table, label):
    return float(table.loc[(table["label"] == label) & (table["metric"] == "auROC"), "value"].iloc[0])


def test_a_planted_direction_is_found_and_noise_is_not(cohort_folder, pairs):
    made = probing.of_task([str(cohort_folder)], "Opacity", pairs, seed=0)
    assert made.labels == ("Opacity",)
    assert not pairs.held_out[made.fitted].any()
    tested = made.known(np.flatnonzero(pairs.held_out).tolist())
    x = np.random.default_rng(0).normal(size=(len(pairs.row), 16))
    noise = probing.evaluate(made, x[made.fitted], x[tested], tested, pairs, 0)
    x[:, 3] += 6 * made.y_PL[:, 0]
    planted = probing.evaluate(made, x[made.fitted], x[tested], tested, pairs, 0)
    assert area(planted, "Opacity") > 0.95
    assert 0.1 < area(noise, "Opacity") < 0.9


def test_few_films_are_fitted_the_same_for_a_seed(cohort_folder, pairs, monkeypatch):
    monkeypatch.setattr(probing, "FILMS", 10)
    drawn = [probing.of_task([str(cohort_folder)], "Opacity", pairs, seed).fitted for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 10


def test_a_label_of_one_class_is_undefined_and_other_cohorts_are_left_out(cohort_folder):
    both = collect([str(cohort_folder)] * 2, ("val", "test"), side=32)
    made = probing.of_task([str(cohort_folder)] * 2, "Opacity,No Finding", both, seed=0)
    assert (both.source[made.fitted] == 0).all()
    tested = made.known(np.flatnonzero(both.held_out).tolist())
    assert (both.source[tested] == 0).all()
    made.y_PL[made.fitted, 0] = 1.0
    x = np.random.default_rng(0).normal(size=(len(both.row), 4))
    table = probing.evaluate(made, x[made.fitted], x[tested], tested, both, 0)
    assert np.isnan(area(table, "Opacity")) and not np.isnan(area(table, "No Finding"))


def test_a_task_that_the_cohort_does_not_have_is_refused(cohort_folder, pairs):
    with pytest.raises(store.CohortError, match="Scoliosis"):
        probing.of_task([str(cohort_folder)], "Scoliosis", pairs, seed=0)
