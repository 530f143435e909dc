"""The recipe of a probe: a cohort's features under a frozen trunk and a share of its labels -> a classifier.

The trunk stays as it started, so its features are read once for all runs (`training.features`), and what is
left is one logistic line (`evaluation.probe`). The checkpoint is a classifier like any other. There is no
snapshot: what takes time is kept beside the cohort, and the fit starts anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from timnet import config
from timnet.checkpoints import LINEAR, ClassifierSpec
from timnet.cohorts.features import start_of
from timnet.evaluation import probe
from timnet.model import devices
from timnet.model.classifier import Probe
from timnet.training import batches, features
from timnet.training.events import Events
from timnet.training.finetune_data import finish, gather

PRECISION = "fp32"
"""That of features, whatever the settings say: they serve runs and pages alike."""


def train(settings: config.Finetune, folder: Path, events: Events) -> dict[str, Any]:
    """Fit a probe, write the checkpoint into the folder and return what was measured.

    Raises:
        ValueError: the cohort, task, split or initialisation cannot be used; the message says why.
    """
    material = gather(settings)
    targets, drawn = material.targets, material.drawn
    on = devices.device()
    trunk, matched = features.trunk(settings)
    events.append("phase", phase="reading films", device=devices.describe(on), precision=PRECISION)
    tell = events.phase("reading films")
    features_NC = features.build(material.cohort, settings, tell, events.check)
    events.append("phase", phase="fitting", films=len(drawn))
    line = probe.fit(features_NC[drawn], targets.y_NL[drawn])
    network = Probe(trunk, len(targets.labels)).eval()
    with torch.no_grad():
        network.out.weight.copy_(torch.from_numpy(line.weights_LC))
        network.out.bias.copy_(torch.from_numpy(line.bias_L))
    batches.channels_last(network, on)
    start = start_of(settings)
    spec = ClassifierSpec(
        backbone=start.backbone,
        side=settings.side,
        width=settings.width,
        normalisation=start.normalisation,
        task=settings.task,
        labels=targets.labels,
        head=LINEAR,
    )

    def said(rows: np.ndarray, phase: str) -> np.ndarray:
        return line.logits(features_NC[rows])

    return finish(material, settings, folder, network, spec, said, matched, on, PRECISION)
