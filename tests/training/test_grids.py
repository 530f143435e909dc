"""A grid of runs: its order, nothing done twice, nothing lost to a signal, its table, the time it takes."""

from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from timnet import config, settings_file
from timnet.cli import parsing
from timnet.cli.parsing import Unusable
from timnet.cohorts import splits, store, tasks
from timnet.training import estimates, grid_table, grids, run_names, runs, worker
from timnet.training.events import Cancelled
from timnet.training.grids import Grid, Stopped


@pytest.fixture
def grid(cohort_folder):
    shared = config.Finetune(cohort=str(cohort_folder), task="Opacity", side=48, epochs=2, batch=4)
    return Grid(shared, ("base", "imagenet"), (0.5, 0.1), seeds=2)


def trainer(done, before=lambda: None):
    """What measures nothing, and writes down which settings it was given."""

    def train(settings, folder, events):
        before()
        done.append(settings)
        row = {"label": "Opacity", "metric": "auROC", "value": 0.5 + settings.seed / 10, "low": 0, "high": 1}
        return {"test": [row], "films": round(80 * settings.fraction), "positives": {"Opacity": 3}}

    return train


def test_small_shares_come_first_and_of_each_draw_all_starts(grid):
    order = [(each.fraction, each.seed, each.initialisation) for each in grid.settings()]
    assert order == [
        (fraction, seed, start)
        for fraction in (0.1, 0.5)
        for seed in (0, 1)
        for start in ("base", "imagenet")
    ]


def test_draws_of_a_seed_nest(grid):
    cohort = store.Cohort.open(store.find(grid.shared.cohort))
    y = tasks.targets(cohort, "Opacity").y_NL
    small, large = (set(splits.draw(y, fraction, seed=1)) for fraction in sorted(grid.fractions))
    assert small < large


def test_a_grid_does_what_is_missing_and_nothing_twice(grid, tmp_path):
    done: list[config.Finetune] = []
    first = grid.settings()[3]
    worker.prepare(first, tmp_path / run_names.folder_name(first))
    worker.work(tmp_path / run_names.folder_name(first), trainer(done))
    assert grids.missing(grid.settings(), tmp_path) == [s for s in grid.settings() if s != first]
    assert grids.complete(grid.settings(), tmp_path, trainer(done)) == []
    assert done == [first, *(s for s in grid.settings() if s != first)]
    grids.complete(grid.settings(), tmp_path, trainer(done))
    assert len(done) == 8 and not grids.missing(grid.settings(), tmp_path)


def test_a_run_with_a_name_of_its_own_counts_as_done(grid, tmp_path):
    done: list[config.Finetune] = []
    worker.prepare(grid.settings()[0], tmp_path / "mine")
    worker.work(tmp_path / "mine", trainer(done))
    grids.complete(grid.settings(), tmp_path, trainer(done))
    assert done == grid.settings()
    assert "mine" in set(grid_table.table(grid.settings(), tmp_path)["run"])


def test_a_stopped_run_stops_the_grid_which_goes_on_later(grid, tmp_path):
    done: list[config.Finetune] = []
    left = iter([None, None, Cancelled()])

    def stop():
        error = next(left, None)
        if error:
            raise error

    with pytest.raises(Stopped, match="2 of 8 runs done"):
        grids.complete(grid.settings(), tmp_path, trainer(done, stop))
    assert done == grid.settings()[:2]
    grids.complete(grid.settings(), tmp_path, trainer(done))
    assert done == grid.settings()


