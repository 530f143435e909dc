"""Films to label next: never one of the test, the least sure first, the farthest first."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from timnet.cohorts import store
from timnet.evaluation import active_learning


@pytest.fixture
def cohort(cohort_folder, tmp_path):
    """A copy that labels may be added to."""
    shutil.copytree(cohort_folder, tmp_path / "synthetic", ignore=shutil.ignore_patterns("pixels-*"))
    return store.Cohort.open(tmp_path / "synthetic")


def test_only_training_films_whose_label_nobody_knows_are_offered(cohort):
    table, labels = cohort.films(), cohort.labels()
    rows = active_learning.candidates(cohort, "Left opacity")
    assert len(rows) and set(table["split"].iloc[rows]) == {"train"}
    # Uncertain is not known either, unless somebody has looked here and said so.
    assert set(labels["Left opacity"].iloc[rows].fillna(-1)) == {-1}
    known, y = active_learning.known(cohort, "Left opacity")
    assert not set(rows) & set(known)
    train = int((table["split"] == "train").sum())
    assert len(rows) + len(known) == train and set(y[:, 0]) == {0, 1}
    assert len(active_learning.candidates(cohort, "Opacity")) == 0
    assert len(active_learning.candidates(cohort, "Never heard of")) == train


@pytest.mark.parametrize("value", [1.0, 0.0, -1.0])
def test_what_was_said_here_is_not_asked_again_until_it_is_taken_back(cohort, value):
    first, *others = active_learning.candidates(cohort, "Left opacity")
    study = cohort.films()["study"][first]
    cohort.add_label(study, "Left opacity", value)
    assert active_learning.candidates(cohort, "Left opacity").tolist() == others
    cohort.remove_label(study, "Left opacity")
    assert active_learning.candidates(cohort, "Left opacity").tolist() == [first, *others]


def test_the_least_sure_come_first():
    p = np.array([0.99, 0.45, 0.02, 0.58, 0.5])
    assert active_learning.uncertain(p, 3).tolist() == [4, 1, 3]
    assert len(active_learning.uncertain(p, 9)) == 5


def test_each_diverse_film_is_the_farthest_from_all_labelled_and_chosen_before():
    rng = np.random.default_rng(0)
    films, labelled = rng.normal(size=(40, 3)), rng.normal(size=(5, 3))
    chosen = active_learning.diverse(films, labelled, 6)
    together = np.concatenate([films, labelled])
    scaled = (together - together.mean(0)) / together.std(0)
    x, centres = scaled[:40], scaled[40:]
    for number, place in enumerate(chosen):
        away = cdist(x, np.concatenate([centres, x[chosen[:number]]])).min(1)
        assert away[place] == pytest.approx(away.max(), rel=1e-4)
    assert len(set(chosen.tolist())) == 6


def test_without_any_label_the_first_diverse_film_is_the_farthest_from_the_mean():
    films = np.array([[0.0, 0.0], [0.1, 0.0], [0.0, 0.1], [9.0, 9.0], [0.1, 0.1]])
    chosen = active_learning.diverse(films, films[:0], 5)
    assert chosen[0] == 3 and sorted(chosen.tolist()) == [0, 1, 2, 3, 4]
