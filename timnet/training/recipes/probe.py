"""The recipe of a probe: a cohort's features under a frozen trunk and a share of its labels -> a classifier.

The trunk stays as it started, so its features are read once for all runs (`training.features`), and what is
left is one logistic line (`evaluation.probe`). The checkpoint is a classifier like any other. There is no
snapshot: what takes time is kept beside the cohort, and the fit starts anew.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from timnet import config
from timnet.checkpoints import LINEAR
from timnet.cohorts import stored_vectors
from timnet.cohorts.records import CohortError
from timnet.evaluation import probe
from timnet.model import devices
from timnet.model.classifier import Probe
from timnet.model.initialisation import Matched
from timnet.training import batches, features
from timnet.training.events import Events
from timnet.training.finetune_data import Material, described, finish, gather

PRECISION = "fp32"
"""That of features, whatever the settings say: they serve runs and pages alike."""


def train(settings: config.Finetune, folder: Path, events: Events) -> dict[str, Any]:
    """Fit a probe, write the checkpoint into the folder and return what was measured.

    Raises:
        ValueError: the cohort, task, split or initialisation cannot be used; the message says why.
    """
    material, on = gather(settings), devices.device()
    if stored_vectors.is_stored(settings.initialisation):
        return _on_vectors(material, settings, folder, events, on)
    targets, drawn = material.targets, material.drawn
    trunk, matched = features.trunk(settings)
    events.append("phase", phase="reading films", device=devices.describe(on), precision=PRECISION)
    tell = events.phase("reading films")
    features_NC = features.build(material.cohort, settings, tell, events.check)
    features.normalise(trunk, material.cohort, settings)
    events.append("phase", phase="fitting", films=len(drawn))
    line = probe.fit(features_NC[drawn], targets.y_NL[drawn])
    network = Probe(trunk, len(targets.labels)).eval()
    with torch.no_grad():
        network.out.weight.copy_(torch.from_numpy(line.weights_LC))
        network.out.bias.copy_(torch.from_numpy(line.bias_L))
    batches.channels_last(network, on)
    spec = described(settings, targets.labels, head=LINEAR)

    def said(rows: np.ndarray, phase: str) -> np.ndarray:
        return line.logits(features_NC[rows])

    return finish(material, settings, folder, network, spec, said, matched, on, PRECISION)


def _on_vectors(
    material: Material, settings: config.Finetune, folder: Path, events: Events, on: torch.device
) -> dict[str, Any]:
    """Fit a probe on the vectors of a file: X-rays without one neither teach nor test; no network is kept.

    Raises:
        CohortError: the file cannot be used, or too few X-rays of a split have a vector.
    """
    features_NC = features.build(material.cohort, settings)
    known_N = stored_vectors.known(features_NC)
    names = ("drawn", "train_rows", "val_rows", "test_rows")
    parts = {name: getattr(material, name) for name in names}
    kept = replace(material, **{name: rows[known_N[rows]] for name, rows in parts.items()})
    for name, least in (("drawn", 1), ("test_rows", 2)):
        if len(getattr(kept, name)) < least:
            which = "the labelled X-rays drawn" if name == "drawn" else "the labelled test X-rays"
            raise CohortError(
                f"{Path(settings.initialisation).name}: expected vectors of {least} or more of {which}, got "
                f"{len(getattr(kept, name))}"
            )
    events.append("phase", phase="fitting", films=len(kept.drawn))
    line = probe.fit(features_NC[kept.drawn], material.targets.y_NL[kept.drawn])
    result = finish(
        kept, settings, folder, None, None, lambda rows, phase: line.logits(features_NC[rows]),
        Matched((), (), ()), on, PRECISION,
    )  # fmt: skip
    untested = len(material.test_rows) - len(kept.test_rows)
    return {**result, "probe_on_vectors": True, "films_test_without_vector": untested}
