"""On a GPU: what is trained there is what a processor would have been taught, and is read there alike.

Opt-in (`pytest -m gpu`). Nothing compares two trainings step by step across devices: only what one network
says of the same films, and that a training goes where it should.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

from timnet import checkpoints, config
from timnet.cohorts import store, vectors
from timnet.cohorts.store import Cohort
from timnet.evaluation import held_out, predictions
from timnet.evaluation.calibration import fit
from timnet.model import devices, embed, weights
from timnet.training import batches, run_results, runs, worker
from timnet.training.recipes import finetune, pretrain

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]

CPU = torch.device("cpu")


def done(settings, folder, train):
    worker.prepare(settings, folder)
    state = worker.work(folder, train)
    assert state.name == "done", state.reason
    return run_results.result(folder)


@pytest.fixture(autouse=True)
def any_precision():
    """Accelerate keeps a process's first precision; here each training has its own."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def tuned(cohort_folder):
    return config.Finetune(
        cohort=str(cohort_folder), task="Opacity", side=64, width=32, epochs=12, batch=16, learning_rate=1e-3,
        precision="fp32", seed=1,
    )  # fmt: skip


def test_vectors_and_calibration_are_those_of_the_processor(networks, cohort_folder, tmp_path, monkeypatch):
    spec = replace(checkpoints.describe(networks / "classifier"), labels=("Opacity",))
    weights.save_checkpoint(tmp_path / "classifier", weights.build_classifier(spec, seed=0), spec)
    found = {}
    for name in ("gpu", "cpu"):
        shutil.copytree(cohort_folder, tmp_path / name)
        cohort = Cohort.open(tmp_path / name)
        if name == "cpu":
            monkeypatch.setattr(devices, "device", lambda: CPU)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        embed.build(cohort, networks / "timnet")
        said = fit.predicted(tmp_path / "classifier", str(cohort.folder)).logit_NL
        taken = torch.cuda.max_memory_allocated() - before
        assert (taken > 2**20) == (name == "gpu")
        vectors_of = vectors.load(vectors.place(cohort, networks / "timnet"))
        found[name] = (vectors_of.films_ND.copy(), vectors_of.reports_MD.copy(), said)
    for gpu, cpu in zip(found["gpu"], found["cpu"], strict=True):
        np.testing.assert_allclose(gpu, cpu, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_classifier_learns_the_blob_and_says_the_same_on_the_processor(tuned, precision, tmp_path):
    told = done(replace(tuned, precision=precision), tmp_path / "run", finetune.train)
    assert told["device"] == torch.cuda.get_device_name() and told["precision"] == precision
    area = next(row["value"] for row in told["test"] if row["metric"] == "auROC")
    assert area > 0.8

    kept = predictions.of_run(tmp_path / "run")
    network, _ = weights.load_classifier(tmp_path / "run")
    pixels = Cohort.open(store.find(tuned.cohort)).pixels(tuned.side)
    again = batches.forward(network, pixels, kept.film_N.tolist(), CPU, False).numpy()
    # bf16 keeps eight bits of a number, and the checkpoint's weights are rounded to two bytes.
    tolerance = 0.02 if precision == "fp32" else 0.15
    assert np.abs(again - kept.logit_NL).max() < tolerance * (1 + np.abs(kept.logit_NL).max())


def test_films_that_are_learned_from_lie_on_the_gpu(tuned):
    pixels, on = Cohort.open(store.find(tuned.cohort)).pixels(tuned.side), devices.device()
    held = batches.resident(pixels, np.arange(8), on)
    assert isinstance(held, batches.Resident) and held.films_MSS.is_cuda
    there, here = batches.films(held, [7, 0], on), batches.films(pixels, [7, 0], CPU)
    assert torch.equal(there.cpu(), here)


def test_a_run_on_the_gpu_that_is_stopped_goes_on_to_the_same_epochs(tuned, tmp_path):
    folder = tmp_path / "run"
    worker.prepare(tuned, folder)

    def stopped(settings, at, events):
        whole = events.append

        def tell(event, **told):
            whole(event, **told)
            if event == "epoch" and told["epoch"] == 5:
                events.cancelled = True

        events.append = tell
        return finetune.train(settings, at, events)

    assert worker.work(folder, stopped).name == "cancelled"
    assert worker.work(folder, finetune.train).name == "done"
    log = runs.events(folder)
    assert log[log["event"] == "epoch"]["epoch"].astype(int).tolist() == list(range(1, tuned.epochs + 1))


@pytest.mark.parametrize("objective", ["all-pairs", "pairs", "sigmoid", "infonce"])
def test_a_pre_training_lowers_its_loss_and_is_measured_alike_on_both_devices(
    cohort_folder, tiny_bert, objective, tmp_path, monkeypatch
):
    settings = config.Pretrain(
        cohorts=(str(cohort_folder),), text_encoder=str(tiny_bert), objective=objective, side=64, width=32,
        tokens=48, epochs=8, batch=24, learning_rate=1e-3, precision="bf16", augment=False, evaluate_every=4,
        mirrored=objective in config.MIRRORING,
    )  # fmt: skip
    told = done(settings, tmp_path / "run", pretrain.train)
    assert told["device"] == torch.cuda.get_device_name()
    log = runs.events(tmp_path / "run")
    losses = log[log["event"] == "epoch"]["loss"].astype(float).tolist()
    assert np.isfinite(losses).all() and losses[-1] < losses[0]

    on_gpu = held_out.measure(tmp_path / "run", settings.cohorts)[0]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    on_cpu = held_out.measure(tmp_path / "run", settings.cohorts)[0]
    assert np.allclose(on_gpu["value"], on_cpu["value"], atol=0.02)


def test_the_memory_told_is_the_gpus(tuned, tmp_path):
    done(replace(tuned, epochs=1), tmp_path / "run", finetune.train)
    held = devices.memory(devices.device())
    assert 0 < held["gpu"] <= held["gpu_total"] == torch.cuda.mem_get_info()[1]
