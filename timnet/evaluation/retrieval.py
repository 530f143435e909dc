"""Search by TIMNet's own head: which of many films match a text best, or which reports a film.

Owns the order of the answers. h_cls(|h_t - h_i|) is no distance, so no index of distances knows it, and every
pair costs two layers. Where there are many vectors, a line is fitted, for this one question, from |h_t - h_i|
to the head's logits of a sample; it orders all of them, and the head itself judges the best of those anew.
benchmarks/retrieval_speed.py measures what that misses. A cosine is as cheap as the line: it judges all.

Shapes: N vectors searched, D joint width, K results.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from timnet.model.timnet import COSINE, TIMNet

SAMPLED = 4096
"""Vectors that the line is fitted to."""
KEPT = 8192
"""Vectors that the head judges; of fewer than these it judges all."""
_BLOCK = 1024  # a block stays in a core's cache


@torch.inference_mode()
def nearest(
    timnet: TIMNet, query_D: Tensor, vectors_ND: NDArray[np.float16], number: int, kept: int = KEPT
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows (K,) that match best, the best first, and their logits (K,).

    Args:
        timnet: whose head judges.
        query_D: of a report to search films, of a film to search reports: the head takes either.
        vectors_ND: what is searched.
        number: K, or fewer where there are fewer.
        kept: how many the head judges, unless it is a cosine.
    """
    rows = torch.arange(len(vectors_ND))
    if len(vectors_ND) > kept and timnet.head != COSINE:
        line_D = _fitted(timnet, query_D, vectors_ND)
        scores = [_differences(query_D, vectors_ND[at : at + _BLOCK]) @ line_D for at in _starts(len(rows))]
        rows = torch.cat(scores).topk(kept).indices.sort().values
    logits = [_logits(timnet, query_D, vectors_ND[part.numpy()]) for part in rows.split(_BLOCK)]
    logits_K, order = torch.cat(logits).sort(descending=True, stable=True)
    return rows[order[:number]].numpy(), logits_K[:number].double().numpy()


def _starts(number: int) -> range:
    return range(0, number, _BLOCK)


def _differences(query_D: Tensor, vectors_BD: NDArray[np.float16]) -> Tensor:
    return (torch.from_numpy(np.ascontiguousarray(vectors_BD)).float() - query_D).abs_()


def _logits(timnet: TIMNet, query_D: Tensor, vectors_BD: NDArray[np.float16]) -> Tensor:
    return timnet.match(torch.from_numpy(np.ascontiguousarray(vectors_BD)).float(), query_D)


def _fitted(timnet: TIMNet, query_D: Tensor, vectors_ND: NDArray[np.float16]) -> Tensor:
    """Return the line (D,) that best follows the logits of an even sample, ridge-regularised."""
    sample = np.unique(np.linspace(0, len(vectors_ND) - 1, SAMPLED).astype(np.int64))
    vectors = vectors_ND[sample]
    x, y = _differences(query_D, vectors), _logits(timnet, query_D, vectors)
    x, y = x - x.mean(0), y - y.mean()
    square = (x.T @ x).double()
    # A tenth of a per cent of the mean variance keeps directions that no film uses from exploding.
    ridge = 1e-3 * square.diagonal().mean().clamp(min=1e-12)
    return torch.linalg.solve(
        square + ridge * torch.eye(len(square), dtype=torch.float64), (x.T @ y).double()
    ).float()
