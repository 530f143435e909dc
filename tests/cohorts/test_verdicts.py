"""Verdicts of readers: nothing is overwritten, two readers may write at once, a new import keeps them."""

from __future__ import annotations

import io
import math
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from timnet.cohorts import schema, verdicts
from timnet.cohorts.readers import csv_table
from timnet.cohorts.records import CohortError


@pytest.fixture
def folder(cohort_folder: Path, tmp_path: Path) -> Path:
    """A copy of the synthetic cohort, to write in."""
    return Path(shutil.copytree(cohort_folder, tmp_path / "synthetic"))


def test_a_verdict_is_kept_with_reader_network_and_the_time_in_utc(folder):
    before = datetime.now(UTC).replace(microsecond=0)
    given = verdicts.add(folder, "study003", "wrong side", " Dr Ada ", "open-i")
    assert before <= datetime.fromisoformat(given.time) <= datetime.now(UTC)
    assert (given.reader, given.network, given.verdict) == ("Dr Ada", "open-i", verdicts.WRONG_SIDE)
    assert verdicts.standing(folder).to_dict("records") == [vars(given)]
    assert verdicts.latest(folder) == {"study003": given}


def test_a_cohort_without_verdicts_has_none_and_its_database_is_not_changed(folder):
    before = (folder / schema.DATABASE).read_bytes()
    assert verdicts.standing(folder).empty and verdicts.history(folder).empty
    assert verdicts.latest(folder) == {} and verdicts.to_csv(folder).count(b"\n") == 1
    assert (folder / schema.DATABASE).read_bytes() == before


def test_undo_takes_back_the_readers_own_last_verdict_and_the_history_keeps_it(folder):
    first = verdicts.add(folder, "study000", "fits", "ada", "n")
    other = verdicts.add(folder, "study001", "fits", "bob", "n")
    second = verdicts.add(folder, "study000", "missed finding", "ada", "n")
    assert verdicts.latest(folder)["study000"] == second
    assert verdicts.undo(folder, "ada") == second
    assert verdicts.latest(folder) == {"study000": first, "study001": other}
    assert verdicts.undo(folder, "ada") == first
    assert verdicts.undo(folder, "ada") is None
    history = verdicts.history(folder)
    assert history["number"].tolist() == [first.number, other.number, second.number]
    assert (history["undone"] != "").tolist() == [True, False, True]
    again = verdicts.add(folder, "study000", "fits", "ada", "n")
    assert verdicts.latest(folder)["study000"] == again and again.number > second.number


def test_two_readers_at_once_lose_nothing(folder):
    def read(reader: str) -> None:
        for study in range(12):
            verdicts.add(folder, f"study{study:03}", "fits", reader, "n")
            if study % 4 == 3:
                verdicts.undo(folder, reader)

    readers = [threading.Thread(target=read, args=(name,)) for name in ("ada", "bob")]
    for each in readers:
        each.start()
    for each in readers:
        each.join()
    assert len(verdicts.history(folder)) == 24
    standing = verdicts.standing(folder)
    expected = sorted(f"study{study:03}" for study in range(12) if study % 4 != 3)
    for name in ("ada", "bob"):
        assert sorted(standing.loc[standing["reader"] == name, "study"]) == expected


@pytest.mark.parametrize(
    ("study", "word", "reader", "says"),
    [
        ("nowhere", "fits", "ada", "expected one of its studies, got 'nowhere'"),
        ("study000", "undo", "ada", "expected one of fits, wrong report"),
        ("study000", "fits", "  ", "reader: expected a name"),
        ("study000", "fits", "a" * 101, "reader: expected a name"),
        ("study000", "fits", "a\nb", "reader: expected a name"),
    ],
)
def test_what_is_no_verdict_is_refused_in_a_sentence(folder, study, word, reader, says):
    with pytest.raises(CohortError, match=says):
        verdicts.add(folder, study, word, reader, "n")
    assert verdicts.history(folder).empty


def test_csv_and_parquet_hold_what_stands_and_no_cell_is_a_formula(folder, tmp_path):
    verdicts.add(folder, "study000", "fits", "=HYPERLINK(1)", "n")
    verdicts.add(folder, "study001", "can't tell", "ada", "n")
    verdicts.add(folder, "study002", "fits", "ada", "n")
    verdicts.undo(folder, "ada")
    table = verdicts.standing(folder)
    assert table["study"].tolist() == ["study000", "study001"]
    verdicts.export(folder, tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), table, check_dtype=False)
    read = pd.read_csv(io.BytesIO(verdicts.to_csv(folder)))
    assert read["reader"].tolist() == ["'=HYPERLINK(1)", "ada"]
    assert read["verdict"].tolist() == ["fits", "can't tell"]
    with pytest.raises(CohortError, match=r"expected a file ending in \.csv or \.parquet"):
        verdicts.export(folder, tmp_path / "out.xlsx")


def test_precision_counts_each_study_by_its_last_verdict_with_wilsons_interval(folder):
    words = ["wrong report", "fits", "can't tell", "missed finding", "wrong side", "invented finding"]
    for study, word in enumerate(words):
        verdicts.add(folder, f"study{study:03}", word, "ada", "n")
    verdicts.add(folder, "study004", "fits", "bob", "n")
    latest = verdicts.latest(folder)
    found = verdicts.precision(latest)
    assert (found.read, found.confirmed, found.value) == (6, 3, 0.5)
    expected = stats.binomtest(3, 6).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    ranked = ["study000", "study000", "study077", "study003", "study001"]
    assert verdicts.precision(latest, ranked, 3).confirmed == 2
    assert verdicts.precision(latest, ranked, 3).read == 2
    assert verdicts.precision(latest, ranked).read == 3
    none = verdicts.precision({}, ranked)
    assert none.read == 0 and math.isnan(none.value)
    for hits, trials in ((0, 7), (7, 7), (31, 120)):
        low, high = verdicts._wilson(hits, trials)[1:]
        expected = stats.binomtest(hits, trials).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_verdicts_stay_with_their_studies_when_the_cohort_is_imported_again(tmp_path, csv_root, monkeypatch):
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    export = shutil.copytree(csv_root, tmp_path / "export")
    csv_table.run(export, "again")
    folder = tmp_path / "again"
    for study in ("study000", "study001", "study002"):
        verdicts.add(folder, study, "fits", "ada", "n")
    verdicts.undo(folder, "ada")
    before = verdicts.history(folder)
    table = pd.read_csv(export / "films.csv")
    table[table["study"] != "study001"].to_csv(export / "films.csv", index=False)
    csv_table.run(export, "again")
    after = verdicts.history(folder)
    pd.testing.assert_frame_equal(after, before[before["study"] != "study001"].reset_index(drop=True))
    assert list(verdicts.latest(folder)) == ["study000"]
