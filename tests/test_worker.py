"""The worker: one process a run, one run a device, endings that tell why, one run for the same settings."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from timnet import config
from timnet.training import runs, worker
from timnet.training.runs import RunError

SETTINGS = config.Finetune(cohort="somewhere", task="Opacity", fraction=0.005, seed=3)


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "run"
    worker.prepare(SETTINGS, path)
    return path


class Started:
    """Stands for a worker that was started and has nothing to do."""

    def __init__(self, command, record):
        record.append(command)

    def wait(self):
        return 0


def nothing(settings, folder, events):
    return {"test": []}


WORKER = """
import sys, time
from pathlib import Path
from timnet.training import worker
def train(settings, folder, events):
    (folder / "working").touch()
    while True:
        events.check()
        time.sleep(0.02)
worker.work(Path(sys.argv[1]), train)
"""


@pytest.fixture
def at_work(folder):
    """A process at work on the run until it is asked to stop or killed."""
    process = subprocess.Popen([sys.executable, "-c", WORKER, str(folder)], cwd=config.REPOSITORY)
    wait_for((folder / "working").exists)
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("films.csv: expected a column path"), "films.csv: expected a column path"),
        (OSError(28, "No space left on device"), "OSError: No space left on device"),
        (RuntimeError("out of\n memory"), "RuntimeError: out of memory"),
    ],
)
def test_a_run_that_fails_says_why_in_one_sentence(folder, error, reason):
    def failing(settings, folder, events):
        raise error

    state = worker.work(folder, failing)
    assert (state.name, state.reason) == ("failed", reason)
    assert not (folder / runs.RESULT).exists()


def test_a_worker_at_work_is_running_and_a_killed_one_is_lost(folder, at_work):
    assert runs.state(folder).name == "running"
    at_work.kill()
    at_work.wait()
    state = runs.state(folder)
    assert state.name == "lost"
    assert "killed" in state.reason


def test_cancel_stops_the_worker(folder, at_work):
    worker.cancel(folder)
    assert at_work.wait(timeout=30) == 0
    assert runs.state(folder).name == "cancelled"


def test_sigterm_stops_the_worker_in_good_order(folder, at_work):
    at_work.send_signal(signal.SIGTERM)
    assert at_work.wait(timeout=20) == 0
    assert runs.state(folder).name == "cancelled"


def test_two_workers_never_share_a_run(folder, at_work):
    with pytest.raises(RunError, match="another worker is at this run"):
        worker.work(folder, nothing)
    with pytest.raises(RunError, match="still at work"):
        worker.prepare(SETTINGS, folder)
    assert runs.state(folder).name == "running"


def test_a_second_run_waits_for_the_device(tmp_path, folder, at_work):
    second = tmp_path / "second"
    worker.prepare(SETTINGS, second)
    thread = threading.Thread(target=worker.work, args=(second, nothing))
    thread.start()
    wait_for(lambda: len(runs.events(second)) > 0)
    assert runs.state(second).name == "queued"
    worker.cancel(folder)
    thread.join(timeout=60)
    assert runs.state(second).name == "done"


def test_submitting_starts_a_worker_whose_failure_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "none"))
    folder = worker.submit(SETTINGS, tmp_path / "runs")
    assert (folder / runs.CONFIG).read_text() == config.to_json(SETTINGS)
    wait_for(lambda: not runs.state(folder).active)
    state = runs.state(folder)
    assert state.name == "failed"
    assert "somewhere" in state.reason
    assert "Traceback" in runs.log_tail(folder, 1000)


def test_five_clicks_start_one_run(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(worker.subprocess, "Popen", lambda command, **options: Started(command, started))
    folders = [worker.submit(SETTINGS, tmp_path) for _ in range(5)]
    assert len(set(folders)) == 1
    assert len(started) == 1
    assert started[0][1:4] == ["-m", "timnet", "run"]


def test_a_failed_run_can_be_submitted_again_and_a_done_one_stays(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(worker.subprocess, "Popen", lambda command, **options: Started(command, started))
    folder = worker.submit(SETTINGS, tmp_path)
    (folder / runs.FAILED).write_text('{"reason": "once"}')
    worker.submit(SETTINGS, tmp_path)
    assert len(started) == 2
    assert not (folder / runs.FAILED).exists()
    worker.work(folder, nothing)
    worker.submit(SETTINGS, tmp_path)
    assert len(started) == 2


def test_a_folder_of_something_else_is_never_overwritten(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="found other files"):
        worker.prepare(SETTINGS, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
