"""Fine-tuning: a cohort's films and a share of its labels -> a classifier and its test metrics.

Paper Sec. III-B, III-C and IV-B: Adam 1e-4, cross-entropy, 100 epochs, batch 16. No film of the test split is
seen before the end; those of `val` are looked at and teach nothing. The last epoch's weights are kept or,
where early stopping was asked for, those of the best look; with what they say of both splits and, where there
are validation films, what its numbers mean. A run that was stopped
goes on from its last good snapshot. With `last-layers` the trunk's first stages stay as they are; a `probe`
is `training.recipes.probe`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from timnet import config
from timnet.cohorts import stored_vectors
from timnet.model import devices, initialisation, weights
from timnet.training import augment, batches, estimates, evaluation_hooks, loop, objectives, snapshots
from timnet.training.events import MEMORY, Events
from timnet.training.finetune_data import described, finish, gather
from timnet.training.recipes import probe
from timnet.training.runs import BEST


class LabelObjective(nn.Module):
    """Batch -> masked cross-entropy of a classifier, some of whose layers may stay as they are."""

    def __init__(
        self, classifier: nn.Module, frozen: Sequence[nn.Module] = (), weights_2L: Tensor | None = None
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self._weights_2L = weights_2L
        self._frozen = tuple(frozen)
        for part in self._frozen:
            part.requires_grad_(False)

    def forward(self, batch: loop.Batch) -> Tensor:
        """Return the loss of `films` (B, 1, S, S) against `y` (B, L)."""
        for part in self._frozen:
            # The loop calls for training as a whole; batch norm of a frozen layer keeps what it knows.
            part.eval()
        return objectives.masked_bce(self.classifier(batch["films"]), batch["y"], self._weights_2L)


def train(settings: config.Finetune, folder: Path, events: Events) -> dict[str, Any]:
    """Fine-tune, write the checkpoint into the folder and return what was measured.

    Raises:
        ValueError: the cohort, task, split or initialisation cannot be used; the message says why.
    """
    if settings.mode == "probe" or stored_vectors.is_stored(settings.initialisation):
        return probe.train(settings, folder, events)
    material = gather(settings)
    cohort, targets = material.cohort, material.targets
    parts = evaluation_hooks.parts(material, settings)
    train_rows = parts.train_rows

    on = devices.device()
    found = snapshots.newest(folder)
    # Timed anew, a busy device could give another answer than the one the run was trained with.
    precision = found.origin.precision if found else devices.precision(settings.precision, on)
    spec = described(settings, targets.labels)
    classifier = weights.build_classifier(spec, settings.seed)
    matched = initialisation.initialise(classifier.trunk, settings.initialisation, spec.backbone)
    batches.channels_last(classifier, on)
    events.append("phase", phase="reading films", device=devices.describe(on), precision=precision)
    pixels = cohort.pixels(settings.side, progress=events.phase("reading films"), checked=True)
    # What is seen again and again lies on the GPU; the test films are seen once.
    seen = np.concatenate([train_rows, parts.look_rows])
    learned = batches.resident(pixels, seen, on, events.phase("moving films to the device"))

    y_NL = torch.from_numpy(targets.y_NL)

    def epoch_batches(epoch: int, done: int) -> Iterator[loop.Batch]:
        chance = batches.generator(settings.seed, epoch)
        orders = batches.orders(train_rows.tolist(), settings.batch, settings.seed, epoch, settings.drop_last)
        for i, rows in enumerate(orders):
            changes = augment.draw(len(rows), chance) if settings.augment else None
            if i >= done:
                films = batches.films(learned, rows, on)
                films = films if changes is None else augment.apply(films, changes)
                yield {"films": films, "y": y_NL[rows].to(on), "rows": rows}

    def said(rows: np.ndarray, phase: str = "", source: batches.Pixels = pixels) -> np.ndarray:
        if not len(rows):
            return np.empty((0, len(targets.labels)))
        tell = events.phase(phase) if phase else None
        if tell:
            tell(0, len(rows))
        return batches.forward(classifier, source, rows.tolist(), on, precision == "bf16", tell).numpy()

    def looked() -> np.ndarray:
        classifier.eval()
        return said(parts.look_rows, source=learned).astype(float)

    events.append("phase", phase="training", films=len(train_rows))
    accelerator = loop.accelerator(precision)
    trained_on = snapshots.fingerprint(pixels, train_rows, targets.y_NL[train_rows])
    balanced = settings.class_weights == "balanced"
    weights_2L = objectives.class_weights(y_NL[train_rows]).to(on) if balanced else None
    frozen = classifier.trunk.early() if settings.mode == "last-layers" else []
    objective = LabelObjective(classifier, frozen, weights_2L)
    trained = [parameter for parameter in classifier.parameters() if parameter.requires_grad]
    epochs = estimates.epochs_of(settings, len(train_rows))
    steps = estimates.steps_an_epoch(len(train_rows), settings.batch, settings.drop_last)
    optimizer = torch.optim.Adam(trained, lr=settings.learning_rate, fused=True)
    watch = evaluation_hooks.Validation(
        settings, epochs, folder, events, targets.y_NL[parts.look_rows].astype(float), looked,
        lambda into: weights.save_checkpoint(into, classifier, spec),
    )  # fmt: skip
    loop.fit(
        objective,
        epoch_batches,
        optimizer,
        accelerator,
        events,
        epochs=epochs,
        steps=steps,
        scheduler=loop.cosine(optimizer, epochs * steps) if settings.schedule == "cosine" else None,
        kept=snapshots.Snapshots(folder, snapshots.origin(settings, trained_on, precision), found),
        watch=watch if settings.looks and len(parts.look_rows) else None,
    )

    stopped: dict[str, Any] = {}
    if settings.patience:
        classifier.load_state_dict(weights.tensors(folder / BEST))
        stopped = {
            "early_stopping": {
                **evaluation_hooks.chosen_best(folder),
                "held_back": len(material.drawn) - len(train_rows),
            }
        }
    classifier.eval()
    result = finish(material, settings, folder, classifier, spec, said, matched, on, precision)
    events.append(MEMORY, **devices.memory(on))
    return {**result, **stopped}
