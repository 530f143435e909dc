"""Does a network tell sides: films that prefer their own report to the same with left and right swapped."""

from __future__ import annotations

import types
from itertools import permutations

import numpy as np
import pytest
import torch

from timnet import checkpoints
from timnet.cohorts.pairs import Pairs, collect
from timnet.evaluation import held_out, matching
from timnet.model import weights
from timnet.reports import edits

DOT = types.SimpleNamespace(match_all=lambda film, text: film @ text.T)


def vectors(*rows):
    return torch.tensor(rows, dtype=torch.float32)


def test_a_film_counts_once_and_a_tie_half():
    film = vectors([1, 0], [1, 0], [0, 1], [0, 1])
    own = vectors([1, 0], [0, 0], [0, 1], [0, 0.5])
    swapped = vectors([0, 1], [1, 0], [1, 0], [1, 0.5])
    row = matching.laterality(DOT, film, own, swapped, ["a", "b", "c", "d"], 0).iloc[0]
    assert row["value"] == pytest.approx((1 + 0 + 1 + 0.5) / 4) and row["n"] == 4
    assert row["low"] <= row["value"] <= row["high"]


def test_what_wording_alone_wins_is_taken_off():
    """Films see a side (first two places); the third place is a wording that every film prefers."""
    film = vectors([1, 0, 1], [0, 1, 1], [1, 0, 1], [0, 1, 1])
    worded = vectors([1, 0, 2], [0, 1, 2], [1, 0, 2], [0, 1, 2])
    plain = vectors([0, 1, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0])
    values = matching.laterality(DOT, film, worded, plain, ["a", "b", "c", "d"], 0).set_index("label")[
        "value"
    ]
    assert values.to_dict() == {matching.LATERALITY: 1, matching.BY_OTHERS: 1, matching.GAIN: 0}
    worded[:, 2] = 0
    values = matching.laterality(DOT, film, worded, plain, ["a", "b", "c", "d"], 0).set_index("label")[
        "value"
    ]
    # Of three other films one has the same side.
    assert values.to_dict() == pytest.approx(
        {matching.LATERALITY: 1, matching.BY_OTHERS: 1 / 3, matching.GAIN: 2 / 3}
    )
    assert matching.laterality(DOT, film, worded, plain, ["a"] * 4, 0)["label"].tolist() == [
        matching.LATERALITY
    ]


