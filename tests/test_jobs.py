"""Imports that a page starts: done, failed, refused, and as long alive as their process."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from timnet import config
from timnet.cohorts import jobs, store
from timnet.cohorts.records import CohortError


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty TIMNET_HOME."""
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TIMNET_IMPORTS", raising=False)
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
    assert ended.state == "done" and "120 studies" in ended.told and "left out: 0" in ended.told
    assert store.available() == ["ours"]
    with pytest.raises(CohortError, match="a cohort of that name is there"):
        jobs.start("csv", csv_root, "ours")
    jobs.forget("ours")
    assert jobs.jobs() == [] and store.available() == ["ours"]


def test_an_import_that_fails_says_why_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    jobs.start("csv", tmp_path / "empty", "nothing")
    ended = _ended("nothing")
    assert ended.state == "failed" and "expected one table" in ended.told and "\n" not in ended.told
    assert "Traceback" not in ended.told


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
    assert jobs.allowed_file(str(opened / "w.pth")) == (opened / "w.pth").resolve()
    for name in (closed / "w.pth", opened / "w-link", opened / "export", opened / "missing.pth", ""):
        with pytest.raises(CohortError, match="expected a file inside"):
            jobs.allowed_file(str(name))
    monkeypatch.setenv("TIMNET_IMPORTS", "none")
    with pytest.raises(CohortError, match="turned imports from pages off"):
        jobs.allowed(str(opened))


def test_by_default_the_top_of_a_disk_is_never_opened(monkeypatch: pytest.MonkeyPatch) -> None:
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

    monkeypatch.setattr(jobs.subprocess, "Popen", Kept)
    shutil.copytree(csv_root, tmp_path / "export")
    jobs.start("csv", tmp_path / "export", "killed")
    assert len(started) == 1
    assert _ended("killed").state == "failed"
