"""Views: lateral X-rays take part where they are asked for, and nowhere else."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from timnet import config, settings_file
from timnet.cohorts import store, tasks
from timnet.cohorts.pairs import collect
from timnet.cohorts.readers import csv_table
from timnet.evaluation import held_out
from timnet.model import weights
from timnet.training import estimates, finetune_data, pairing, run_results, worker
from timnet.training.recipes import pretrain

VIEWS = ["PA", "LATERAL", "AP", ""]


@pytest.fixture(scope="module")
def cohort(csv_root, tmp_path_factory):
    """The synthetic films, two or four to a study, every second of them lateral."""
    home = tmp_path_factory.mktemp("views")
    rows = list(
        csv.DictReader((csv_root / "films.csv").read_text(encoding="utf-8").splitlines(keepends=True))
    )
    for i, row in enumerate(rows):
        study = rows[i // 4 * 4]
        row |= {name: study[name] for name in ("study", "patient", "report", "Opacity", "No Finding")}
        row["view"] = VIEWS[i % 4]
    with (home / "films.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    shutil.copytree(csv_root / "films", home / "films")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMNET_HOME", str(home))
        csv_table.run(home, "views", labels=("No Finding", "Opacity"))
    return home / "views"


def lateral(cohort):
    return (store.Cohort.open(cohort).films()["view"] == "LATERAL").to_numpy(bool)


@pytest.mark.parametrize(("views", "films"), [("frontal", 90), ("lateral", 30), ("all", 120)])
def test_every_way_to_films_takes_the_views_that_are_asked_for(cohort, views, films):
    held = store.Cohort.open(cohort)
    expected = {"frontal": ~lateral(cohort), "lateral": lateral(cohort), "all": np.ones(120, bool)}[views]
    assert expected.sum() == films
    assert np.array_equal(held.viewed(views), expected)
    assert np.array_equal(~np.isnan(tasks.targets(held, "Opacity", views=views).y_NL[:, 0]), expected)
    pairs = collect([str(cohort)], ("val", "test"), 32, views=views)
    assert sorted(pairs.row) == np.flatnonzero(expected).tolist()
    settings = config.Pretrain(cohorts=(str(cohort),), views=views, side=32)
    counted = estimates.pairs(settings)
    assert counted.train + counted.held_out == films
    tuning = config.Finetune(cohort=str(cohort), task="Opacity", views=views, side=32)
    found = finetune_data.gather(tuning)
    rows = np.concatenate([found.train_rows, found.val_rows, found.test_rows])
    assert sorted(rows) == np.flatnonzero(expected).tolist()
    share = tasks.share(held, "Opacity", 1.0, 0, views=views)
    assert (share.films, share.films_test) == (len(found.train_rows), len(found.test_rows))
    assert tasks.share_sizes(held, "Opacity", [1.0], views=views)[1.0] == share.films


def test_the_default_is_frontal_for_all_commands_but_the_papers_preset():
    for shape in (config.Pretrain, config.Finetune):
        assert shape.views == "frontal"
        assert settings_file.numbers(shape, "paper")["views"] == "all"


@pytest.mark.parametrize("objective", ["all-pairs", "pairs", "infonce"])
def test_films_of_one_study_are_never_each_others_mismatch(cohort, objective):
    """Frontal films of a study share its report: neither may be told that the other's is wrong."""
    pairs = collect([str(cohort)], ("val", "test"), 32, views="frontal")
    train = np.flatnonzero(~pairs.held_out)
    settings = config.Pretrain(cohorts=(str(cohort),), objective=objective, side=32)
    same = pairs.study[train][:, None] == pairs.study[train][None, :]
    assert same.sum() > len(train)
    left_out = pairing.no_mismatch(settings, pairs, train[:, None], train[None, :])
    assert left_out[same].all()
    for seed in range(5):
        drawn = pairs.mismatched(train.tolist(), np.random.default_rng(seed))
        assert all(pairs.study[film] != pairs.study[report] for film, report in drawn)


