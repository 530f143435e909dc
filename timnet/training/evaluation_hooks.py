"""Looks at what is held out while a run trains, and keeps the best network beside the last, in its `best/`.

Pre-training (`Watch`) owns the `evaluation` events. Looked at on the way are the pairs of the split `val`
alone where there are pairs of `test` too, and the best is chosen on them: no test pair takes part in a
choice. The run's own checkpoint stays the last epoch's, as in the paper. Where only one split is held out,
nothing is chosen.

Fine-tuning owns the `validation` events, and which films are looked at (never one of the test split). A
cohort's split `val` is looked at where there is one; where it stops a run, `runs.points` counts its films as
labelled. Without one nothing is held back from a run that trains to its last epoch; one that may stop early
gives a fifth of its drawn films, whole patients, to validation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydantic_core
import torch
from numpy.typing import NDArray

from timnet import config, files
from timnet.cohorts import splits
from timnet.cohorts.pairs import Pairs
from timnet.cohorts.store import CohortError
from timnet.counting import counted
from timnet.evaluation import auroc, matching, metrics
from timnet.training import objectives
from timnet.training.events import EVALUATION, VALIDATION, Events
from timnet.training.finetune_data import Material
from timnet.training.runs import BEST

CARD = "card.md"
VAL, TEST = "val", "test"
BY = "auROC"
"""The metric that chooses, with up to twenty mismatched reports a film."""

Tables = tuple[pd.DataFrame, pd.DataFrame]


@dataclass(frozen=True)
class Watch:
    """What is looked at at the end of an epoch, and what is kept then."""

    settings: config.Pretrain
    folder: Path
    events: Events
    pairs: Pairs
    measure: Callable[[list[int]], Tables]
    """Pairs -> their matching and retrieval tables, by the network as it is."""
    masked: Callable[[int], float | None]
    """Epoch -> share of its mismatched pairs that are left out as false negatives."""
    save: Callable[[Path], None]
    """Write the network as it is as a checkpoint."""
    probe: Callable[[list[int]], list[dict[str, Any]] | None] = lambda chosen: None
    """Pairs -> metrics of a linear probe tested on them; None where none is asked for."""

    def __call__(self, epoch: int, step: int) -> bool:
        """Look at the held-out pairs if it is time, and keep the network if it is the best so far.

        Never ends the training: the paper's network is the last epoch's.
        """
        every = self.settings.evaluate_every
        if not every or (epoch % every and epoch != self.settings.epochs):
            return False
        table, found = self.measure(watched(self.pairs))
        probed = self.probe(watched(self.pairs))
        self.events.append(
            EVALUATION,
            epoch=epoch,
            step=step,
            split=VAL if chooses(self.pairs) else " and ".join(self.settings.held_out),
            held_out=metrics.records(table),
            retrieval=metrics.records(found),
            masked=self.masked(epoch - 1),
            **({"probe": probed} if probed else {}),
        )
        score = _score(table)
        if chooses(self.pairs) and score > chosen_best(self.folder).get(BY, -1.0):
            self._keep(epoch, score)
        return False

    def _keep(self, epoch: int, score: float) -> None:
        pairs = len(watched(self.pairs))
        kept = {"epoch": epoch, BY: score, "split": VAL, "pairs": pairs}
        card = (
            f"The network of epoch {epoch} of {self.settings.epochs} of the run {self.folder.name}, chosen "
            f"by its {BY} on {counted(pairs, 'pair')} of the split val alone, with "
            f"{counted(self.settings.evaluate_every, 'epoch')} between looks. No pair of the split test took "
            "part in the choice.\n\n"
            f"{config.RESEARCH_USE}\n"
        )

        def save(folder: Path) -> None:
            self.save(folder)
            files.write_whole(folder / CARD, card.encode())

        keep_best(self.folder, save, kept)


def chooses(pairs: Pairs) -> bool:
    """Say whether a best network can be chosen on `val` and still be tested on `test`."""
    rng = np.random.default_rng(0)
    parts = [np.flatnonzero(pairs.held_out & (pairs.split == name)).tolist() for name in (VAL, TEST)]
    return all(pairs.mismatched(part, rng) for part in parts)


def watched(pairs: Pairs) -> list[int]:
    """Return the pairs that are looked at while training."""
    kept = pairs.held_out & (pairs.split == VAL) if chooses(pairs) else pairs.held_out
    return np.flatnonzero(kept).tolist()


def _score(table: pd.DataFrame) -> float:
    chosen = table[(table["label"] == matching.MANY) & (table["metric"] == BY)]
    return float(chosen["value"].iloc[0])


CHOSEN = "chosen.json"


def keep_best(run: Path, save: Callable[[Path], None], fields: Mapping[str, Any]) -> None:
    """Put a network in the place of a run's best.

    Args:
        save: writes the network as a checkpoint into the folder it is given.
        fields: which look chose it, and by what.
    """
    folder = run / BEST
    save(folder)
    files.write_whole(folder / CHOSEN, (json.dumps(dict(fields)) + "\n").encode())


def chosen_best(run: Path) -> dict[str, Any]:
    """Return which network a run holds as its best, and by what; empty where it holds none."""
    try:
        content = pydantic_core.from_json((run / BEST / CHOSEN).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


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
            f"{counted(len(set(patient_N[drawn])), 'patient')}; train to the last epoch, or on a larger share"
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
        kept = chosen_best(self.folder)
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
        keep_best(self.folder, self.save, kept)
        return kept
