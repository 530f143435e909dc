"""Reports of like length share a call of the encoder that is trained: less padding, the same numbers."""

from __future__ import annotations

import pytest
import torch

from timnet.model import encoders
from timnet.training import text_batches

WORDS = "No effusion . Large right pleural opacity with a tube above the left lung"


def texts(lengths):
    words = WORDS.split()
    return [" ".join(words[i % len(words)] for i in range(length)) for length in lengths]


@pytest.fixture
def calls(tiny_bert):
    """A BERT in double precision, its texts as a batch, and how many places each of its calls had."""
    encoder = encoders.load(str(tiny_bert))
    bert, places = encoder.bert.double().eval(), []
    bert.register_forward_pre_hook(lambda module, inputs: places.append(inputs[0].numel()))
    return bert, encoder, places


@pytest.mark.parametrize("lengths", [[3] * 20, [2, 40] * 4, list(range(1, 41)), [30, 1, 2] * 11])
def test_states_and_every_gradient_are_those_of_one_call(calls, lengths):
    bert, encoder, _ = calls
    ids, mask = encoder.tokenize(texts(lengths), 64)
    keep = mask.bool()
    weight = torch.randn(
        *ids.shape, encoder.width, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    found = []
    for states in (bert(ids, mask).last_hidden_state, text_batches.encoded(bert, ids, mask, 64)):
        bert.zero_grad()
        (states * weight)[keep].sum().backward()
        found.append(
            [
                states[keep].detach(),
                *(each.grad.clone() for each in bert.parameters() if each.grad is not None),
            ]
        )
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_short_reports_are_not_filled_up_to_the_longest(calls):
    bert, encoder, places = calls
    ids, mask = encoder.tokenize(texts([4] * 24 + [40] * 8), 64)
    text_batches.encoded(bert, ids, mask, 64)
    assert len(places) == text_batches.BUCKETS
    # Three of four calls hold short reports alone.
    short = int(mask.sum(1).min())
    assert sum(places) == 24 * short + 8 * ids.shape[1] < ids.numel() / 2


@pytest.mark.parametrize("number", [1, 2, 15])
def test_few_reports_and_literal_padding_stay_one_call(calls, number):
    bert, encoder, places = calls
    ids, mask = encoder.tokenize(texts(range(1, number + 1)), 64)
    text_batches.encoded(bert, ids, mask, 64)
    literal, ones = encoder.tokenize(texts(range(1, 33)), 64, literal=True)
    text_batches.encoded(bert, literal, ones, 64)
    assert places == [ids.numel(), literal.numel()]


def test_long_reports_are_encoded_window_by_window_as_the_frozen_encoder_does(calls):
    bert, encoder, _ = calls
    given = texts([40, 3, 90, 15] * 3)
    ids, mask = encoder.tokenize(given, 16)
    states = text_batches.encoded(bert, ids, mask, 16)
    assert ids.shape[1] > 5 * 16
    for row, text in enumerate(given):
        alone = [
            bert(torch.tensor([window])).last_hidden_state[0] for window in encoder.windows([text], 16)[0]
        ]
        torch.testing.assert_close(
            states[row, : int(mask[row].sum())], torch.cat(alone), rtol=1e-9, atol=1e-12
        )
        assert (states[row, int(mask[row].sum()) :][16:] == 0).all()
