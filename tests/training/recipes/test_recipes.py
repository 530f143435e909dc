"""Both recipes from cohort to checkpoint: they learn what is planted, and nothing from shuffled labels."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from timnet import __main__ as command
from timnet import checkpoints, config
from timnet.cohorts import splits, store, tasks
from timnet.cohorts.pairs import collect
from timnet.cohorts.readers import csv_table
from timnet.cohorts.store import Cohort
from timnet.evaluation import held_out, matching, metrics, predictions
from timnet.evaluation.label_efficiency import bootstrap, curve
from timnet.model import devices, encoders
from timnet.reader import Reader
from timnet.training import batches, estimates, loop, pairing, run_results, runs, worker
from timnet.training.recipes import finetune, pretrain


def settings_finetune(cohort_folder, **changes) -> config.Finetune:
    values = {
        "cohort": str(cohort_folder),
        "task": "Opacity",
        "side": 48,
        "width": 16,
        "epochs": 8,
        "batch": 28,
        "learning_rate": 1e-3,
        "augment": False,
        "precision": "fp32",
    }
    return config.Finetune(**{**values, **changes})


@pytest.fixture
def two_threads():
    """The sums of two threads, however many processes share the cores: a short training is sensitive."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def settings_pretrain(cohort_folder, **changes) -> config.Pretrain:
    values = {
        "cohorts": (str(cohort_folder),),
        "side": 32,
        "width": 32,
        "tokens": 48,
        "epochs": 14,
        "batch": 28,
        "learning_rate": 1e-3,
        "augment": False,
        "precision": "fp32",
    }
    return config.Pretrain(**{**values, **changes})


def value(rows, metric, label=None):
    return next(row["value"] for row in rows if row["metric"] == metric and label in (None, row["label"]))


def done(settings, train, folder):
    worker.prepare(settings, folder)
    state = worker.work(folder, train)
    assert state.name == "done", state.reason
    return run_results.result(folder)


@pytest.mark.whole
def test_fine_tuning_finds_the_planted_blob_and_leaves_a_working_checkpoint(cohort_folder, tmp_path):
    result = done(settings_finetune(cohort_folder), finetune.train, tmp_path / "run")
    assert value(result["test"], "auROC") > 0.9
    cohort = store.Cohort.open(cohort_folder)
    train = cohort.films()["split"] == "train"
    assert result["films"] == result["films_train"] == int(train.sum())
    reader = Reader.load(tmp_path / "run")
    films = cohort.films()
    truth = tasks.targets(cohort, "Opacity").y_NL[:, 0]
    test = np.flatnonzero(films["split"] == "test")
    said = [reader.read(cohort.read_film(int(i))).probabilities["Opacity"] for i in test]
    assert np.mean((np.array(said) >= 0.5) == truth[test]) == pytest.approx(value(result["test"], "ACC"))


def test_a_run_keeps_what_it_says_of_the_films_it_was_not_trained_on(cohort_folder, tmp_path):
    settings = settings_finetune(cohort_folder, task="Opacity,Left opacity", epochs=1, fraction=0.3)
    result = done(settings, finetune.train, tmp_path / "run")
    cohort = store.Cohort.open(cohort_folder)
    films, targets = cohort.films(), tasks.targets(cohort, "Opacity,Left opacity")
    kept = predictions.of_run(tmp_path / "run")
    assert (kept.cohort, kept.labels) == (cohort.fingerprint, targets.labels)
    for part, split in ((predictions.TEST, "test"), (predictions.VALIDATION, "val")):
        rows = np.flatnonzero(films["split"] == split)
        assert kept.part(part).film_N.tolist() == rows.tolist()
        np.testing.assert_equal(kept.part(part).truth_NL, targets.y_NL[rows].astype(float))
    test = kept.part(predictions.TEST)
    again = metrics.evaluate(test.truth_NL, test.p_NL, test.patients(cohort), kept.labels, settings.seed)
    assert metrics.records(again) == result["test"]
    # Started anew, the old numbers go before there are new ones.
    worker.prepare(settings, tmp_path / "run", fresh=True)
    assert predictions.of_run(tmp_path / "run") is None


