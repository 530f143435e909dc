"""How a film lies: turned and mirrored copies of upright films, which say themselves what is right."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from timnet import config
from timnet.films import frontal_check, pose
from timnet.films.read import read_film

DEMO = config.REPOSITORY / "assets" / "demo"


@pytest.fixture(scope="module")
def small_NSS() -> np.ndarray:
    """Twelve simulated frontal films that the network was not fitted to."""
    table = pd.read_csv(DEMO / "studies.csv")
    table = table[(table["split"] == "test") & (table["view"] != "LATERAL")]
    films = [read_film(DEMO / path).pixels for path in table["path"][:12]]
    return np.stack([frontal_check.standardised(pixels) for pixels in films])


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turned_film_is_the_same_as_the_upright_one_in_another_order(
    small_NSS: np.ndarray, turns: int, mirrored: bool
) -> None:
    shown = small_NSS[:, :, ::-1] if mirrored else small_NSS
    # To turn it back, so many quarters to the left are missing to a whole turn.
    shown = np.rot90(shown, -turns, (1, 2))
    p_N8 = pose.probabilities(shown)
    np.testing.assert_allclose(p_N8.sum(1), 1)
    np.testing.assert_allclose(
        np.sort(p_N8, 1), np.sort(pose.probabilities(small_NSS), 1), rtol=1e-3, atol=1e-5
    )
    p_N4 = p_N8[:, :4] + p_N8[:, 4:]
    if not mirrored:
        assert (p_N4.argmax(1) == turns).all()
        assert (p_N4[:, turns] >= pose.TURNED).mean() > 0.9


def test_a_mirrored_film_is_told_from_its_own(small_NSS: np.ndarray) -> None:
    own, mirrored = (pose.probabilities(x) for x in (small_NSS, small_NSS[:, :, ::-1]))
    assert (own[:, 0] > own[:, 4]).all() and (mirrored[:, 4] > mirrored[:, 0]).all()


def test_logits_are_those_of_the_network_that_was_fitted(
    small_NSS: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import load_file

    monkeypatch.setattr(sys, "path", [str(Path(config.REPOSITORY) / "assets" / "chest"), *sys.path])
    import fit_pose

    network = fit_pose.Pose()
    network.load_state_dict({name: each.float() for name, each in load_file(pose.WEIGHTS).items()})
    with torch.inference_mode():
        logits_N8 = fit_pose.logits(network.eval(), torch.from_numpy(small_NSS)).double()
    np.testing.assert_allclose(pose.probabilities(small_NSS), logits_N8.softmax(1).numpy(), atol=1e-4)


def test_what_is_said_of_a_turn_is_where_the_head_lies() -> None:
    head = np.zeros((1, 32, 32), np.float32)
    head[:, :4] = 1
    # `poses` turns to the left: what has to be turned so often to be upright lies that much to the right.
    where = {
        "upright": np.s_[:4],
        "on its side, head to the right": np.s_[:, -4:],
        "upside down": np.s_[-4:],
        "on its side, head to the left": np.s_[:, :4],
    }
    for turns, said in enumerate(pose.TURNS):
        shown = np.rot90(head[0], -turns)
        assert shown[where[said]].all() and shown.sum() == head.sum()
