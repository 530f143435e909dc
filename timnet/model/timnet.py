"""TIMNet: does this report belong to this film? Eq. (3): h_cls(|h_t - h_i|).

Owns the matching head and nothing of how it is trained. One logit stands for the paper's two-way
cross-entropy: a two-class softmax depends on the difference of its logits alone. Beside the paper's head
stands a plain one, the cosine of the two vectors on a scale of its own.

Shapes: B batch, N films, M reports, D joint width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from timnet.model.branches import ImageBranch, ModelError, TextBranch

DIFFERENCE, COSINE = "difference", "cosine"
"""Heads: h_cls on the absolute difference, as in the paper, or a scaled cosine."""

PAIRS = 2**14
"""Pairs that go through h_cls at a time: 32 MB a layer at a joint width of 512."""


class TIMNet(nn.Module):
    """Two branches and a head on their vectors: the shallow classifier h_cls, or their cosine."""

    def __init__(
        self, image: ImageBranch, text: TextBranch, hidden: int = 512, head: str = DIFFERENCE
    ) -> None:
        super().__init__()
        self.image = image
        self.text = text
        self.head = head
        if head == DIFFERENCE:
            self.hidden = nn.Linear(image.fc.out_features, hidden)
            self.out = nn.Linear(hidden, 1)
        elif head == COSINE:
            self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
            self.bias = nn.Parameter(torch.tensor(0.0))
        else:
            raise ModelError(f"head: expected {DIFFERENCE} or {COSINE}, got {head!r}")

    def match(self, v_image_BD: Tensor, v_text_BD: Tensor) -> Tensor:
        """Return the match logit (B,) of film and report vectors, row by row."""
        if self.head == COSINE:
            return self.scaled(F.cosine_similarity(v_image_BD, v_text_BD, dim=-1))
        return self.out(F.relu(self.hidden((v_text_BD - v_image_BD).abs()))).squeeze(-1)

    def match_all(self, v_image_ND: Tensor, v_text_MD: Tensor, block: int | None = None) -> Tensor:
        """Return the match logits (N, M) of every film with every report, `block` films at a time.

        Where gradients are wanted, a block's layers are computed again for them rather than kept: memory
        grows with N + M, and N M single numbers, not with N M D.
        """
        if self.head == COSINE:
            return self.scaled(cosines(v_image_ND, v_text_MD))
        blocks = v_image_ND.split(block or max(PAIRS // len(v_text_MD), 1))
        if len(blocks) == 1 or not torch.is_grad_enabled():
            return torch.cat([self._rows(rows_bD, v_text_MD) for rows_bD in blocks])
        return torch.cat(
            [
                checkpoint(self._rows, rows_bD, v_text_MD, use_reentrant=False, preserve_rng_state=False)
                for rows_bD in blocks
            ]
        )

    def scaled(self, cosine: Tensor) -> Tensor:
        """Return the match logits that the cosine head gives cosines."""
        return self.log_scale.exp() * cosine + self.bias

    def _rows(self, v_image_bD: Tensor, v_text_MD: Tensor) -> Tensor:
        return self.match(v_image_bD.unsqueeze(1), v_text_MD.unsqueeze(0))


def cosines(v_image_ND: Tensor, v_text_MD: Tensor) -> Tensor:
    """Return the cosine (N, M) of every film's vector with every report's."""
    # Three digits of bf16 are too few for what a scale of ten and more multiplies.
    full = torch.promote_types(v_image_ND.dtype, torch.float32)
    with torch.autocast(v_image_ND.device.type, enabled=False):
        return F.normalize(v_image_ND.to(full), dim=-1) @ F.normalize(v_text_MD.to(full), dim=-1).T
