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

from timnet import config
from timnet.model.recompute import again
from timnet.model.timnet import COSINE, DIFFERENCE, TIMNet, cosines
from timnet.training import distributed
from timnet.training.text_batches import text_vectors

MIRRORED = 0.5
"""Share of the mismatched pairs' weight that goes to films with their own report, its sides swapped."""

_WARMEST = math.log(100.0)
"""InfoNCE's scale stays below, as in CLIP: beyond, single pairs rule the gradient."""


class MatchObjective(nn.Module):
    """Batch -> matching loss of a TIMNet."""

    def __init__(self, timnet: TIMNet, name: str = "all-pairs", chunk: int = 0) -> None:
        """Take an objective by its name; `pairs` reads batches with `positive`, the others with `own`.

        With `chunk`, so many films and reports are encoded at a time, and again for their gradients: the loss
        is of the whole batch, and memory that of a chunk.
        """
        super().__init__()
        self.timnet = timnet
        self.name = name
        self.chunk = chunk
        if name == "infonce":
            self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Return the loss of `films` (b, 1, S, S) against `text`, those of this process.

        With `positive` (b,) where films and reports stand in pairs, else with `own` and `false_negative`
        (B, B), films by reports of all processes; `of` is B. Where `mirrored`, a number of all processes, is
        above 0, behind this process's reports stand those of its films `mirrors` with their sides swapped.
        The mean over the processes is the loss of the whole batch, and so are its gradients.
        """
        rows = batch["of"]
        v_image, v_text = self._vectors(batch["films"], batch["text"], rows)
        v_text, v_swapped = v_text[: len(v_image)], v_text[len(v_image) :]
        if self.name == "pairs":
            return distributed.count() * pair_loss(
                self.timnet.match(v_image, v_text), batch["positive"], rows
            )
        own, ignore = batch["own"], batch["false_negative"]
        v_text = distributed.gathered(v_text, rows)
        if self.name != "infonce":
            # A process compares its own films with every report: its rows of the whole.
            logit, mine = self.timnet.match_all(v_image, v_text), distributed.share(rows)
            weights = match_weights(own, ignore, logit.dtype)
            if not (number := batch.get("mirrored", 0)):
                return distributed.count() * _weighted(logit, own[mine], weights[mine])
            # Half of the mismatched pairs' weight, all of it where the batch has no other mismatched pair.
            others = bool((~own & ~ignore).any())
            share = MIRRORED if others else 1.0
            weights = torch.where(own, weights, weights * (1 - MIRRORED)) if others else weights / 2
            wrong = self.timnet.match(v_image[batch["mirrors"]], v_swapped)
            swapped = F.binary_cross_entropy_with_logits(wrong, torch.zeros_like(wrong), reduction="sum")
            return distributed.count() * (
                _weighted(logit, own[mine], weights[mine]) + swapped * share / (2 * number)
            )
        cosine = cosines(distributed.gathered(v_image, rows), v_text)
        scale = self.log_scale.clamp(max=_WARMEST).exp()
        swapped_B = None
        if batch.get("mirrored", 0):
            # A film's cosine with its swapped report, and whether it has one.
            own_b2 = cosine.new_zeros(len(v_image), 2)
            rows_of = batch["mirrors"]
            with_own = F.cosine_similarity(v_image[rows_of].float(), v_swapped.float())
            own_b2 = own_b2.index_put((rows_of,), torch.stack([with_own, torch.ones_like(with_own)], 1))
            of_swapped_B, has_B = distributed.gathered(own_b2, rows).unbind(1)
            swapped_B = (scale * of_swapped_B).masked_fill(has_B == 0, -math.inf)
        # InfoNCE knows no probability: the head learns one of the cosines and pushes nothing back.
        return nce_loss(scale * cosine, own, ignore, swapped_B) + match_loss(
            self.timnet.scaled(cosine.detach()), own, ignore
        )

    def _vectors(self, films: Tensor, text: tuple[Tensor, Tensor], rows: int) -> tuple[Tensor, Tensor]:
        """Return the vectors of films and reports, a chunk at a time where that is asked for."""
        if not self.chunk:
            return self._encoded(films, *text)
        # As many chunks in every process, though one may have a row less: batch norm waits for all.
        pieces = math.ceil(math.ceil(rows / distributed.count()) / self.chunk)
        chunks = zip(*(part.tensor_split(pieces) for part in (films, *text)), strict=True)
        parts = [again(self.timnet, self._encoded, *chunk) for chunk in chunks]
        v_image, v_text = (torch.cat(side) for side in zip(*parts, strict=True))
        return v_image, v_text

    def _encoded(self, films: Tensor, first: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return self.timnet.image(films)[1], text_vectors(self.timnet, (first, mask))


def head(name: str, h_cls: str = "mlp") -> str:
    """Return the head that an objective trains, by its name and the shape of h_cls."""
    return COSINE if name in config.COSINES else {"mlp": DIFFERENCE}.get(h_cls, h_cls)


def pair_loss(logit_P: Tensor, positive_P: Tensor, rows: int | None = None) -> Tensor:
    """Return the mean cross-entropy over pairs, one true and one mismatched a film (paper Sec. III-A).

    `rows`: of how many pairs these are a part; theirs of the mean comes back.
    """
    losses_P = F.binary_cross_entropy_with_logits(logit_P, positive_P.to(logit_P.dtype), reduction="none")
    return losses_P.sum() / (rows or len(losses_P))


def match_loss(logit_BB: Tensor, positive_BB: Tensor, ignore_BB: Tensor) -> Tensor:
    """Return the cross-entropy over every film-report pair of a batch.

    Half the weight goes to the true pairs, half to the mismatched ones, as in the literal recipe.

    Args:
        logit_BB: match logits, films by reports.
        positive_BB: True where the report belongs to the film.
        ignore_BB: True where a pair is no true negative: same study, same patient or identical text.
    """
    return _weighted(logit_BB, positive_BB, match_weights(positive_BB, ignore_BB, logit_BB.dtype))


def match_weights(positive_BB: Tensor, ignore_BB: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return what each pair weighs in `match_loss`: 1 in all, 0 where it is left out."""
    sides = [each for each in (positive_BB, ~positive_BB & ~ignore_BB) if bool(each.any())]
    return torch.stack([each.to(dtype) / (each.sum() * len(sides)) for each in sides]).sum(0)