def test_pre_training_evaluation_and_calibration_leave_lateral_films_out(cohort, tmp_path, tiny_bert):
    settings = config.Pretrain(
        cohorts=(str(cohort),), side=64, grow_from=32, width=8, tokens=16, epochs=3, batch=28, crop_text=True,
        objective="infonce", mirrored=True, text_encoder=str(tiny_bert), precision="fp32", evaluate_every=0,
    )  # fmt: skip
    worker.prepare(settings, tmp_path / "run")
    state = worker.work(tmp_path / "run", pretrain.train)
    assert state.name == "done", state.reason
    frontal = int((~lateral(cohort)).sum())
    counts = run_results.result(tmp_path / "run")
    assert counts["pairs_train"] + counts["pairs_held_out"] == frontal
    held = {}
    for views in ("frontal", "all"):
        table = held_out.measure(tmp_path / "run", [str(cohort)], views=views)[0]
        held[views] = int(table.loc[table["metric"] == "auROC", "positives"].iloc[0])
    assert held["frontal"] == counts["pairs_held_out"] < held["all"]


def test_sides_grow_over_two_thirds_of_the_epochs_and_end_at_the_side():
    settings = config.Pretrain(cohorts=("a",), side=224, grow_from=128, epochs=12)
    sides = [pairing.side_of(settings, epoch) for epoch in range(12)]
    assert sides[0] == 128
    assert sides == sorted(sides)
    assert all(side % 32 == 0 for side in sides)
    assert sides[8:] == [224] * 4
    assert {pairing.side_of(replace(settings, grow_from=0), epoch) for epoch in range(12)} == {224}
    with pytest.raises(config.ConfigError, match="grow_from: expected 0, or 32 to 224 pixels, got 256"):
        replace(settings, grow_from=256)


def test_half_of_the_reports_are_read_in_part():
    mask = (torch.arange(20) < torch.tensor([[20], [12], [1]]).repeat(500, 1)).long()
    parts = torch.rand(1500, 3, generator=torch.Generator().manual_seed(0))
    whole = torch.zeros(1500, dtype=torch.bool)
    whole[::7] = True
    found = pairing.cropped(mask, parts, whole)
    assert (found <= mask).all()
    assert (found[whole] == mask[whole]).all()
    shorter = (found < mask).any(1) & ~whole & (mask.sum(1) > 1)
    assert 0.35 < shorter.sum() / (~whole & (mask.sum(1) > 1)).sum() < 0.5
    kept = found.sum(1) / mask.sum(1)
    assert kept.min() >= 0.3
    assert (found[:, 0] == 1).all()
    # Apart from the ends one stretch: at most one gap on either side of it.
    assert (found.diff(dim=1).abs().sum(1) <= 5).all()


def test_a_pre_training_goes_on_from_a_whole_network_and_refuses_another_shape(cohort, tmp_path, tiny_bert):
    """With steps too small to move an fp16 weight the network that comes out is the one that went in."""
    settings = config.Pretrain(
        cohorts=(str(cohort),), side=32, width=8, tokens=16, epochs=1, batch=84, objective="sigmoid",
        text_encoder=str(tiny_bert), precision="fp32", evaluate_every=0, learning_rate=1e-3, seed=1,
    )  # fmt: skip
    worker.prepare(settings, tmp_path / "first")
    assert worker.work(tmp_path / "first", pretrain.train).name == "done"
    on = replace(settings, start=str(tmp_path / "first"), learning_rate=1e-12, seed=2)
    worker.prepare(on, tmp_path / "second")
    assert worker.work(tmp_path / "second", pretrain.train).name == "done"
    first, second = (weights.tensors(tmp_path / name) for name in ("first", "second"))
    learned = [name for name in first if not name.endswith(("running_mean", "running_var", "tracked"))]
    assert learned and all(torch.equal(first[name], second[name]) for name in learned)
    worker.prepare(replace(on, width=16), tmp_path / "third")
    state = worker.work(tmp_path / "third", pretrain.train)
    assert (state.name, state.reason) == ("failed", "first: start: expected width 16, got 8")
