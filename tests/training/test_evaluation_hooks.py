"""Held-out pairs looked at while a pre-training runs: told, honest, and without a trace in the weights."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from timnet import checkpoints, config
from timnet.cohorts import store
from timnet.cohorts.pairs import collect
from timnet.cohorts.readers import csv_table
from timnet.cohorts.store import Cohort
from timnet.evaluation import held_out, matching, metrics
from timnet.evaluation.calibration.record import MATCH
from timnet.films.read import read_film
from timnet.reader import Reader
from timnet.training import evaluation_hooks, pairing, run_results, runs, worker
from timnet.training.events import EVENTS, Cancelled, Events
from timnet.training.recipes import pretrain
from timnet.training.recipes.pretrain_measures import MAPPED, Measures

# Every test here trains a network.
pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def three_splits(csv_root, tmp_path_factory):
    """The synthetic cohort with 36 patients to train on, 12 to choose on and 12 to test on."""
    root, home = tmp_path_factory.mktemp("splits"), tmp_path_factory.mktemp("home")
    with (csv_root / "films.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for i, row in enumerate(rows):
        row["split"] = ("train", "train", "train", "val", "test")[i // 2 % 5]
    with (root / "films.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    shutil.copytree(csv_root / "films", root / "films")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMNET_HOME", str(home))
        csv_table.run(root, "split")
    return home / "split"


def settings(folder, tiny_bert, **changes):
    values = {
        "cohorts": (str(folder),), "side": 32, "width": 8, "tokens": 16, "epochs": 4, "batch": 24,
        "learning_rate": 1e-3, "text_encoder": str(tiny_bert), "precision": "fp32", "evaluate_every": 2,
    }  # fmt: skip
    return config.Pretrain(**{**values, **changes})


def done(asked, folder):
    worker.prepare(asked, folder)
    state = worker.work(folder, pretrain.train)
    assert state.name == "done", state.reason
    return run_results.result(folder)


def looks(folder):
    return [each for each in runs._records(folder) if each["event"] == "evaluation"]


def weights_of(folder):
    return json.loads((folder / "model.json").read_text())["weights_sha256"]


@pytest.fixture(scope="module")
def watched(three_splits, tiny_bert, tmp_path_factory):
    """A finished run, and what it measured."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    return folder, done(settings(three_splits, tiny_bert, epochs=5), folder)


def test_every_so_many_epochs_and_at_the_last_the_pairs_are_looked_at(watched):
    folder, result = watched
    told = looks(folder)
    assert [each["epoch"] for each in told] == [2, 4, 5]
    assert {each["split"] for each in told} == {"val"}
    for each in told:
        assert {row["label"] for row in each["held_out"]} >= {matching.ONE, matching.MANY}
        found = {(row["label"], row["metric"]) for row in each["retrieval"]}
        assert found == {(label, f"R@{k}") for label in (matching.REPORT, matching.FILM) for k in (1, 5, 10)}
        assert all(0 < row["chance"] <= 1 for row in each["retrieval"])
        assert 0 < each["masked"] < 1
    (begun,) = [each for each in runs._records(folder) if each.get("phase") == "training"]
    assert 0 < result["masked"] < 1 and 0 < result["several_windows"] == begun["several_windows"] < 1
    assert {row["label"] for row in result["retrieval"]} == {matching.REPORT, matching.FILM}


def test_the_run_keeps_its_last_network_and_beside_it_the_best_on_val_alone(watched, three_splits):
    folder, result = watched
    scores = {
        each["epoch"]: next(
            row["value"]
            for row in each["held_out"]
            if row["metric"] == "auROC" and row["label"] == matching.MANY
        )
        for each in looks(folder)
    }
    best = result["best"]
    assert best["epoch"] == max(scores, key=lambda epoch: scores[epoch])
    assert best["auROC"] == scores[best["epoch"]]
    assert checkpoints.is_checkpoint(folder / "best")
    card = (folder / "best" / "card.md").read_text()
    assert f"epoch {best['epoch']} of 5" in card and "val alone" in card and config.RESEARCH_USE in card
    # Its figures are those of `evaluate` on test, of which nothing was looked at before.
    again = held_out.measure(folder / "best", [str(three_splits)], ("test",))[0]
    assert best["test"] == metrics.records(again)
    films = store.Cohort.open(three_splits).films()
    assert best["pairs"] == (films["split"] == "val").sum() == 24


