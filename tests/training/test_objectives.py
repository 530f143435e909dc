"""Objectives: closed forms, the dense sum by hand, masks that take pairs out of loss and gradient."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from timnet.model import timnet as timnet_module
from timnet.model.branches import ImageBranch, TextBranch
from timnet.model.timnet import TIMNet, cosines
from timnet.training import objectives


def eye(size: int) -> torch.Tensor:
    return torch.eye(size, dtype=torch.bool)


def test_a_network_that_knows_nothing_loses_log_2_whatever_the_batch():
    for size in (2, 7, 32):
        loss = objectives.match_loss(
            torch.zeros(size, size), eye(size), torch.zeros(size, size, dtype=torch.bool)
        )
        assert loss.item() == pytest.approx(math.log(2))
    assert objectives.pair_loss(torch.zeros(4), torch.tensor([1, 0, 1, 0])).item() == pytest.approx(
        math.log(2)
    )


def test_a_two_by_two_batch_by_hand():
    logits = torch.tensor([[2.0, -1.0], [0.5, 1.0]])
    true = (math.log1p(math.exp(-2.0)) + math.log1p(math.exp(-1.0))) / 2
    false = (math.log1p(math.exp(-1.0)) + math.log1p(math.exp(0.5))) / 2
    loss = objectives.match_loss(logits, eye(2), torch.zeros(2, 2, dtype=torch.bool))
    assert loss.item() == pytest.approx((true + false) / 2)


def test_the_batch_loss_equals_a_naive_loop_with_its_gradient_in_float64():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 6, dtype=torch.float64, generator=generator, requires_grad=True)
    ignore = torch.rand(6, 6, generator=generator) < 0.3
    true = [(i, i) for i in range(6)]
    false = [(i, j) for i in range(6) for j in range(6) if i != j and not ignore[i, j]]

    def softplus(value):
        return torch.log(1 + torch.exp(value))

    naive = (
        sum(softplus(-logits[p]) for p in true) / len(true)
        + sum(softplus(logits[p]) for p in false) / len(false)
    ) / 2
    loss = objectives.match_loss(logits, eye(6), ignore)
    assert loss.item() == pytest.approx(naive.item(), abs=1e-12)
    expected = torch.autograd.grad(naive, logits)[0]
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], expected)
    assert torch.autograd.gradcheck(lambda x: objectives.match_loss(x, eye(6), ignore), logits)


def test_false_negatives_get_no_push():
    logits = torch.zeros(3, 3, requires_grad=True)
    ignore = torch.zeros(3, 3, dtype=torch.bool)
    ignore[0, 1] = ignore[2, 0] = True
    objectives.match_loss(logits, eye(3), ignore).backward()
    assert logits.grad[0, 1] == 0 == logits.grad[2, 0]
    assert (logits.grad[~ignore] != 0).all()


def test_a_batch_of_false_negatives_alone_still_learns_from_its_true_pairs():
    logits = torch.zeros(2, 2, requires_grad=True)
    loss = objectives.match_loss(logits, eye(2), ~eye(2))
    assert loss.item() == pytest.approx(math.log(2))


def test_infonce_of_a_network_that_knows_nothing_is_log_b_and_less_where_pairs_are_left_out():
    scores, ignore = torch.zeros(6, 6), torch.zeros(6, 6, dtype=torch.bool)
    assert objectives.nce_loss(scores, eye(6), ignore).item() == pytest.approx(math.log(6))
    ignore[0, 1:3] = ignore[1:3, 0] = True
    expected = (math.log(4) + 2 * math.log(5) + 3 * math.log(6)) / 6
    assert objectives.nce_loss(scores, eye(6), ignore).item() == pytest.approx(expected)


def test_infonce_equals_a_naive_loop_with_its_gradient_in_float64():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(6, 6, dtype=torch.float64, generator=generator, requires_grad=True)
    # What is left out may hold true pairs: those count all the same.
    ignore = torch.rand(6, 6, generator=generator) < 0.4
    naive = 0
    for i in range(6):
        others = [j for j in range(6) if j != i]
        row = sum(torch.exp(scores[i, j]) for j in others if not ignore[i, j]) + torch.exp(scores[i, i])
        column = sum(torch.exp(scores[j, i]) for j in others if not ignore[j, i]) + torch.exp(scores[i, i])
        naive = (
            naive
            - (torch.log(torch.exp(scores[i, i]) / row) + torch.log(torch.exp(scores[i, i]) / column)) / 12
        )
    loss = objectives.nce_loss(scores, eye(6), ignore)
    assert loss.item() == pytest.approx(naive.item(), abs=1e-12)
    gradient = torch.autograd.grad(loss, scores, retain_graph=True)[0]
    torch.testing.assert_close(gradient, torch.autograd.grad(naive, scores)[0])
    assert (gradient[ignore & ~eye(6)] == 0).all()
    assert torch.autograd.gradcheck(lambda x: objectives.nce_loss(x, eye(6), ignore), scores)
    torch.testing.assert_close(objectives.nce_loss(scores.T, eye(6), ignore.T), loss)


class Vectors(torch.nn.Module):
    """A branch that gives the vectors it holds."""

    def __init__(self, vectors):
        super().__init__()
        self.vectors, self.encoder = torch.nn.Parameter(vectors), None

    def forward(self, films):
        return None, self.vectors

    def project(self, states, mask):
        return self.vectors


def network(objective, size=6):
    torch.manual_seed(0)
    timnet = TIMNet(
        ImageBranch("resnet18", width=8), TextBranch(24, width=8), head=objectives.head(objective)
    )
    timnet.image, timnet.text = Vectors(torch.randn(size, 512)), Vectors(torch.randn(size, 512))
    return objectives.MatchObjective(timnet, objective).double()


def batch(size=6):
    ignore = torch.rand(size, size, generator=torch.Generator().manual_seed(1)) < 0.3
    return {
        "films": None, "text": (None, None), "own": eye(size), "false_negative": ignore & ~eye(size),
        "positive": torch.arange(size) % 2 == 0, "of": size,
    }  # fmt: skip


def pair_by_pair(objective, given):
    """The loss of a batch in plain loops, one pair after the other."""
    timnet = objective.timnet
    films, reports = timnet.image.vectors, timnet.text.vectors
    size, ignore = len(films), given["false_negative"]

    def logit(i, j):
        if objective.name in ("pairs", "all-pairs"):
            return timnet.out(torch.relu(timnet.hidden((reports[j] - films[i]).abs())))[0]
        return timnet.log_scale.exp() * cosine(i, j) + timnet.bias

    def cosine(i, j):
        return films[i] @ reports[j] / (films[i].norm() * reports[j].norm())

    def cross(value, true):
        return -torch.log(torch.sigmoid(value if true else -value))

    if objective.name == "pairs":
        return sum(cross(logit(i, i), bool(true)) for i, true in enumerate(given["positive"])) / size
    false = [(i, j) for i in range(size) for j in range(size) if i != j and not ignore[i, j]]
    loss = (
        sum(cross(logit(i, i), True) for i in range(size)) / size
        + sum(cross(logit(i, j), False) for i, j in false) / len(false)
    ) / 2
    return loss


@pytest.mark.parametrize("name", ["pairs", "all-pairs", "sigmoid"])
def test_each_objective_equals_its_naive_loop_with_every_gradient_in_float64(name, monkeypatch):
    # Two films at a time: the blocks are part of what is checked.
    monkeypatch.setattr(timnet_module, "PAIRS", 12)
    objective, given = network(name), batch()
    wanted = dict(objective.named_parameters())
    losses = [objective(given), pair_by_pair(objective, given)]
    torch.testing.assert_close(*losses, rtol=1e-12, atol=1e-12)
    ours, naive = (torch.autograd.grad(loss, list(wanted.values())) for loss in losses)
    for key, one, other in zip(wanted, ours, naive, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12, msg=key)


def test_infonce_moves_the_vectors_and_its_head_only_follows():
    objective, given = network("infonce"), batch()
    timnet = objective.timnet
    vectors = [timnet.image.vectors, timnet.text.vectors, objective.log_scale]
    scores = objective.log_scale.exp() * cosines(*vectors[:2])
    nce = objectives.nce_loss(scores, given["own"], given["false_negative"])
    loss = objective(given)
    for one, other in zip(
        torch.autograd.grad(loss, vectors, retain_graph=True), torch.autograd.grad(nce, vectors), strict=True
    ):
        torch.testing.assert_close(one, other)
    with torch.no_grad():
        head = objectives.match_loss(timnet.match_all(*vectors[:2]), given["own"], given["false_negative"])
    assert loss.item() == pytest.approx(nce.item() + head.item())
    assert all(value != 0 for value in torch.autograd.grad(loss, [timnet.log_scale, timnet.bias]))


def encoded(name, chunk=0, recompute=False):
    """A tiny network with both branches, and a batch of seven for it."""
    torch.manual_seed(0)
    timnet = TIMNet(
        ImageBranch("resnet18", width=8, joint=16),
        TextBranch(12, width=8, joint=16),
        16,
        objectives.head(name),
    )
    timnet.image.trunk.recompute = recompute
    films, states = torch.rand(7, 1, 32, 32).double(), torch.randn(7, 5, 12).double()
    mask = (torch.arange(5) < torch.tensor([[5], [1], [3], [2], [5], [4], [1]])).long()
    given = {**batch(7), "films": films, "text": (states, mask)}
    return objectives.MatchObjective(timnet, name, chunk).double(), given


def stepped(objective, given):
    loss = objective(given)
    return loss, torch.autograd.grad(loss, list(objective.parameters())), dict(objective.named_buffers())


@pytest.mark.parametrize("name", ["all-pairs", "pairs", "sigmoid", "infonce"])
def test_a_batch_in_chunks_has_the_loss_and_gradients_of_the_whole_in_float64(name):
    """Of networks whose films do not meet each other in batch norm: its statistics stand still here."""
    (objective, given), (chunked, _) = encoded(name), encoded(name, chunk=3)
    torch.testing.assert_close(
        stepped(chunked.eval(), given)[:2], stepped(objective.eval(), given)[:2], rtol=1e-9, atol=1e-12
    )


def test_in_training_a_chunk_is_what_batch_norm_sees_once():
    (objective, given), (chunked, _) = encoded("all-pairs"), encoded("all-pairs", chunk=3)
    sides = []
    for part in (slice(0, 3), slice(3, 5), slice(5, 7)):
        first, mask = (each[part] for each in given["text"])
        sides.append(
            (objective.timnet.image(given["films"][part])[1], objective.timnet.text.project(first, mask))
        )
    v_image, v_text = (torch.cat(side) for side in zip(*sides, strict=True))
    logits = objective.timnet.match_all(v_image, v_text)
    loss = objectives.match_loss(logits, given["own"], given["false_negative"])
    gradients = torch.autograd.grad(loss, list(objective.parameters()))
    expected = loss, gradients, dict(objective.named_buffers())
    # Computed twice, the running means have moved once.
    torch.testing.assert_close(stepped(chunked, given), expected, rtol=1e-9, atol=1e-12)


def test_layers_that_are_computed_again_change_nothing_in_training():
    (objective, given), (again, _) = encoded("all-pairs"), encoded("all-pairs", recompute=True)
    torch.testing.assert_close(stepped(again, given), stepped(objective, given), rtol=1e-12, atol=1e-12)


def test_the_label_loss_equals_scikit_learns_on_the_known_entries():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 3, generator=generator)
    y = (torch.rand(20, 3, generator=generator) < 0.5).float()
    y[torch.rand(20, 3, generator=generator) < 0.3] = math.nan
    known = ~y.isnan()
    expected = log_loss(y[known].numpy(), logits.double().sigmoid()[known].numpy())
    assert objectives.masked_bce(logits, y).item() == pytest.approx(expected, rel=1e-5)


def test_unknown_labels_get_no_push_and_no_nan():
    logits = torch.randn(2, 2, requires_grad=True)
    y = torch.tensor([[1.0, math.nan], [math.nan, math.nan]])
    objectives.masked_bce(logits, y).backward()
    assert logits.grad[0, 0] != 0
    assert logits.grad[0, 1] == 0
    assert (logits.grad[1] == 0).all()


def test_balanced_classes_weigh_alike_and_known_labels_one_in_the_mean():
    rng = np.random.default_rng(0)
    y = torch.from_numpy(rng.choice([0.0, 1.0, np.nan], size=(60, 4), p=[0.7, 0.1, 0.2]))
    y[:, 3] = 0.0
    weights = objectives.class_weights(y)
    for label in range(3):
        absent, present = ((y[:, label] == value).sum() * weights[value, label] for value in (0, 1))
        assert absent == pytest.approx(present)
        assert absent + present == pytest.approx(float((~y[:, label].isnan()).sum()))
    # Of one kind alone there is nothing to weigh against.
    assert weights[:, 3].tolist() == [1.0, 1.0]


def test_weighted_cross_entropy_is_that_of_torch_by_positive_weight():
    rng = np.random.default_rng(1)
    y = torch.from_numpy(rng.choice([0.0, 1.0], size=(40, 3), p=[0.8, 0.2]))
    logits = torch.from_numpy(rng.normal(size=y.shape))
    weights = objectives.class_weights(y)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, y, weight=weights[0].expand_as(y), pos_weight=weights[1] / weights[0]
    )
    assert float(objectives.masked_bce(logits, y, weights)) == pytest.approx(float(expected))


def test_infonce_lets_a_film_choose_between_its_report_and_the_swapped_one():
    """Against the sum written out: the swapped report is one more candidate of its own film alone."""
    torch.manual_seed(0)
    score, swapped = torch.randn(4, 4), torch.tensor([0.3, -math.inf, 1.2, -math.inf])
    own, ignore = torch.eye(4, dtype=torch.bool), torch.zeros(4, 4, dtype=torch.bool)
    ignore[0, 2] = True
    expected = 0.0
    for i in range(4):
        films = [score[i, j].exp() for j in range(4) if not ignore[i, j]]
        if math.isfinite(swapped[i]):
            films.append(swapped[i].exp())
        reports = [score[j, i].exp() for j in range(4) if not ignore[j, i]]
        expected += (sum(films).log() + sum(reports).log()) / 2 - score[i, i]
    torch.testing.assert_close(objectives.nce_loss(score, own, ignore, swapped), expected / 4)
