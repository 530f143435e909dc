"""Validation while a fine-tuning runs: who is looked at, when it stops, and which weights it keeps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

from timnet import config
from timnet.checkpoints import WEIGHTS
from timnet.cohorts.store import CohortError
from timnet.evaluation import predictions
from timnet.training import evaluation_hooks, finetune_data, objectives, run_results, runs, worker
from timnet.training.events import VALIDATION, Events
from timnet.training.recipes import finetune


@pytest.fixture
def settings(cohort_folder):
    return config.Finetune(
        cohort=str(cohort_folder), task="Opacity", side=32, width=8, epochs=6, batch=28, learning_rate=1e-3,
        precision="fp32",
    )  # fmt: skip


@pytest.fixture
def without_val(settings, monkeypatch):
    """Return settings of a cohort that has no split val."""
    whole = finetune_data._rows

    def rows(table, y_NL, cohort):
        train, val, test = whole(table, y_NL, cohort)
        assert len(val)
        return train, val[:0], test

    monkeypatch.setattr(finetune_data, "_rows", rows)
    return settings


def done(settings, folder):
    worker.prepare(settings, folder)
    state = worker.work(folder, finetune.train)
    assert state.name == "done", state.reason
    return run_results.result(folder)


def looks(folder):
    log = runs.events(folder)
    return log[log["event"] == VALIDATION] if "validation_loss" in log else log.iloc[:0]


@pytest.mark.parametrize("seed", range(4))
def test_films_held_back_are_of_other_patients_and_drawn_from_the_share_alone(without_val, seed):
    asked = replace(without_val, fraction=0.5, seed=seed, patience=2)
    found = finetune_data.gather(asked)
    parts = evaluation_hooks.parts(found, asked)
    patients = found.table["patient"].to_numpy()
    both = np.concatenate([parts.train_rows, parts.look_rows])
    assert sorted(both) == sorted(found.drawn)
    assert not set(patients[parts.train_rows]) & set(patients[parts.look_rows])
    assert not set(patients[both]) & set(patients[found.test_rows])
    assert 0.1 <= len(parts.look_rows) / len(found.drawn) <= 0.4
    assert (
        {0, 1} == set(found.targets.y_NL[parts.look_rows, 0]) == set(found.targets.y_NL[parts.train_rows, 0])
    )


def test_a_run_to_the_last_epoch_gives_no_label_away(without_val):
    found = finetune_data.gather(without_val)
    parts = evaluation_hooks.parts(found, without_val)
    assert parts.train_rows.tolist() == found.drawn.tolist() and not len(parts.look_rows)


def test_a_split_val_is_looked_at_and_nothing_is_held_back(settings):
    asked = replace(settings, patience=1)
    found = finetune_data.gather(asked)
    parts = evaluation_hooks.parts(found, asked)
    assert parts.train_rows.tolist() == found.drawn.tolist()
    assert sorted(parts.look_rows) == sorted(found.val_rows) and len(parts.look_rows)


def test_looks_are_no_more_than_asked_for_and_teach_nothing(settings, tmp_path):
    plain, looked = replace(settings, looks=0), replace(settings, looks=3)
    for name, asked in (("plain", plain), ("looked", looked)):
        done(asked, tmp_path / name)
    assert (tmp_path / "plain" / WEIGHTS).read_bytes() == (tmp_path / "looked" / WEIGHTS).read_bytes()
    assert looks(tmp_path / "plain").empty
    told = looks(tmp_path / "looked")
    assert told["epoch"].tolist() == [2, 4, 6]
    # The last look is at the network that was kept: the run's own predictions say the same.
    kept = predictions.of_run(tmp_path / "looked").part(predictions.VALIDATION)
    truth, logit = kept.truth_NL[:, 0], kept.logit_NL[:, 0]
    assert told["validation_auroc"].iloc[-1] == pytest.approx(roc_auc_score(truth, logit), abs=1e-6)
    p = 1 / (1 + np.exp(-logit))
    assert told["validation_loss"].iloc[-1] == pytest.approx(log_loss(truth, p), rel=1e-2)


def scripted(settings, folder, losses, save=lambda folder: None):
    """Return what a validation answers at the end of each epoch where its losses are these."""
    worker.prepare(settings, folder)
    y = np.array([[0.0], [1.0]])

    # Two films told apart by a margin m lose log(1 + exp(-m)) each.
    margins = iter([-np.log(np.expm1(loss)) for loss in losses])

    def said():
        margin = next(margins)
        return np.array([[-margin], [margin]])

    watch = evaluation_hooks.Validation(settings, len(losses), folder, Events(folder), y, said, save)
    answers = []
    for epoch in range(1, len(losses) + 1):
        answers.append(watch(epoch, epoch))
        if answers[-1]:
            break
    return answers


def test_it_stops_after_so_many_looks_without_a_gain_and_keeps_the_best(settings, tmp_path):
    asked = replace(settings, patience=2, looks=10)
    saved = []
    answers = scripted(
        asked,
        tmp_path / "r",
        [0.9, 0.5, 0.6, 0.4, 0.41, 0.7, 0.1],
        lambda into: (into.mkdir(exist_ok=True), saved.append(into)),
    )
    assert answers == [False, False, False, False, False, True]
    kept = evaluation_hooks.chosen_best(tmp_path / "r")
    assert kept["epoch"] == 4 and kept["validation_loss"] == pytest.approx(0.4)
    assert len(saved) == 3


def test_without_patience_it_never_stops_and_keeps_nothing(settings, tmp_path):
    assert not any(scripted(replace(settings, looks=10), tmp_path / "r", [0.3, 0.4, 0.5, 0.6]))
    assert not evaluation_hooks.chosen_best(tmp_path / "r")


def test_a_run_that_stops_early_has_the_weights_of_its_best_look(settings, tmp_path):
    # Labels dealt out at random: what is learned helps no validation film for long.
    asked = replace(settings, epochs=30, looks=30, patience=2, shuffled_labels=True, learning_rate=3e-3)
    result = done(asked, tmp_path / "r")
    told = looks(tmp_path / "r").reset_index(drop=True)
    lowest = told.loc[told["validation_loss"].idxmin()]
    assert len(told) < 30 and told["epoch"].iloc[-1] == lowest["epoch"] + 2
    assert result["early_stopping"]["epoch"] == lowest["epoch"] and result["early_stopping"]["held_back"] == 0
    kept = predictions.of_run(tmp_path / "r").part(predictions.VALIDATION)
    found = objectives.masked_bce(torch.from_numpy(kept.logit_NL), torch.from_numpy(kept.truth_NL))
    assert float(found) == pytest.approx(lowest["validation_loss"], rel=1e-2)
    assert not (tmp_path / "r" / runs.BEST).exists()


def test_too_few_films_to_hold_some_back_is_told_in_a_sentence(without_val):
    asked = replace(without_val, fraction=0.1, patience=1)
    found = finetune_data.gather(asked)
    one = replace(found, table=found.table.assign(patient="one"))
    with pytest.raises(CohortError, match=r"^patience: expected films enough to hold a fifth back, got"):
        evaluation_hooks.parts(one, asked)


def test_the_area_is_the_mean_over_labels_known_both_ways(settings, tmp_path):
    worker.prepare(settings, tmp_path / "r")
    y = np.array([[0, 1, 1], [1, 1, 0], [np.nan, 1, 0], [1, 1, 1], [0, 1, np.nan]], float)
    logits = np.random.default_rng(0).normal(size=y.shape)
    watch = evaluation_hooks.Validation(
        settings, 1, tmp_path / "r", Events(tmp_path / "r"), y, lambda: logits, lambda into: None
    )
    watch(1, 1)
    known = [~np.isnan(y[:, i]) for i in (0, 2)]
    expected = np.mean(
        [roc_auc_score(y[rows, i], logits[rows, i]) for i, rows in zip((0, 2), known, strict=True)]
    )
    told = looks(tmp_path / "r")
    assert told["validation_auroc"].tolist() == [pytest.approx(expected)]
    assert isinstance(told, pd.DataFrame)


def test_patience_needs_looks():
    with pytest.raises(config.ConfigError, match=r"^patience: expected .*looks of 1 or more"):
        config.Finetune(cohort="c", task="t", patience=1, looks=0)