def test_a_signal_just_as_a_run_ends_is_not_lost(grid, tmp_path):
    done: list[config.Finetune] = []
    with pytest.raises(Stopped, match="1 of 8 runs done"):
        grids.complete(grid.settings(), tmp_path, trainer(done, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    # The run was whole: it counts, and only the grid ended.
    assert done == grid.settings()[:1] and len(grids.missing(grid.settings(), tmp_path)) == 7


def test_two_processes_at_one_grid_share_its_runs(grid, tmp_path):
    done: list[config.Finetune] = []
    threads = [
        threading.Thread(target=grids.complete, args=(grid.settings(), tmp_path, trainer(done)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done, key=repr) == sorted(grid.settings(), key=repr)


def test_a_grid_at_work_is_not_started_again(grid, tmp_path):
    with grids.alone(grid, tmp_path):
        with pytest.raises(runs.RunError, match="at work in another"), grids.alone(grid, tmp_path):
            pass
        with grids.alone(replace(grid, seeds=3), tmp_path):
            pass


def test_a_failed_run_does_not_end_the_grid_and_three_in_a_row_do(grid, tmp_path):
    done: list[config.Finetune] = []
    left = iter([None, ValueError("one bad film")])

    def fail():
        error = next(left, None)
        if error:
            raise error

    (failed,) = grids.complete(grid.settings(), tmp_path, trainer(done, fail))
    assert failed.reason == "one bad film" and len(done) == 7

    def always():
        raise ValueError("no film at all")

    with pytest.raises(runs.RunError, match=r"3 runs failed one after another, .* no film at all"):
        grids.complete(grid.settings(), tmp_path / "other", trainer(done, always))


def test_the_table_is_tidy_and_comes_back_from_its_file(grid, tmp_path):
    grids.complete(grid.settings(), tmp_path, trainer([]))
    other = replace(grid.settings()[0], epochs=9)
    worker.prepare(other, tmp_path / "other")
    worker.work(tmp_path / "other", trainer([]))
    table = grid_table.table(grid.settings(), tmp_path)
    assert tuple(table.columns) == (
        "run", "task", "initialisation", "fraction", "films", "positives", "seed", "label", "metric", "value"
    )  # fmt: skip
    assert len(table) == 8 and set(table["run"]) == {run_names.folder_name(each) for each in grid.settings()}
    assert table["films"].tolist() == [8] * 4 + [40] * 4
    assert table["value"].tolist() == pytest.approx([0.5, 0.6] * 4) and set(table["positives"]) == {3}
    grid_table.write(table, tmp_path / "table.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "table.parquet"), table)
    assert not list(tmp_path.glob(".table*"))


def timed(folder, settings, step_seconds, around, steps):
    """Leave a run that took so long."""
    worker.prepare(settings, folder)

    def train(settings, folder, events):
        for step in range(1, steps + 1):
            at = round(5 + step_seconds * step, 3)
            told = {"epoch": 1, "epochs": 1, "step": step, "steps": steps, "loss": 1.0, "eta_seconds": 0.0}
            events.append("step", **told, seconds=at)
        return {"test": [], "films": 4}

    worker.work(folder, train)
    text = (folder / "metrics.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in text]
    start = next(event["seconds"] for event in events if event["event"] == "started")
    events[-1]["seconds"] = start + around + step_seconds * (steps - 1)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def test_the_time_of_a_grid_is_that_of_its_steps_at_the_pace_of_earlier_runs(grid, tmp_path):
    asked = grid.settings()
    assert grids.seconds(asked, tmp_path) is None
    timed(tmp_path / "a", replace(asked[0], seed=7), 0.5, 3.0, 20)
    timed(tmp_path / "b", replace(asked[0], seed=8, side=64), 9.0, 3.0, 20)
    found = estimates.measured_pace(runs.all_runs(tmp_path), asked[0])
    assert found.runs == 1 and (found.step, found.around) == pytest.approx((0.5, 3.0), abs=2e-3)
    cohort = store.Cohort.open(store.find(grid.shared.cohort))
    train = (cohort.films()["split"] == "train").to_numpy()
    y = tasks.targets(cohort, "Opacity").y_NL[train]
    # Two epochs of whole batches of four, four runs at each share.
    steps = [2 * (round(fraction * np.isfinite(y[:, 0]).sum()) // 4) for fraction in (0.1, 0.5)]
    expected = sum(4 * (3.0 + 0.5 * each) for each in steps)
    assert grids.seconds(asked, tmp_path) == (pytest.approx(expected, rel=1e-2), 1)


def test_the_seconds_left_shrink_to_nothing(grid, tmp_path):
    heard = []

    def train(settings, folder, events):
        for step in (1, 2):
            told = {"epoch": step, "epochs": 2, "loss": 1.0}
            events.append("step", step=step, steps=2, eta_seconds=float(10 * (2 - step)), **told)
        return {"test": [], "films": 4}

    grids.complete(grid.settings()[:2], tmp_path, train, heard.append)
    assert heard[0].seconds_left is None and heard[0].total == 2
    first = next(each for each in heard if each.event["event"] == "step")
    assert first.seconds_left > first.event["eta_seconds"]
    assert heard[-1].done == 2 and heard[-1].seconds_left == pytest.approx(0, abs=0.01)


def test_the_words_of_a_grid_mean_the_same_grid(grid):
    for each in (
        replace(grid, shared=replace(grid.shared, cohort="c d", initialisation="base", fraction=1.0, seed=0)),
        Grid(
            config.Finetune(
                cohort="c", task="t", uncertain="ones", **settings_file.numbers(config.Finetune, "paper")
            ),
            ("base",),
            (0.005, 1.0),
            seeds=7,
        ),
    ):
        command, *words = each.words()
        assert command == "curve"
        again, out, as_json, ray = parsing.grid(words)
        assert again == each and again.name == each.name and not out and not as_json and not ray


def test_a_grid_of_nothing_or_out_of_range_is_refused():
    shared = config.Finetune(cohort="c", task="t")
    for wrong in ({"initialisations": ()}, {"fractions": ()}, {"seeds": 0}):
        with pytest.raises(config.ConfigError, match=next(iter(wrong))):
            Grid(**{"shared": shared, "initialisations": ("base",), "fractions": (1.0,), "seeds": 1, **wrong})
    with pytest.raises(config.ConfigError, match="fraction"):
        Grid(shared, ("base",), (1.5,), 1).settings()
    # A word that begins with a dash would be read as an option of the command.
    for cohort, start in (("-x", "base"), ("c", "--fresh")):
        with pytest.raises(config.ConfigError, match=r"got '--?[xf].*', which a command takes for an option"):
            Grid(replace(shared, cohort=cohort), ("base", start), (1.0,), 1)
    with pytest.raises(Unusable, match="--fraction"):
        parsing.grid(["c", "--task", "t", "--fraction", "0.1"])
