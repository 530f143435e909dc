"""`timnet audit`: the list in the terminal and in files, without report text unless it is asked for."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest

from timnet import config
from timnet.__main__ import main
from timnet.cohorts import audits
from timnet.cohorts.store import Cohort
from timnet.evaluation.audit import run


@pytest.fixture(scope="module")
def home(cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of cohorts with a copy of the synthetic one, to write in."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(cohort_folder, home / "synthetic")
    return home


@pytest.fixture
def words(home: Path, networks: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("TIMNET_HOME", str(home))
    return ["audit", "synthetic", "--checkpoint", str(networks / "timnet"), "--top", "12"]


@pytest.fixture
def cohort(home: Path) -> Cohort:
    return Cohort.open(home / "synthetic")


def test_the_worst_are_printed_with_reasons_and_progress_goes_to_standard_error(capsys, words, cohort):
    assert main(words) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "synthetic by timnet: 120 X-rays of 120 studies, the worst matches first"
    assert lines[1].startswith("   1  study") and "misfit 0." in lines[1] and len(lines) == 12
    assert lines[-1] == config.RESEARCH_USE
    assert f"{run.EMBEDDING}: 240 of 240" in err and "looking for reasons: 12 of 12" in err
    for findings in cohort.films()["findings"]:
        assert findings not in out


def test_json_holds_counts_and_the_worst_and_a_second_run_reads_what_is_kept(capsys, words, cohort, networks):
    assert main([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert run.EMBEDDING not in err
    assert (told["pairs"], told["studies"], told["left_out"], told["split"]) == (120, 120, {}, None)
    kept = audits.load(audits.place(cohort, networks / "timnet"))
    assert [row["study"] for row in told["worst"]] == kept.ranked["study"].head(10).tolist()
    assert "findings" not in told["worst"][0] and told["worst"][0]["rank"] == 1


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_the_list_is_written_as_a_file_with_texts_where_asked(capsys, words, cohort, tmp_path, ending):
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "jsonl": lambda p: pd.read_json(p, lines=True)}[
        ending
    ]
    path = tmp_path / f"list.{ending}"
    assert main([*words, "--out", str(path), "--split", "train"]) == 0
    table = read(path)
    films = cohort.films()
    assert sorted(table["film"]) == films.index[films["split"] == "train"].tolist()
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert table["misfit"].is_monotonic_decreasing and "findings" not in table
    assert (table["why"].fillna("") != "").sum() == 12
    assert main([*words, "--out", str(path), "--texts"]) == 0
    table = read(path)
    assert table["findings"].tolist() == films["findings"][table["film"]].tolist()
    assert films["findings"][table["film"][0]] in capsys.readouterr().out


def test_a_classifier_is_asked_of_the_same_films(capsys, words, networks):
    assert main([*words, "--classifier", str(networks / "classifier"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classifier"] == "classifier"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--out", "list.xlsx"], "out: expected a file ending in .csv, .parquet or .jsonl"),
        (["--out", "nowhere/list.csv"], "out: expected a file"),
        (["--split", "all"], "invalid choice"),
        (["--top", "-1"], "top: expected 0 to"),
        (["--classifier", "nowhere"], "nowhere"),
        (["--classifier", "{timnet}"], "timnet: expected a classifier checkpoint"),
        (["--checkpoint", "{classifier}"], "classifier: expected a timnet checkpoint"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(capsys, words, networks, more, says):
    places = {name: str(networks / name) for name in ("timnet", "classifier")}
    assert main([*words, *(word.format(**places) for word in more)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and says in err and "Traceback" not in err
    assert len([line for line in err.splitlines() if line.startswith("timnet: ")]) == 1


def test_a_cohort_that_is_none_is_refused(capsys, words):
    assert main(["audit", "nowhere", *words[2:]]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_a_page_starts_an_audit_and_follows_it_to_its_end(tmp_path, home, networks):
    folder = Path(shutil.copytree(home / "synthetic", tmp_path / "synthetic"))
    for kind in ("audits", "vectors"):
        shutil.rmtree(folder / kind, ignore_errors=True)
    cohort = Cohort.open(folder)
    place = audits.place(cohort, networks / "timnet")
    assert audits.state(place).name == "none"
    audits.start(cohort, networks / "timnet", None, 3)
    seen, until = set(), time.monotonic() + 300
    while (state := audits.state(place)).name == "working" and time.monotonic() < until:
        seen.add(state.phase)
        time.sleep(0.05)
    assert state == audits.State("complete", ranked=True), (state, (place / "log.txt").read_text())
    found = audits.explained(place, audits.load(place))
    assert (found.ranked["why"] != "").sum() == 3
