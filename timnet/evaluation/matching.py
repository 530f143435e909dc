"""Table I: how well true film-report pairs are told from mismatched ones.

With one mismatched report a film, as in the paper's table, and with up to twenty, which is steadier on few
films. Intervals come from a bootstrap over the films' patients.

Shapes: N pairs, D joint width.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from timnet.cohorts.pairs import Pairs
from timnet.evaluation import metrics
from timnet.evaluation.calibration import probability
from timnet.model.timnet import TIMNet

NEGATIVES = 20
ONE, MANY = "1 mismatched report a film", f"up to {NEGATIVES} mismatched reports a film"
OTHER = f"up to {NEGATIVES} reports with other labels a film"


@torch.inference_mode()
def evaluate(
    timnet: TIMNet,
    v_image_ND: Tensor,
    v_text_ND: Tensor,
    pairs: Pairs,
    chosen: list[int],
    seed: int,
    line: probability.Line = probability.PLAIN,
) -> pd.DataFrame:
    """Return the metrics table of `chosen` pairs, whose vectors stand in the same order.

    Probabilities are those of `line`, the match's calibration.

    Rows are labelled ONE, MANY and, for the pairs whose labels are all known, OTHER.
    """
    place = {pair: i for i, pair in enumerate(chosen)}
    tables = []
    kinds = [(ONE, 1, False), (MANY, NEGATIVES, False), (OTHER, NEGATIVES, True)]
    if len(np.unique(pairs.labels[chosen][pairs.labels[chosen] >= 0])) < 2:
        kinds.pop()
    for label, number, other in kinds:
        rng = np.random.default_rng(seed)
        asked = [pair for pair in chosen if pairs.labels[pair] >= 0] if other else chosen
        drawn = {(pair, pair) for pair in asked}
        for _ in range(number):
            drawn.update(pairs.mismatched(asked, rng, other))
        film, report = (list(side) for side in zip(*sorted(drawn), strict=True))
        logits = timnet.match(v_image_ND[[place[i] for i in film]], v_text_ND[[place[i] for i in report]])
        tables.append(
            metrics.evaluate(
                (np.array(film) == np.array(report)).astype(float)[:, None],
                probability.probabilities([line] * len(logits), logits.double().cpu().numpy())[:, None],
                pairs.patient[film].astype(str).tolist(),
                [label],
                seed,
            )
        )
    return pd.concat(tables, ignore_index=True)
