"""A grid by Ray: how many runs at once, the rows of one after another, a worker killed, a grid stopped."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest

from timnet import config
from timnet.training import grids_ray, runs, worker
from timnet.training.grids_ray import Need
from timnet.training.runs import RunError

GRID = ["curve", "synthetic", "--task", "Opacity", "--fractions", "0.15", "0.2", "--seeds", "2"]
GRID += ["--side", "32", "--width", "8", "--epochs", "40", "--batch", "8", "--precision", "fp32"]


@pytest.mark.parametrize(
    ("has", "runs_at_once"),
    [
        ({"CPU": 16, "memory": 64e9}, 0),
        ({"CPU": 16, "memory": 64e9, "GPU": 1}, 4),
        ({"CPU": 16, "memory": 64e9, "GPU": 2}, 8),
        ({"CPU": 16, "memory": 6e9, "GPU": 2}, 3),
        ({"CPU": 1, "memory": 64e9, "GPU": 2}, 1),
    ],
)
def test_as_many_runs_fit_as_have_a_core_and_the_memory(has, runs_at_once):
    assert Need(memory=2 * 10**9, gpu=0.25).fit(has) == runs_at_once
    alone = {name: of for name, of in has.items() if name != "GPU"}
    assert Need(memory=2 * 10**9, gpu=0).fit(has) == min(alone["CPU"], alone["memory"] // 2e9)


def test_what_a_run_needs_is_read_off_finished_runs_of_its_shape(tmp_path):
    asked = config.Finetune(cohort="c", task="t", side=48)
    assert grids_ray.measured(tmp_path, asked) is None

    def left(name, settings, **memory):
        def train(settings, folder, events):
            events.append("memory", **memory)
            return {"test": []}

        worker.prepare(settings, tmp_path / name)
        worker.work(tmp_path / name, train)

    left("a", config.Finetune(cohort="c", task="t", side=48, seed=1), host=5, gpu=30, gpu_total=100)
    left("b", config.Finetune(cohort="c", task="t", side=48, seed=2), host=7, gpu=20, gpu_total=100)
    left("c", config.Finetune(cohort="c", task="t", side=64), host=900, gpu=1, gpu_total=100)
    assert grids_ray.measured(tmp_path, asked) == {"host": 7, "gpu": 20, "gpu_total": 100}


def test_without_ray_a_sentence_says_what_to_install(monkeypatch, tmp_path, cohort_folder):
    monkeypatch.setitem(sys.modules, "ray", None)
    asked = config.Finetune(cohort=str(cohort_folder), task="Opacity")
    with pytest.raises(RunError, match=r"Ray is not installed; pip install -r requirements-ray\.txt"):
        grids_ray.complete([asked], tmp_path, "local")


@pytest.fixture
def start(monkeypatch, tmp_path, cohort_folder):
    """Starts the grid in a process of its own, with one thread a run, and its runs in a named folder."""
    begun = []

    def started(name, *words):
        told = {"TIMNET_HOME": str(cohort_folder.parent), "TIMNET_CHECKPOINTS": str(tmp_path / name)}
        process = subprocess.Popen(
            [sys.executable, "-m", "timnet", *GRID, "--out", str(tmp_path / f"{name}.parquet"), *words],
            cwd=config.REPOSITORY,
            env=os.environ | told | {"OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        begun.append(process)
        return process

    yield started
    for process in begun:
        process.kill()
        process.communicate()


def until(found, process, seconds=900):
    """Return what is found, once there is something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        there = found()
        if there:
            return there
        assert process.poll() is None, process.communicate()[1][-2000:]
        time.sleep(0.05)
    raise AssertionError("it never came")


def at_work(process):
    """Return Ray's processes that have a run in hand."""
    found = []
    for each in psutil.Process(process.pid).children(recursive=True):
        try:
            if each.cmdline()[:1] == ["ray::_work"]:
                found.append(each)
        except psutil.Error:
            continue
    return found


def busy(process, root):
    """Return a process of Ray's whose run has taken steps; None where none has."""
    for each in at_work(process):
        for run in runs.all_runs(root):
            held = str(run.folder / runs.LOCK)
            if run.last.get("step") and held in {file.path for file in each.open_files()}:
                return each
    return None


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="Ray is not installed (requirements-ray.txt)")
def test_ray_has_the_rows_of_one_after_another_though_a_worker_is_killed_and_the_grid_is_stopped(
    start, tmp_path
):
    one_by_one = start("alone")
    assert one_by_one.wait(1800) == 0, one_by_one.communicate()[1][-2000:]

    several = start("several", "--ray", "local")
    # The first run goes alone and is measured; then two are in hand.
    until(lambda: len(at_work(several)) == 2, several)
    mine = {several.pid, *(each.pid for each in psutil.Process(several.pid).children(recursive=True))}
    heard = [each for each in psutil.net_connections("tcp") if each.status == "LISTEN" and each.pid in mine]
    assert {each.laddr.ip for each in heard} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"} and heard
    root = tmp_path / "several"
    until(lambda: busy(several, root), several).send_signal(signal.SIGKILL)
    # Another worker takes its run over.
    until(lambda: [folder for folder in root.glob("*/metrics.jsonl") if starts(folder) == 2], several)
    several.send_signal(signal.SIGTERM)
    said = several.communicate(timeout=600)[1]
    assert several.returncode == 2 and "the same command goes on from there" in said, said[-2000:]
    assert all(each.name in ("done", "cancelled") for each in runs.all_runs(root))

    again = start("several", "--ray", "local")
    assert again.wait(1800) == 0, again.communicate()[1][-2000:]
    tables = [pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("alone", "several")]
    assert tables[0]["run"].nunique() == 4
    pd.testing.assert_frame_equal(*tables)


def starts(log):
    return log.read_text().count('"event": "started"')
