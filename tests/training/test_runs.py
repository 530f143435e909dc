"""Runs: every state read off files and locks, results as one table, folder names that are safe."""

from __future__ import annotations

import dataclasses
import os
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from timnet import config, processes, settings_file
from timnet.__main__ import main
from timnet.cli import parsing
from timnet.training import events, run_names, run_results, runs, worker
from timnet.training.runs import RunError

SETTINGS = config.Finetune(cohort="somewhere", task="Opacity", fraction=0.005, seed=3)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "run"
    worker.prepare(SETTINGS, path)
    return path


def nothing(settings, folder, events):
    return {"test": []}


def test_a_run_that_ends_well_is_done_and_keeps_what_it_measured(folder):
    state = worker.work(folder, nothing)
    assert (state.name, state.active) == ("done", False)
    assert run_results.result(folder) == {"test": []}
    assert runs.events(folder)["event"].tolist() == ["queued", "started", "done"]


def test_a_run_just_submitted_is_queued_and_one_never_started_is_lost(folder):
    assert runs.state(folder).name == "queued"
    long_ago = time.time() - 2 * runs.STARTING_SECONDS
    os.utime(folder / runs.CONFIG, (long_ago, long_ago))
    assert runs.state(folder).name == "lost"


def test_a_worker_that_starts_while_somebody_asks_is_not_taken_for_lost(folder, monkeypatch):
    real = runs.is_held

    def starts_just_after(lock):
        held = real(lock)
        lock.touch()
        events.Events(folder).append("queued")
        later = (folder / runs.CONFIG).stat().st_mtime + 1
        os.utime(folder / events.EVENTS, (later, later))
        return held

    monkeypatch.setattr(runs, "is_held", starts_just_after)
    assert runs.state(folder).name == "queued"


def test_many_askers_at_once_do_not_take_each_other_for_a_worker(folder):
    worker.work(folder, nothing)
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


def test_the_folder_name_is_readable_and_one_a_settings():
    name = run_names.folder_name(SETTINGS)
    assert name.startswith("somewhere-opacity-base-0.5pct-s3-")
    assert (
        run_names.folder_name(config.Finetune(cohort="somewhere", task="Opacity", fraction=0.005, seed=3))
        == name
    )
    others = {
        run_names.folder_name(
            config.Finetune(cohort="somewhere", task="Opacity", fraction=0.005, seed=3, side=side)
        )
        for side in (224, 225)
    }
    assert len(others) == 2


@pytest.mark.parametrize("cohort", ["../../etc/passwd", "a b;rm -rf", "ü/..", "x" * 500, "."])
def test_no_cohort_name_makes_a_path_or_a_shell_word(cohort):
    name = run_names.folder_name(config.Finetune(cohort=cohort, task="$(touch x)/../.."))
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    assert not name.startswith(".")
    assert ".." not in name
    assert len(name) < 100


def test_a_half_written_last_line_of_events_is_passed_over(folder):
    worker.work(folder, nothing)
    with (folder / events.EVENTS).open("a") as file:
        file.write('{"event": "st')
    assert runs.events(folder)["event"].tolist() == ["queued", "started", "done"]


def test_events_appended_between_two_looks_are_read_once_and_in_order(folder):
    log = events.Events(folder)
    for step in range(3):
        log.append("step", step=step)
        assert runs.events(folder)["step"].tolist() == list(range(step + 1))
    with (folder / events.EVENTS).open("a") as file:
        file.write('{"event": "step", ')
        file.flush()
        assert len(runs.events(folder)) == 3
        file.write('"step": 3}\n')
    assert runs.events(folder)["step"].tolist() == [0, 1, 2, 3]


def test_a_run_started_anew_forgets_the_events_before(folder):
    log = events.Events(folder)
    log.append("step", step=1)
    assert len(runs.events(folder)) == 1
    (folder / runs.FAILED).write_text("{}")
    worker.prepare(SETTINGS, folder)
    assert runs.events(folder).empty
    for step in range(5):
        events.Events(folder).append("step", step=step)
    assert runs.events(folder)["step"].tolist() == list(range(5))


def test_a_look_at_a_long_log_reads_only_what_is_new(folder, monkeypatch):
    log = events.Events(folder)
    for step in range(500):
        log.append("step", step=step)
    runs.events(folder)
    lines, read = [], events.parsed
    monkeypatch.setattr(runs, "parsed", lambda line: (lines.append(line), read(line))[1])
    log.append("step", step=500)
    assert len(runs.events(folder)) == 501
    assert len(lines) == 1


