"""`timnet check`: the list in the terminal and in files, a status for pipelines, and what a page starts."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest

from timnet import config
from timnet.__main__ import main
from timnet.cli.check import FOUND
from timnet.cohorts import checks
from timnet.cohorts.store import Cohort


@pytest.fixture(scope="module")
def home(cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of cohorts with a copy of the synthetic one, to write in."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(cohort_folder, home / "synthetic")
    return home


@pytest.fixture
def words(home: Path, networks: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("TIMNET_HOME", str(home))
    return ["check", "synthetic", "--checkpoint", str(networks / "timnet")]


def test_what_is_found_and_what_is_not_checked_is_printed_and_written_and_kept(
    capsys: pytest.CaptureFixture[str], words: list[str], networks: Path, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "faults.csv"
    assert main([*words, "--out", str(path)]) == 0
    out, err = capsys.readouterr()
    table = pd.read_csv(path)
    kept = checks.load(checks.place(Cohort.open(home / "synthetic"), networks / "timnet"))
    assert kept is not None and len(table) == len(kept.found)
    assert out.splitlines()[0] == f"synthetic: 120 X-rays, {len(table)} faults"
    assert "not checked: view: TIMNET_REFUSE is never" in out and out.endswith(f"{config.RESEARCH_USE}\n")
    assert "reading X-rays: 120 of 120" in err and "comparing X-rays: 120 of 120" in err
    assert main([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert "comparing" not in err and sum(told["found"].values()) == len(table) == len(told["faults"])
    for findings in Cohort.open(home / "synthetic").films()["findings"]:
        assert findings not in out


def test_a_pipeline_ends_with_a_status_of_its_own_only_on_the_kinds_it_names(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["found"]
    assert any(found.values()) and not all(found.values())
    for kind, number in found.items():
        if number:
            with pytest.raises(SystemExit) as ended:
                main([*words, "--fail-on", kind])
            assert ended.value.code == FOUND
        else:
            assert main([*words, "--fail-on", kind]) == 0
    with pytest.raises(SystemExit):
        main([*words, "--fail-on", "any"])


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--out", "list.xlsx"], "out: expected a file ending in .csv, .parquet or .jsonl"),
        (["--fail-on", "all"], "invalid choice"),
        (["--checkpoint", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str], more: list[str], says: str
) -> None:
    assert main([*words, *more]) == 2
    out, err = capsys.readouterr()
    assert out == "" and says in err and "Traceback" not in err


def test_a_page_starts_a_check_and_follows_it_to_its_end(
    tmp_path: Path, cohort_folder: Path, networks: Path
) -> None:
    cohort = Cohort.open(Path(shutil.copytree(cohort_folder, tmp_path / "synthetic")))
    place = checks.place(cohort, networks / "timnet")
    assert checks.state(place).name == "none"
    checks.start(cohort, networks / "timnet")
    until = time.monotonic() + 300
    while checks.state(place).name == "working" and time.monotonic() < until:
        time.sleep(0.1)
    assert checks.state(place).name == "complete" and checks.load(place) is not None
    # A damaged list is none: it is made anew.
    (place / "found.parquet").write_bytes(b"PAR1")
    assert checks.load(place) is None
