"""Reports with their sides swapped: which of them are wrong, and that they teach a network sides."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from timnet import config
from timnet.checkpoints import TimnetSpec
from timnet.cohorts.pairs import collect
from timnet.model import weights
from timnet.reports import edits
from timnet.training import laterality_negatives, objectives, pairing, text_batches, worker
from timnet.training.events import Events
from timnet.training.recipes import pretrain


@pytest.mark.parametrize(
    ("findings", "swapped"),
    [
        ("Small left effusion.", "Small right effusion."),
        ("No left effusion. Nodule in the RUL.", "No right effusion. Nodule in the LUL."),
        ("Left-sided pacemaker. Both lungs clear.", "Right-sided pacemaker. Both lungs clear."),
    ],
)
def test_a_swap_that_puts_a_finding_on_the_other_side_is_wrong(findings, swapped):
    assert edits.misplaced(findings) == swapped


@pytest.mark.parametrize(
    "findings",
    [
        "Clear lungs.",
        "No left effusion.",
        "The right lung is clear.",
        "Opacities in the left and right lung.",
        "Opacity in the right middle lobe.",
        "Left effusion. The left atrium is enlarged.",
        "Central line left in place.",
    ],
)
def test_a_swap_that_may_be_as_true_is_no_mismatch(findings):
    assert edits.misplaced(findings) is None


@pytest.fixture
def settings(cohort_folder, tiny_bert):
    return config.Pretrain(
        cohorts=(str(cohort_folder),), side=32, width=16, tokens=48, epochs=1, batch=12, mirrored=True,
        text_encoder=str(tiny_bert), precision="fp32", augment=False, evaluate_every=0,
    )  # fmt: skip


@pytest.fixture
def pairs(settings):
    return collect(settings.cohorts, settings.held_out, settings.side)


def test_texts_keep_their_numbers_and_held_out_pairs_have_no_twin(pairs):
    more, twin = laterality_negatives.of(pairs)
    assert more.texts[: len(pairs.texts)] == pairs.texts and len(set(more.texts)) == len(more.texts)
    assert (twin[pairs.held_out] == laterality_negatives.NONE).all() and (
        twin != laterality_negatives.NONE
    ).any()
    for i in np.flatnonzero(~pairs.held_out):
        expected = edits.misplaced(pairs.texts[pairs.text[i]])
        assert (None if twin[i] == laterality_negatives.NONE else more.texts[twin[i]]) == expected


def made(settings, pairs, folder):
    from timnet.model import encoders

    worker.prepare(settings, folder)
    more, twin = laterality_negatives.of(pairs)
    told = text_batches.Reports(more, encoders.load(settings.text_encoder), settings, Events(folder))
    train = np.flatnonzero(~pairs.held_out).tolist()
    cpu = torch.device("cpu")
    return more, twin, told, list(
        pairing.all_pairs(settings, pairs, train, told, cpu, 0, mirrored=twin if settings.mirrored else None)
    )  # fmt: skip


def test_swapped_reports_stand_behind_those_of_their_films(settings, pairs, tmp_path):
    more, twin, told, batches = made(settings, pairs, tmp_path / "r")
    for batch in batches:
        rows = np.array(batch["rows"])
        with_twin = np.flatnonzero(twin[rows] != laterality_negatives.NONE)
        assert batch["mirrors"].tolist() == with_twin.tolist() and batch["mirrored"] == len(with_twin)
        numbers = [*more.text[rows], *twin[rows[with_twin]]]
        first, mask = told.batch([], torch.device("cpu"), numbers)
        assert torch.equal(batch["text"][0], first) and torch.equal(batch["text"][1], mask)


@pytest.mark.parametrize("objective", ["all-pairs", "sigmoid"])
def test_the_loss_and_its_gradients_are_those_of_a_loop_over_pairs(settings, pairs, tmp_path, objective):
    asked = replace(settings, objective=objective)
    batch = next(batch for batch in made(asked, pairs, tmp_path / "r")[3] if batch["mirrored"] > 1)
    spec = TimnetSpec(
        backbone="resnet18", side=32, tokens=48, padding="masked", width=16, normalisation="film",
        text_encoder="t", text_encoder_sha256="x", text_width=batch["text"][0].shape[-1],
        head=objectives.head(objective),
    )  # fmt: skip
    timnet = weights.build_timnet(spec, 0).double()
    exact = {**batch, "films": batch["films"].double(), "text": (batch["text"][0].double(), batch["text"][1])}
    loss = objectives.MatchObjective(timnet, objective)(exact)
    found = torch.autograd.grad(loss, list(timnet.parameters()), allow_unused=True)

    v_image = timnet.image(exact["films"])[1]
    v_text = timnet.text.project(*exact["text"])
    number = len(v_image)
    true, other, wrong = [], [], []
    for i in range(number):
        for j in range(number):
            logit = timnet.match(v_image[i : i + 1], v_text[j : j + 1])
            if i == j:
                true.append(F.softplus(-logit))
            elif not exact["false_negative"][i, j]:
                other.append(F.softplus(logit))
    for place, i in enumerate(exact["mirrors"].tolist()):
        wrong.append(
            F.softplus(timnet.match(v_image[i : i + 1], v_text[number + place : number + place + 1]))
        )
    parts = [torch.cat(each).mean() for each in (true, other, wrong)]
    expected = parts[0] / 2 + parts[1] / 4 + parts[2] / 4
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    naive = torch.autograd.grad(expected, list(timnet.parameters()), allow_unused=True)
    for one, two in zip(found, naive, strict=True):
        assert (one is None) == (two is None)
        assert one is None or torch.allclose(one, two, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("ignored", [False, True])
def test_the_weights_of_a_batch_with_swapped_reports_sum_to_one(ignored):
    """At logits of 0 each pair costs log 2, whatever its kind: the loss is log 2 times their weights' sum."""
    timnet = torch.nn.Identity()
    timnet.match = lambda v_image, v_text: torch.zeros(len(v_image))
    timnet.match_all = lambda v_image, v_text: torch.zeros(len(v_image), len(v_text))
    objective = objectives.MatchObjective(timnet, "sigmoid")
    objective._vectors = lambda films, text, rows: (torch.ones(3, 4), torch.ones(5, 4))
    batch = {
        "films": None, "text": None, "of": 3, "own": torch.eye(3).bool(), "mirrored": 2,
        "false_negative": torch.full((3, 3), ignored), "mirrors": torch.tensor([0, 2]),
    }  # fmt: skip
    assert objective(batch).item() == pytest.approx(math.log(2))


