"""Retrieval: ranks by hand, chance against every order there is, and what may be right."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

from timnet.cohorts.pairs import Pairs
from timnet.evaluation import recall


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
    table = recall.evaluate(Scores(), torch.tensor(scores, dtype=torch.float), numbers, pairs, chosen, seed)
    return {(row["label"], row["metric"]): row for row in table.to_dict("records")}


def test_ranks_by_hand_both_ways():
    size = 12
    scores = np.zeros((size, size))
    np.fill_diagonal(scores, 5.0)
    scores[0, 1:7] = 9.0  # six wrong reports before film 0's own
    scores[3, 4] = 6.0  # one before film 3's
    found = evaluate(scores, made(texts=range(size)))
    reports = [found[recall.REPORT, f"R@{k}"]["value"] for k in (1, 5, 10)]
    assert reports == pytest.approx([10 / 12, 11 / 12, 1.0])
    # Film 0 stands before the own film of reports 1 to 6, film 3 before that of report 4 too.
    films = [found[recall.FILM, f"R@{k}"]["value"] for k in (1, 5, 10)]
    assert films == pytest.approx([6 / 12, 1.0, 1.0])
    assert found[recall.REPORT, "R@5"]["chance"] == pytest.approx(5 / 12)
    assert found[recall.REPORT, "R@5"]["candidates"] == size


def test_every_film_of_a_wording_is_right_for_it_and_a_wording_stands_once():
    pairs = made(texts=[0, 0, 0, 1, 2])
    found = evaluate(np.eye(5), pairs)
    assert found[recall.REPORT, "R@1"]["candidates"] == 3
    assert (found[recall.FILM, "R@1"]["n"], found[recall.REPORT, "R@1"]["n"]) == (3, 5)
    assert found[recall.FILM, "R@1"]["chance"] == pytest.approx((3 / 5 + 1 / 5 + 1 / 5) / 3)


def test_a_network_that_tells_nothing_apart_finds_nothing():
    found = evaluate(np.zeros((12, 12)), made(texts=range(12)))
    assert {row["value"] for row in found.values()} == {0.0}


def test_only_reports_of_the_films_source_are_looked_through():
    scores = np.eye(6)
    scores[:3, 3:] = scores[3:, :3] = 9.0
    found = evaluate(scores, made(texts=range(6), sources=[0, 0, 0, 1, 1, 1]))
    assert found[recall.REPORT, "R@1"]["value"] == 1.0
    assert found[recall.REPORT, "R@1"]["chance"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(("candidates", "right", "k"), [(5, 1, 1), (5, 2, 3), (6, 4, 3), (3, 1, 5)])
def test_chance_is_the_share_of_all_orders(candidates, right, k):
    orders = list(permutations(range(candidates)))
    expected = np.mean([min(order[:k]) < right for order in orders])
    found = recall.chance(np.array([candidates]), np.array([right]), k)
    assert found[0] == pytest.approx(expected)


def test_of_many_films_so_many_are_drawn(monkeypatch):
    monkeypatch.setattr(recall, "POOL", 7)
    found = evaluate(np.eye(12), made(texts=range(12)))
    assert found[recall.REPORT, "R@1"]["n"] == 7 == found[recall.REPORT, "R@1"]["candidates"]


def test_the_interval_takes_patients_with_all_their_films():
    scores = np.eye(20)
    scores[:10] = -scores[:10]
    one = evaluate(scores, made(texts=range(20), patients=[0] * 10 + [1] * 10))[recall.REPORT, "R@1"]
    many = evaluate(scores, made(texts=range(20)))[recall.REPORT, "R@1"]
    assert one["value"] == many["value"] == pytest.approx(0.5)
    assert (one["low"], one["high"]) == (0, 1)
    assert 0.25 < many["low"] < 0.4 < 0.6 < many["high"] < 0.75
