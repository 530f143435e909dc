"""What a fine-tuning learns from and is judged on, and what it leaves behind, whatever is trained in between.

Owns the films drawn, validated on and tested on, and the end of a run: predictions, metrics and checkpoint. A
policy for uncertain labels is for training alone. Refuses cohorts without films to learn from or to test on.

Shapes: N films, L labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from timnet import checkpoints, config, files
from timnet.checkpoints import ClassifierSpec
from timnet.cohorts import splits, store, tasks
from timnet.cohorts.readers import demo
from timnet.cohorts.store import Cohort
from timnet.evaluation import appraisal, metrics, predictions, subgroups
from timnet.evaluation.calibration import fit, record
from timnet.evaluation.maps import cam
from timnet.model import devices, initialisation, weights
from timnet.model.classifier import Classifier, Probe
from timnet.model.initialisation import Matched
from timnet.training import batches

TRAIN, VAL, TEST = "train", "val", "test"
MAPPED = 64
"""Films whose maps set the checkpoint's scale."""

Said = Callable[[np.ndarray, str], np.ndarray]
"""Rows and a phase's name -> logits (N, L)."""


@dataclass(frozen=True)
class Material:
    """The films of a fine-tuning, as rows of its cohort."""

    cohort: Cohort
    table: pd.DataFrame
    targets: tasks.Targets
    drawn: np.ndarray
    train_rows: np.ndarray
    val_rows: np.ndarray
    test_rows: np.ndarray


def gather(settings: config.Finetune) -> Material:
    """Return what a fine-tuning learns from and is judged on.

    Raises:
        CohortError: no such cohort, task or share, or too few labelled films.
    """
    cohort = store.Cohort.open(store.find(settings.cohort))
    table = cohort.films()
    targets = tasks.targets(cohort, settings.task, settings.uncertain, settings.views)
    # A policy is for training: whatever it is, the test is on the labels that are known.
    train_N1 = (table["split"] == TRAIN).to_numpy()[:, None]
    known_NL = tasks.targets(cohort, settings.task, views=settings.views).y_NL
    targets = replace(targets, y_NL=np.where(train_N1, targets.y_NL, known_NL))
    train_rows, val_rows, test_rows = _rows(table, targets.y_NL, cohort.name)
    drawn = train_rows[splits.draw(targets.y_NL[train_rows], settings.fraction, settings.seed)]
    if settings.shuffled_labels:
        targets.y_NL[drawn] = targets.y_NL[np.random.default_rng((1, settings.seed)).permutation(drawn)]
    return Material(cohort, table, targets, drawn, train_rows, val_rows, test_rows)


def described(settings: config.Finetune, labels: tuple[str, ...], **more: Any) -> ClassifierSpec:
    """Return what a classifier from this start is, of the network that the start brings."""
    made = initialisation.network_of(settings.initialisation, settings.backbone, settings.normalisation)
    return ClassifierSpec(
        backbone=made.backbone,
        side=settings.side,
        width=settings.width,
        normalisation=made.normalisation,
        image_encoder=made.image_encoder,
        task=settings.task,
        labels=labels,
        **more,
    )


def finish(
    material: Material,
    settings: config.Finetune,
    folder: Path,
    network: Classifier | Probe | None,
    spec: ClassifierSpec | None,
    said: Said,
    matched: Matched,
    on: torch.device,
    precision: str,
) -> dict[str, Any]:
    """Write a trained network and what it says of the held-out films; return what was measured.

    Without a network, what is said came of vectors alone: there is no checkpoint to write or calibrate.
    """
    targets, test_rows, val_rows, drawn = (
        material.targets,
        material.test_rows,
        material.val_rows,
        material.drawn,
    )
    heldout = np.concatenate([test_rows, val_rows])
    kept = predictions.Predictions(
        cohort=material.cohort.fingerprint,
        labels=targets.labels,
        film_N=heldout,
        validation_N=np.arange(len(heldout)) >= len(test_rows),
        truth_NL=targets.y_NL[heldout].astype(float),
        logit_NL=np.concatenate([said(test_rows, "testing"), said(val_rows, "validating")]).astype(float),
    )
    test = kept.part(predictions.TEST)
    patients = test.patients(material.cohort)
    tested = metrics.evaluate(test.truth_NL, test.p_NL, patients, targets.labels, settings.seed)
    by_group = subgroups.of_predictions(test, material.cohort, settings.seed)
    files.write_whole(folder / predictions.FILE, kept.to_bytes())
    if network is not None and spec is not None:
        pixels = material.cohort.pixels(settings.side)
        spec = replace(spec, map_scale=_map_scale(network, pixels, drawn, on))
        weights.save_checkpoint(folder, network, spec)
    sure = record.UNKNOWN
    if len(val_rows) and network is not None:
        sure = fit.of_predictions(kept, checkpoints.weights_sha256(folder), material.cohort.name)
        record.keep(folder, sure)
    return {
        "test": metrics.records(tested),
        "subgroups": metrics.records(by_group),
        "appraisal": [appraisal.of(kept, label, sure.line(label)).as_dict() for label in targets.labels],
        "real": [material.cohort.source != demo.SOURCE],
        "films": len(drawn),
        "positives": {
            label: int((targets.y_NL[drawn, i] == 1).sum()) for i, label in enumerate(targets.labels)
        },
        "patients": int(material.table["patient"].iloc[drawn].nunique()),
        "films_train": len(material.train_rows),
        "films_test": len(test_rows),
        "films_validation": len(val_rows),
        "initialised": {
            "matched": len(matched.matched),
            "missing": len(matched.missing),
            "unexpected": len(matched.unexpected),
        },
        "start_keys": asdict(matched),
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


def _map_scale(classifier: Classifier | Probe, pixels: Any, rows: np.ndarray, on: torch.device) -> float:
    """Return the evidence at which this classifier's maps are painted at full strength."""
    with torch.inference_mode():
        grid_BChw = classifier.grid(batches.films(pixels, rows[:MAPPED].tolist(), on))
    return cam.scale_of(cam.evidence(grid_BChw.clone(), classifier.head)[1])