@pytest.mark.whole
def test_a_network_that_sees_swapped_reports_tells_sides(settings, tmp_path):
    """The planted blob lies left or right, and its report says so."""
    asked = replace(settings, epochs=14, batch=28, width=32, learning_rate=1e-3)
    worker.prepare(asked, tmp_path / "r")
    state = worker.work(tmp_path / "r", pretrain.train)
    assert state.name == "done", state.reason
    timnet, _, encoder = weights.load_timnet(tmp_path / "r")
    pairs = collect(asked.cohorts, asked.held_out, asked.side)
    won = []
    with torch.inference_mode():
        for i in np.flatnonzero(pairs.held_out):
            own = pairs.texts[pairs.text[i]]
            if swapped := edits.misplaced(own):
                v_image = timnet.image(torch.from_numpy(pairs.films([i])).float()[:, None] / 255)[1]
                first, mask = encoder.states([own, swapped], asked.tokens).batch([0, 1])
                logits = timnet.match(v_image.expand(2, -1), timnet.text.project(first, mask))
                won.append(bool(logits[0] > logits[1]))
    assert len(won) > 10 and np.mean(won) >= 0.8, np.mean(won)


@pytest.mark.parametrize("objective", ["pairs"])
def test_objectives_without_a_place_for_swapped_reports_refuse_them(objective):
    with pytest.raises(config.ConfigError, match=r"^mirrored: expected the objective all-pairs or"):
        config.Pretrain(cohorts=("c",), mirrored=True, objective=objective)
