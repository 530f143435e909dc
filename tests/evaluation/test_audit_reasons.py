"""Why a report may not fit: the network's own numbers of edited texts, noted once, and no text in them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from timnet.cohorts import audits
from timnet.cohorts.records import CohortError
from timnet.cohorts.store import Cohort
from timnet.evaluation.audit import reasons, run
from timnet.evaluation.explanation import explain
from timnet.films import frontal_check
from timnet.model import weights
from timnet.reader import Reader
from timnet.reports import edits

TOLD = "There is a small left effusion. The heart is normal."


@pytest.fixture
def cohort(cohort_folder: Path, networks: Path, tmp_path: Path) -> Cohort:
    cohort = Cohort.open(Path(shutil.copytree(cohort_folder, tmp_path / "synthetic")))
    run.ranked(cohort, networks / "timnet")
    return cohort


def matches(swap: float, without: float, match: float = 0.2):
    sentences = [("There is a small left effusion.", 0.6), ("The heart is normal.", 0.3)]
    told = {"swap": swap, "remove": without, "negate": 0.1}
    return match, sentences, [(edit, told[edit.kind]) for edit in edits.every(TOLD)[0]]


def test_a_side_that_makes_the_report_fit_is_the_reason():
    found = reasons.reason(*matches(swap=0.8, without=0.7))
    assert found == {
        "why": audits.SIDE,
        "told": explain(*matches(0.8, 0.7)).sentence,
        "swapped_sentence": 1,
        "swapped": 0.8,
        "sentence": 1,
        "without": 0.7,
    }


def test_a_sentence_that_pulls_the_match_down_is_the_reason():
    found = reasons.reason(*matches(swap=0.21, without=0.7))
    assert (found["why"], found["without"]) == (audits.SENTENCE, 0.7)


@pytest.mark.parametrize(
    ("match", "told"), [(0.2, "No single change"), (0.7, "The report fits this X-ray, but")]
)
def test_where_no_change_helps_it_is_the_whole_report(match, told):
    found = reasons.reason(*matches(swap=0.21, without=0.22, match=match))
    assert found["why"] == audits.REPORT and found["told"].startswith(told)


def test_a_report_that_names_no_side_has_no_swap():
    found = reasons.reason(0.2, [("Clear lungs.", 0.2)], [])
    assert found["swapped"] is None and found["swapped_sentence"] is None and found["sentence"] is None


def test_what_is_noted_are_the_readers_numbers_and_no_word_of_the_report(cohort, networks):
    film = 5
    reasons.add(cohort, networks / "timnet", [film])
    folder = audits.place(cohort, networks / "timnet")
    noted = audits.notes(folder, audits.REASONS)[film]
    findings = cohort.films()["findings"][film]
    reading = Reader.load(networks / "timnet").edited(cohort.read_film(film), findings)
    assert noted["match"] == pytest.approx(reading.match, abs=2e-3)
    without = [after for edit, after in reading.edits if edit.kind == "remove"]
    assert noted["without"] == pytest.approx(max(without), abs=2e-3)
    for sentence in findings.split(". "):
        assert sentence not in (folder / "reasons.jsonl").read_text()


def test_reasons_are_worked_out_once_and_a_stopped_run_goes_on(cohort, networks, monkeypatch):
    films = list(range(20))

    def stop(done: int, total: int | None) -> None:
        assert total == 20
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reasons.add(cohort, networks / "timnet", films, progress=stop)
    folder = audits.place(cohort, networks / "timnet")
    assert list(audits.notes(folder, audits.REASONS)) == films[:8]
    told = []
    reasons.add(cohort, networks / "timnet", films, progress=lambda *done: told.append(done))
    assert told == [(8, 12), (12, 12)]
    monkeypatch.setattr(weights, "load_timnet", lambda _: pytest.fail("worked out again"))
    reasons.add(cohort, networks / "timnet", films)


def test_likely_labels_that_the_report_denies_or_leaves_out_are_told(cohort, networks, monkeypatch):
    folder, classifier = audits.place(cohort, networks / "timnet"), networks / "classifier"
    monkeypatch.setattr("timnet.evaluation.calibration.probability.Line.verdict", lambda *_: "likely")
    monkeypatch.setattr(
        reasons.label_words, "said", lambda name, _: "denied" if name == "Edema" else "not named"
    )
    reasons.add(cohort, networks / "timnet", [3, 4], classifier)
    kept = audits.load(folder)
    found = audits.explained(folder, kept, classifier).ranked.set_index("film")
    assert found.loc[3, "denied"] == "Edema" and found.loc[3, "not_named"] == "Effusion"
    assert found.loc[7, "denied"] == "" and found.loc[7, "why"] == ""
    assert found.loc[3, "why"] in (audits.SIDE, audits.SENTENCE, audits.FINDING)
    alone = audits.explained(folder, kept).ranked.set_index("film")
    assert alone.loc[3, "denied"] == "" and alone.loc[3, "why"] != audits.FINDING


def test_a_film_in_doubt_and_one_that_is_gone_stand_apart_with_the_reason(cohort, networks, monkeypatch):
    folder = audits.place(cohort, networks / "timnet")
    read = cohort.read_film

    def gone(film: int):
        if film == 2:
            raise CohortError("film 2 is gone")
        return read(film)

    monkeypatch.setattr(cohort, "read_film", gone)
    monkeypatch.setattr(frontal_check, "doubt", lambda _: "this looks like a lateral chest X-ray")
    reasons.add(cohort, networks / "timnet", [1, 2])
    kept = audits.load(folder)
    found = audits.explained(folder, kept)
    apart = found.left_out.set_index("film")["reason"]
    assert apart.to_dict() == {
        1: "this looks like a lateral chest X-ray",
        2: "cannot be read: film 2 is gone",
    }
    assert len(found.ranked) == len(kept.ranked) - 2
    pd.testing.assert_series_equal(
        found.ranked["misfit"],
        kept.ranked.loc[~kept.ranked["film"].isin([1, 2]), "misfit"].reset_index(drop=True),
    )
