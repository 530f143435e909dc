"""Fine-tuning: a cohort's films and a share of its labels -> a classifier and its test metrics.

Paper Sec. III-B, III-C and IV-B: Adam 1e-4, cross-entropy, 100 epochs, batch 16. No film of the validation or
test split is seen before the end, there is no early stopping, and the last epoch's weights are kept, with
what they say of both. A run that was stopped goes on from its last good snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from timnet import config
from timnet.cohorts import splits, store, tasks
from timnet.evaluation import appraisal, cam, metrics, predictions
from timnet.model import initialisation, weights
from timnet.training import augment, batches, devices, loop, objectives, snapshots
from timnet.training.events import MEMORY, Events

TRAIN, VAL, TEST = "train", "val", "test"
MAPPED = 64
"""Films whose maps set the checkpoint's scale."""


class LabelObjective(nn.Module):
    """Batch -> masked cross-entropy of a classifier."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, batch: loop.Batch) -> Tensor:
        """Return the loss of `films` (B, 1, S, S) against `y` (B, L)."""
        return objectives.masked_bce(self.classifier(batch["films"]), batch["y"])


def train(settings: config.Finetune, folder: Path, events: Events) -> dict[str, Any]:
    """Fine-tune, write the checkpoint into the folder and return what was measured.

    Raises:
        ValueError: the cohort, task, split or initialisation cannot be used; the message says why.
    """
    cohort = store.Cohort.open(store.find(settings.cohort))
    table = cohort.films()
    targets = tasks.targets(cohort, settings.task, settings.uncertain)
    # A policy is for training: whatever it is, the test is on the labels that are known.
    train_N1 = (table["split"] == TRAIN).to_numpy()[:, None]
    known_NL = tasks.targets(cohort, settings.task).y_NL
    targets = replace(targets, y_NL=np.where(train_N1, targets.y_NL, known_NL))
    train_rows, val_rows, test_rows = _rows(table, targets.y_NL, cohort.name)
    drawn = train_rows[splits.draw(targets.y_NL[train_rows], settings.fraction, settings.seed)]
    if settings.shuffled_labels:
        targets.y_NL[drawn] = targets.y_NL[np.random.default_rng((1, settings.seed)).permutation(drawn)]

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
    loop.fit(
        LabelObjective(classifier),
        epoch_batches,
        torch.optim.Adam(classifier.parameters(), lr=settings.learning_rate, fused=True),
        accelerator,
        events,
        epochs=settings.epochs,
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

    heldout = np.concatenate([test_rows, val_rows])
    kept = predictions.Predictions(
        cohort=cohort.fingerprint,
        labels=targets.labels,
        film_N=heldout,
        validation_N=np.arange(len(heldout)) >= len(test_rows),
        truth_NL=targets.y_NL[heldout].astype(float),
        logit_NL=np.concatenate([said(test_rows, "testing"), said(val_rows, "validating")]).astype(float),
    )
    test = kept.part(predictions.TEST)
    tested = metrics.evaluate(
        test.truth_NL, test.p_NL, table["patient"].iloc[test_rows].tolist(), targets.labels, settings.seed
    )
    weights.write_whole(folder / predictions.FILE, kept.to_bytes())
    spec = replace(spec, map_scale=_map_scale(classifier, pixels, drawn, on))
    weights.save_checkpoint(folder, classifier, spec)
    events.append(MEMORY, **devices.memory(on))
    return {
        "test": metrics.records(tested),
        "appraisal": [appraisal.of(kept, label).as_dict() for label in targets.labels],
        "films": len(drawn),
        "positives": {
            label: int((targets.y_NL[drawn, i] == 1).sum()) for i, label in enumerate(targets.labels)
        },
        "patients": int(table["patient"].iloc[drawn].nunique()),
        "films_train": len(train_rows),
        "films_test": len(test_rows),
        "films_validation": len(val_rows),
        "initialised": {
            "matched": len(matched.matched),
            "missing": len(matched.missing),
            "unexpected": len(matched.unexpected),
        },
        "device": devices.describe(on),
        "precision": precision,
    }


def _rows(table: pd.DataFrame, y_NL: np.ndarray, cohort: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the labelled rows to train on, to validate on and to test on.

    Where there is no test split, its validation split is the test, and nothing is left to validate on.
    """
    known_N = ~np.isnan(y_NL).all(1)
    split_N = table["split"].to_numpy()
    parts = {name: np.flatnonzero(known_N & (split_N == name)) for name in (TRAIN, VAL, TEST)}
    test_rows, val_rows = (parts[TEST], parts[VAL]) if len(parts[TEST]) else (parts[VAL], parts[TEST])
    for name, rows in (("training", parts[TRAIN]), ("test or validation", test_rows)):
        if len(rows) < 2:
            raise store.CohortError(
                f"{cohort}: expected at least 2 labelled films in its {name} split, got {len(rows)}"
            )
    return parts[TRAIN], val_rows, test_rows


def _map_scale(classifier: Any, pixels: Any, rows: np.ndarray, on: torch.device) -> float:
    """Return the evidence at which this classifier's maps are painted at full strength."""
    with torch.inference_mode():
        grid_BChw = classifier.grid(batches.films(pixels, rows[:MAPPED].tolist(), on))
    return cam.scale_of(cam.evidence(grid_BChw.clone(), classifier.head)[1])