def _weighted(logit: Tensor, positive: Tensor, weights: Tensor) -> Tensor:
    losses = F.binary_cross_entropy_with_logits(logit, positive.to(logit.dtype), reduction="none")
    return (losses * weights).sum()


def nce_loss(
    score_BB: Tensor, positive_BB: Tensor, ignore_BB: Tensor, swapped_B: Tensor | None = None
) -> Tensor:
    """Return InfoNCE: the mean cross-entropy of a film's report among the batch's, and the other way.

    Args:
        score_BB: scaled cosines, films by reports.
        positive_BB: True once a row and once a column, where the report belongs to the film.
        ignore_BB: as in `match_loss`; a true pair always counts.
        swapped_B: scores of films with their own report, its sides swapped: one more wrong report for each
            film to choose from; -inf where there is none.
    """
    among_BB = score_BB.masked_fill(ignore_BB & ~positive_BB, -math.inf)
    of_film = among_BB if swapped_B is None else torch.cat([among_BB, swapped_B.unsqueeze(1)], 1)
    own = score_BB[positive_BB].mean()
    return (among_BB.logsumexp(0).mean() + of_film.logsumexp(1).mean()) / 2 - own


def class_weights(y_NL: Tensor) -> Tensor:
    """Return what an absent and a present label weigh so that both kinds weigh alike in all, (2, L).

    Over the known labels the weights of a label are 1 in the mean; a label of one kind alone has 1.
    """
    counts_2L = torch.stack([(y_NL == value).sum(0) for value in (0, 1)])
    balanced_2L = counts_2L.sum(0) / (2 * counts_2L.clamp(min=1))
    return torch.where((counts_2L > 0).all(0), balanced_2L, 1.0)


def masked_bce(logits_BL: Tensor, y_BL: Tensor, weights_2L: Tensor | None = None) -> Tensor:
    """Return the mean cross-entropy over the known labels; y is 0, 1 or nan for unknown.

    Args:
        weights_2L: what an absent and a present label weigh (`class_weights`); None weighs all alike.
    """
    known_BL = ~y_BL.isnan()
    losses_BL = F.binary_cross_entropy_with_logits(logits_BL, y_BL.nan_to_num(), reduction="none")
    if weights_2L is not None:
        losses_BL = losses_BL * torch.where(y_BL == 1, weights_2L[1], weights_2L[0])
    return (losses_BL * known_BL).sum() / known_BL.sum().clamp(min=1)
