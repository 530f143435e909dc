"""Does a network tell sides: films that prefer their own report to the same with left and right swapped."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch

from timnet import checkpoints
from timnet.cohorts.pairs import collect
from timnet.evaluation import held_out, matching, sides
from timnet.reports import edits

DOT = types.SimpleNamespace(match_all=lambda film, text: film @ text.T)


def vectors(*rows):
    return torch.tensor(rows, dtype=torch.float32)


def test_a_film_counts_once_and_a_tie_half():
    film = vectors([1, 0], [1, 0], [0, 1], [0, 1])
    own = vectors([1, 0], [0, 0], [0, 1], [0, 0.5])
    swapped = vectors([0, 1], [1, 0], [1, 0], [1, 0.5])
    row = sides.evaluate(DOT, film, own, swapped, ["a", "b", "c", "d"], 0).iloc[0]
    assert row["value"] == pytest.approx((1 + 0 + 1 + 0.5) / 4) and row["n"] == 4
    assert row["low"] <= row["value"] <= row["high"]


def test_what_wording_alone_wins_is_taken_off():
    """Films see a side (first two places); the third place is a wording that every film prefers."""
    film = vectors([1, 0, 1], [0, 1, 1], [1, 0, 1], [0, 1, 1])
    worded = vectors([1, 0, 2], [0, 1, 2], [1, 0, 2], [0, 1, 2])
    plain = vectors([0, 1, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0])
    values = sides.evaluate(DOT, film, worded, plain, ["a", "b", "c", "d"], 0).set_index("label")["value"]
    assert values.to_dict() == {sides.LABEL: 1, sides.OTHERS: 1, sides.GAIN: 0}
    worded[:, 2] = 0
    values = sides.evaluate(DOT, film, worded, plain, ["a", "b", "c", "d"], 0).set_index("label")["value"]
    # Of three other films one has the same side.
    assert values.to_dict() == pytest.approx({sides.LABEL: 1, sides.OTHERS: 1 / 3, sides.GAIN: 2 / 3})
    assert sides.evaluate(DOT, film, worded, plain, ["a"] * 4, 0)["label"].tolist() == [sides.LABEL]


def test_the_interval_is_over_patients_not_films():
    rng = np.random.default_rng(0)
    won = np.repeat(rng.integers(0, 2, 12), 20)
    film, own = torch.ones(len(won), 1), torch.tensor(won)[:, None].float()
    swapped = 1 - own
    of_patients = sides.evaluate(DOT, film, own, swapped, [str(i // 20) for i in range(len(won))], 0).iloc[0]
    of_films = sides.evaluate(DOT, film, own, swapped, [str(i) for i in range(len(won))], 0).iloc[0]
    width, narrow = (row["high"] - row["low"] for row in (of_patients, of_films))
    # Twenty films of each of twelve patients tell no more than twelve films.
    assert width == pytest.approx(narrow * np.sqrt(20), rel=0.3)


def test_nothing_to_ask_is_no_row():
    empty = torch.empty(0, 2)
    assert sides.evaluate(DOT, empty, empty, empty, [], 0).empty


def test_a_checkpoint_is_asked_for_every_held_out_film_whose_report_names_one_side(cohort_folder, networks):
    folder = networks / "timnet"
    table = held_out.measure(folder, [str(cohort_folder)])
    told = table[table["label"] == sides.LABEL]
    pairs = collect([str(cohort_folder)], ("val", "test"), checkpoints.describe(folder).side)
    chosen = np.flatnonzero(pairs.held_out)
    twins = [edits.misplaced(pairs.texts[number]) for number in pairs.text[chosen]]
    assert told["n"].tolist() == [sum(twin is not None for twin in twins)]
    sided = {sides.LABEL, sides.OTHERS, sides.GAIN}
    assert set(table["label"]) == {*sided, *matching.evaluate(*_whole(folder, pairs, chosen))["label"]}


def _whole(folder, pairs, chosen):
    timnet, v_image, v_text = held_out.vectors(folder, pairs, chosen.tolist())
    return timnet, v_image, v_text, pairs, chosen.tolist(), 0
