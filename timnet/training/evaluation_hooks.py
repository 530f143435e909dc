"""Looks at held-out pairs while a pre-training runs, and keeps the best network beside the last.

Owns the `evaluation` events and a run's `best/`. Looked at on the way are the pairs of the split `val` alone
where there are pairs of `test` too, and the best is chosen on them: no test pair takes part in a choice. The
run's own checkpoint stays the last epoch's, as in the paper. Where only one split is held out, nothing is
chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from timnet import config, files
from timnet.cohorts.pairs import Pairs
from timnet.evaluation import matching, metrics
from timnet.training import best
from timnet.training.events import EVALUATION, Events

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
        if chooses(self.pairs) and score > best.chosen(self.folder).get(BY, -1.0):
            self._keep(epoch, score)
        return False

    def _keep(self, epoch: int, score: float) -> None:
        kept = {"epoch": epoch, BY: score, "split": VAL, "pairs": len(watched(self.pairs))}
        card = (
            f"The network of epoch {epoch} of {self.settings.epochs} of the run {self.folder.name}, chosen "
            f"by its {BY} on the {kept['pairs']:,} pairs of the split val alone, looked at every "
            f"{self.settings.evaluate_every} epochs. No pair of the split test took part in the choice.\n\n"
            f"{config.RESEARCH_USE}\n"
        )

        def save(folder: Path) -> None:
            self.save(folder)
            files.write_whole(folder / CARD, card.encode())

        best.keep(self.folder, save, kept)


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
