"""A checkpoint's matching on the held-out pairs of any cohorts, as after its own pre-training.

Owns the way from a checkpoint folder and cohort names to Table I. What was held out there need not have been
held out when the checkpoint was trained: its card says which pairs it has seen.

Shapes: P pairs, D joint width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from timnet.cohorts.pairs import Progress, collect
from timnet.evaluation import matching
from timnet.model import weights

_BATCH = 32


@torch.inference_mode()
def measure(
    checkpoint: Path,
    cohorts: Sequence[str],
    held_out: Sequence[str] = ("val", "test"),
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return the matching metrics (`matching.evaluate`) of a TIMNet checkpoint.

    Mismatched reports come from the film's own cohort.

    Raises:
        CheckpointError: no TIMNet there. CohortError: no such cohort, or too few pairs.
    """
    timnet, spec, encoder = weights.load_timnet(checkpoint)
    pairs = collect(cohorts, held_out, spec.side)
    chosen = np.flatnonzero(pairs.held_out).tolist()
    texts = [pairs.texts[number] for number in pairs.text[chosen]]
    literal = spec.padding == "literal"
    v_image, v_text = [], []
    for start in range(0, len(chosen), _BATCH):
        part = slice(start, start + _BATCH)
        films = torch.from_numpy(pairs.films(chosen[part])).unsqueeze(1).float() / 255
        v_image.append(timnet.image(films)[1])
        states = encoder.states(texts[part], spec.tokens, literal)
        v_text.append(timnet.text.project(*states.batch(range(len(texts[part])))))
        if progress is not None:
            progress(min(start + _BATCH, len(chosen)), len(chosen))
    return matching.evaluate(timnet, torch.cat(v_image), torch.cat(v_text), pairs, chosen, seed)
