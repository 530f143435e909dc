"""The audit of a small cohort: every film is in the list or apart with a reason, and work is done once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from timnet.cohorts import audits, vectors
from timnet.cohorts.readers import csv_table
from timnet.cohorts.records import CohortError
from timnet.cohorts.store import Cohort
from timnet.evaluation.audit import run, scores

LATERAL, EMPTY = ("study007", "study020"), ("study030",)


@pytest.fixture(scope="module")
def cohort(csv_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """The synthetic cohort with lateral films, a report without findings and a file that is no image."""
    root = tmp_path_factory.mktemp("audited")
    export = shutil.copytree(csv_root, root / "export")
    table = pd.read_csv(export / "films.csv")
    table.loc[table["study"].isin(LATERAL), "view"] = "LATERAL"
    table.loc[table["study"].isin(EMPTY), "report"] = "INDICATION: Cough."
    (export / table["path"][50]).write_bytes(b"no image")
    table.to_csv(export / "films.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMNET_HOME", str(root))
        csv_table.run(export, "mixed")
    return Cohort.open(root / "mixed")


@pytest.fixture(scope="module")
def kept(cohort: Cohort, networks: Path) -> audits.Kept:
    return run.ranked(cohort, networks / "timnet")


def test_every_film_is_in_the_list_or_apart_with_its_reason(cohort, kept):
    assert sorted([*kept.ranked["film"], *kept.left_out["film"]]) == list(range(len(cohort)))
    apart = kept.left_out.groupby("reason")["study"].agg(set).to_dict()
    assert apart == {run.LATERAL: set(LATERAL), run.NO_FINDINGS: set(EMPTY)}
    assert sum(cohort.summary().skipped.values()) == 1
    films = cohort.films()
    assert (films["study"][kept.ranked["film"]].to_numpy() == kept.ranked["study"]).all()
    reports = vectors.reports(cohort)
    assert (reports["study"][kept.ranked["report"]].to_numpy() == kept.ranked["study"]).all()


def test_the_list_holds_no_text_and_probabilities_within_bounds(kept):
    assert set(kept.ranked) == {
        "study", "patient", "split", "film", "report", "logit", "among_reports", "among_films", "probability",
        "misfit",
    }  # fmt: skip
    numbers = kept.ranked[["among_reports", "among_films", "probability", "misfit"]]
    assert numbers.min(axis=None) >= 0 and numbers.max(axis=None) <= 1
    assert kept.ranked["misfit"].is_monotonic_decreasing


def test_a_second_run_reads_what_the_first_kept_and_a_damaged_list_is_made_anew(
    cohort, kept, networks, monkeypatch
):
    folder = audits.place(cohort, networks / "timnet")
    assert audits.state(folder) == audits.State("complete", ranked=True)
    with monkeypatch.context() as patch:
        patch.setattr(scores, "rank", lambda *_, **__: pytest.fail("scored again"))
        pd.testing.assert_frame_equal(run.ranked(cohort, networks / "timnet").ranked, kept.ranked)
    (folder / "ranked.parquet").write_bytes(b"PAR1 and no more")
    again = run.ranked(cohort, networks / "timnet")
    pd.testing.assert_frame_equal(again.ranked, kept.ranked)


def test_a_run_that_was_stopped_leaves_no_list_and_the_next_one_finishes(cohort, kept, networks, tmp_path):
    checkpoint = Path(shutil.copytree(networks / "timnet", tmp_path / "again"))

    def stop(phase: str, done: int, total: int) -> None:
        assert phase == run.EMBEDDING and total == len(cohort) + len(vectors.reports(cohort))
        if done >= 64:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.ranked(cohort, checkpoint, stop)
    folder = audits.place(cohort, checkpoint)
    assert audits.load(folder) is None and audits.state(folder).name == "stopped"
    told: list[tuple[str, int, int]] = []
    found = run.ranked(cohort, checkpoint, lambda *step: told.append(step))
    assert told[0][:2] == (run.EMBEDDING, 96) and told[-1][0] == run.RANKING
    np.testing.assert_allclose(found.ranked["misfit"], kept.ranked["misfit"], atol=1e-6)


def test_two_audits_of_one_cohort_at_once_are_refused(cohort, networks):
    folder = audits.place(cohort, networks / "timnet")
    with audits.holding(folder), pytest.raises(CohortError, match="worked out by another process"):
        run.ranked(cohort, networks / "timnet")


@pytest.mark.parametrize(
    ("line", "state"),
    [
        ("reading X-rays and reports: 64 of 240, 12 s left", ("reading X-rays and reports", 64, 240, 12)),
        ("comparing reports: 1024 of 4000", ("comparing reports", 1024, 4000, None)),
        ("", ("", 0, 0, None)),
    ],
)
def test_the_state_of_a_run_is_read_off_its_log(tmp_path, line, state):
    (tmp_path / "log.txt").write_text(line)
    with audits.holding(tmp_path):
        assert audits.state(tmp_path) == audits.State("working", False, *state)
    (tmp_path / "log.txt").write_text(f"{line}\ntimnet: the disk is full\n")
    assert audits.state(tmp_path) == audits.State("stopped", message="the disk is full")


def test_notes_of_films_are_added_and_half_a_line_is_none(tmp_path):
    assert audits.notes(tmp_path, "reasons") == {}
    audits.note(tmp_path, "reasons", [{"film": 3, "why": "side"}, {"film": 5, "why": "report"}])
    audits.note(tmp_path, "reasons", [{"film": 3, "why": "sentence"}])
    with (tmp_path / "reasons.jsonl").open("a") as file:
        file.write('\n{"film": 9, "wh')
    expected = {3: {"film": 3, "why": "sentence"}, 5: {"film": 5, "why": "report"}}
    assert audits.notes(tmp_path, "reasons") == expected
    audits.note(tmp_path, "reasons", [{"film": 9, "why": "side"}])
    assert audits.notes(tmp_path, "reasons") == expected | {9: {"film": 9, "why": "side"}}
