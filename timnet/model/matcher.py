"""A TIMNet with its text encoder: texts and films to vectors, and these to match logits, without gradients.

Shapes: B films, P pairs, L texts, C channels, h w grid, D joint width.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from timnet.checkpoints import TimnetSpec
from timnet.model.encoders import TextEncoder
from timnet.model.timnet import TIMNet
from timnet.reports import prompts

_BATCH = 4
"""Texts encoded at once: a whole report beside its sentences would pad each of them to its own length."""


@dataclass(frozen=True)
class Matcher:
    """What a matching network makes of texts and of films' grids."""

    timnet: TIMNet
    spec: TimnetSpec
    encoder: TextEncoder

    @property
    def trained_tokens(self) -> int:
        """Return the tokens of the longest text of its training."""
        return self.spec.longest_text or self.spec.tokens

    def beyond(self, sentences: Sequence[str]) -> tuple[int, ...]:
        """Return the numbers, from 1, of the sentences that end beyond `trained_tokens`."""
        tokenizer = self.encoder.tokenizer
        ids = tokenizer(list(sentences), add_special_tokens=False, verbose=False)["input_ids"]
        ends = tokenizer.num_special_tokens_to_add() + np.cumsum([len(each) for each in ids])
        return tuple((np.flatnonzero(ends > self.trained_tokens) + 1).tolist())

    @torch.no_grad()
    def text_vectors(self, texts: Sequence[str]) -> Tensor:
        """Return the vectors v_t (L, D) of texts."""
        # Reports share sentences: each is encoded once.
        once = list(dict.fromkeys(texts))
        literal = self.spec.padding == "literal"
        states = self.encoder.states(once, self.spec.tokens, literal, batch=_BATCH)
        device = self.timnet.text.fc.weight.device
        v_text_LD = self.timnet.text.project(*(each.to(device) for each in states.batch(range(len(once)))))
        return v_text_LD[[once.index(text) for text in texts]]

    @torch.no_grad()
    def film_vectors(self, grids_BChw: Tensor) -> Tensor:
        """Return the vectors v_i (B, D) of films by their grids."""
        return self.timnet.image.fc(grids_BChw.mean((2, 3)))

    @torch.no_grad()
    def logits(self, grid_1Chw: Tensor, v_text_LD: Tensor) -> NDArray[np.float64]:
        """Return the logits (L,) of one film with texts by their vectors."""
        return self.timnet.match_all(self.film_vectors(grid_1Chw), v_text_LD)[0].double().cpu().numpy()

    @torch.no_grad()
    def paired(self, grids_BChw: Tensor, texts: Sequence[Sequence[str]]) -> list[NDArray[np.float64]]:
        """Return the logits of each film with its own texts, all from one forward."""
        films = [film for film, each in enumerate(texts) for _ in each]
        v_text_PD = self.text_vectors(list(itertools.chain.from_iterable(texts)))
        logits_P = self.timnet.match(self.film_vectors(grids_BChw)[films], v_text_PD)
        ends = np.cumsum([len(each) for each in texts])
        return np.split(logits_P.double().cpu().numpy(), ends[:-1])

    @cached_property
    def normal_KD(self) -> Tensor:
        """The vectors of the normal texts, read once; PromptError where a department spoilt their file."""
        return self.text_vectors(prompts.normal())

    def head(self, texts: Sequence[str], and_normal: bool) -> Callable[[Tensor], Tensor]:
        """Return pooled grid (1, C) -> match logits (1, L), with gradients; of normal texts behind these."""
        v_text_LD = self.text_vectors(texts)
        if and_normal:
            v_text_LD = torch.cat([v_text_LD, self.normal_KD])
        return lambda pooled_1C: self.timnet.match(self.timnet.image.fc(pooled_1C), v_text_LD).unsqueeze(0)
