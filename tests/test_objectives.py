"""Objectives: closed forms, the dense sum by hand, masks that take pairs out of loss and gradient."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import log_loss

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
