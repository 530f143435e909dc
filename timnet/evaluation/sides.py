"""Does a network tell left from right: a film's own report against the same with its sides swapped.

Asked are the films whose report puts something on one side alone (`reports.edits.misplaced`): its swapped
twin is wrong. Half would be chance if wording alone were never preferred; it is, so the same choice is put to
other patients' films, and what counts is by how much a film prefers its own report oftener than they do.

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
OTHERS = "the same by other patients' films"
GAIN = "own report less other patients' films"
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
    """Return how often a report scores above its swapped twin by its own film and by others; a tie is half.

    Returns:
        Rows LABEL, OTHERS and GAIN, the difference: label, metric, value with its 95 % interval low, high (a
        bootstrap over patients), n; LABEL alone for one patient, no row where nothing can be asked.
    """
    if not len(patients):
        return pd.DataFrame(columns=["label", "metric", "value", "low", "high", "n"])
    own_NN, swapped_NN = (timnet.match_all(v_image_ND, each).float() for each in (v_own_ND, v_swapped_ND))
    won_NN = ((own_NN > swapped_NN).double() + (own_NN == swapped_NN).double() / 2).cpu().numpy()
    whose_N = np.asarray(patients)
    other_NN = whose_N[:, None] != whose_N[None, :]
    columns = {LABEL: won_NN.diagonal()}
    if other_NN.any(0).all():
        columns[OTHERS] = (won_NN * other_NN).sum(0) / other_NN.sum(0)
        columns[GAIN] = columns[LABEL] - columns[OTHERS]
    weights_DN = np.concatenate(list(metrics.resamples(list(patients), seed, DRAWS)))
    rows = []
    for label, won_N in columns.items():
        low, high = np.percentile(weights_DN @ won_N / weights_DN.sum(1), [2.5, 97.5])
        row = {
            "label": label,
            "metric": METRIC,
            "value": won_N.mean(),
            "low": low,
            "high": high,
            "n": len(won_N),
        }
        rows.append(row)
    return pd.DataFrame(rows)
