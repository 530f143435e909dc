"""Runs: every state read off files and locks, one run for the same settings, endings that tell why."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from timnet import config
from timnet.training import runs
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
    runs.prepare(SETTINGS, path)
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
from timnet.training import runs
def train(settings, folder, events):
    (folder / "working").touch()
    while True:
        events.check()
        time.sleep(0.02)
runs.work(Path(sys.argv[1]), train)
"""


@pytest.fixture
def worker(folder):
    """A process at work on the run until it is asked to stop or killed."""
    process = subprocess.Popen([sys.executable, "-c", WORKER, str(folder)], cwd=config.REPOSITORY)
    wait_for((folder / "working").exists)
    yield process
    process.kill()
    process.wait()


def test_a_run_that_ends_well_is_done_and_keeps_what_it_measured(folder):
    state = runs.work(folder, nothing)
    assert (state.name, state.active) == ("done", False)
    assert runs.result(folder) == {"test": []}
    assert runs.events(folder)["event"].tolist() == ["queued", "started", "done"]


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

    state = runs.work(folder, failing)
    assert (state.name, state.reason) == ("failed", reason)
    assert not (folder / runs.RESULT).exists()


def test_a_run_just_submitted_is_queued_and_one_never_started_is_lost(folder):
    assert runs.state(folder).name == "queued"
    import os

    long_ago = time.time() - 2 * runs.STARTING_SECONDS
    os.utime(folder / runs.CONFIG, (long_ago, long_ago))
    assert runs.state(folder).name == "lost"


def test_a_worker_at_work_is_running_and_a_killed_one_is_lost(folder, worker):
    assert runs.state(folder).name == "running"
    worker.kill()
    worker.wait()
    state = runs.state(folder)
    assert state.name == "lost"
    assert "killed" in state.reason


def test_cancel_stops_the_worker(folder, worker):
    runs.cancel(folder)
    assert worker.wait(timeout=30) == 0
    assert runs.state(folder).name == "cancelled"


def test_sigterm_stops_the_worker_in_good_order(folder, worker):
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=20) == 0
    assert runs.state(folder).name == "cancelled"


def test_two_workers_never_share_a_run(folder, worker):
    with pytest.raises(RunError, match="another worker is at this run"):
        runs.work(folder, nothing)
    with pytest.raises(RunError, match="still at work"):
        runs.prepare(SETTINGS, folder)
    assert runs.state(folder).name == "running"