def test_folders_that_hold_no_readable_run_are_passed_over(tmp_path, folder):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / runs.CONFIG).write_text("{")
    assert [run.folder.name for run in runs.all_runs(tmp_path)] == ["run"]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "\xff", "3", "[1]", '{"event": 3}', "NaN"], ids=range(7)
)
@pytest.mark.parametrize(
    "name", [runs.CONFIG, runs.DONE, runs.FAILED, runs.CANCELLED, runs.RESULT, events.EVENTS, runs.NOTE]
)
def test_a_damaged_file_costs_no_more_than_its_run(tmp_path, folder, capsys, monkeypatch, name, text):
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    worker.prepare(dataclasses.replace(SETTINGS, seed=3), tmp_path / "other")
    (folder / name).write_bytes(text.encode("latin-1") + b"\n")
    (folder / runs.DONE).touch()
    assert main(["runs"]) == 0
    assert "other" in capsys.readouterr().out
    run_results.points(tmp_path)
    events.Events(folder).rewind()
    if name == runs.RESULT and text != '{"event": 3}':
        with pytest.raises(runs.RunError, match=r"run/metrics\.json: "):
            run_results.result(folder)


def test_runs_that_count_uncertain_labels_differently_lie_on_different_curves(tmp_path):
    row = {"label": "a", "metric": "auROC", "value": 0.7, "low": 0.6, "high": 0.8, "n": 9, "positives": 4}
    for policy in ("ignore", "ones", "per-label"):
        worker.prepare(dataclasses.replace(SETTINGS, uncertain=policy), tmp_path / policy)
        worker.work(tmp_path / policy, lambda *given: {"test": [row], "films": 26})
    assert run_results.points(tmp_path)["recipe"].nunique() == 3


@pytest.mark.parametrize(("held_back", "films"), [(0, 26 + 256), (5, 26)])
def test_validation_images_of_early_stopping_count_as_labelled(tmp_path, held_back, films):
    row = {"label": "a", "metric": "auROC", "value": 0.7}
    stopped = {"epoch": 2, "epochs": 9, "validation_loss": 0.4, "films": held_back or 256}
    measured = {"test": [row], "films": 26, "early_stopping": {**stopped, "held_back": held_back}}
    worker.prepare(dataclasses.replace(SETTINGS, patience=5), tmp_path / "run")
    worker.work(tmp_path / "run", lambda *given: measured)
    # Those held back are of the 26 that were drawn.
    assert run_results.points(tmp_path)["films"].tolist() == [films]


@pytest.mark.parametrize("wrong", [3, {"films": "256"}, {"films": 256}])
def test_a_damaged_early_stopping_is_one_sentence(tmp_path, wrong):
    worker.prepare(SETTINGS, tmp_path / "run")
    worker.work(tmp_path / "run", lambda *given: {"early_stopping": wrong})
    with pytest.raises(RunError, match=r"run/metrics\.json: .*early_stopping"):
        run_results.result(tmp_path / "run")


def test_points_hold_every_metric_of_every_finished_run(tmp_path):
    rows = [
        {"label": "Opacity", "metric": "auROC", "value": 0.7, "low": 0.6, "high": 0.8, "n": 9, "positives": 4}
    ]
    for name in ("a", "b"):
        worker.prepare(SETTINGS, tmp_path / name)
    worker.work(tmp_path / "a", lambda *given: {"test": rows, "films": 26, "positives": {"Opacity": 19}})
    table = run_results.points(tmp_path)
    assert table.to_dict("records") == [
        {
            "run": "a",
            "cohort": "somewhere",
            "task": "Opacity",
            "initialisation": "base",
            "fraction": 0.005,
            "films": 26,
            "positives": 19,
            "seed": 3,
            "recipe": "224 px, 100 epochs, batch 16, learning rate 0.0001, augmented, full batches, "
            "resnet18, normalised by film, width 512",
            "label": "Opacity",
            "metric": "auROC",
            "value": 0.7,
            "low": 0.6,
            "high": 0.8,
        }
    ]