@pytest.mark.whole
def test_shuffled_labels_teach_nothing_about_the_test_films(cohort_folder, tmp_path):
    """The alarm for a leak: with labels dealt out at random, test films must stay at chance."""
    kept, values = [], []
    for seed in range(4):
        settings = settings_finetune(cohort_folder, seed=seed, shuffled_labels=True)
        values.append(value(done(settings, finetune.train, tmp_path / str(seed))["test"], "auROC"))
        kept.append(predictions.of_run(tmp_path / str(seed)).part(predictions.TEST))
    found = bootstrap.of_runs(kept, kept[0].patients(Cohort.open(cohort_folder)), "Opacity", "auROC")
    half = curve.half_width(float(np.std(values, ddof=1)), len(values))
    low, high = bootstrap.wider(found.value - half, found.value + half, found)
    # The blob is all that there is to see, so a draw ends near 0 or near 1; with a leak all would at 1.
    assert low < 0.5 < high, (values, low, high)


def test_shuffling_deals_the_same_labels_out_anew_and_marks_the_run(cohort_folder, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(finetune.loop, "fit", lambda objective, batches, *_, **__: seen.extend(batches(0, 0)))
    plain = settings_finetune(cohort_folder, drop_last=False, epochs=1)
    for settings in (plain, replace(plain, shuffled_labels=True)):
        done(settings, finetune.train, tmp_path / f"{settings.shuffled_labels}")
    rows, labels = ([torch.cat([torch.as_tensor(batch[key]) for batch in part]) for part in halves(seen)]
                    for key in ("rows", "y"))  # fmt: skip
    assert rows[0].tolist() == rows[1].tolist()
    assert labels[0].sum() == labels[1].sum() and not torch.equal(labels[0], labels[1])
    assert run_results.points(tmp_path)["recipe"].nunique() == 2


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("fraction", [0.1, 1.0])
def test_few_films_are_passed_over_until_the_least_steps_are_done(
    cohort_folder, tmp_path, monkeypatch, fraction, drop_last
):
    made = []

    def count(objective, batches, *_, epochs, steps, **__):
        made.append((epochs, sum(len(list(batches(epoch, 0))) for epoch in range(epochs))))
        assert made[0][1] == epochs * steps

    monkeypatch.setattr(finetune.loop, "fit", count)
    settings = settings_finetune(
        cohort_folder, fraction=fraction, epochs=2, least_steps=20, batch=8, drop_last=drop_last
    )
    films = done(settings, finetune.train, tmp_path / "r")["films"]
    ((epochs, steps),) = made
    assert estimates.steps_of(settings, films) == steps >= 20
    # One pass less would be too few steps, unless the epochs asked for are more.
    assert epochs == 2 or steps - steps // epochs < 20


def halves(whole):
    return whole[: len(whole) // 2], whole[len(whole) // 2 :]


def test_the_films_drawn_are_those_of_the_nested_draw(cohort_folder, tmp_path):
    result = done(
        settings_finetune(cohort_folder, fraction=0.2, epochs=1, seed=4), finetune.train, tmp_path / "r"
    )
    cohort = store.Cohort.open(cohort_folder)
    y = tasks.targets(cohort, "Opacity").y_NL
    train = np.flatnonzero(cohort.films()["split"] == "train")
    drawn = train[splits.draw(y[train], 0.2, 4)]
    assert result["films"] == len(drawn) == round(0.2 * len(train))
    assert result["positives"] == {"Opacity": int(y[drawn].sum())}


@pytest.mark.whole
def test_the_same_seed_gives_the_same_weights_and_losses(cohort_folder, tmp_path):
    losses = []
    for name in ("a", "b"):
        settings = settings_finetune(cohort_folder, fraction=0.2, epochs=2, augment=True)
        done(settings, finetune.train, tmp_path / name)
        events = runs.events(tmp_path / name)
        losses.append(events["loss"].dropna().iloc[-1])
    assert losses[0] == losses[1]
    description = [json.loads((tmp_path / name / "model.json").read_text()) for name in ("a", "b")]
    assert description[0]["weights_sha256"] == description[1]["weights_sha256"]


def test_films_that_lie_on_the_device_teach_what_those_of_the_cache_do(cohort_folder, tmp_path, monkeypatch):
    settings = settings_finetune(cohort_folder, fraction=0.2, epochs=2, augment=True)
    done(settings, finetune.train, tmp_path / "cache")
    held, make = [], batches.resident
    monkeypatch.setattr(devices, "free", lambda on: 10**9)
    monkeypatch.setattr(batches, "resident", lambda *told: held.append(make(*told)) or held[-1])
    done(settings, finetune.train, tmp_path / "device")
    assert [type(each) for each in held] == [batches.Resident]
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("cache", "device"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert (tmp_path / "cache" / predictions.FILE).read_bytes() == (
        tmp_path / "device" / predictions.FILE
    ).read_bytes()


def test_a_policy_for_uncertain_labels_changes_what_is_trained_on_and_not_what_is_tested_on(
    cohort_folder, tmp_path
):
    cohort = store.Cohort.open(cohort_folder)
    raw, split = cohort.labels()["Left opacity"], cohort.films()["split"]
    train, test = raw[split == "train"], raw[split == "test"]
    results = {}
    for policy in ("ignore", "ones"):
        settings = settings_finetune(cohort_folder, task="Left opacity", epochs=1, uncertain=policy)
        results[policy] = done(settings, finetune.train, tmp_path / policy)
    assert results["ignore"]["films"] == int((train >= 0).sum())
    assert results["ones"]["films"] == int(train.notna().sum())
    assert results["ones"]["positives"] == {"Left opacity": int((train.abs() == 1).sum())}
    tested = [{row["n"] for row in results[policy]["test"]} for policy in results]
    assert tested == [{int((test >= 0).sum())}] * 2


def test_a_multi_label_task_reports_every_label_and_both_averages(cohort_folder, tmp_path):
    settings = settings_finetune(cohort_folder, task="Opacity,Left opacity", epochs=1, fraction=0.3)
    result = done(settings, finetune.train, tmp_path / "run")
    assert {row["label"] for row in result["test"]} == {"Opacity", "Left opacity", "macro", "micro"}
    assert checkpoints.describe(tmp_path / "run").labels == ("Opacity", "Left opacity")


def test_a_task_without_labelled_films_fails_with_a_sentence(cohort_folder, tmp_path):
    worker.prepare(settings_finetune(cohort_folder, task="Scoliosis"), tmp_path / "run")
    state = worker.work(tmp_path / "run", finetune.train)
    assert state.name == "failed"
    assert "Scoliosis" in state.reason


@pytest.mark.parametrize(
    ("objective", "changes"), [("all-pairs", {}), ("pairs", {"batch": 56}), ("sigmoid", {})]
)
@pytest.mark.whole
@pytest.mark.usefixtures("two_threads")
def test_pre_training_learns_which_report_belongs_to_which_film(cohort_folder, tmp_path, objective, changes):
    settings = settings_pretrain(cohort_folder, objective=objective, **changes)
    result = done(settings, pretrain.train, tmp_path / "run")
    low = next(
        row["low"] for row in result["held_out"] if row["metric"] == "auROC" and row["label"] == matching.MANY
    )
    assert low > 0.5
    assert result["pairs_train"] + result["pairs_held_out"] == 120
    assert result["several_windows"] == 0


@pytest.mark.whole
def test_a_pre_trained_trunk_starts_a_classifier(cohort_folder, tmp_path):
    done(settings_pretrain(cohort_folder, epochs=1), pretrain.train, tmp_path / "timnet")
    settings = settings_finetune(
        cohort_folder, initialisation=str(tmp_path / "timnet"), epochs=1, fraction=0.3
    )
    result = done(settings, finetune.train, tmp_path / "run")
    assert result["initialised"] == {"matched": 120, "missing": 0, "unexpected": 0} | {
        "unexpected": result["initialised"]["unexpected"]
    }


@pytest.mark.whole
def test_a_trained_text_branch_keeps_its_encoder_and_reads(cohort_folder, tmp_path, tiny_bert):
    settings = settings_pretrain(
        cohort_folder, text_mode="full", text_encoder=str(tiny_bert), epochs=2, padding="literal"
    )
    done(settings, pretrain.train, tmp_path / "run")
    assert (tmp_path / "run" / "text-encoder" / "model.safetensors").is_file()
    film = store.Cohort.open(cohort_folder).read_film(0)
    reading = Reader.load(tmp_path / "run").read(film, "There is an opacity in the left lung.")
    assert 0 < reading.match < 1


@pytest.mark.whole
def test_partly_trained_text_moves_its_last_layers_alone_and_is_kept_whole(
    cohort_folder, tmp_path, tiny_bert
):
    settings = settings_pretrain(
        cohort_folder, text_mode="partial", text_layers=1, text_encoder=str(tiny_bert), epochs=2
    )
    result = done(settings, pretrain.train, tmp_path / "run")
    kept = load_file(tmp_path / "run" / "text-encoder" / "model.safetensors")
    before = load_file(tiny_bert / "model.safetensors")
    assert kept.keys() == before.keys()
    for name, value in before.items():
        moved = not torch.equal(kept[name], value)
        assert moved == ("encoder.layer.1." in name), name
    # The whole encoder on its own texts is what the layers were on the states below them.
    table = held_out.measure(tmp_path / "run", [str(cohort_folder)])[0]
    again = {(row["label"], row["metric"]): row["value"] for row in metrics.records(table)}
    for row in result["held_out"]:
        assert again[row["label"], row["metric"]] == pytest.approx(row["value"], abs=0.03)
    film = store.Cohort.open(cohort_folder).read_film(0)
    assert 0 < Reader.load(tmp_path / "run").read(film, "There is an opacity in the left lung.").match < 1


@pytest.mark.whole
def test_a_checkpoint_measured_again_has_the_metrics_of_its_training(cohort_folder, tmp_path, capsys):
    result = done(settings_pretrain(cohort_folder, epochs=3), pretrain.train, tmp_path / "run")
    table = held_out.measure(tmp_path / "run", [str(cohort_folder)])[0]
    again = {(row["label"], row["metric"]): row["value"] for row in metrics.records(table)}
    for row in result["held_out"]:
        # Weights are kept as fp16.
        assert again[row["label"], row["metric"]] == pytest.approx(row["value"], abs=0.03)
    words = ["evaluate", str(tmp_path / "run"), str(cohort_folder), "--json"]
    assert command.main(words) == 0
    told = json.loads(capsys.readouterr().out)["held_out"]
    assert {row["label"] for row in told} == {
        matching.LATERALITY,
        matching.BY_OTHERS,
        matching.GAIN,
        *(row["label"] for row in result["held_out"]),
    }
    assert command.main(["evaluate", "nowhere", str(cohort_folder)]) == 2
    assert "no checkpoint" in capsys.readouterr().err


def test_a_frozen_encoder_is_not_moved_by_pre_training(cohort_folder, tmp_path):
    done(settings_pretrain(cohort_folder, epochs=1), pretrain.train, tmp_path / "run")
    assert not (tmp_path / "run" / "text-encoder").exists()
    spec = checkpoints.describe(tmp_path / "run")
    assert spec.text_encoder_sha256 == encoders.fingerprint(config.TEXT_ENCODER)


@pytest.mark.whole
def test_a_frozen_encoder_from_a_hub_is_kept_with_its_checkpoint(
    cohort_folder, tmp_path, tiny_bert, monkeypatch
):
    """It has no folder that its checkpoint could name by content."""
    load = encoders.load
    monkeypatch.setattr(
        encoders, "load", lambda source: load(str(tiny_bert)) if source == "a/bert" else load(source)
    )
    real = encoders.fingerprint
    monkeypatch.setattr(encoders, "fingerprint", lambda folder: None if folder == tiny_bert else real(folder))
    settings = settings_pretrain(
        cohort_folder, text_encoder="a/bert", epochs=1, batch=20, chunk=8, recompute=True, probe="Opacity"
    )
    result = done(settings, pretrain.train, tmp_path / "run")
    assert checkpoints.describe(tmp_path / "run").text_encoder_sha256 is None
    film = store.Cohort.open(cohort_folder).read_film(0)
    assert 0 < Reader.load(tmp_path / "run").read(film, "There is an opacity in the left lung.").match < 1
    # Of the 120 films, those held out, all of them labelled.
    assert {row["n"] for row in result["probe"]} == {result["pairs_held_out"]}
    looks = [each for each in _events(tmp_path / "run") if each["event"] == "evaluation"]
    assert looks and all(row["label"] == "Opacity" for each in looks for row in each["probe"])


def test_shuffled_reports_stay_in_their_source_and_off_the_held_out(cohort_folder):
    pairs = collect([str(cohort_folder)] * 2, ("val", "test"), side=32)
    mixed = pretrain.shuffled(pairs, seed=0)
    assert (mixed.text[pairs.held_out] == pairs.text[pairs.held_out]).all()
    for source in (0, 1):
        rows = (pairs.source == source) & ~pairs.held_out
        assert sorted(mixed.text[rows]) == sorted(pairs.text[rows])
        # A report drawn at random is one's own once in N: far fewer than half keep theirs.
        assert (mixed.text[rows] == pairs.text[rows]).mean() < 0.5
    assert (pretrain.shuffled(pairs, seed=0).text == mixed.text).all()


@pytest.mark.whole
def test_shuffled_reports_teach_no_matching(cohort_folder, tmp_path):
    result = done(settings_pretrain(cohort_folder, shuffled=True), pretrain.train, tmp_path / "run")
    assert value(result["held_out"], "auROC", matching.MANY) < 0.7


def test_the_cosine_rises_falls_and_ends_at_nothing():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=2.0)
    schedule = loop.cosine(optimizer, steps=200)
    rates = []
    for _ in range(200):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.2) and rates[9] == pytest.approx(2.0)
    assert rates[10 + 95] == pytest.approx(2.0 * 0.5, rel=0.01)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)
    assert np.argmax(rates) in (9, 10) and (np.diff(rates[10:]) < 0).all()
    # The formula of the half cosine itself, at any step after the rise.
    assert rates[60] == pytest.approx(1 + math.cos(math.pi * 50 / 190))


