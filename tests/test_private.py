"""What may hold a patient's data can be read by its owner alone, whatever the umask."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from timnet import config, files
from timnet.cohorts import store, vectors
from timnet.cohorts.importing import jobs, uploads
from timnet.cohorts.readers import csv_table
from timnet.training import worker


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A TIMNET_HOME and checkpoints of a process that lets everybody read and write."""
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path / "runs"))
    before = os.umask(0)
    yield tmp_path / "home"
    assert os.umask(before) == 0  # as it was found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An export of four films with reports."""
    root = tmp_path / "export"
    root.mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 255, (16, 12), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
    rows = "".join(f"{number}.png,Clear.,P{number}\n" for number in range(4))
    (root / "films.csv").write_text(f"path,report,patient\n{rows}")
    return root


def open_to_others(folder: Path) -> list[str]:
    """Return what below a folder, and the folder itself, others than its owner may touch."""
    paths = [folder, *folder.rglob("*")]
    return [f"{path} {path.stat().st_mode & 0o777:o}" for path in paths if path.stat().st_mode & 0o077]


def test_a_cohort_its_pixels_labels_and_vectors_are_private(home: Path, root: Path) -> None:
    csv_table.run(root, "x")
    with store.Cohort.open(store.find("x")) as cohort:
        cohort.pixels(40)
        cohort.add_label("0.png", "Effusion", 1.0)
        with vectors.building(cohort.folder / "vectors" / "v", 4, 4, 8) as build:
            for _ in range(2):  # films, then reports
                build.append(np.zeros((4, 8), np.float32))
    assert len(list(home.rglob("*"))) > 8 and open_to_others(home) == []


def test_importing_again_closes_the_folder_of_an_older_version(home: Path, root: Path) -> None:
    csv_table.run(root, "x")
    (home / "x").chmod(0o755)
    csv_table.run(root, "x")
    assert open_to_others(home / "x") == []


def test_an_import_that_is_stopped_midway_leaves_nothing_open(home: Path, root: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        if done == 2:
            assert open_to_others(home) == []
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        csv_table.run(root, "x", stop)
    assert (home / ".x.importing").is_dir() and open_to_others(home) == []


def test_uploads_and_the_logs_of_imports_are_private(home: Path, root: Path) -> None:
    folder = uploads.keep([(path.name, path.read_bytes()) for path in sorted(root.iterdir())], "up")
    jobs.start("csv", folder, "up")
    for _ in range(600):
        if jobs.jobs()[0].state != "running":
            break
        threading.Event().wait(0.1)
    assert jobs.jobs()[0].state == "done" and open_to_others(home) == []


def test_a_runs_folder_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "r"
    worker.prepare(config.Finetune(cohort="x", task="all"), folder)
    assert open_to_others(tmp_path / "runs") == []


def test_the_command_line_is_private_whatever_the_shells_umask(home: Path, root: Path) -> None:
    command = f"umask 000; {sys.executable} -m timnet import csv {root} --name x"
    subprocess.run(["bash", "-c", command], check=True, cwd=config.REPOSITORY, capture_output=True)
    assert (home / "x").is_dir() and open_to_others(home) == []


def test_of_several_private_blocks_the_last_restores_the_umask() -> None:
    first, second = files.private(), files.private()
    first.__enter__(), second.__enter__()
    first.__exit__(None, None, None)
    assert os.umask(0o077) == 0o077
    second.__exit__(None, None, None)
    assert os.umask(0) == 0
