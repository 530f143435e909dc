"""TIMNet: does this report belong to this film? Eq. (3): h_cls(|h_t - h_i|).

Owns the matching head and nothing of how it is trained. One logit stands for the paper's two-way
cross-entropy: a two-class softmax depends on the difference of its logits alone.

Shapes: B batch, N films, M reports, D joint width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from timnet.model.branches import ImageBranch, TextBranch


class TIMNet(nn.Module):
    """Two branches and the shallow classifier h_cls on the absolute difference of their vectors."""

    def __init__(self, image: ImageBranch, text: TextBranch, hidden: int = 512) -> None:
        super().__init__()
        self.image = image
        self.text = text
        self.hidden = nn.Linear(image.fc.out_features, hidden)
        self.out = nn.Linear(hidden, 1)

    def match(self, v_image_BD: Tensor, v_text_BD: Tensor) -> Tensor:
        """Return the match logit (B,) of film and report vectors, row by row."""
        return self.out(F.relu(self.hidden((v_text_BD - v_image_BD).abs()))).squeeze(-1)

    def match_all(self, v_image_ND: Tensor, v_text_MD: Tensor, block: int = 64) -> Tensor:
        """Return the match logits (N, M) of every film with every report, `block` films at a time."""
        rows = [
            self.match(rows_bD.unsqueeze(1), v_text_MD.unsqueeze(0)) for rows_bD in v_image_ND.split(block)
        ]
        return torch.cat(rows)