class Nothing:
    """Stands for the texts where only the pairing is looked at."""

    def batch(self, chosen, on, texts=()):
        return torch.zeros(1), torch.zeros(1)


def test_reports_of_another_source_are_no_mismatch(cohort_folder):
    """Otherwise the style of a text would give its source's films away."""
    pairs = collect([str(cohort_folder)] * 2, ("val", "test"), side=32)
    settings = settings_pretrain(cohort_folder, batch=64)
    chosen = np.flatnonzero(~pairs.held_out).tolist()
    for batch in pairing.all_pairs(settings, pairs, chosen, Nothing(), torch.device("cpu"), 0):
        source = pairs.source[batch["rows"]]
        left_out = batch["false_negative"].numpy()
        across = source[:, None] != source[None, :]
        assert across.any() and left_out[across].all()
        assert not left_out[~across].all()


@pytest.mark.whole
def test_an_epoch_sees_a_small_cohort_as_often_as_asked(cohort_folder, tmp_path):
    once = settings_pretrain(cohort_folder, epochs=1)
    twice = replace(once, cohorts=once.cohorts * 2, repeats=(1, 3))
    results = [done(each, pretrain.train, tmp_path / str(len(each.cohorts))) for each in (once, twice)]
    pairs = results[0]["pairs_train"]
    assert results[1]["pairs_train"] == 2 * pairs
    films = [
        next(each["films"] for each in _events(tmp_path / name) if each.get("phase") == "training")
        for name in ("1", "2")
    ]
    assert films == [pairs, 4 * pairs]


