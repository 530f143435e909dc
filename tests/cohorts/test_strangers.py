"""Reports of other patients: never the film's own patient, never the same words, the same ones each time."""

from __future__ import annotations

from timnet.cohorts import strangers
from timnet.cohorts.store import Cohort
from timnet.cohorts.strangers import Report


def test_every_report_is_of_another_patient_and_of_other_words(cohort_folder):
    with Cohort.open(cohort_folder) as cohort:
        drawn = strangers.draw(cohort, 1000)
        known = set(cohort.films()[["study", "patient", "findings"]].itertuples(index=False, name=None))
    assert len(drawn) > 5
    assert (
        len({report.patient for report in drawn}) == len({report.findings for report in drawn}) == len(drawn)
    )
    assert {(report.study, report.patient, report.findings) for report in drawn} <= known


def test_the_same_seed_draws_the_same_reports_and_fewer_are_the_first_of_more(cohort_folder):
    with Cohort.open(cohort_folder) as cohort:
        assert strangers.draw(cohort, 4) == strangers.draw(cohort, 9)[:4]
        assert strangers.draw(cohort, 9) != strangers.draw(cohort, 9, seed=1)


def test_own_patient_and_own_words_are_left_out_and_the_number_is_kept():
    drawn = [Report(f"s{i}", f"p{i}", f"Text {i}.") for i in range(6)]
    assert strangers.others(drawn, "p1", "TEXT 3.", 3) == [0, 2, 4]
    assert strangers.others(drawn, None, "", 99) == [0, 1, 2, 3, 4, 5]
