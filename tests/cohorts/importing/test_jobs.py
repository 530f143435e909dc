"""Imports that a page starts: done, failed, refused, and as long alive as their process."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from timnet import config
from timnet.__main__ import main
from timnet.cohorts import schema, store
from timnet.cohorts.importing import jobs
from timnet.cohorts.records import CohortError


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, csv_root: Path) -> Path:
    """An empty TIMNET_HOME; pages may import from this test's folder and from the export of all tests."""
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIMNET_IMPORTS", os.pathsep.join(map(str, (tmp_path, csv_root))))
    return tmp_path / "home"


def _ended(name: str) -> jobs.Job:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        (job,) = [job for job in jobs.jobs() if job.name == name]
        if job.state != "running":
            return job
        time.sleep(0.1)
    raise TimeoutError(name)


def test_an_import_is_done_in_a_process_of_its_own_and_tells_its_summary(csv_root: Path) -> None:
    jobs.start("csv", csv_root, "ours", {"labels": ["Opacity"]})
    (job,) = jobs.jobs()
    assert job.state == "running" and store.available() == []
    with pytest.raises(CohortError, match="ours: is being imported now"):
        jobs.start("csv", csv_root, "another")
    ended = _ended("ours")
    assert ended.state == "done" and "120 studies" in ended.message and "left out: 0" in ended.message
    assert store.available() == ["ours"]
    with pytest.raises(CohortError, match="a cohort of that name is there"):
        jobs.start("csv", csv_root, "ours")
    jobs.forget("ours")
    assert jobs.jobs() == [] and store.available() == ["ours"]


def _done(home: Path, name: str, days: float = 0.0) -> None:
    """Leave an import that ended well, so many days ago."""
    folder = home / jobs.FOLDER / name
    folder.mkdir(parents=True)
    (folder / ".lock").touch()
    (folder / "summary.txt").write_text("4 studies")
    then = time.time() - 86400 * days
    os.utime(folder / "summary.txt", (then, then))


def test_a_finished_import_is_listed_for_a_day_or_until_the_next_begins(csv_root: Path, home: Path) -> None:
    for name, days in (("new", 0.9), ("old", 1.1)):
        _done(home, name, days)
    _done(home, "failed", 9)
    (home / jobs.FOLDER / "failed" / "summary.txt").write_text("")
    assert {job.name: job.state for job in jobs.jobs()} == {"new": "done", "failed": "failed"}
    jobs.start("csv", csv_root, "next")
    assert _ended("next").state == "done"
    assert {path.name for path in (home / jobs.FOLDER).iterdir()} == {"failed", "next"}


def test_an_import_that_fails_says_why_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    jobs.start("csv", tmp_path / "empty", "nothing")
    ended = _ended("nothing")
    assert ended.state == "failed" and "expected one table" in ended.message and "\n" not in ended.message
    assert "Traceback" not in ended.message


