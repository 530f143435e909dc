"""Hard negatives: for each training pair, the report of another that the network takes for its own.

Looked for at an epoch's start, by the network as the epoch before left it, among some reports of the film's
own source drawn anew; what may be a true pair after all is never among them. Owns the choice and how an epoch
is arranged by it; it is part of a run's snapshots, so that an epoch that goes on has the same partners.

Shapes: N all pairs, P pairs trained on, K reports looked at for a film, D joint width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from timnet.cohorts.pairs import Codes, Pairs
from timnet.model.timnet import TIMNet

LOOKED_AT = 128
"""Reports looked at for a film: of so many the hardest, so that one odd report is not everyone's."""
HARD = 0.5
"""Share of a film's mismatched reports that are mined where each has one."""
NONE = -1
_BLOCK = 64

LeftOut = Callable[[Codes, Codes], NDArray[np.bool_]]


class Partners(nn.Module):
    """Pair -> the pair whose report is hardest for its film; NONE where there is none yet."""

    def __init__(self, pairs: int) -> None:
        super().__init__()
        self.register_buffer("of", torch.full((pairs,), NONE, dtype=torch.int64))

    def put(self, partners: Tensor) -> None:
        """Take the partners of an epoch."""
        self.get_buffer("of").copy_(partners)

    def numbers(self) -> list[int]:
        """Return the partner of each pair."""
        return self.get_buffer("of").tolist()


@torch.inference_mode()
def mine(
    timnet: TIMNet,
    v_image_PD: Tensor,
    v_text_PD: Tensor,
    pairs: Pairs,
    chosen: Sequence[int],
    left_out: LeftOut,
    rng: np.random.Generator,
) -> Tensor:
    """Return the partner (N,) of each of the `chosen` pairs, whose vectors stand in their order.

    `left_out` says which film with which report, by their pairs, is no mismatch; it broadcasts.
    """
    found = torch.full((len(pairs.row),), NONE, dtype=torch.int64)
    index = np.asarray(chosen, np.int64)
    for source in np.unique(pairs.source[index]):
        places = np.flatnonzero(pairs.source[index] == source)
        for start in range(0, len(places), _BLOCK):
            films = places[start : start + _BLOCK]
            looked_at = places[rng.integers(len(places), size=(len(films), LOOKED_AT))]
            logits = timnet.match(v_image_PD[films].unsqueeze(1), v_text_PD[looked_at])
            no_mismatch = torch.from_numpy(left_out(index[films][:, None], index[looked_at]))
            logits = logits.float().cpu().masked_fill(no_mismatch, -torch.inf)
            score, best = logits.max(1)
            partner = torch.from_numpy(index[looked_at]).gather(1, best.unsqueeze(1)).squeeze(1)
            found[torch.from_numpy(index[films])] = partner.masked_fill(score == -torch.inf, NONE)
    return found


def together(order: Sequence[int], partners: Sequence[int]) -> list[int]:
    """Return an epoch's order with each pair's partner behind it, where that has not had its turn."""
    left, arranged = Counter(order), []
    for pair in order:
        for each in (pair, partners[pair]):
            if left[each] > 0:
                left[each] -= 1
                arranged.append(each)
            elif each == pair:
                # It came as another's partner.
                break
    return arranged


def hardened(
    drawn: Sequence[tuple[int, int]], partners: Sequence[int], rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Return mismatched (film, report) pairs, about HARD of them with the film's partner."""
    hard = rng.random(len(drawn)) < HARD
    return [
        (film, partners[film] if swap and partners[film] != NONE else report)
        for (film, report), swap in zip(drawn, hard, strict=True)
    ]
