"""Looks at validation films while a fine-tuning runs; where it may stop early, keeps the best look's weights.

Owns which films are looked at (never one of the test split), the `validation` events and a run's `best/`. A
cohort's split `val` is looked at where there is one; where it stops a run, `runs.points` counts its films as
labelled. Without one nothing is held back from a run that trains to its last epoch; one that may stop early
gives a fifth of its drawn films, whole patients, to validation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from timnet import config
from timnet.cohorts import splits
from timnet.cohorts.store import CohortError
from timnet.evaluation import auroc
from timnet.training import best, objectives
from timnet.training.events import VALIDATION, Events
from timnet.training.finetune_data import Material

SHARE = 0.2
"""Share of the drawn films that is held back where there is no split `val`."""
MOST = 256
"""Validation films that are looked at, drawn once a run: a look is not to cost more than the training."""


@dataclass(frozen=True)
class Parts:
    """The films of a fine-tuning that are trained on, and those that are looked at while it runs."""

    train_rows: NDArray[np.int64]
    look_rows: NDArray[np.int64]


def parts(material: Material, settings: config.Finetune) -> Parts:
    """Return what is trained on and what is looked at, as rows of the cohort.

    Raises:
        CohortError: the run may stop early, and the films drawn are too few to hold some back.
    """
    drawn, y_NL = material.drawn, material.targets.y_NL
    val_rows = material.val_rows
    if len(val_rows):
        share = min(MOST / len(val_rows), 1.0)
        return Parts(drawn, val_rows[splits.draw(y_NL[val_rows], share, settings.seed)])
    if not settings.patience:
        return Parts(drawn, np.empty(0, dtype=np.int64))
    patient_N = material.table["patient"].to_numpy()
    held = drawn[splits.draw(y_NL[drawn], SHARE, settings.seed)]
    held_D = np.isin(patient_N[drawn], patient_N[held])
    train, look = drawn[~held_D], drawn[held_D]
    if len(train) < 2 or len(look) < 2:
        raise CohortError(
            f"patience: expected films enough to hold a fifth back, got {len(drawn)} of "
            f"{len(set(patient_N[drawn]))} patients; train to the last epoch, or on a larger share"
        )
    return Parts(train, look)


@dataclass(frozen=True)
class Validation:
    """What is looked at at the end of an epoch, and what is kept then."""

    settings: config.Finetune
    epochs: int
    folder: Path
    events: Events
    y_NL: NDArray[np.float64]
    """Labels of the films that are looked at."""
    said: Callable[[], NDArray[np.float64]]
    """Return what the network as it is says of them: logits (N, L)."""
    save: Callable[[Path], None]
    """Write the network as it is as a checkpoint."""

    def __call__(self, epoch: int, step: int) -> bool:
        """Look if it is time; return True where training is to end here."""
        every = math.ceil(self.epochs / self.settings.looks)
        if epoch % every and epoch != self.epochs:
            return False
        logits_NL = self.said()
        loss = float(objectives.masked_bce(torch.from_numpy(logits_NL), torch.from_numpy(self.y_NL)))
        self.events.append(VALIDATION, epoch=epoch, step=step, validation_loss=loss, **self._area(logits_NL))
        if not self.settings.patience:
            return False
        kept = best.chosen(self.folder)
        # A run that goes on from a snapshot looks again at what it has kept since.
        if not kept or loss < kept["validation_loss"]:
            kept = self._keep(epoch, loss)
        return math.ceil(epoch / every) - math.ceil(kept["epoch"] / every) >= self.settings.patience

    def _area(self, logits_NL: NDArray[np.float64]) -> dict[str, float]:
        """Return the mean area under the curve over labels that are known both ways; nothing without one."""
        areas = [
            auroc.area(self.y_NL[known, i], logits_NL[known, i]).value
            for i in range(self.y_NL.shape[1])
            if len(np.unique(self.y_NL[known := ~np.isnan(self.y_NL[:, i]), i])) == 2
        ]
        return {"validation_auroc": float(np.mean(areas))} if areas else {}

    def _keep(self, epoch: int, loss: float) -> dict[str, Any]:
        kept = {"epoch": epoch, "epochs": self.epochs, "validation_loss": loss, "films": len(self.y_NL)}
        best.keep(self.folder, self.save, kept)
        return kept
