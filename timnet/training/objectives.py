"""What pre-training and fine-tuning minimise.

Matching: the paper's cross-entropy over true and mismatched pairs, literal or over every pair of a batch,
false negatives left out. Labels: masked cross-entropy, unknown labels count for nothing. Both matching losses
weigh true and mismatched pairs alike, so that a probability of 0.5 means the same under both.

Shapes: B batch, L labels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pair_loss(logit_P: Tensor, positive_P: Tensor) -> Tensor:
    """Return the mean cross-entropy over pairs, one true and one mismatched a film (paper Sec. III-A)."""
    return F.binary_cross_entropy_with_logits(logit_P, positive_P.to(logit_P.dtype))


def match_loss(logit_BB: Tensor, positive_BB: Tensor, ignore_BB: Tensor) -> Tensor:
    """Return the cross-entropy over every film-report pair of a batch.

    Half the weight goes to the true pairs, half to the mismatched ones, as in the literal recipe.

    Args:
        logit_BB: match logits, films by reports.
        positive_BB: True where the report belongs to the film.
        ignore_BB: True where a pair is no true negative: same study, same patient or identical text.
    """
    losses_BB = F.binary_cross_entropy_with_logits(logit_BB, positive_BB.to(logit_BB.dtype), reduction="none")
    negative_BB = ~positive_BB & ~ignore_BB
    sides = [losses_BB[mask].mean() for mask in (positive_BB, negative_BB) if bool(mask.any())]
    return torch.stack(sides).mean()


def masked_bce(logits_BL: Tensor, y_BL: Tensor) -> Tensor:
    """Return the mean cross-entropy over the known labels; y is 0, 1 or nan for unknown."""
    known_BL = ~y_BL.isnan()
    losses_BL = F.binary_cross_entropy_with_logits(logits_BL, y_BL.nan_to_num(), reduction="none")
    return (losses_BL * known_BL).sum() / known_BL.sum().clamp(min=1)
