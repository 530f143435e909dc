"""Probes: the fit against its own equation, what a preview may look at, the run, and features kept once."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from timnet import __main__ as command
from timnet import checkpoints, config
from timnet.checkpoints import LINEAR
from timnet.cohorts import features, store, tasks, vectors
from timnet.cohorts.pairs import collect
from timnet.cohorts.records import CohortError
from timnet.evaluation import predictions, probe
from timnet.model import weights
from timnet.reader import Reader
from timnet.training import features as reading
from timnet.training import run_names, run_results, runs, worker
from timnet.training.recipes import finetune


@pytest.fixture(scope="module")
def cohort(cohort_folder, tmp_path_factory):
    """A copy that features and labels may be written into."""
    folder = tmp_path_factory.mktemp("probed") / "synthetic"
    shutil.copytree(cohort_folder, folder)
    return store.Cohort.open(folder)


@pytest.fixture(scope="module")
def settings(cohort):
    return config.Finetune(cohort=str(cohort.folder), task="Opacity", mode="probe", side=32)


def test_a_fit_is_where_the_gradient_of_the_penalised_likelihood_is_nought():
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 2, (40, 5)), rng.integers(0, 2, (40, 1)).astype(float)
    line = probe.fit(x, y)
    p = 1 / (1 + np.exp(-line.logits(x)[:, 0]))
    standard = (x - x.mean(0)) / x.std(0)
    penalty = line.weights_LC[0] * x.std(0) / probe.PENALTY
    np.testing.assert_allclose(standard.T @ (p - y[:, 0]) + penalty, 0, atol=1e-3)
    assert (p - y[:, 0]).sum() == pytest.approx(0, abs=1e-3)


def test_unknown_labels_say_nothing_and_one_class_alone_gets_its_share():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 4)), rng.integers(0, 2, (30, 1)).astype(float)
    known = np.arange(30) < 20
    masked = np.where(known[:, None], y, np.nan)
    # Standardised by all films: of those that are known alone the line is the same up to that.
    both = probe.fit(np.concatenate([x[known], x[known]]), np.concatenate([y[known], np.nan * y[known]]))
    alone = probe.fit(x[known], y[known])
    np.testing.assert_allclose(both.logits(x), alone.logits(x), atol=1e-3)
    assert np.isfinite(probe.fit(x, masked).logits(x)).all()
    never = probe.fit(x, np.zeros((30, 1)))
    assert not never.weights_LC.any() and never.bias_L[0] == pytest.approx(np.log(0.5 / 30.5))


def test_a_soft_label_counts_as_a_share_of_a_film():
    x = np.array([[0.0], [1.0], [2.0], [3.0]])
    soft = probe.fit(x, np.array([[0.0], [0.5], [0.5], [1.0]]))
    twice = np.repeat(x, 2, axis=0)
    hard = probe.fit(twice, np.array([0, 0, 0, 1, 0, 1, 1, 1.0])[:, None])
    # Twice the films are twice the weight beside the same penalty: the directions agree.
    assert np.sign(soft.weights_LC) == np.sign(hard.weights_LC)
    assert soft.logits(np.array([[1.5]]))[0, 0] == pytest.approx(0, abs=1e-6)


def test_features_are_the_pooled_grid_of_the_trunk_and_are_read_once(cohort, settings, monkeypatch):
    read = reading.build(cohort, settings)
    trunk, _ = reading.trunk(settings)
    reading.normalise(trunk, cohort, settings)
    films = torch.from_numpy(cohort.pixels(32)[[5, 90]].copy()).unsqueeze(1).float() / 255
    with torch.inference_mode():
        expected = trunk(films).mean((2, 3)).numpy()
    assert read.shape == (len(cohort), 512)
    np.testing.assert_allclose(read[[5, 90]], expected, rtol=2e-3, atol=2e-3)
    monkeypatch.setattr(reading, "_read", None)
    np.testing.assert_array_equal(reading.build(cohort, settings), read)


def test_a_random_trunk_of_any_depth_tells_films_apart(cohort, settings):
    deep = replace(settings, backbone="efficientnet_lite0", side=64)
    features_NC = reading.build(cohort, deep)
    assert (features_NC.std(0) > 1e-3).mean() > 0.9
    first, second = reading.trunk(deep)[0], reading.trunk(deep)[0]
    for network in (first, second):
        reading.normalise(network, cohort, deep)
        assert not network.training
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_what_a_page_starts_reads_the_films_to_the_end_and_ends_itself(cohort, settings):
    asked = replace(settings, seed=7)
    folder = features.place(cohort, asked)
    features.prepare(cohort, asked)
    deadline = time.monotonic() + 120
    while vectors.is_held(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not vectors.is_held(folder), "its process waits for the lock that it holds itself"
    assert vectors.state(folder).name == "complete"
    np.testing.assert_array_equal(features.load(folder), reading.build(cohort, asked))


def test_two_processes_that_begin_at_once_wait_for_each_other(cohort, settings, monkeypatch):
    asked = replace(settings, seed=8)
    read, began = reading._read, []

    def late(*args):
        if not began:
            began.append(True)
            with vectors.building(features.place(cohort, asked), len(cohort), 0, 512):
                read(*args)
        read(*args)

    monkeypatch.setattr(reading, "_read", late)
    assert len(reading.build(cohort, asked)) == len(cohort)


def test_other_trunks_sides_and_draws_of_a_random_start_have_other_features(cohort, settings, networks):
    start = replace(settings, initialisation=str(networks / "timnet"))
    places = {
        features.place(cohort, each)
        for each in (
            settings,
            replace(settings, seed=1),
            replace(settings, side=64),
            replace(settings, initialisation="imagenet"),
            start,
        )
    }
    assert len(places) == 5
    # A checkpoint says all of its trunk, and labels say nothing of one.
    assert features.place(cohort, replace(start, seed=9)) == features.place(cohort, start)
    before = features.place(cohort, settings)
    cohort.add_label("study000", "Another", 1.0)
    assert features.place(store.Cohort.open(cohort.folder), settings) == before
    with pytest.raises(CohortError, match=r"^nowhere: expected base, imagenet, a checkpoint folder"):
        features.start_of(replace(settings, initialisation="nowhere"))


def test_labels_more_leave_searches_by_a_matching_network_as_they_are(cohort, networks):
    before = vectors.place(store.Cohort.open(cohort.folder), networks / "timnet")
    cohort.add_label("study001", "Another", 0.0)
    assert vectors.place(store.Cohort.open(cohort.folder), networks / "timnet") == before


def test_a_preview_looks_at_no_test_film_and_learns_the_films_of_the_run(cohort, settings, monkeypatch):
    read = reading.build(cohort, settings)
    split = cohort.films()["split"].to_numpy()
    real = tasks.targets

    def blind(of, task, uncertain="ignore", views="all"):
        found = real(of, task, uncertain, views)
        return replace(found, y_NL=np.where((split == "test")[:, None], 1 - found.y_NL, found.y_NL))

    seen = probe.preview(cohort, read, "Opacity", 0.3, seed=2)
    assert set(split[seen.rows]) == {"val"} and seen.on == "validation films"
    assert seen.films == tasks.share(cohort, "Opacity", 0.3, 2).films
    monkeypatch.setattr(tasks, "targets", blind)
    other = probe.preview(cohort, np.where((split == "test")[:, None], 0, read), "Opacity", 0.3, seed=2)
    assert seen.table.equals(other.table)


def test_without_validation_films_a_preview_looks_at_training_films_of_other_patients(cohort):
    y = tasks.targets(cohort, "Opacity").y_NL
    table = cohort.films()
    y = np.where((table["split"] == "val").to_numpy()[:, None], np.nan, y)
    learned = np.flatnonzero(table["split"] == "train")[:30]
    rows, _ = probe.unseen(cohort, y, learned)
    assert set(table["split"].iloc[rows]) == {"train"}
    assert not set(table["patient"].iloc[rows]) & set(table["patient"].iloc[learned])
    with pytest.raises(CohortError, match="films of both kinds"):
        probe.unseen(cohort, y, np.flatnonzero(table["split"] == "train"))


def test_a_probe_run_leaves_a_classifier_that_says_what_it_kept(cohort, settings, tmp_path):
    folder = tmp_path / "run"
    worker.prepare(settings, folder)
    state = worker.work(folder, finetune.train)
    assert state.name == "done", state.reason
    kept, spec = predictions.of_run(folder), checkpoints.describe(folder)
    assert spec.head == LINEAR
    film = int(kept.film_N[0])
    said = Reader.load(folder).read(cohort.read_film(film))
    # Features are kept in half precision, and so are a checkpoint's weights.
    assert said.probabilities["Opacity"] == pytest.approx(float(kept.p_NL[0, 0]), abs=0.02)
    assert said.maps["Opacity"].shape == (1, 1)
    result = run_results.result(folder)
    trunk, matched = reading.trunk(settings)
    assert result["initialised"] == {"matched": 0, "missing": len(matched.missing), "unexpected": 0}
    loaded, _ = weights.load_classifier(folder)
    changed = [name for name, value in trunk.state_dict().items() if name.endswith("weight")]
    held = loaded.trunk.state_dict()
    assert all(torch.equal(held[name].half(), trunk.state_dict()[name].half()) for name in changed)


def test_a_probe_is_never_a_point_of_the_curve_of_another_mode(settings):
    full, last = replace(settings, mode="full"), replace(settings, mode="last-layers")
    recipes = {run_results._recipe(each) for each in (settings, full, last)}
    assert len(recipes) == 3
    assert run_results._recipe(replace(settings, epochs=3)) == run_results._recipe(settings)
    assert len({run_names.folder_name(each) for each in (settings, full, last)}) == 3
    assert "--mode probe" in run_names.command_line(runs.State(Path("x"), settings, "done"))


def test_last_layers_leave_the_first_ones_and_their_statistics_as_they_were(cohort, settings, tmp_path):
    chosen = replace(settings, mode="last-layers", epochs=1, batch=28, width=16, precision="fp32")
    worker.prepare(chosen, tmp_path / "run")
    state = worker.work(tmp_path / "run", finetune.train)
    assert state.name == "done", state.reason
    start, _ = reading.trunk(chosen)
    trained, _ = weights.load_classifier(tmp_path / "run")
    after = trained.trunk.state_dict()
    moved = {
        name.split(".")[0]
        for name, value in start.state_dict().items()
        if value.is_floating_point() and not torch.equal(value.half(), after[name].half())
    }
    assert moved == {"layer4"}


def test_the_features_command_reads_a_cohorts_films(cohort, capsys):
    words = ["features", str(cohort.folder), "--side", "32", "--seed", "0"]
    assert command.main(words) == 0
    assert "synthetic: 512 features of 120 films by base" in capsys.readouterr().out
    told = json.loads((next((cohort.folder / "features").glob("32-*")) / "done.json").read_text())
    assert told == {"done": 120, "total": 120}


@pytest.fixture(scope="module")
def pairs(cohort_folder):
    return collect([str(cohort_folder)], ("val", "test"), side=32)


def area(table, label):
    return float(table.loc[(table["label"] == label) & (table["metric"] == "auROC"), "value"].iloc[0])


def test_a_planted_direction_is_found_and_noise_is_not(cohort_folder, pairs):
    made = probe.for_task([str(cohort_folder)], "Opacity", pairs, seed=0)
    assert made.labels == ("Opacity",)
    assert not pairs.held_out[made.fitted].any()
    tested = made.known(np.flatnonzero(pairs.held_out).tolist())
    x = np.random.default_rng(0).normal(size=(len(pairs.row), 16))
    noise = probe.evaluate(made, x[made.fitted], x[tested], tested, pairs, 0)
    x[:, 3] += 6 * made.y_PL[:, 0]
    planted = probe.evaluate(made, x[made.fitted], x[tested], tested, pairs, 0)
    assert area(planted, "Opacity") > 0.95
    assert 0.1 < area(noise, "Opacity") < 0.9


def test_few_films_are_fitted_the_same_for_a_seed(cohort_folder, pairs, monkeypatch):
    monkeypatch.setattr(probe, "FILMS", 10)
    drawn = [probe.for_task([str(cohort_folder)], "Opacity", pairs, seed).fitted for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 10


def test_a_label_of_one_class_is_undefined_and_other_cohorts_are_left_out(cohort_folder):
    both = collect([str(cohort_folder)] * 2, ("val", "test"), side=32)
    made = probe.for_task([str(cohort_folder)] * 2, "Opacity,No Finding", both, seed=0)
    assert (both.source[made.fitted] == 0).all()
    tested = made.known(np.flatnonzero(both.held_out).tolist())
    assert (both.source[tested] == 0).all()
    made.y_PL[made.fitted, 0] = 1.0
    x = np.random.default_rng(0).normal(size=(len(both.row), 4))
    table = probe.evaluate(made, x[made.fitted], x[tested], tested, both, 0)
    assert np.isnan(area(table, "Opacity")) and not np.isnan(area(table, "No Finding"))


def test_a_task_that_the_cohort_does_not_have_is_refused(cohort_folder, pairs):
    with pytest.raises(store.CohortError, match="Scoliosis"):
        probe.for_task([str(cohort_folder)], "Scoliosis", pairs, seed=0)