def _events(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_normal_films_with_others_normal_reports_can_be_left_out(csv_root, tmp_path, monkeypatch):
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    csv_table.run(csv_root, "named", labels=("Opacity",))
    folder = store.find("named")
    pairs = collect([str(folder)], ("val", "test"), side=32)
    assert not pairs.normal.any()
    normal = replace(pairs, normal=pairs.labels == pairs.labels.max())
    settings = settings_pretrain(folder, both_normal="ignore", batch=64)
    chosen = np.flatnonzero(~pairs.held_out).tolist()

    batch = next(pairing.all_pairs(settings, normal, chosen, Nothing(), torch.device("cpu"), 0))
    rows = np.array(batch["rows"])
    both = normal.normal[rows][:, None] & normal.normal[rows][None, :]
    np.fill_diagonal(both, False)
    assert both.any() and batch["false_negative"].numpy()[both].all()
    assert not batch["false_negative"].numpy().all()


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_fine_tuning_ends_as_its_schedule_says(schedule, cohort_folder, tmp_path, monkeypatch):
    """Half a cosine down to nothing, over all steps, after a rise over the first twentieth of them."""
    rates, step = [], loop._step

    def stepped(objective, batch, optimizer, on, at):
        rates.append(optimizer.param_groups[0]["lr"])
        return step(objective, batch, optimizer, on, at)

    monkeypatch.setattr(loop, "_step", stepped)
    settings = config.Finetune(
        cohort=str(cohort_folder), task="Opacity", side=32, width=8, epochs=4, batch=28, looks=0,
        precision="fp32", schedule=schedule, learning_rate=1e-3,
    )  # fmt: skip
    worker.prepare(settings, tmp_path / "run")
    assert worker.work(tmp_path / "run", finetune.train).name == "done"
    steps = np.arange(len(rates))
    assert len(rates) == 12
    half = 0.5 * (1 + np.cos(np.pi * (steps - 1) / 11))
    expected = 1e-3 * np.where(steps < 1, 1, half) if schedule == "cosine" else np.full(12, 1e-3)
    assert rates == pytest.approx(expected.tolist())
