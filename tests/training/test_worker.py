"""The worker: one process a run, one run a device, endings that tell why, one run for the same settings."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from timnet import config, processes, settings_file
from timnet.training import run_names, runs, worker
from timnet.training.events import EVENTS, Cancelled
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


def test_the_log_holds_the_cause_before_the_end_is_told(folder, monkeypatch):
    def failing(settings, folder, events):
        raise ValueError("films.csv: expected a column path")

    end, logs = worker._end, []

    def told(place, *words):
        logs.append((place / runs.LOG).read_text())
        end(place, *words)

    monkeypatch.setattr(worker, "_end", told)
    assert worker.work(folder, failing).name == "failed"
    assert "Traceback" in logs[0] and "expected a column path" in logs[0]


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


@pytest.mark.whole
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
    assert (folder / runs.CONFIG).read_text() == settings_file.to_json(SETTINGS)
    wait_for(lambda: not runs.state(folder).active)
    state = runs.state(folder)
    assert state.name == "failed"
    assert "somewhere" in state.reason
    assert "Traceback" in processes.tail(folder / runs.LOG, 1000)


def test_five_clicks_start_one_run(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: Started(command, started))
    folders = [worker.submit(SETTINGS, tmp_path) for _ in range(5)]
    assert len(set(folders)) == 1
    assert len(started) == 1
    assert started[0][1:4] == ["-m", "timnet", "run"]


def test_a_failed_run_can_be_submitted_again_and_a_done_one_stays(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: Started(command, started))
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


def stopped(folder, snapshot=True):
    """Leave a run as one that was stopped, with or without a snapshot."""
    worker.prepare(SETTINGS, folder)
    worker.work(folder, lambda *given: (_ for _ in ()).throw(Cancelled))
    if snapshot:
        (folder / runs.SNAPSHOTS).mkdir()
        (folder / runs.SNAPSHOTS / "epoch00000-step000000000001.json").touch()
    return folder


def test_the_same_settings_over_a_stopped_run_go_on_and_fresh_ones_start_anew(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: Started(command, started))
    folder = stopped(tmp_path / run_names.folder_name(SETTINGS))
    assert runs.state(folder).resumable
    told = (folder / EVENTS).read_text()
    worker.submit(SETTINGS, tmp_path)
    state = runs.state(folder)
    assert (state.name, state.resumable, state.stopping) == ("queued", False, False)
    assert (folder / EVENTS).read_text() == told
    assert (folder / runs.SNAPSHOTS).exists()
    (folder / runs.FAILED).write_text("{}")
    worker.restart(folder, fresh=True)
    assert not (folder / runs.SNAPSHOTS).exists() and not (folder / EVENTS).exists()
    assert len(started) == 2


def test_other_settings_in_a_folder_never_go_on_from_its_snapshots(tmp_path):
    folder = stopped(tmp_path / "run")
    worker.prepare(config.Finetune(cohort="somewhere", task="Opacity", seed=4), folder)
    assert not (folder / runs.SNAPSHOTS).exists()


def test_a_run_that_goes_on_is_queued_until_its_worker_has_the_device(tmp_path):
    folder = stopped(tmp_path / "run")
    worker.prepare(SETTINGS, folder)
    seen = []
    worker.work(folder, lambda *given: seen.append(runs.state(folder).name) or {"test": []})
    assert seen == ["running"]
    assert runs.events(folder)["event"].tolist() == ["queued", "started", "queued", "started", "done"]


def test_snapshots_go_when_a_run_is_done(tmp_path):
    folder = stopped(tmp_path / "run")
    worker.prepare(SETTINGS, folder)
    assert worker.work(folder, nothing).name == "done"
    assert not (folder / runs.SNAPSHOTS).exists()


def test_a_line_that_a_killed_worker_left_half_written_is_taken_back(tmp_path):
    folder = stopped(tmp_path / "run")
    with (folder / EVENTS).open("a") as file:
        file.write('{"event": "st')
    worker.prepare(SETTINGS, folder)
    worker.work(folder, nothing)
    assert runs.events(folder)["event"].tolist()[-3:] == ["queued", "started", "done"]


def test_a_deleted_run_is_gone_and_one_at_work_is_not_deleted(tmp_path, folder, at_work):
    with pytest.raises(RunError, match="still at work; stop it first"):
        worker.delete(folder)
    at_work.kill()
    at_work.wait()
    (tmp_path / "other.txt").touch()
    worker.delete(folder)
    assert not folder.exists()
    assert (tmp_path / "other.txt").exists()
    with pytest.raises(RunError, match="no run of that name"):
        worker.delete(folder)


def test_nothing_but_a_run_of_ones_own_is_deleted(tmp_path):
    (tmp_path / "thesis").mkdir()
    with pytest.raises(RunError, match="no run of that name"):
        worker.delete(tmp_path / "thesis")
    shipped = stopped(tmp_path / "shipped")
    (shipped / "card.md").touch()
    with pytest.raises(RunError, match="has a model card"):
        worker.delete(shipped)
    (tmp_path / "link").symlink_to(stopped(tmp_path / "run"))
    with pytest.raises(RunError, match="is a link"):
        worker.delete(tmp_path / "link")
    assert (tmp_path / "thesis").exists() and runs.state(shipped) and runs.state(tmp_path / "run")


def test_a_note_is_kept_whole_up_to_its_bound_and_a_blank_one_removed(folder):
    assert runs.note(folder) == ""
    text = "<b>bold</b> ünïcode\n" + "x" * (runs.NOTE_LENGTH - 20)
    worker.annotate(folder, text)
    assert runs.note(folder) == text
    with pytest.raises(RunError, match=r"^note: expected at most 2,000 characters, got 2,001$"):
        worker.annotate(folder, "x" * 2001)
    assert runs.note(folder) == text
    worker.annotate(folder, " \n")
    assert not (folder / runs.NOTE).exists()
    (folder / runs.NOTE).write_bytes(b"\xff" + b"y" * 10_000)
    assert len(runs.note(folder)) == runs.NOTE_LENGTH
