"""Runs that are killed, stopped or run out of disk go on, and end bit for bit where others end."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.models import get_model

from timnet import config, files, processes
from timnet.checkpoints import DESCRIPTION, WEIGHTS
from timnet.cohorts import tasks
from timnet.model import branches
from timnet.training import loop, run_results, runs, snapshots, worker
from timnet.training.events import EVENTS
from timnet.training.recipes import finetune, pretrain

# Processes are forked off one that has PyTorch in memory: importing it fifty times would take minutes.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        "timnet.training.recipes.finetune",
        "timnet.training.recipes.pretrain",
        "transformers.models.bert.modeling_bert",
        "torchvision.models",
        "sklearn.metrics",
        "torch._dynamo",
    ]
)


@pytest.fixture
def finetuning(cohort_folder):
    return config.Finetune(
        cohort=str(cohort_folder), task="Opacity", fraction=0.3, side=32, width=8, epochs=5, batch=8,
        learning_rate=1e-3, precision="fp32",
    )  # fmt: skip


@pytest.fixture
def pretraining(cohort_folder, tiny_bert):
    return config.Pretrain(
        cohorts=(str(cohort_folder),), side=32, width=8, tokens=16, epochs=2, batch=28, objective="pairs",
        text_encoder=str(tiny_bert), schedule="cosine", precision="fp32",
    )  # fmt: skip


def recipe(settings):
    return pretrain.train if isinstance(settings, config.Pretrain) else finetune.train


def shallow(backbone):
    """Return the first half of a ResNet-18: its snapshots are written in no time."""
    resnet = get_model(backbone, weights=None)
    resnet.layer3 = resnet.layer4 = torch.nn.Identity()
    resnet.fc = torch.nn.Linear(128, 1)
    return resnet


def work(folder, seconds="0"):
    """Do a run's work with a snapshot after every step and every step told; the target of a process."""
    os.environ["TIMNET_SNAPSHOT_SECONDS"] = seconds
    branches.build_backbone = shallow
    loop.TELL_SECONDS = 0
    logging.disable(logging.CRITICAL)
    worker.work(folder, recipe(runs.settings(folder)))


def start(folder, seconds="0"):
    process = PROCESSES.Process(target=work, args=(folder, seconds))
    process.start()
    return process


def uninterrupted(settings, folder):
    """Do a run at one go, keeping no snapshot on the way."""
    worker.prepare(settings, folder)
    process = start(folder, "100000")
    process.join(300)
    assert runs.state(folder).name == "done", processes.tail(folder / runs.LOG, 30)
    return folder


def steps(folder):
    """Return how many steps a run has told of."""
    try:
        return (folder / EVENTS).read_text().count('"event": "step"')
    except FileNotFoundError:
        return 0


def told(folder):
    """Say whether a worker has the run and has told of it since it was last prepared."""
    return runs.state(folder).name == "running"


def losses(folder):
    rows = [json.loads(line) for line in (folder / EVENTS).read_text().splitlines()]
    return [(row["event"], row["step"], row["loss"]) for row in rows if row["event"] in ("step", "epoch")]


def same(folder, expected):
    """Compare all that a run leaves: weights, description, metrics and losses, without times."""
    for name in (WEIGHTS, DESCRIPTION, runs.RESULT):
        assert (folder / name).read_bytes() == (expected / name).read_bytes(), name
    assert losses(folder) == losses(expected)
    assert not (folder / runs.SNAPSHOTS).exists()


def killed_on_the_way(settings, folder, waits):
    """Kill a run's worker a while after each of some steps, let it go on, and return how often that was."""
    kills = 0
    for step, seconds in waits:
        worker.prepare(settings, folder)
        process = start(folder)
        while process.is_alive() and (steps(folder) < step or not told(folder)):
            time.sleep(0.002)
        time.sleep(seconds)
        process.kill()
        process.join()
        state = runs.state(folder)
        if state.name == "done":
            break
        assert state.name == "lost"
        kills += 1
    else:
        worker.prepare(settings, folder)
        start(folder).join()
    assert runs.state(folder).name == "done", processes.tail(folder / runs.LOG, 30)
    return kills


