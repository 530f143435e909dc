"""What pre-training and fine-tuning minimise.

Matching: the paper's cross-entropy over true and mismatched pairs, literal or over every pair of a batch;
the same over scaled cosines; or InfoNCE, which picks each film's report out of the batch and each report's
film. False negatives are left out of all of them. Cross-entropies weigh true and mismatched pairs alike, so
that a probability of 0.5 means the same under each. Labels: masked cross-entropy, unknown ones count for
nothing.

Shapes: B batch, L labels.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from timnet.model.timnet import COSINE, DIFFERENCE, TIMNet, cosines
from timnet.training.reports import text_vectors

HEADS = {"all-pairs": DIFFERENCE, "pairs": DIFFERENCE, "sigmoid": COSINE, "infonce": COSINE}
"""Matching objective -> the head it trains."""

_WARMEST = math.log(100.0)
"""InfoNCE's scale stays below, as in CLIP: beyond, single pairs rule the gradient."""


class MatchObjective(nn.Module):
    """Batch -> matching loss of a TIMNet."""

    def __init__(self, timnet: TIMNet, name: str = "all-pairs") -> None:
        """Take `name` of HEADS; `pairs` reads batches with `positive`, the others with `own`."""
        super().__init__()
        self.timnet = timnet
        self.name = name
        if name == "infonce":
            self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Return the loss of `films` (B, 1, S, S) against `text`.

        With `positive` (B,) where films and reports stand in pairs, else with `own` and `false_negative`
        (B, B), films by reports.
        """
        v_image = self.timnet.image(batch["films"])[1]
        v_text = text_vectors(self.timnet, batch["text"])
        if self.name == "pairs":
            return pair_loss(self.timnet.match(v_image, v_text), batch["positive"])
        own, ignore = batch["own"], batch["false_negative"]
        if self.name != "infonce":
            return match_loss(self.timnet.match_all(v_image, v_text), own, ignore)
        cosine = cosines(v_image, v_text)
        scale = self.log_scale.clamp(max=_WARMEST).exp()
        # InfoNCE knows no probability: the head learns one of the cosines and pushes nothing back.
        return nce_loss(scale * cosine, own, ignore) + match_loss(
            self.timnet.scaled(cosine.detach()), own, ignore
        )


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


def nce_loss(score_BB: Tensor, positive_BB: Tensor, ignore_BB: Tensor) -> Tensor:
    """Return InfoNCE: the mean cross-entropy of a film's report among the batch's, and the other way.

    Args:
        score_BB: scaled cosines, films by reports.
        positive_BB: True once a row and once a column, where the report belongs to the film.
        ignore_BB: as in `match_loss`; a true pair always counts.
    """
    among_BB = score_BB.masked_fill(ignore_BB & ~positive_BB, -math.inf)
    own = score_BB[positive_BB].mean()
    return (among_BB.logsumexp(0).mean() + among_BB.logsumexp(1).mean()) / 2 - own


def masked_bce(logits_BL: Tensor, y_BL: Tensor) -> Tensor:
    """Return the mean cross-entropy over the known labels; y is 0, 1 or nan for unknown."""
    known_BL = ~y_BL.isnan()
    losses_BL = F.binary_cross_entropy_with_logits(logits_BL, y_BL.nan_to_num(), reduction="none")
    return (losses_BL * known_BL).sum() / known_BL.sum().clamp(min=1)
