"""Does a network tell left from right: a film's own report against the same with its sides swapped.

Asked are the films whose report puts something on one side alone (`cohorts.edits.misplaced`): its swapped
twin is wrong. Half of them is chance, whatever else the network knows.

Shapes: N films, D joint width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from timnet.evaluation import metrics
from timnet.model.timnet import TIMNet

LABEL, METRIC = "own report, not the same with sides swapped", "chosen"
DRAWS = 1000


@torch.inference_mode()
def evaluate(
    timnet: TIMNet,
    v_image_ND: Tensor,
    v_own_ND: Tensor,
    v_swapped_ND: Tensor,
    patients: Sequence[str],
    seed: int,
) -> pd.DataFrame:
    """Return how often the own report scores above its swapped twin; a tie counts half.

    Returns:
        One row: label, metric, value with its 95 % interval low and high (a bootstrap over patients), n; no
        row where nothing can be asked.
    """
    if not len(patients):
        return pd.DataFrame(columns=["label", "metric", "value", "low", "high", "n"])
    own, swapped = (timnet.match(v_image_ND, each).float() for each in (v_own_ND, v_swapped_ND))
    won_N = ((own > swapped).double() + (own == swapped).double() / 2).cpu().numpy()
    weights_DN = np.concatenate(list(metrics.resamples(list(patients), seed, DRAWS)))
    low, high = np.percentile(weights_DN @ won_N / weights_DN.sum(1), [2.5, 97.5])
    row = {"label": LABEL, "metric": METRIC, "value": won_N.mean(), "low": low, "high": high, "n": len(won_N)}
    return pd.DataFrame([row])
