"""The text side of a pre-training: a batch of pairs -> what its text branch takes.

Token states, read once for all, where the encoder or its lower layers are frozen; else token ids.

Shapes: B batch, T tokens, H BERT's width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from timnet import config
from timnet.cohorts.pairs import Pairs
from timnet.model import encoders, states
from timnet.model.timnet import TIMNet
from timnet.training.events import Events


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
            told = [self._pairs.texts[i] for i in rows]
            first, mask = self._encoder.tokenize(told, self._tokens, self._literal)
        return first.to(on), mask.to(on)


def text_vectors(timnet: TIMNet, text: tuple[Tensor, Tensor]) -> Tensor:
    """Return v_t through the layers that the branch trains, if any, of what comes from below them."""
    first, mask = text
    return timnet.text.project(first, mask) if timnet.text.encoder is None else timnet.text(first, mask)
