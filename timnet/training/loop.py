"""fit(): the one training loop, on Hugging Face accelerate.

Owns the order of a step: loss, backward, refuse what is not finite, step, tell. Knows nothing of films or
reports: an objective is a module whose forward takes a batch and returns its loss.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from timnet.training.events import TELL_SECONDS, Events

Batch = dict[str, Any]


class NonFinite(ValueError):
    """A loss or gradient that is not a number; the message names the step and its films."""


def accelerator(precision: str) -> Accelerator:
    """Return the accelerator for `fp32` or `bf16` on the device at hand."""
    return Accelerator(mixed_precision="bf16" if precision == "bf16" else "no")


def fit(
    objective: nn.Module,
    batches: Callable[[int], Iterable[Batch]],
    optimizer: torch.optim.Optimizer,
    on: Accelerator,
    events: Events,
    *,
    epochs: int,
    steps: int,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> None:
    """Train for `epochs` passes of `steps` batches.

    Args:
        objective: forward(batch) -> scalar loss.
        batches: epoch -> its batches; each carries `rows`, the films' numbers, for the error's sake.
        scheduler: stepped after the optimiser, once a batch.
        events: told of losses, with the seconds left; asked after each step whether to stop.

    Raises:
        NonFinite: before the optimiser moves.
        Cancelled: somebody asked the run to stop.
    """
    objective, optimizer = on.prepare(objective, optimizer)
    start, told, done, total = time.monotonic(), -math.inf, 0, epochs * steps
    for epoch in range(epochs):
        objective.train()
        for batch in batches(epoch):
            events.check()
            optimizer.zero_grad(set_to_none=True)
            loss = objective(batch)
            _finite(loss, "loss", epoch, done, batch)
            on.backward(loss)
            # An infinite limit clips nothing: only the norm is wanted.
            norm = nn.utils.clip_grad_norm_(objective.parameters(), math.inf)
            _finite(norm, "gradient", epoch, done, batch)
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            done += 1
            now = time.monotonic()
            if now - told >= TELL_SECONDS or done == total:
                told = now
                events.append(
                    "step",
                    epoch=epoch + 1,
                    epochs=epochs,
                    step=done,
                    steps=total,
                    loss=round(loss.item(), 6),
                    eta_seconds=round((now - start) / done * (total - done), 1),
                )


def _finite(value: torch.Tensor, what: str, epoch: int, step: int, batch: Batch) -> None:
    if not bool(torch.isfinite(value)):
        rows = ", ".join(str(int(row)) for row in batch["rows"])
        raise NonFinite(f"{what} is {value.item()} at epoch {epoch + 1}, step {step + 1}, films {rows}")
