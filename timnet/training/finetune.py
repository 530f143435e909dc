"""Fine-tuning: a cohort's films and a share of its labels -> a classifier and its test metrics.

Paper Sec. III-B, III-C and IV-B: Adam 1e-4, cross-entropy, 100 epochs, batch 16. No film of the validation or
test split is seen before the end, there is no early stopping, and the last epoch's weights are kept, with
what they say of both and, where there are validation films, what its numbers mean. A run that was stopped
goes on from its last good snapshot. With `last-layers` the trunk's first stages stay as they are; a `probe`
is `training.probe`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from timnet import config
from timnet.model import initialisation, weights
from timnet.training import augment, batches, devices, loop, objectives, pace, probe, snapshots
from timnet.training.events import MEMORY, Events
from timnet.training.material import finish, gather

FROZEN = ("conv1", "bn1", "layer1", "layer2", "layer3")
"""Layers of the trunk that stay as they are where the last ones alone are trained."""


class LabelObjective(nn.Module):
    """Batch -> masked cross-entropy of a classifier, some of whose layers may stay as they are."""

    def __init__(self, classifier: nn.Module, frozen: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.classifier = classifier
        self._frozen = tuple(frozen)
        for part in self._frozen:
            part.requires_grad_(False)

    def forward(self, batch: loop.Batch) -> Tensor:
        """Return the loss of `films` (B, 1, S, S) against `y` (B, L)."""
        for part in self._frozen:
            # The loop calls for training as a whole; batch norm of a frozen layer keeps what it knows.
            part.eval()
        return objectives.masked_bce(self.classifier(batch["films"]), batch["y"])


def train(settings: config.Finetune, folder: Path, events: Events) -> dict[str, Any]:
    """Fine-tune, write the checkpoint into the folder and return what was measured.

    Raises:
        ValueError: the cohort, task, split or initialisation cannot be used; the message says why.
    """
    if settings.mode == "probe":
        return probe.train(settings, folder, events)
    material = gather(settings)
    cohort, targets, drawn = material.cohort, material.targets, material.drawn

    on = devices.device()
    found = snapshots.newest(folder)
    # Timed anew, a busy device could give another answer than the one the run was trained with.
    precision = found.origin.precision if found else devices.precision(settings.precision, on)
    source = weights.checkpoint_folder(settings.initialisation)
    start = weights.describe(source) if source else None
    backbone = start.backbone if start else settings.backbone
    spec = weights.ClassifierSpec(
        backbone=backbone,
        side=settings.side,
        width=settings.width,
        normalisation=start.normalisation if start else settings.normalisation,
        task=settings.task,
        labels=targets.labels,
    )
    classifier = weights.build_classifier(spec, settings.seed)
    matched = initialisation.initialise(classifier.trunk, settings.initialisation, backbone)
    batches.channels_last(classifier, on)
    events.append("phase", phase="reading films", device=devices.describe(on), precision=precision)
    pixels = cohort.pixels(settings.side, progress=events.phase("reading films"))

    y_NL = torch.from_numpy(targets.y_NL)

    def epoch_batches(epoch: int, done: int) -> Iterator[loop.Batch]:
        chance = batches.generator(settings.seed, epoch)
        orders = batches.orders(drawn.tolist(), settings.batch, settings.seed, epoch, settings.drop_last)
        for i, rows in enumerate(orders):
            changes = augment.draw(len(rows), chance) if settings.augment else None
            if i >= done:
                films = batches.films(pixels, rows, on)
                films = films if changes is None else augment.apply(films, changes)
                yield {"films": films, "y": y_NL[rows].to(on), "rows": rows}

    events.append("phase", phase="training", films=len(drawn))
    accelerator = loop.accelerator(precision)
    trained_on = snapshots.fingerprint(pixels, drawn, targets.y_NL[drawn])
    frozen = FROZEN if settings.mode == "last-layers" else ()
    objective = LabelObjective(classifier, [getattr(classifier.trunk, name) for name in frozen])
    trained = [parameter for parameter in classifier.parameters() if parameter.requires_grad]
    loop.fit(
        objective,
        epoch_batches,
        torch.optim.Adam(trained, lr=settings.learning_rate, fused=True),
        accelerator,
        events,
        epochs=pace.epochs_of(settings, len(drawn)),
        steps=batches.steps(len(drawn), settings.batch, settings.drop_last),
        kept=snapshots.Snapshots(folder, snapshots.origin(settings, trained_on, precision), found),
    )

    classifier.eval()

    def said(rows: np.ndarray, phase: str) -> np.ndarray:
        if not len(rows):
            return np.empty((0, len(targets.labels)))
        tell = events.phase(phase)
        tell(0, len(rows))
        return batches.forward(classifier, pixels, rows.tolist(), on, precision == "bf16", tell).numpy()

    result = finish(material, settings, folder, classifier, spec, said, matched, on, precision)
    events.append(MEMORY, **devices.memory(on))
    return result
