"""A cohort's films and reports as vectors of a TIMNet, written where `cohorts.vectors` keeps them.

Owns the order of the work: films through the image branch at the checkpoint's side, then findings through the
text branch, on a GPU where there is one. Goes on where an earlier build stopped.
"""

from __future__ import annotations

from pathlib import Path

import torch

from timnet.cohorts import vectors
from timnet.cohorts.records import CohortError, Progress
from timnet.cohorts.store import Cohort
from timnet.model import devices, weights
from timnet.model.branches import JOINT

_BATCH = 32


@torch.inference_mode()
def build(cohort: Cohort, checkpoint: Path, progress: Progress | None = None) -> None:
    """Work out what is missing of a cohort's vectors under a checkpoint.

    Raises:
        CheckpointError: no TIMNet there.
        CohortError: a film is gone, no report has findings, or another process is at it.
    """
    timnet, spec, encoder = weights.load_timnet(checkpoint)
    texts = vectors.reports(cohort)["findings"].tolist()
    if not texts:
        raise CohortError(f"{cohort.name}: expected reports with findings, found none")
    films, device = len(cohort), devices.device()
    timnet.to(device)
    encoder.bert.to(device)
    literal = spec.padding == "literal"
    folder = vectors.place(cohort, checkpoint)
    with vectors.building(folder, films, len(texts), JOINT) as build:
        pixels_NSS = cohort.pixels(spec.side, checked=True) if build.done < films else None
        while build.done < films + len(texts):
            at = build.done - films
            if pixels_NSS is not None and at < 0:
                part = torch.from_numpy(pixels_NSS[build.done : build.done + _BATCH].copy())
                v_BD = timnet.image(part.to(device).unsqueeze(1).float() / 255)[1]
            else:
                states = encoder.states(texts[at : at + _BATCH], spec.tokens, literal)
                states_BTH, mask_BT = states.batch(range(len(states.states)))
                v_BD = timnet.text.project(states_BTH.to(device), mask_BT.to(device))
            build.append(v_BD.float().cpu().numpy())
            if progress is not None:
                progress(build.done, films + len(texts))
    vectors.remove_older(folder)
