"""TIMNet: does this report belong to this film? Eq. (3): h_cls(|h_t - h_i|).

Owns the matching head and nothing of how it is trained. One logit stands for the paper's two-way
cross-entropy: a two-class softmax depends on the difference of its logits alone. Beside the paper's head
stand others to compare it with: one layer alone, one that sees the product of the vectors too, and the cosine
of the two on a scale of its own.

Shapes: B batch, N films, M reports, D joint width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from timnet.model.branches import ImageBranch, ModelError, TextBranch

DIFFERENCE, LINEAR, PRODUCT, COSINE = "difference", "linear", "product", "cosine"
"""Heads: h_cls with one hidden layer on the absolute difference, with none, with one on the difference and
the product side by side, or a scaled cosine."""
HEADS = (DIFFERENCE, LINEAR, PRODUCT, COSINE)

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
        if head not in HEADS:
            raise ModelError(f"head: expected {' or '.join(HEADS)}, got {head!r}")
        joint = image.fc.out_features
        if head == COSINE:
            self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
            self.bias = nn.Parameter(torch.tensor(0.0))
        elif head == LINEAR:
            self.out = nn.Linear(joint, 1)
        else:
            self.hidden = nn.Linear(2 * joint if head == PRODUCT else joint, hidden)
            self.out = nn.Linear(hidden, 1)

    def match(self, v_image_BD: Tensor, v_text_BD: Tensor) -> Tensor:
        """Return the match logit (B,) of film and report vectors, row by row."""
        if self.head == COSINE:
            return self.scaled(F.cosine_similarity(v_image_BD, v_text_BD, dim=-1))
        compared = (v_text_BD - v_image_BD).abs()
        if self.head == PRODUCT:
            compared = torch.cat([compared, v_text_BD * v_image_BD], -1)
        return self.out(compared if self.head == LINEAR else F.relu(self.hidden(compared))).squeeze(-1)

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
