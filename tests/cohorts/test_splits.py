"""Splits and label fractions, by their properties: grouping, nesting, stratification, determinism."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timnet.cohorts import splits
from timnet.cohorts.records import CohortError

SEEDS = st.integers(0, 2**31 - 1)
FRACTIONS = st.floats(0.001, 1.0)


@st.composite
def one_label(draw: st.DrawFn) -> np.ndarray:
    """(N, 1) of 0, 1 and nan, with at least one known."""
    size = draw(st.integers(1, 300))
    prevalence, unknown = draw(st.floats(0, 1)), draw(st.floats(0, 0.5))
    rng = np.random.default_rng(draw(SEEDS))
    y_N = (rng.random(size) < prevalence).astype(float)
    y_N[rng.random(size) < unknown] = np.nan
    y_N[0] = 1.0
    return y_N[:, None]


@st.composite
def many_labels(draw: st.DrawFn) -> np.ndarray:
    """(N, L) of 0, 1 and nan, labels of unequal frequency."""
    size, labels = draw(st.integers(1, 200)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(SEEDS))
    y_NL = (rng.random((size, labels)) < rng.random(labels) ** 2).astype(float)
    y_NL[rng.random((size, labels)) < 0.1] = np.nan
    y_NL[0] = 0.0
    return y_NL


@given(many_labels(), SEEDS, FRACTIONS, FRACTIONS)
def test_a_smaller_fraction_is_part_of_a_larger_one(y_NL: np.ndarray, seed: int, a: float, b: float) -> None:
    small, large = (set(splits.draw(y_NL, fraction, seed)) for fraction in sorted((a, b)))
    assert small <= large


@given(one_label(), SEEDS)
def test_every_prefix_of_the_order_keeps_the_proportion_of_positives_within_one_film(
    y_N1: np.ndarray, seed: int
) -> None:
    ordered = splits.order(y_N1, seed)
    positive = y_N1[ordered, 0]
    taken = np.arange(1, len(ordered) + 1)
    assert np.abs(np.cumsum(positive) - taken * positive.mean()).max() <= 1 + 1e-9


@given(many_labels(), SEEDS)
def test_the_first_films_of_the_order_show_every_class_once(y_NL: np.ndarray, seed: int) -> None:
    ordered = splits.order(y_NL, seed)
    classes = splits.strata(y_NL[ordered])
    num_classes = len(set(classes))
    assert len(set(classes[:num_classes])) == num_classes


@given(many_labels(), SEEDS, FRACTIONS)
def test_a_draw_has_the_stated_size_and_only_labelled_films(
    y_NL: np.ndarray, seed: int, fraction: float
) -> None:
    labelled = ~np.isnan(y_NL).all(axis=1)
    drawn = splits.draw(y_NL, fraction, seed)
    stated, classes = round(fraction * labelled.sum()), len(np.unique(splits.strata(y_NL[labelled])))
    # At most one film more for either way of each label.
    assert max(stated, classes) <= len(drawn) <= max(stated, classes + 2 * y_NL.shape[1])
    assert labelled[drawn].all()
    assert (np.diff(drawn) > 0).all()


@given(many_labels(), SEEDS, FRACTIONS)
def test_every_draw_shows_every_class_and_every_label_both_ways(
    y_NL: np.ndarray, seed: int, fraction: float
) -> None:
    labelled = y_NL[~np.isnan(y_NL).all(axis=1)]
    drawn = y_NL[splits.draw(y_NL, fraction, seed)]
    for value in (0.0, 1.0):
        assert ((drawn == value).any(axis=0) == (labelled == value).any(axis=0)).all()
    # The classes of all films, by their own definition: the rarest positive label, or none.
    rarity = (labelled == 1).sum(axis=0)
    rarest = [{rarity[row == 1].min()} if (row == 1).any() else {None} for row in drawn]
    everywhere = [{rarity[row == 1].min()} if (row == 1).any() else {None} for row in labelled]
    assert set().union(*rarest) == set().union(*everywhere)


def test_a_label_that_never_stands_alone_is_in_every_draw() -> None:
    # The first label is positive only beside one of three rarer ones, most of whose films are without it.
    y_NL = np.zeros((400, 4))
    for label in (1, 2, 3):
        y_NL[label * 100 : label * 100 + 20, label] = 1
        y_NL[label * 100 : label * 100 + 8, 0] = 1
    for seed in range(20):
        drawn = splits.draw(y_NL, 0.005, seed)
        assert (y_NL[drawn] == 1).any(axis=0).all()
        assert len(drawn) <= 6


@given(one_label(), SEEDS)
def test_the_whole_fraction_is_every_labelled_film(y_N1: np.ndarray, seed: int) -> None:
    assert splits.draw(y_N1, 1.0, seed).tolist() == np.flatnonzero(~np.isnan(y_N1[:, 0])).tolist()


def test_half_a_percent_of_mendeleys_training_films_is_26_of_which_a_quarter_are_normal() -> None:
    y_N1 = np.r_[np.ones(3883), np.zeros(1349)][:, None]
    drawn = splits.draw(y_N1, 0.005, seed=3)
    assert len(drawn) == 26
    assert y_N1[drawn].sum() in (19, 20)  # 26 * 3883 / 5232 = 19.3


def test_seeds_draw_different_films_and_one_seed_the_same() -> None:
    y_N1 = np.tile([0.0, 1.0], 100)[:, None]
    assert splits.draw(y_N1, 0.1, 1).tolist() == splits.draw(y_N1, 0.1, 1).tolist()
    assert splits.draw(y_N1, 0.1, 1).tolist() != splits.draw(y_N1, 0.1, 2).tolist()


def test_every_film_is_drawn_about_equally_often_over_seeds() -> None:
    y_N1 = np.r_[np.ones(10), np.zeros(30)][:, None]
    counts = sum(np.isin(np.arange(40), splits.draw(y_N1, 0.2, seed)) for seed in range(600))
    # 600 draws of 8 among 40: 120 each, standard deviation 9.8.
    assert np.abs(np.asarray(counts) - 120).max() < 5 * 9.8


def test_a_film_belongs_to_its_rarest_positive_label() -> None:
    y_NL = np.array([[1, 0], [1, 0], [1, 1], [0, 0], [np.nan, 0]])
    assert splits.strata(y_NL).tolist() == [0, 0, 1, -1, -1]


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(CohortError, match="above 0 and at most 1"):
        splits.draw(np.ones((5, 1)), fraction, 0)


def test_a_draw_without_any_label_is_refused() -> None:
    with pytest.raises(CohortError, match="at least one labelled X-ray"):
        splits.draw(np.full((5, 2), np.nan), 0.5, 0)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 25), min_size=1, max_size=150), SEEDS)
def test_no_patient_is_in_two_splits(patients: list[int], seed: int) -> None:
    names = splits.by_patient([str(patient) for patient in patients], seed)
    assert splits.crossing(pd.DataFrame({"patient": patients, "split": names})) == []
    if len(set(patients)) >= 3:
        assert set(names) == {"train", "val", "test"}


@settings(max_examples=50)
@given(st.lists(st.integers(0, 25), min_size=2, max_size=80), SEEDS, SEEDS)
def test_a_patients_split_does_not_depend_on_the_order_of_rows(
    patients: list[int], seed: int, mix: int
) -> None:
    rows = np.array([str(patient) for patient in patients])
    shuffled = np.random.default_rng(mix).permutation(len(rows))
    assert (splits.by_patient(rows, seed)[shuffled] == splits.by_patient(rows[shuffled], seed)).all()


@settings(max_examples=30)
@given(SEEDS, st.floats(0.05, 0.5))
def test_splits_get_their_shares_and_their_part_of_the_rare_class(seed: int, prevalence: float) -> None:
    rng = np.random.default_rng(seed)
    patients = np.repeat(np.arange(300), rng.integers(1, 4, 300)).astype(str)
    ill = rng.random(300) < prevalence
    ill[:3] = True
    classes = ill[patients.astype(int)].astype(int)
    names = splits.by_patient(patients, seed, stratify=classes)
    for split, share in splits.SHARES.items():
        assert np.mean(names == split) == pytest.approx(share, abs=0.02)
        held = np.unique(patients[(names == split) & (classes == 1)])
        assert abs(len(held) - share * ill.sum()) <= 0.05 * ill.sum() + 3


def test_crossing_names_the_patient_that_two_splits_share() -> None:
    films = pd.DataFrame(
        {"patient": ["a", "a", "b", "c", "c"], "split": ["train", "test", "val", "test", None]}
    )
    assert splits.crossing(films) == ["a"]


def test_shares_that_are_not_positive_are_refused() -> None:
    with pytest.raises(CohortError, match="positive"):
        splits.by_patient(["a", "b"], 0, {"train": 1.0, "test": 0.0})
