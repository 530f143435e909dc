"""The place of a training: how far it has come, and all that its steps move.

Owns what a snapshot must hold so that the steps after it are those of a training that never stopped: weights,
optimiser, scheduler, scaler, every generator, and the place in the epochs. Knows nothing of files.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn


@dataclass(frozen=True, kw_only=True)
class Place:
    """How far a training has come."""

    epoch: int = 0
    """Epochs done."""
    batch: int = 0
    """Batches done of the epoch at hand."""
    step: int = 0
    """Batches done in all."""
    refused: int = 0
    """Batches refused in a row, up to the last one."""
    losses: float = 0.0
    """Sum of the epoch's losses so far."""
    counted: int = 0
    """How many losses that is."""

    def after(self, loss: float | None) -> Place:
        """Return the place one batch on; None is the loss of a refused one."""
        on = replace(self, batch=self.batch + 1, step=self.step + 1)
        if loss is None:
            return replace(on, refused=self.refused + 1)
        return replace(on, refused=0, losses=self.losses + loss, counted=self.counted + 1)

    def mean(self) -> float | None:
        """Return the mean loss of the epoch so far; None where every batch was refused."""
        return self.losses / self.counted if self.counted else None

    def next_epoch(self) -> Place:
        """Return the start of the next epoch."""
        return Place(epoch=self.epoch + 1, step=self.step, refused=self.refused)


@dataclass(frozen=True)
class Parts:
    """What a training moves: everything that a snapshot holds beside its place."""

    objective: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler | None
    on: Accelerator
    beside: nn.Module | None = None
    """What else the steps of an epoch depend on, in its buffers."""

    def state(self) -> dict[str, Any]:
        """Return the state of all parts and of every generator."""
        scaler = self.on.scaler
        return {
            "objective": dict(self.objective.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "scaler": scaler.state_dict() if scaler else None,
            "beside": dict(self.beside.state_dict()) if self.beside else None,
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "python": random.getstate(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Put all parts and every generator back to a state."""
        self.objective.load_state_dict(state["objective"], strict=True)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])
        if self.on.scaler and state["scaler"]:
            self.on.scaler.load_state_dict(state["scaler"])
        if self.beside:
            self.beside.load_state_dict(state["beside"], strict=True)
        torch.set_rng_state(state["torch"])
        if len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])
        random.setstate(state["python"])
