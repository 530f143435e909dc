"""Checks of maps: against closed forms, and on networks whose truth is known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from timnet.evaluation.maps import cam
from timnet.model.branches import Trunk
from timnet.model.classifier import Classifier

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import map_measures

RNG = np.random.default_rng(0)
FILM = RNG.random((8, 6), dtype=np.float32)
WEIGHT = RNG.normal(size=(8, 6))


def linear(films: np.ndarray) -> np.ndarray:
    """A network whose evidence is known: the score is a weighted sum of the pixels."""
    return (films * WEIGHT).sum((1, 2))


def test_deletion_of_a_linear_score_falls_by_the_sorted_evidence() -> None:
    evidence = (WEIGHT * (FILM - FILM.mean())).astype(np.float32)
    curve = map_measures.deletion(linear, FILM, evidence, steps=48)
    lost = np.concatenate([[0], np.cumsum(np.sort(evidence.ravel())[::-1])])
    np.testing.assert_allclose(curve, linear(FILM[None]) - lost, rtol=1e-4, atol=1e-5)


def test_no_order_deletes_a_linear_score_faster_than_its_own_evidence() -> None:
    evidence = (WEIGHT * (FILM - FILM.mean())).astype(np.float32)
    own = map_measures.area(map_measures.deletion(linear, FILM, evidence, steps=48))
    for seed in range(20):
        other = np.random.default_rng(seed).random(FILM.shape, dtype=np.float32)
        assert own < map_measures.area(map_measures.deletion(linear, FILM, other, steps=48))


def test_insertion_starts_at_the_blurred_film_and_ends_at_the_film() -> None:
    curve = map_measures.insertion(linear, FILM, FILM, steps=4)
    assert curve[-1] == pytest.approx(linear(FILM[None])[0], rel=1e-6)
    flat = np.full_like(FILM, 0.25)
    np.testing.assert_allclose(
        map_measures.insertion(linear, flat, FILM, 4), linear(flat[None])[0], rtol=1e-5
    )


def test_each_step_changes_its_share_of_the_pixels() -> None:
    seen: list[np.ndarray] = []
    map_measures.deletion(lambda films: seen.append(films) or np.zeros(len(films)), FILM, FILM, steps=5)
    changed = [(films != FILM).sum() for films in seen[0]]
    assert changed == [round(step * 48 / 5) for step in range(6)]


def test_the_area_of_a_straight_line_is_its_middle() -> None:
    assert map_measures.area(np.linspace(1, 0, 9)) == pytest.approx(0.5)
    assert map_measures.area(np.array([1.0, 0.0, 0.0])) == pytest.approx(0.25)


def test_the_pointing_game_asks_where_the_highest_point_lies() -> None:
    region = np.zeros((8, 6), bool)
    region[2:4, 1:3] = True
    heat = np.zeros((8, 6), np.float32)
    heat[3, 2] = 1
    assert map_measures.pointing(heat, region) == 1
    heat[3, 2], heat[3, 4] = 0, 1
    assert map_measures.pointing(heat, region) == 0
    assert map_measures.pointing(heat, region, tolerance=2) == 1
    assert map_measures.pointing(heat, region, tolerance=1.9) == 0


def test_a_map_without_preference_points_as_well_as_a_random_point() -> None:
    region = np.zeros((8, 6), bool)
    region[:2] = True
    assert map_measures.pointing(np.full((8, 6), 0.3, np.float32), region) == pytest.approx(region.mean())


def test_an_empty_region_and_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="without a pixel"):
        map_measures.pointing(FILM, np.zeros((8, 6), bool))
    with pytest.raises(ValueError, match="expected a region of shape"):
        map_measures.pointing(FILM, np.ones((6, 8), bool))
    with pytest.raises(ValueError, match="steps"):
        map_measures.deletion(linear, FILM, FILM, steps=0)


def test_similarity_is_spearmans_and_undefined_of_a_flat_map() -> None:
    other = RNG.random((8, 6), dtype=np.float32)
    assert map_measures.similarity(FILM, other) == pytest.approx(
        stats.spearmanr(FILM.ravel(), other.ravel())[0]
    )
    assert map_measures.similarity(FILM, FILM**3) == pytest.approx(1)
    assert np.isnan(map_measures.similarity(FILM, np.ones_like(FILM)))


def test_randomised_weights_are_all_new_by_the_seed_alone_and_the_network_is_kept() -> None:
    network = Classifier(Trunk("resnet18"), labels=2, width=16).eval()
    for norm in (layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)):
        nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    one, same, other = (map_measures.randomised(network, seed) for seed in (1, 1, 2))
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    for name, value in one.named_parameters():
        assert not torch.equal(value, before[name]), name
        assert torch.equal(value, same.get_parameter(name))
    assert not torch.equal(one.get_parameter("out.weight"), other.get_parameter("out.weight"))
    assert not one.training


def test_maps_forget_what_the_weights_forget() -> None:
    torch.manual_seed(0)
    network = Classifier(Trunk("resnet18"), labels=1, width=16).eval()
    x = torch.rand(1, 1, 224, 224, generator=torch.Generator().manual_seed(0))
    maps = []
    for each in (network, map_measures.randomised(network, 5)):
        assert isinstance(each, Classifier)
        with torch.no_grad():
            grid = each.grid(x)
        maps.append(cam.evidence(grid, each.head)[1][0, 0].numpy())
    assert map_measures.similarity(maps[0], maps[0]) == pytest.approx(1)
    assert map_measures.similarity(*maps) < 0.9