@pytest.mark.parametrize("inside", [0, 1])
def test_films_out_of_reach_are_told_of_in_the_words_of_a_page(
    inside: int, csv_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export, away = tmp_path / "export", csv_root / "films"
    export.mkdir()
    shutil.copy(away / "000.png", export / "0.png")
    rows = ["path", f"{away}/001.png", f"{away}/002.png", *["0.png"] * inside]
    (export / "films.csv").write_text("\n".join(rows))
    monkeypatch.setenv("TIMNET_IMPORTS", str(export))
    jobs.start("csv", export, "ours")
    ended = _ended("ours")
    assert ended.state == ("done" if inside else "failed")
    assert "film path leads out of" in ended.message and "TIMNET_IMPORTS" in ended.message
    assert "--outside" not in ended.message


def test_a_file_of_the_export_is_named_by_its_path_inside(tmp_path: Path) -> None:
    root = tmp_path / "export"
    (root / "tables").mkdir(parents=True)
    (root / "tables" / "reports.csv").write_text("x")
    (tmp_path / "outside.csv").write_text("x")
    (root / "link.csv").symlink_to(tmp_path / "outside.csv")
    assert jobs.inside(root, "tables/reports.csv") == (root / "tables" / "reports.csv").resolve()
    for name in ("../outside.csv", "/etc/passwd", "link.csv", "missing.csv", "tables", ""):
        with pytest.raises(CohortError, match="expected a file inside the folder"):
            jobs.inside(root, name)


@pytest.mark.parametrize("name", ["../up", "", "a b", ".hidden"])
def test_a_name_that_is_no_cohorts_is_refused(name: str, csv_root: Path) -> None:
    with pytest.raises(CohortError, match="cohort name"):
        jobs.start("csv", csv_root, name)


def test_only_folders_that_the_operator_opened_are_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, closed = tmp_path / "opened", tmp_path / "closed"
    (opened / "export").mkdir(parents=True)
    closed.mkdir()
    (opened / "link").symlink_to(closed)
    monkeypatch.setenv("TIMNET_IMPORTS", str(opened))
    assert jobs.allowed(str(opened / "export")) == (opened / "export").resolve()
    told = set()
    for folder in (closed, opened / "link", opened / ".." / "closed", opened / "missing", "/", "", "a\0b"):
        with pytest.raises(CohortError, match="expected a folder inside") as refused:
            jobs.allowed(str(folder))
        told.add(str(refused.value).split("; got")[0])
    assert len(told) == 1  # one sentence for what is missing and what is closed
    (opened / "w.pth").touch()
    (closed / "w.pth").touch()
    (opened / "w-link").symlink_to(closed / "w.pth")
    assert jobs.allowed_start(str(opened / "w.pth")) == (opened / "w.pth").resolve()
    assert jobs.allowed_start(str(opened / "export")) == (opened / "export").resolve()
    for name in (closed / "w.pth", closed, opened / "w-link", opened / "link", opened / "missing.pth", ""):
        with pytest.raises(CohortError, match="expected a file or folder inside"):
            jobs.allowed_start(str(name))
    monkeypatch.setenv("TIMNET_IMPORTS", "none")
    with pytest.raises(CohortError, match="turned imports from pages off"):
        jobs.allowed(str(opened))


def _page(home: Path, settings: object) -> Path:
    """Leave the settings of an import as a page does."""
    folder = home / jobs.FOLDER / "ours"
    folder.mkdir(parents=True, exist_ok=True)
    text = settings if isinstance(settings, str) else json.dumps(settings)
    (folder / "settings.json").write_text(text)
    return folder


@pytest.mark.parametrize("option", ["labels", "patient", "text", "film"])
@pytest.mark.parametrize("value", ["--name, victim", "--name=victim", "--mapping", "/etc/shadow", "-h", "--"])
def test_what_a_form_says_is_never_an_option_of_the_command(
    value: str, option: str, csv_root: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {option: [value, "victim"] if option == "labels" else value}
    folder = _page(home, {"kind": "csv", "root": str(csv_root), "name": "ours", "options": options})
    assert main(["import", "page", str(folder)]) == 2 and store.available() == []
    told = capsys.readouterr()
    assert f": {option.removesuffix('s')}: expected a column among path, report" in told.err
    assert "root:" not in told.err + told.out and "usage" not in told.err + told.out


def test_another_cohort_is_not_replaced_by_the_label_columns_of_a_form(csv_root: Path, home: Path) -> None:
    (home / "victim").mkdir(parents=True)
    (home / "victim" / schema.DATABASE).write_text("theirs")
    jobs.start("csv", csv_root, "ours", {"labels": ["--name", "victim"]})
    assert "label: expected a column among path" in _ended("ours").message
    assert (home / "victim" / schema.DATABASE).read_text() == "theirs"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("csv", {"mapping": "/etc/shadow"}),
        ("csv", {"labels": "Opacity"}),
        ("csv", {"film": ["path"]}),
        ("csv", {"table": "../films.csv"}),
        ("csv", {"table": "/etc/passwd"}),
        ("mimic", {"reports": "films.csv"}),
        ("dicom", {"keep_identifiers": "yes"}),
        ("dicom", {"reports": "/etc/passwd"}),
        ("simulate", {}),
    ],
)
def test_what_a_page_has_not_is_refused_by_the_page_and_by_the_process_that_it_starts(
    kind: str, options: dict[str, Any], csv_root: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CohortError, match=r"^import: "):
        jobs.start(kind, csv_root, "ours", options)
    folder = _page(home, {"kind": kind, "root": str(csv_root), "name": "ours", "options": options})
    assert main(["import", "page", str(folder)]) == 2
    assert capsys.readouterr().err.startswith("timnet: ") and store.available() == []


def test_the_process_checks_again_where_pages_may_import_from(
    csv_root: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"kind": "csv", "root": str(csv_root), "name": "ours", "options": {}}
    folder = _page(home, told)
    for roots in ("none", str(home)):
        monkeypatch.setenv("TIMNET_IMPORTS", roots)
        assert main(["import", "page", str(folder)]) == 2 and store.available() == []
        assert capsys.readouterr().err.startswith("timnet: import: ")
    for damaged in (
        "",
        "[]",
        "{",
        '{"kind": 1}',
        json.dumps(told | {"more": 1}),
        json.dumps(told | {"root": 1}),
    ):
        _page(home, damaged)
        assert main(["import", "page", str(folder)]) == 2
        assert capsys.readouterr().err.startswith("timnet: ours/settings.json: ")
    monkeypatch.setenv("TIMNET_IMPORTS", str(csv_root))
    _page(home, told)
    assert main(["import", "page", str(folder)]) == 0 and store.available() == ["ours"]
    assert main(["import", "page", str(folder)]) == 2, "a cohort of that name is there by now"


def test_by_default_the_top_of_a_disk_is_never_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIMNET_IMPORTS")
    monkeypatch.setenv("TIMNET_HOME", "/cohorts")
    assert config.importable() == (Path.home().resolve(),)


def test_a_killed_import_has_ended(csv_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Kept(subprocess.Popen):
        """Is killed at once: a small import would be over before it is found by its number."""

        def __init__(self, *asked: Any, **options: Any) -> None:
            super().__init__(*asked, **options)
            started.append(self)
            self.kill()

    monkeypatch.setattr(subprocess, "Popen", Kept)
    shutil.copytree(csv_root, tmp_path / "export")
    jobs.start("csv", tmp_path / "export", "killed")
    assert len(started) == 1
    assert _ended("killed").state == "failed"
