"""Retrieval among held-out pairs: is a film's report among the first found for it, and the other way round?

Looked for within a source alone, whose style tells nothing then, among all its distinct findings or all its
films; right is what has the same wording. Ties count against the network. Beside each share stands what an
order drawn at random would reach.

Shapes: N films, M distinct findings, D joint width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from timnet.cohorts.pairs import Pairs
from timnet.evaluation import metrics
from timnet.model.timnet import TIMNet

AT = (1, 5, 10)
POOL = 1000
"""Most films of a source among which is looked; of more, so many are drawn."""
REPORT, FILM = "report for a film", "film for a report"
DRAWS = 1000


@torch.inference_mode()
def evaluate(
    timnet: TIMNet, v_image_ND: Tensor, v_text_ND: Tensor, pairs: Pairs, chosen: list[int], seed: int
) -> pd.DataFrame:
    """Return recall at 1, 5 and 10 both ways over `chosen` pairs, whose vectors stand in the same order.

    Returns:
        label (REPORT or FILM), metric (R@1 ...), value with its 95 % interval low and high (a bootstrap over
        patients), chance, n asked for, candidates (the mean number of those looked through).
    """
    parts = []
    for source in np.unique(pairs.source[chosen]):
        places = np.flatnonzero(pairs.source[chosen] == source)
        if len(places) > POOL:
            places = np.sort(np.random.default_rng(seed).choice(places, POOL, replace=False))
        parts.append(_ranks(timnet, v_image_ND, v_text_ND, pairs, np.asarray(chosen), places))
    asked = pd.concat(parts, ignore_index=True)
    rows: list[dict[str, Any]] = []
    for label, part in asked.groupby("label", sort=False):
        weights_DN = np.concatenate(
            list(metrics.resamples(part["patient"].astype(str).tolist(), seed, DRAWS))
        )
        for k in AT:
            hit_N = (part["rank"] < k).to_numpy(float)
            low, high = np.percentile(weights_DN @ hit_N / weights_DN.sum(1), [2.5, 97.5])
            rows.append(
                {
                    "label": label,
                    "metric": f"R@{k}",
                    "value": hit_N.mean(),
                    "low": low,
                    "high": high,
                    "chance": chance(part["candidates"].to_numpy(), part["right"].to_numpy(), k).mean(),
                    "n": len(part),
                    "candidates": part["candidates"].mean(),
                }
            )
    return pd.DataFrame(rows)


def chance(candidates_N: NDArray[np.int64], right_N: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return how likely a random order of candidates has one of the right ones among its first k."""
    missed = np.ones(len(candidates_N))
    for drawn in range(k):
        left = candidates_N - drawn
        missed *= np.clip(left - right_N, 0, None) / np.clip(left, 1, None)
    return 1 - missed


def _ranks(
    timnet: TIMNet,
    v_image_ND: Tensor,
    v_text_ND: Tensor,
    pairs: Pairs,
    chosen: NDArray[np.int64],
    places: NDArray[np.int64],
) -> pd.DataFrame:
    """Return how many wrong candidates stand before the first right one, for each film and each wording."""
    text, patient = pairs.text[chosen[places]], pairs.patient[chosen[places]]
    _, first, wording = np.unique(text, return_index=True, return_inverse=True)
    score_NM = timnet.match_all(v_image_ND[places], v_text_ND[places[first]]).float().cpu().numpy()
    right_NM = wording[:, None] == np.arange(len(first))[None, :]
    tables = []
    for label, score, right, whose in (
        (REPORT, score_NM, right_NM, patient),
        (FILM, score_NM.T, right_NM.T, patient[first]),
    ):
        best = np.where(right, score, -np.inf).max(1, keepdims=True)
        tables.append(
            pd.DataFrame(
                {
                    "label": label,
                    "rank": ((score >= best) & ~right).sum(1),
                    "right": right.sum(1),
                    "candidates": right.shape[1],
                    "patient": whose,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)
