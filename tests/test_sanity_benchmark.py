"""The benchmark of maps: its control is as smooth as a map, and differences are paired."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from timnet.model.branches import Trunk
from timnet.model.classifier import Classifier

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import sanity as benchmark

SIDE = 64


@pytest.fixture(scope="module")
def network() -> Classifier:
    torch.manual_seed(0)
    return Classifier(Trunk("resnet18"), labels=1, width=8).eval()


def roughness(map_SS: np.ndarray) -> float:
    return float(np.abs(np.diff(map_SS, axis=0)).mean() / np.ptp(map_SS))


def test_the_control_is_smooth_and_new_with_every_draw(network: Classifier) -> None:
    rng = np.random.default_rng(0)
    one, other = (benchmark.smooth(network, SIDE, rng) for _ in range(2))
    assert one.shape == (SIDE, SIDE) and not np.allclose(one, other)
    # Interpolated from a grid of 2 by 2: a step is at most a 32nd of the range of its two neighbours.
    assert roughness(one) <= 1 / 32 < roughness(rng.random((SIDE, SIDE)))


def test_a_score_that_is_a_sum_of_pixels_prefers_its_own_order(
    network: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    weight = benchmark.smooth(network, SIDE, rng)
    film = np.full((SIDE, SIDE), 0.2, np.float32)
    film[:32] = 0.9
    mask = np.zeros((SIDE, SIDE), bool)
    mask[:8, :8] = True
    case = benchmark.Case(film, mask, mask, 0)
    monkeypatch.setattr(
        Classifier,
        "forward",
        lambda self, x: (x * torch.from_numpy(weight)).sum((1, 2, 3))[:, None] / 500 - 1,
    )
    own = (weight * (film - film.mean())).astype(np.float32)
    drawn = {"own": own, "forgotten": rng.random(own.shape, dtype=np.float32)}
    drawn[benchmark.DRAWN] = rng.random(own.shape, dtype=np.float32)
    told = benchmark.answers(network, case, drawn, 16, rng)
    for way, better in (("deletion", "lower"), ("insertion", "higher")):
        less = told[f"{way}: {benchmark.LESS}", "own"]
        question = f"area under {way} ({better} is better)"
        assert less == pytest.approx(told[question, "own"] - told[question, benchmark.SMOOTH])
    assert told[f"deletion: {benchmark.LESS}", "own"] < -0.01


def test_a_difference_is_shown_with_its_sign_and_the_interval_of_its_mean() -> None:
    values = np.random.default_rng(2).normal(-0.05, 0.1, 400).tolist()
    mean, low, high = map(float, re.findall(r"[+-][\d.]+", benchmark.difference(values)))
    error = 1.96 * np.std(values) / 20
    assert mean == pytest.approx(np.mean(values), abs=6e-4)
    assert (low, high) == (pytest.approx(mean - error, abs=0.003), pytest.approx(mean + error, abs=0.003))
