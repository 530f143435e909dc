"""The text side of a pre-training: a batch of pairs -> what its text branch takes.

Token states, read once for all, where the encoder or its lower layers are frozen; else token ids.

Shapes: B batch, T tokens, H BERT's width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from timnet import config
from timnet.cohorts.pairs import Pairs
from timnet.model import encoders
from timnet.model import token_cache as states
from timnet.model.timnet import TIMNet
from timnet.training.events import Events

BUCKETS, LEAST = 4, 8
"""Most calls of a trained encoder a batch, and reports in each at least."""


class Reports:
    """The reports of pairs as batches on a device."""

    def __init__(
        self, pairs: Pairs, encoder: encoders.TextEncoder, settings: config.Pretrain, events: Events
    ) -> None:
        self._pairs, self._encoder, self._tokens = pairs, encoder, settings.tokens
        self._literal = settings.padding == "literal"
        self._states = None
        if settings.text_mode != "full":
            upper = settings.text_layers if settings.text_mode == "partial" else 0
            kind = states.Kind(encoder, settings.tokens, self._literal, upper)
            self._states = states.cached(kind, pairs.texts, events.phase("reading reports"))

    def batch(
        self, chosen: Sequence[int], on: torch.device, texts: Sequence[int] = ()
    ) -> tuple[Tensor, Tensor]:
        """Return states (B, T, H) or token ids (B, T), and their mask (B, T).

        Args:
            texts: more texts, by their own numbers, behind those of the pairs.
        """
        rows = np.concatenate([self._pairs.text[list(chosen)], np.asarray(texts, np.int64)])
        if self._states is not None:
            first, mask = self._states.batch(rows.tolist())
        else:
            items = [self._pairs.texts[i] for i in rows]
            first, mask = self._encoder.tokenize(items, self._tokens, self._literal)
        return first.to(on), mask.to(on)


def text_vectors(timnet: TIMNet, text: tuple[Tensor, Tensor]) -> Tensor:
    """Return v_t through the layers that the branch trains, if any, of what comes from below them."""
    first, mask = text
    encoder = timnet.text.encoder
    if encoder is None:
        return timnet.text.project(first, mask)
    return timnet.text.project(encoded(encoder, first, mask, timnet.text.window), mask)


def encoded(encoder: nn.Module, first: Tensor, mask_BT: Tensor, window: int) -> Tensor:
    """Return the encoder's token states (B, T, H), window by window, zero behind a report's end."""
    parts = []
    for start in range(0, mask_BT.shape[1], window):
        first_of, mask_of = first[:, start : start + window], mask_BT[:, start : start + window]
        longer = mask_of.any(1)
        if longer.all():
            parts.append(_encoded(encoder, first_of, mask_of))
            continue
        states = _encoded(encoder, first_of[longer], mask_of[longer])
        parts.append(states.new_zeros(*mask_of.shape, states.shape[2]).index_put((longer,), states))
    return torch.cat(parts, 1)


def _encoded(encoder: nn.Module, first: Tensor, mask_BT: Tensor) -> Tensor:
    """Return the states (B, T, H) of one window of each report; those of like length share a call.

    Beside the longest report of a batch most of it would be padding. Batch norm comes behind the encoder and
    sees all reports at once.
    """
    lengths = mask_BT.sum(1)
    order = lengths.argsort(stable=True)
    parts = order.tensor_split(min(BUCKETS, max(len(order) // LEAST, 1)))
    ends = [int(end) for end in lengths[torch.stack([part[-1] for part in parts])]]
    if ends[0] == ends[-1]:
        states: Tensor = encoder(first, mask_BT).last_hidden_state
        return states
    of_part = [
        encoder(first[rows, :end], mask_BT[rows, :end]).last_hidden_state
        for rows, end in zip(parts, ends, strict=True)
    ]
    padded = [nn.functional.pad(part, (0, 0, 0, mask_BT.shape[1] - part.shape[1])) for part in of_part]
    return torch.cat(padded)[order.argsort()]
