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
from torch import Tensor

from timnet import checkpoints, config
from timnet.checkpoints import TimnetSpec
from timnet.cohorts.pairs import Pairs, Progress, collect
from timnet.evaluation import matching
from timnet.evaluation.calibration import record
from timnet.model import devices, token_cache, weights
from timnet.model.encoders import TextEncoder, TokenStates
from timnet.model.timnet import TIMNet
from timnet.reports import edits

_BATCH = 32
Loaded = tuple[TIMNet, TimnetSpec, TextEncoder]


def measure(
    checkpoint: Path,
    cohorts: Sequence[str],
    held_out: Sequence[str] = ("val", "test"),
    seed: int = 0,
    progress: Progress | None = None,
    views: config.Views = "frontal",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a TIMNet's matching metrics (`matching.evaluate`), and those by sex, age and view.

    The first table also says whether it tells sides.

    Mismatched reports come from the film's own cohort. Probabilities are calibrated where the checkpoint
    is. The last rows of the first are those of `matching.laterality`, where a report puts something on one
    side alone.

    Raises:
        CheckpointError: no TIMNet there. CohortError: no such cohort, or too few pairs.
    """
    pairs = collect(cohorts, held_out, checkpoints.describe(checkpoint).side, measuring=True, views=views)
    chosen = np.flatnonzero(pairs.held_out).tolist()
    loaded = weights.load_timnet(checkpoint)
    timnet, v_image_PD, v_text_PD = vectors(loaded, pairs, chosen, progress)
    line = record.of(checkpoint).line(record.MATCH)
    matched = matching.evaluate(timnet, v_image_PD, v_text_PD, pairs, chosen, seed, line)
    twins = [edits.misplaced(pairs.texts[number]) for number in pairs.text[chosen]]
    sided = [place for place, twin in enumerate(twins) if twin is not None]
    grouped = matching.by_group(timnet, v_image_PD, v_text_PD, pairs, chosen, seed, line)
    if not sided:
        return matched, grouped
    v_twin = _texts(loaded, [str(twins[place]) for place in sided], progress)
    patients = [str(pairs.patient[chosen[place]]) for place in sided]
    result = matching.laterality(timnet, v_image_PD[sided], v_text_PD[sided], v_twin, patients, seed)
    return pd.concat([matched, result], ignore_index=True), grouped


@torch.inference_mode()
def vectors(
    loaded: Loaded, pairs: Pairs, chosen: Sequence[int], progress: Progress | None = None
) -> tuple[TIMNet, Tensor, Tensor]:
    """Return a TIMNet (`weights.load_timnet`) with the film and report vectors (P, D) of the chosen pairs."""
    timnet, on = loaded[0], devices.device()
    v_text_PD = _texts(loaded, [pairs.texts[number] for number in pairs.text[list(chosen)]], progress)
    v_image = []
    timnet.image.to(on)
    for start in range(0, len(chosen), _BATCH):
        part = chosen[start : start + _BATCH]
        films = torch.from_numpy(pairs.films(part)).to(on).unsqueeze(1).float() / 255
        v_image.append(timnet.image(films)[1].cpu())
        if progress is not None:
            progress(start + len(part), len(chosen))
    timnet.image.cpu()
    return timnet, torch.cat(v_image), v_text_PD


@torch.inference_mode()
def _texts(loaded: Loaded, items: list[str], progress: Progress | None) -> Tensor:
    """Return the report vectors (N, D) of texts."""
    timnet, spec, encoder = loaded
    encoded = _states(encoder, spec, items, progress)
    parts = [range(start, min(start + _BATCH, len(items))) for start in range(0, len(items), _BATCH)]
    return torch.cat([timnet.text.project(*encoded.batch(part)) for part in parts])


def _states(
    encoder: TextEncoder, spec: TimnetSpec, texts: list[str], progress: Progress | None
) -> TokenStates:
    literal = spec.padding == "literal"
    if spec.text_encoder_sha256 is None:
        # A checkpoint's own encoder is asked this once: nothing is kept of it.
        return encoder.states(texts, spec.tokens, literal, progress)
    return token_cache.cached(token_cache.Kind(encoder, spec.tokens, literal), texts, progress)