def test_the_interval_is_over_patients_not_films():
    rng = np.random.default_rng(0)
    won = np.repeat(rng.integers(0, 2, 12), 20)
    film, own = torch.ones(len(won), 1), torch.tensor(won)[:, None].float()
    swapped = 1 - own
    of_patients = matching.laterality(
        DOT, film, own, swapped, [str(i // 20) for i in range(len(won))], 0
    ).iloc[0]
    of_films = matching.laterality(DOT, film, own, swapped, [str(i) for i in range(len(won))], 0).iloc[0]
    width, narrow = (row["high"] - row["low"] for row in (of_patients, of_films))
    # Twenty films of each of twelve patients tell no more than twelve films.
    assert width == pytest.approx(narrow * np.sqrt(20), rel=0.3)


def test_nothing_to_ask_is_no_row():
    empty = torch.empty(0, 2)
    assert matching.laterality(DOT, empty, empty, empty, [], 0).empty


def test_a_checkpoint_is_asked_for_every_held_out_film_whose_report_names_one_side(cohort_folder, networks):
    folder = networks / "timnet"
    table = held_out.measure(folder, [str(cohort_folder)])[0]
    told = table[table["label"] == matching.LATERALITY]
    pairs = collect([str(cohort_folder)], ("val", "test"), checkpoints.describe(folder).side)
    chosen = np.flatnonzero(pairs.held_out)
    twins = [edits.misplaced(pairs.texts[number]) for number in pairs.text[chosen]]
    assert told["n"].tolist() == [sum(twin is not None for twin in twins)]
    sided = {matching.LATERALITY, matching.BY_OTHERS, matching.GAIN}
    assert set(table["label"]) == {*sided, *matching.evaluate(*_whole(folder, pairs, chosen))["label"]}


def _whole(folder, pairs, chosen):
    timnet, v_image, v_text = held_out.vectors(weights.load_timnet(folder), pairs, chosen.tolist())
    return timnet, v_image, v_text, pairs, chosen.tolist(), 0


def made(texts, sources=None, patients=None) -> Pairs:
    number = np.arange(len(texts))
    return Pairs(
        pixels=(),
        row=number,
        source=np.array(sources) if sources is not None else 0 * number,
        study=number,
        patient=np.array(patients) if patients is not None else number,
        text=np.array(texts),
        labels=-1 - number,
        normal=number < 0,
        texts=tuple(map(str, texts)),
        split=np.full(len(number), "test"),
        held_out=number >= 0,
        without_text=0,
    )


class Scores(torch.nn.Module):
    """Stands for a network: a film's vector holds its scores, a report's vector its number."""

    def match_all(self, v_image, v_text):
        return v_image[:, v_text[:, 0].long()]


def evaluate(scores, pairs, seed=0):
    chosen = list(range(len(pairs.row)))
    numbers = torch.arange(len(chosen)).float().unsqueeze(1)
    table = matching.recall(Scores(), torch.tensor(scores, dtype=torch.float), numbers, pairs, chosen, seed)
    return {(row["label"], row["metric"]): row for row in table.to_dict("records")}


def test_ranks_by_hand_both_ways():
    size = 12
    scores = np.zeros((size, size))
    np.fill_diagonal(scores, 5.0)
    scores[0, 1:7] = 9.0  # six wrong reports before film 0's own
    scores[3, 4] = 6.0  # one before film 3's
    found = evaluate(scores, made(texts=range(size)))
    reports = [found[matching.REPORT, f"R@{k}"]["value"] for k in (1, 5, 10)]
    assert reports == pytest.approx([10 / 12, 11 / 12, 1.0])
    # Film 0 stands before the own film of reports 1 to 6, film 3 before that of report 4 too.
    films = [found[matching.FILM, f"R@{k}"]["value"] for k in (1, 5, 10)]
    assert films == pytest.approx([6 / 12, 1.0, 1.0])
    assert found[matching.REPORT, "R@5"]["chance"] == pytest.approx(5 / 12)
    assert found[matching.REPORT, "R@5"]["candidates"] == size


def test_every_film_of_a_wording_is_right_for_it_and_a_wording_stands_once():
    pairs = made(texts=[0, 0, 0, 1, 2])
    found = evaluate(np.eye(5), pairs)
    assert found[matching.REPORT, "R@1"]["candidates"] == 3
    assert (found[matching.FILM, "R@1"]["n"], found[matching.REPORT, "R@1"]["n"]) == (3, 5)
    assert found[matching.FILM, "R@1"]["chance"] == pytest.approx((3 / 5 + 1 / 5 + 1 / 5) / 3)


def test_a_network_that_tells_nothing_apart_finds_nothing():
    found = evaluate(np.zeros((12, 12)), made(texts=range(12)))
    assert {row["value"] for row in found.values()} == {0.0}


def test_only_reports_of_the_films_source_are_looked_through():
    scores = np.eye(6)
    scores[:3, 3:] = scores[3:, :3] = 9.0
    found = evaluate(scores, made(texts=range(6), sources=[0, 0, 0, 1, 1, 1]))
    assert found[matching.REPORT, "R@1"]["value"] == 1.0
    assert found[matching.REPORT, "R@1"]["chance"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(("candidates", "right", "k"), [(5, 1, 1), (5, 2, 3), (6, 4, 3), (3, 1, 5)])
def test_chance_is_the_share_of_all_orders(candidates, right, k):
    orders = list(permutations(range(candidates)))
    expected = np.mean([min(order[:k]) < right for order in orders])
    found = matching.chance(np.array([candidates]), np.array([right]), k)
    assert found[0] == pytest.approx(expected)


def test_of_many_films_so_many_are_drawn(monkeypatch):
    monkeypatch.setattr(matching, "POOL", 7)
    found = evaluate(np.eye(12), made(texts=range(12)))
    assert found[matching.REPORT, "R@1"]["n"] == 7 == found[matching.REPORT, "R@1"]["candidates"]


def test_the_interval_takes_patients_with_all_their_films():
    scores = np.eye(20)
    scores[:10] = -scores[:10]
    one = evaluate(scores, made(texts=range(20), patients=[0] * 10 + [1] * 10))[matching.REPORT, "R@1"]
    many = evaluate(scores, made(texts=range(20)))[matching.REPORT, "R@1"]
    assert one["value"] == many["value"] == pytest.approx(0.5)
    assert (one["low"], one["high"]) == (0, 1)
    assert 0.25 < many["low"] < 0.4 < 0.6 < many["high"] < 0.75