def test_looking_leaves_no_trace_in_what_is_learned(watched, three_splits, tiny_bert, tmp_path):
    blind = tmp_path / "run"
    result = done(settings(three_splits, tiny_bert, epochs=5, evaluate_every=0), blind)
    assert not looks(blind) and not (blind / "best").exists() and result["best"] is None
    assert weights_of(blind) == weights_of(watched[0])
    assert result["held_out"] == watched[1]["held_out"]


def test_nothing_is_chosen_where_one_split_alone_is_held_out(cohort_folder, tiny_bert, tmp_path):
    asked = settings(cohort_folder, tiny_bert, held_out=("test",), epochs=2)
    result = done(asked, tmp_path / "run")
    assert result["best"] is None and not (tmp_path / "run" / "best").exists()
    assert [each["split"] for each in looks(tmp_path / "run")] == ["test"]


def test_a_test_pair_takes_no_part_in_what_is_looked_at(three_splits):
    pairs = collect([str(three_splits)], ("val", "test"), 32)
    assert evaluation_hooks.chooses(pairs)
    assert set(pairs.split[evaluation_hooks.watched(pairs)]) == {"val"}
    alone = replace(pairs, held_out=pairs.split == "test")
    assert not evaluation_hooks.chooses(alone)
    assert set(alone.split[evaluation_hooks.watched(alone)]) == {"test"}


def test_who_stops_a_run_while_it_looks_finds_it_where_it_was(
    watched, three_splits, tiny_bert, tmp_path, monkeypatch
):
    asked, folder = settings(three_splits, tiny_bert, epochs=5), tmp_path / "run"
    real, calls = Measures.vectors, []

    def stopped(*given):
        calls.append(1)
        if len(calls) == 2:
            raise Cancelled
        return real(*given)

    monkeypatch.setattr(Measures, "vectors", stopped)
    worker.prepare(asked, folder)
    state = worker.work(folder, pretrain.train)
    assert (state.name, state.resumable) == ("cancelled", True)
    assert [each["epoch"] for each in looks(folder)] == [2]
    done(asked, folder)
    assert weights_of(folder) == weights_of(watched[0])
    assert weights_of(folder / "best") == weights_of(watched[0] / "best")
    assert [each["epoch"] for each in looks(folder)] == [2, 4, 5]
    ends = [each["epoch"] for each in runs._records(folder) if each["event"] == "epoch"]
    assert ends == [1, 2, 3, 4, 5]


def test_what_is_told_of_a_look_after_the_place_is_taken_back(tmp_path):
    events = Events(tmp_path)
    for epoch in (1, 2):
        events.append("evaluation", epoch=epoch, step=10 * epoch)
    events.rewind(epoch=1, step=20)
    told = (tmp_path / EVENTS).read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in told] == [1]


def test_a_run_that_starts_anew_forgets_its_best(three_splits, tiny_bert, tmp_path):
    folder = tmp_path / "run"
    done(settings(three_splits, tiny_bert, epochs=2), folder)
    assert (folder / "best").exists()
    worker.prepare(settings(three_splits, tiny_bert, epochs=2), folder)
    assert not (folder / "best").exists()


def test_the_share_left_out_is_counted_pair_by_pair(three_splits, tiny_bert):
    pairs = collect([str(three_splits)], ("val", "test"), 32)
    train = np.flatnonzero(~pairs.held_out).tolist()
    asked = settings(three_splits, tiny_bert, batch=len(train))
    out = [
        pairs.text[i] == pairs.text[j] or pairs.patient[i] == pairs.patient[j]
        for i in train
        for j in train
        if i != j
    ]
    assert pairing.masked_share(asked, pairs, train, epoch=0) == pytest.approx(np.mean(out))
    assert pairing.masked_share(replace(asked, objective="pairs"), pairs, train, epoch=0) is None


def test_full_strength_of_a_map_is_the_99th_percentile_of_what_the_reader_shows(watched, three_splits):
    folder, _ = watched
    reader, cohort = Reader.load(folder), Cohort.open(three_splits)
    films = cohort.films()
    learned = films[(films["split"] == "train") & (films["findings"].str.strip() != "")]
    shown = [
        reader.read(read_film(cohort.root / path), findings).maps[MATCH]
        for path, findings in learned[["path", "findings"]].head(MAPPED).to_numpy()
    ]
    maps = np.stack(shown)
    assert reader.spec.map_scale == pytest.approx(np.quantile(maps[maps > 0], 0.99), rel=0.03)