@pytest.mark.whole
def test_a_fine_tuning_killed_again_and_again_ends_bit_for_bit_the_same(finetuning, tmp_path):
    expected = uninterrupted(finetuning, tmp_path / "whole")
    rng = random.Random(0)
    total = len([row for row in losses(expected) if row[0] == "step"])
    waits = [(step, rng.random() * 0.3) for step in (0, 1, total // 2, total - 2)]
    assert killed_on_the_way(finetuning, tmp_path / "run", waits) >= 3
    same(tmp_path / "run", expected)


@pytest.mark.whole
def test_a_fine_tuning_that_stops_early_ends_the_same_where_it_was_killed(finetuning, tmp_path):
    early = replace(finetuning, fraction=1.0, epochs=40, looks=40, patience=1, learning_rate=3e-3)
    expected = uninterrupted(early, tmp_path / "whole")
    kept = run_results.result(expected)["early_stopping"]
    last = max(step for name, step, _ in losses(expected) if name == "step")
    epochs = sum(name == "epoch" for name, _, _ in losses(expected))
    assert kept["epoch"] == epochs - 1 < 39
    waits = [(step, 0.05) for step in (1, last // 2, last - 1)]
    assert killed_on_the_way(early, tmp_path / "run", waits) >= 2
    same(tmp_path / "run", expected)
    assert not (tmp_path / "run" / runs.BEST).exists()


@pytest.mark.slow
def test_a_fine_tuning_killed_at_fifty_random_points_ends_bit_for_bit_the_same(finetuning, tmp_path):
    expected = uninterrupted(finetuning, tmp_path / "whole")
    rng, kills, trial = random.Random(1), 0, 0
    total = len([row for row in losses(expected) if row[0] == "step"])
    while kills < 50:
        folder = tmp_path / f"run{trial}"
        waits = [(step, rng.random() * 0.5) for step in sorted(rng.choices(range(total), k=10))]
        kills += killed_on_the_way(finetuning, folder, waits)
        same(folder, expected)
        shutil.rmtree(folder)
        trial += 1


@pytest.mark.whole
def test_a_pre_training_killed_on_its_way_ends_bit_for_bit_the_same(pretraining, tmp_path):
    expected = uninterrupted(pretraining, tmp_path / "whole")
    assert killed_on_the_way(pretraining, tmp_path / "run", [(2, 0.1), (7, 0.2)]) == 2
    same(tmp_path / "run", expected)


def in_hand(folder, step, seconds="0"):
    """Start a real worker of the command line and wait until it has told of a step."""
    environment = os.environ | {"TIMNET_SNAPSHOT_SECONDS": seconds, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "timnet", "run", str(folder)], cwd=config.REPOSITORY, env=environment
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and steps(folder) < step and time.monotonic() < deadline:
        time.sleep(0.01)
    return process


@pytest.mark.whole
def test_sigterm_takes_a_snapshot_and_the_same_command_goes_on(finetuning, tmp_path):
    settings = replace(finetuning, epochs=400)
    folder = tmp_path / "run"
    worker.prepare(settings, folder)
    # No snapshot but the one that the signal asks for.
    process = in_hand(folder, 2, "100000")
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    assert time.monotonic() - asked < 20
    state = runs.state(folder)
    assert (state.name, state.resumable) == ("cancelled", True)
    place = snapshots.newest(folder).place
    assert place.step >= 2
    before, after = losses(folder), []
    worker.prepare(settings, folder)
    assert runs.state(folder).name == "queued"

    def stopping(event):
        if event["event"] == "step":
            after.append(event["step"])
            worker.cancel(folder)

    assert worker.work(folder, finetune.train, stopping).name == "cancelled"
    assert after == [place.step + 1]
    assert losses(folder)[: len(before)] == before
    worker.prepare(settings, folder, fresh=True)
    assert snapshots.newest(folder) is None and not (folder / EVENTS).exists()


@pytest.mark.whole
def test_a_disk_full_in_training_is_told_in_one_sentence_and_the_run_goes_on_later(
    finetuning, tmp_path, monkeypatch
):
    monkeypatch.setenv("TIMNET_SNAPSHOT_SECONDS", "0")
    monkeypatch.setattr(branches, "build_backbone", shallow)
    expected, folder = uninterrupted(finetuning, tmp_path / "whole"), tmp_path / "run"
    write, written = files.write_whole, []

    def full(path, data):
        # What is small still fits: the run's state can be written.
        if path.parent.name == worker.SNAPSHOTS:
            if len(written) == 8:
                raise OSError(28, "No space left on device")
            written.append(path)
        write(path, data)

    worker.prepare(finetuning, folder)
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_whole", full)
        state = worker.work(folder, finetune.train)
    assert (state.name, state.resumable) == ("failed", True)
    assert state.reason == "run: the snapshot of step 4 cannot be written: No space left on device"
    assert snapshots.newest(folder).place.step == 3
    monkeypatch.setattr(loop, "TELL_SECONDS", 0)
    worker.prepare(finetuning, folder)
    assert worker.work(folder, finetune.train).name == "done"
    for name in (WEIGHTS, DESCRIPTION, runs.RESULT):
        assert (folder / name).read_bytes() == (expected / name).read_bytes()


def test_films_or_labels_that_changed_are_refused_and_fresh_starts_anew(finetuning, tmp_path, monkeypatch):
    monkeypatch.setenv("TIMNET_SNAPSHOT_SECONDS", "0")
    monkeypatch.setattr(branches, "build_backbone", shallow)
    folder = tmp_path / "run"
    worker.prepare(finetuning, folder)

    def stopping(event):
        if event["event"] == "snapshot":
            worker.cancel(folder)

    assert worker.work(folder, finetune.train, stopping).name == "cancelled"
    real = tasks.targets

    def relabelled(*asked, **options):
        targets = real(*asked, **options)
        y = np.where(np.arange(len(targets.y_NL))[:, None] % 7 == 0, 1 - targets.y_NL, targets.y_NL)
        return replace(targets, y_NL=y)

    monkeypatch.setattr(tasks, "targets", relabelled)
    worker.prepare(finetuning, folder)
    state = worker.work(folder, finetune.train)
    assert state.reason == (
        "run: its films or labels are no longer those it was stopped with; start the run anew"
    )
    worker.prepare(finetuning, folder, fresh=True)
    assert worker.work(folder, finetune.train).name == "done"
