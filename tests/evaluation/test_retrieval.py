"""Search by the match head: the head's own order, whether a pre-filter came before it or not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from timnet.evaluation import retrieval
from timnet.model.branches import ImageBranch, TextBranch, seeded
from timnet.model.timnet import COSINE, TIMNet

JOINT = 32


@pytest.fixture(scope="module")
def timnet() -> TIMNet:
    with seeded(0):
        return TIMNet(
            ImageBranch(width=8, joint=JOINT), TextBranch(24, width=8, joint=JOINT), hidden=16
        ).eval()


def vectors(number: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((number, JOINT)).astype(np.float16)


def test_few_vectors_come_in_the_heads_own_order(timnet):
    searched, query = vectors(500), torch.randn(JOINT, generator=torch.Generator().manual_seed(1))
    rows, logits = retrieval.nearest(timnet, query, searched, 20)
    with torch.inference_mode():
        every = timnet.match_all(torch.from_numpy(searched).float(), query[None])[:, 0]
    np.testing.assert_array_equal(rows, every.argsort(descending=True)[:20])
    np.testing.assert_allclose(logits, every.sort(descending=True).values[:20], atol=1e-5)


def test_what_the_filter_lets_through_is_judged_by_the_head(timnet):
    searched, query = vectors(6000, 2), torch.randn(JOINT, generator=torch.Generator().manual_seed(3))
    rows, logits = retrieval.nearest(timnet, query, searched, 30, kept=900)
    assert len(set(rows.tolist())) == 30 and (np.diff(logits) <= 0).all()
    with torch.inference_mode():
        own = timnet.match(torch.from_numpy(searched[rows]).float(), query)
    np.testing.assert_allclose(logits, own, atol=1e-5)


def test_the_filter_misses_nothing_where_the_head_is_a_line():
    with seeded(1):
        straight = TIMNet(ImageBranch(width=8, joint=JOINT), TextBranch(24, width=8, joint=JOINT), hidden=16)
    # So far above zero that no rectifier bends.
    nn.init.constant_(straight.hidden.bias, 100.0)
    straight.eval()
    searched, query = vectors(6000, 4), torch.randn(JOINT, generator=torch.Generator().manual_seed(5))
    found, _ = retrieval.nearest(straight, query, searched, 50, kept=200)
    every, _ = retrieval.nearest(straight, query, searched, 50)
    assert set(found) == set(every)


def test_a_cosine_judges_all_however_many_there_are():
    with seeded(6):
        cosine = TIMNet(ImageBranch(width=8, joint=JOINT), TextBranch(24, width=8, joint=JOINT), head=COSINE)
    searched, query = vectors(6000, 7), torch.randn(JOINT, generator=torch.Generator().manual_seed(8))
    rows, logits = retrieval.nearest(cosine.eval(), query, searched, 25, kept=200)
    wide, one = searched.astype(float), query.double().numpy()
    angle = wide @ one / np.linalg.norm(wide, axis=1) / np.linalg.norm(one)
    np.testing.assert_array_equal(rows, np.argsort(-angle)[:25])
    scale, bias = cosine.log_scale.exp().item(), cosine.bias.item()
    np.testing.assert_allclose(logits, scale * np.sort(angle)[::-1][:25] + bias, atol=1e-4)


def test_asking_for_more_than_there_are_gives_all(timnet):
    rows, logits = retrieval.nearest(timnet, torch.zeros(JOINT), vectors(3), 10)
    assert sorted(rows) == [0, 1, 2] and len(logits) == 3