def test_many_askers_at_once_do_not_take_each_other_for_a_worker(folder):
    runs.work(folder, nothing)
    (folder / runs.DONE).unlink()
    seen = []
    threads = [
        threading.Thread(target=lambda: seen.extend(runs.state(folder).name for _ in range(50)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {"lost"}


def test_a_second_run_waits_for_the_device(tmp_path, folder, worker):
    second = tmp_path / "second"
    runs.prepare(SETTINGS, second)
    thread = threading.Thread(target=runs.work, args=(second, nothing))
    thread.start()
    wait_for(lambda: len(runs.events(second)) > 0)
    assert runs.state(second).name == "queued"
    runs.cancel(folder)
    thread.join(timeout=60)
    assert runs.state(second).name == "done"


def test_the_folder_name_is_readable_and_one_a_settings():
    name = runs.folder_name(SETTINGS)
    assert name.startswith("somewhere-opacity-base-0.5pct-s3-")
    assert (
        runs.folder_name(config.Finetune(cohort="somewhere", task="Opacity", fraction=0.005, seed=3)) == name
    )
    others = {
        runs.folder_name(
            config.Finetune(cohort="somewhere", task="Opacity", fraction=0.005, seed=3, side=side)
        )
        for side in (224, 225)
    }
    assert len(others) == 2


@pytest.mark.parametrize("cohort", ["../../etc/passwd", "a b;rm -rf", "ü/..", "x" * 500, "."])
def test_no_cohort_name_makes_a_path_or_a_shell_word(cohort):
    name = runs.folder_name(config.Finetune(cohort=cohort, task="$(touch x)/../.."))
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    assert not name.startswith(".")
    assert ".." not in name
    assert len(name) < 100


def test_submitting_starts_a_worker_whose_failure_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "none"))
    folder = runs.submit(SETTINGS, tmp_path / "runs")
    assert (folder / runs.CONFIG).read_text() == config.to_json(SETTINGS)
    wait_for(lambda: not runs.state(folder).active)
    state = runs.state(folder)
    assert state.name == "failed"
    assert "somewhere" in state.reason
    assert "Traceback" in runs.log_tail(folder, 1000)


def test_five_clicks_start_one_run(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(runs.subprocess, "Popen", lambda command, **options: Started(command, started))
    folders = [runs.submit(SETTINGS, tmp_path) for _ in range(5)]
    assert len(set(folders)) == 1
    assert len(started) == 1
    assert started[0][1:4] == ["-m", "timnet", "run"]


def test_a_failed_run_can_be_submitted_again_and_a_done_one_stays(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(runs.subprocess, "Popen", lambda command, **options: Started(command, started))
    folder = runs.submit(SETTINGS, tmp_path)
    (folder / runs.FAILED).write_text('{"reason": "once"}')
    runs.submit(SETTINGS, tmp_path)
    assert len(started) == 2
    assert not (folder / runs.FAILED).exists()
    runs.work(folder, nothing)
    runs.submit(SETTINGS, tmp_path)
    assert len(started) == 2


def test_a_folder_of_something_else_is_never_overwritten(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="found other files"):
        runs.prepare(SETTINGS, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_half_written_last_line_of_events_is_passed_over(folder):
    runs.work(folder, nothing)
    with (folder / runs.EVENTS).open("a") as file:
        file.write('{"event": "st')
    assert runs.events(folder)["event"].tolist() == ["queued", "started", "done"]


def test_folders_that_hold_no_readable_run_are_passed_over(tmp_path, folder):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / runs.CONFIG).write_text("{")
    assert [run.folder.name for run in runs.all_runs(tmp_path)] == ["run"]


def test_points_hold_every_metric_of_every_finished_run(tmp_path):
    rows = [
        {"label": "Opacity", "metric": "auROC", "value": 0.7, "low": 0.6, "high": 0.8, "n": 9, "positives": 4}
    ]
    for name in ("a", "b"):
        runs.prepare(SETTINGS, tmp_path / name)
    runs.work(tmp_path / "a", lambda *given: {"test": rows, "films": 26})
    table = runs.points(tmp_path)
    assert table.to_dict("records") == [
        {
            "run": "a",
            "cohort": "somewhere",
            "task": "Opacity",
            "initialisation": "base",
            "fraction": 0.005,
            "films": 26,
            "seed": 3,
            "side": 224,
            "label": "Opacity",
            "metric": "auROC",
            "value": 0.7,
            "low": 0.6,
            "high": 0.8,
        }
    ]


def test_events_of_a_phase_come_at_most_twice_a_second_but_always_its_end(folder):
    told = []
    progress = runs.Events(folder, told.append).phase("reading films")
    for done in range(1, 1001):
        progress(done, 1000)
    assert len(told) < 20
    assert told[-1]["done"] == 1000


def test_runs_opens_without_torch():
    code = "import sys, timnet.training.runs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=config.REPOSITORY).returncode == 0


def test_missing_runs_are_refused_by_name(tmp_path):
    for call in (runs.state, runs.cancel):
        with pytest.raises(RunError, match=r"^nowhere: "):
            call(tmp_path / "nowhere")
    with pytest.raises(RunError):
        runs.result(Path(tmp_path / "nowhere"))


def test_metrics_are_valid_json_lines(folder):
    runs.work(folder, nothing)
    for line in (folder / runs.EVENTS).read_text().splitlines():
        assert "seconds" in json.loads(line)