def test_points_by_group_are_the_rows_that_a_run_kept(tmp_path):
    row = {
        "label": "Opacity",
        "metric": "auROC",
        "value": 0.7,
        "low": 0.6,
        "high": 0.8,
        "n": 9,
        "positives": 4,
    }
    group = {"kind": "sex", "group": "women", "images": 9, "note": ""}
    for name, rows in (("a", [row | group]), ("b", [])):
        worker.prepare(SETTINGS, tmp_path / name)
        worker.work(
            tmp_path / name, lambda *given, rows=rows: {"test": [row], "subgroups": rows, "films": 26}
        )
    (found,) = run_results.points(tmp_path, run_results.SUBGROUPS).to_dict("records")
    expected = {"run": "a", "films": 26, "label": "Opacity", "value": 0.7, "low": 0.6, "high": 0.8}
    expected |= {"kind": "sex", "group": "women", "images": 9}
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        config.Finetune(
            cohort="a b; rm", task="Left opacity,$(x)", augment=False, learning_rate=3e-5, side=96
        ),
        config.Finetune(cohort="c", task="t", **settings_file.numbers(config.Finetune, "paper")),
        config.Finetune(
            cohort="c",
            task="t",
            **{**settings_file.numbers(config.Finetune, "paper"), "side": 224, "augment": True},
        ),
        config.Finetune(cohort="c", task="--out=elsewhere", initialisation="--fresh"),
        config.Pretrain(cohorts=("a", "b"), shuffled=True, held_out=("test",), text_mode="full"),
        config.Pretrain(cohorts=("a", "b"), repeats=(1, 16), probe="-x"),
        config.Pretrain(cohorts=("a",), **settings_file.numbers(config.Pretrain, "paper")),
    ],
)
def test_the_command_of_a_run_means_the_same_settings_in_the_same_folder(tmp_path, settings):
    for folder in (tmp_path / run_names.folder_name(settings), tmp_path / "my own"):
        worker.prepare(settings, folder)
        line = run_names.command_line(runs.state(folder))
        python, m, module, command, *words = shlex.split(line)
        assert (python, m, module, command) == ("python", "-m", "timnet", settings_file.command(settings))
        asked, out, _, fresh = parsing.training(type(settings), words)
        assert (asked, fresh) == (settings, False)
        assert (out or tmp_path / run_names.folder_name(asked)) == folder


def test_the_command_of_a_run_leaves_out_what_is_usual(folder):
    line = run_names.command_line(runs.state(folder)).split(" --out ")[0]
    assert line == "python -m timnet finetune somewhere --task Opacity --fraction 0.005 --seed 3"


def test_what_is_taken_back_and_told_again_is_read_once(folder):
    log = events.Events(folder)
    for epoch in (1, 2):
        for step in (2 * epoch - 1, 2 * epoch):
            log.append("step", epoch=epoch, step=step)
        log.append("epoch", epoch=epoch, step=2 * epoch)
    assert len(runs.events(folder)) == 6
    log.rewind(epoch=1, step=3)
    assert runs.events(folder)["event"].tolist() == ["step", "step", "epoch", "step"]
    for _ in range(9):
        log.append("snapshot", step=3)
    assert runs.events(folder)["step"].tolist() == [1, 2, 2, 3, *[3] * 9]
    # The end of an epoch is told again where a snapshot was taken after its last step, but before its end.
    log.rewind(epoch=0, step=2)
    assert runs.events(folder)["event"].tolist() == ["step", "step"]


def test_runs_opens_without_torch():
    code = "import sys, timnet.training.runs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=config.REPOSITORY).returncode == 0


def test_missing_runs_are_refused_by_name(tmp_path):
    for call in (runs.state, worker.cancel):
        with pytest.raises(RunError, match=r"^nowhere: "):
            call(tmp_path / "nowhere")
    with pytest.raises(RunError):
        run_results.result(Path(tmp_path / "nowhere"))


def test_a_clock_set_back_leaves_no_run_queued(folder):
    tomorrow = time.time() + 86_400
    os.utime(folder / runs.CONFIG, (tomorrow, tomorrow))
    assert runs.state(folder).name == "lost"


def test_a_run_at_work_is_running_whatever_the_clock_said_when_it_was_submitted(folder):
    seen = []

    def work(settings, folder, events):
        tomorrow = time.time() + 86_400
        os.utime(folder / runs.CONFIG, (tomorrow, tomorrow))
        seen.append(runs.state(folder).name)
        return {"test": []}

    worker.work(folder, work)
    assert seen == ["running"]


@pytest.mark.parametrize("leftover", [f".{runs.CONFIG}.new", f".{runs.CONFIG}.4711", runs.LOCK])
def test_what_a_killed_start_left_does_not_block_the_next(tmp_path, leftover):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / leftover).write_text("{")
    worker.prepare(SETTINGS, folder)
    assert worker.work(folder, nothing).name == "done"
    assert not list(folder.glob(f".{runs.CONFIG}.*"))


def test_a_failed_training_writes_its_traceback_to_the_log_alone(folder, capfd):
    def fail(settings, folder, events):
        raise RuntimeError("out of cheese")

    state = worker.work(folder, fail)
    assert (state.name, state.reason) == ("failed", "RuntimeError: out of cheese")
    log = processes.tail(folder / runs.LOG, 30)
    assert "Traceback" in log and "out of cheese" in log
    assert capfd.readouterr() == ("", "")
