"""What a pre-training will take: pairs as it will collect them, time by earlier runs, disk by arithmetic."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from timnet import config, settings_file
from timnet.cohorts import store
from timnet.cohorts.pairs import collect
from timnet.training import estimates, runs


@pytest.fixture
def cohort_folder(cohort_folder, tmp_path):
    """The cohort without what other tests have kept beside it: that needs no disk any more."""
    bare = tmp_path / "synthetic"
    shutil.copytree(cohort_folder, bare, ignore=shutil.ignore_patterns("pixels-*", "features"))
    return bare


@pytest.fixture
def settings(cohort_folder):
    return config.Pretrain(cohorts=(str(cohort_folder),), side=64, epochs=10, batch=20)


def earlier(root, settings, events, seed=0):
    """Leave the folder of an earlier run with these events."""
    folder = root / f"run{seed}"
    folder.mkdir()
    (folder / runs.CONFIG).write_text(settings_file.to_json(settings))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in events))
    (folder / runs.DONE).write_text("{}")


def steps(first, last, seconds_a_step, start=100.0):
    return [
        {"event": "step", "step": step, "seconds": start + step * seconds_a_step, "loss": 0.6, "epoch": 1}
        for step in range(first, last + 1)
    ]


def reading(reports, seconds_a_report):
    return [
        {"event": "phase", "phase": "reading reports", "done": done, "total": reports,
         "seconds": done * seconds_a_report}
        for done in range(0, reports + 1, 10)
    ]  # fmt: skip


def test_pairs_are_those_that_a_pre_training_collects(settings):
    counted = estimates.pairs(settings)
    found = collect(settings.cohorts, settings.held_out, 32)
    assert counted.train == int((~found.held_out).sum()) == counted.seen
    assert counted.held_out == int(found.held_out.sum())
    assert counted.reports == len(found.texts)
    assert counted.without_text == found.without_text


def test_repeats_count_in_what_an_epoch_sees(settings):
    twice = replace(settings, cohorts=settings.cohorts * 2, repeats=(1, 3))
    once, counted = estimates.pairs(settings), estimates.pairs(twice)
    assert (counted.train, counted.seen) == (2 * once.train, 4 * once.train)
    assert counted.reports == once.reports


def test_without_an_earlier_run_of_the_kind_no_time_is_made_up(settings, tmp_path):
    counted = estimates.pairs(settings)
    assert estimates.time(settings, counted, tmp_path) is None
    earlier(tmp_path, replace(settings, text_mode="full"), steps(1, 50, 1.0))
    earlier(tmp_path, replace(settings, seed=1), steps(1, 2, 1.0), seed=1)
    tuned = config.Finetune(cohort="c", task="t")
    earlier(tmp_path, tuned, steps(1, 50, 1.0), seed=2)
    assert estimates.time(settings, counted, tmp_path) is None


def test_time_is_films_and_reports_at_the_rates_of_the_nearest_run(settings, tmp_path):
    counted = estimates.pairs(settings)
    # 2 s a step of 20 films; this run was killed and went on, its clock anew.
    again = {"event": "started", "seconds": 0.0}
    events = [*reading(40, 0.5), *steps(1, 40, 2.0), again, *steps(41, 45, 9.0, start=0.0)]
    earlier(tmp_path, replace(settings, seed=7), events)
    earlier(tmp_path, replace(settings, side=128), steps(1, 40, 99.0), seed=1)
    found = estimates.time(settings, counted, tmp_path)
    assert found.seconds == pytest.approx(counted.seen * 10 * 2.0 / 20 + counted.reports * 0.5)
    assert (found.run, found.side) == ("run0", 64)


def test_another_film_size_is_scaled_by_its_area(settings, tmp_path):
    counted = estimates.pairs(settings)
    # Its reports had been read before: it tells nothing of them.
    earlier(tmp_path, settings, [{"event": "phase", "phase": "training"}, *steps(1, 40, 2.0)])
    found = estimates.time(replace(settings, side=128), counted, tmp_path)
    assert found.seconds == pytest.approx(4 * counted.seen * 10 * 2.0 / 20)
    assert found.side == 64


def test_disk_holds_films_states_and_snapshots_at_most(cohort_folder, settings, tmp_path):
    counted = estimates.pairs(replace(settings, side=40))
    films = len(store.Cohort.open(cohort_folder).films())
    from timnet.model import encoders

    encoder = encoders.load(settings.text_encoder)
    texts = collect(settings.cohorts, settings.held_out, 32).texts
    states = 2 * 384 * sum(encoder.lengths(texts, settings.tokens))
    snapshots = estimates.SNAPSHOTS_AT_ONCE * estimates.NETWORK_BYTES
    needed = estimates.disk(replace(settings, side=40), counted, tmp_path).needed
    assert 1.0 <= (needed - snapshots - films * 40**2) / states <= 1.7
    # Films of a side that are there need no more room.
    store.Cohort.open(cohort_folder).pixels(40)
    less = estimates.disk(replace(settings, side=40), counted, tmp_path).needed
    assert needed - less == films * 40**2


def test_literal_padding_fills_each_report_up(settings, tmp_path):
    counted = estimates.pairs(settings)
    masked, literal = (
        estimates.disk(replace(settings, padding=padding), counted, tmp_path).needed
        for padding in ("masked", "literal")
    )
    filled, words = counted.reports * settings.tokens, counted.words * estimates.TOKENS_A_WORD
    assert literal - masked == pytest.approx(2 * 384 * (filled - words), abs=2)
