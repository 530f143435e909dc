"""Pairs: who counts as a false negative, and mismatched reports that never belong to the film."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timnet.cohorts import pairs, store
from timnet.cohorts.pairs import Report
from timnet.cohorts.records import CohortError
from timnet.cohorts.store import Cohort


def made(source, study, patient, text, labels=None) -> pairs.Pairs:
    number = len(source)
    labels = -1 - np.arange(number) if labels is None else np.array(labels)
    return pairs.Pairs(
        pixels=(np.arange(number * 4, dtype=np.uint8).reshape(number, 2, 2),) * (max(source) + 1),
        row=np.arange(number),
        source=np.array(source),
        study=np.array(study),
        patient=np.array(patient),
        text=np.array(text),
        labels=labels,
        normal=labels == 0,
        texts=tuple(map(str, range(max(text) + 1))),
        split=np.full(number, "train"),
        held_out=np.zeros(number, bool),
        without_text=0,
    )


codes = st.lists(st.tuples(*[st.integers(0, 3)] * 3, st.integers(0, 1)), min_size=2, max_size=25)


@given(rows=codes, seed=st.integers(0, 99))
def test_a_mismatched_report_is_of_the_same_source_and_of_another_study_patient_and_text(rows, seed):
    study, patient, text, source = (list(column) for column in zip(*rows, strict=True))
    found = made(source, study, patient, text)
    everyone = range(len(rows))
    drawn = found.mismatched(everyone, np.random.default_rng(seed))
    for film, report in drawn:
        assert source[film] == source[report]
        assert study[film] != study[report]
        assert patient[film] != patient[report]
        assert text[film] != text[report]
    has_one = {
        i
        for i in everyone
        if any(
            source[i] == source[j]
            and study[i] != study[j]
            and patient[i] != patient[j]
            and text[i] != text[j]
            for j in everyone
        )
    }
    assert {film for film, _ in drawn} == has_one


def test_a_report_with_other_labels_has_other_labels():
    labels = [0, 0, 0, 1, 1, -1, -2]
    found = made([0] * 7, range(7), range(7), range(7), labels)
    rng = np.random.default_rng(0)
    drawn = [pair for _ in range(100) for pair in found.mismatched(range(7), rng, other_labels=True)]
    assert all(labels[film] != labels[report] for film, report in drawn)
    # The last two have labels that are not known: of them nobody can say that others differ.
    assert {film for film, _ in drawn} == set(range(5))
    assert {report for film, report in drawn if film == 0} == {3, 4}
    assert {report for film, report in found.mismatched(range(7), rng)} <= set(range(7))


def test_every_report_that_is_left_comes_up():
    found = made([0] * 5, range(5), range(5), [0, 0, 1, 2, 3])
    rng = np.random.default_rng(0)
    reports = {report for _ in range(200) for film, report in found.mismatched(range(5), rng) if film == 0}
    assert reports == {2, 3, 4}


def test_draws_repeat_with_the_seed_and_differ_between_epochs():
    found = made([0] * 30, range(30), range(30), range(30))
    draw = [found.mismatched(range(30), np.random.default_rng((0, epoch))) for epoch in (0, 0, 1)]
    assert draw[0] == draw[1]
    assert draw[0] != draw[2]


def test_false_negatives_are_the_same_study_patient_or_text():
    found = made([0] * 4, [0, 0, 1, 2], [0, 1, 0, 2], [0, 1, 2, 0])
    index = np.arange(4)
    same = found.false_negatives(index[:, None], index[None, :])
    expected = np.eye(4, dtype=bool)
    for i, j in ((0, 1), (0, 2), (0, 3)):
        expected[i, j] = expected[j, i] = True
    assert (same == expected).all()


def test_a_cohorts_pairs_are_its_films_with_their_findings(cohort_folder):
    from timnet.cohorts.store import Cohort

    found = pairs.collect([str(cohort_folder)], ("val", "test"), side=32)
    table = Cohort.open(cohort_folder).films()
    assert len(found.row) == len(table) == 120
    assert [found.texts[i] for i in found.text] == table["findings"].tolist()
    assert found.held_out.tolist() == (table["split"] != "train").tolist()
    assert (found.films([5, 2]) == Cohort.open(cohort_folder).pixels(32)[[5, 2]]).all()


def test_the_same_patient_number_in_two_sources_is_two_patients(cohort_folder):
    found = pairs.collect([str(cohort_folder)] * 2, ("val", "test"), side=32)
    assert len(found.row) == 240
    assert not set(found.patient[:120]) & set(found.patient[120:])
    assert (found.films([0, 120])[0] == found.films([0, 120])[1]).all()


def test_a_cohort_without_enough_pairs_is_refused(cohort_folder):
    with pytest.raises(
        CohortError, match="at least 4 pairs to train on and 2 held out in none, got 120 and 0"
    ):
        pairs.collect([str(cohort_folder)], ("none",), side=32)


def test_a_film_is_normal_by_its_label_in_any_spelling(cohort_folder):
    found = pairs.collect([str(cohort_folder)], ("val", "test"), 32)
    cohort = store.Cohort.open(cohort_folder)
    assert found.normal.any() and not found.normal.all()
    assert (found.normal == (cohort.labels()["No Finding"].to_numpy()[found.row] == 1)).all()


def test_what_only_measures_may_hold_everything_out(cohort_folder):
    splits = ("train", "val", "test")
    with pytest.raises(CohortError, match=r"expected at least 4 pairs to train on and 2 held out.*got 0 and"):
        pairs.collect([str(cohort_folder)], splits, 32)
    found = pairs.collect([str(cohort_folder)], splits, 32, measuring=True)
    assert found.held_out.all() and len(found.row) == len(store.Cohort.open(cohort_folder).films())
    with pytest.raises(CohortError, match=r"expected at least 2 held out in nowhere, got 0$"):
        pairs.collect([str(cohort_folder)], ("nowhere",), 32, measuring=True)


def test_every_report_is_of_another_patient_and_of_other_words(cohort_folder):
    with Cohort.open(cohort_folder) as cohort:
        drawn = pairs.draw_reports(cohort, 1000)
        known = set(cohort.films()[["study", "patient", "findings"]].itertuples(index=False, name=None))
    assert len(drawn) > 5
    assert (
        len({report.patient for report in drawn}) == len({report.findings for report in drawn}) == len(drawn)
    )
    assert {(report.study, report.patient, report.findings) for report in drawn} <= known


def test_the_same_seed_draws_the_same_reports_and_fewer_are_the_first_of_more(cohort_folder):
    with Cohort.open(cohort_folder) as cohort:
        assert pairs.draw_reports(cohort, 4) == pairs.draw_reports(cohort, 9)[:4]
        assert pairs.draw_reports(cohort, 9) != pairs.draw_reports(cohort, 9, seed=1)


def test_own_patient_and_own_words_are_left_out_and_the_number_is_kept():
    drawn = [Report(f"s{i}", f"p{i}", f"Text {i}.") for i in range(6)]
    assert pairs.other_reports(drawn, "p1", "TEXT 3.", 3) == [0, 2, 4]
    assert pairs.other_reports(drawn, None, "", 99) == [0, 1, 2, 3, 4, 5]
