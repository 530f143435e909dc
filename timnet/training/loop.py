"""fit(): the one training loop, on Hugging Face accelerate.

Owns the order of a step: loss, backward, refuse what is not finite, step, tell, keep. A run that goes on from
a snapshot takes the steps that were left, and ends where it would have ended. Knows nothing of films or
reports: an objective is a module whose forward takes a batch and returns its loss.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from timnet.counting import counted
from timnet.errors import TimnetError
from timnet.model import devices
from timnet.training import distributed
from timnet.training.events import TELL_SECONDS, Cancelled, Events
from timnet.training.snapshots import Snapshots
from timnet.training.state import Parts, Place

Batch = dict[str, Any]

REFUSED = 3
"""Batches refused in a row that end a run."""

_log = logging.getLogger(__name__)


class NonFinite(TimnetError):
    """A loss or gradient that is not a number; the message names the step and its films."""


def accelerator(precision: str) -> Accelerator:
    """Return the accelerator for `fp32` or `bf16` on the device at hand."""
    return Accelerator(
        mixed_precision="bf16" if precision == "bf16" else "no",
        cpu=distributed.count() > 1 and not torch.cuda.is_available(),
    )


def fit(
    objective: nn.Module,
    batches: Callable[[int, int], Iterable[Batch]],
    optimizer: torch.optim.Optimizer,
    on: Accelerator,
    events: Events,
    *,
    epochs: int,
    steps: int,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    kept: Snapshots | None = None,
    watch: Callable[[int, int], bool] | None = None,
    beside: nn.Module | None = None,
) -> None:
    """Train for `epochs` passes of `steps` batches, or for what is left of them.

    Args:
        objective: forward(batch) -> scalar loss.
        batches: epoch, batches to leave out at its start -> the others, as if those had been drawn; each
            carries `rows`, the films' numbers, for the error's sake.
        scheduler: stepped after the optimiser, once a batch.
        events: told of losses, with the seconds left; asked before each step whether to stop.
        kept: where the run goes on from, and where it keeps what it needs to go on; None keeps nothing.
        watch: called with epochs and steps done at the end of each epoch, by the first process alone; leaves
            what is trained as it is, and returns True where the training is to end there.
        beside: what else the batches of an epoch depend on, in its buffers: kept with a snapshot.

    Raises:
        NonFinite: so many batches in a row were refused; the optimiser was moved by none of them.
        Cancelled: somebody asked the run to stop.
    """
    parts = Parts(objective, optimizer, scheduler, on, beside)
    at = kept.restore(parts) if kept else Place()
    events.rewind(at.epoch, at.step)
    if distributed.number():
        # What each process draws for its own films, such as dropout, is not what the first draws.
        torch.manual_seed(torch.initial_seed() + 1_000_003 * distributed.number() + at.step)
    objective, stepper = on.prepare(objective, optimizer)
    start, result, begun, total = time.monotonic(), -math.inf, at.step, epochs * steps
    while at.epoch < epochs:
        objective.train()
        for batch in batches(at.epoch, at.batch):
            if distributed.anyone(events.stopping(), on.device):
                _keep(kept, parts, at, events)
                raise Cancelled
            try:
                loss = _step(objective, batch, stepper, on, at)
            except NonFinite as error:
                at = at.after(None)
                _refuse(error, at, events)
            else:
                at = at.after(loss)
                if scheduler is not None:
                    scheduler.step()
                now = time.monotonic()
                if now - result >= TELL_SECONDS or at.step == total:
                    held = devices.memory(on.device)
                    result, left = now, (now - start) / (at.step - begun) * (total - at.step)
                    events.append(
                        "step",
                        epoch=at.epoch + 1,
                        epochs=epochs,
                        step=at.step,
                        steps=total,
                        loss=round(loss, 6),
                        eta_seconds=round(left, 1),
                        memory_bytes=held["gpu"] or held["host"],
                    )
            if kept and kept.due():
                _keep(kept, parts, at, events)
        events.append("epoch", epoch=at.epoch + 1, step=at.step, loss=at.mean())
        if watch:
            stopped, enough = _watched(watch, at, on)
            if stopped:
                _keep(kept, parts, at, events)
                raise Cancelled
            if enough:
                # No snapshot is taken behind this place: a run that goes on comes here again and ends.
                return
        at = at.next_epoch()
        if kept and kept.due(epoch_end=True):
            _keep(kept, parts, at, events)


def cosine(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """Raise the step size over the first twentieth of the steps, then let it fall to 0 as half a cosine."""
    warm = max(steps // 20, 1)

    def share(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min((step - warm) / max(steps - warm, 1), 1.0)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def _watched(watch: Callable[[int, int], bool], at: Place, on: Accelerator) -> tuple[bool, bool]:
    """Let the first process look at the end of an epoch.

    Returns:
        Whether it was asked to stop meanwhile, and whether it has seen enough.
    """
    stopped = enough = False
    if not distributed.number():
        try:
            enough = watch(at.epoch + 1, at.step)
        except Cancelled:
            stopped = True
    return distributed.anyone(stopped, on.device), distributed.anyone(enough, on.device)


def _step(
    objective: nn.Module, batch: Batch, optimizer: torch.optim.Optimizer, on: Accelerator, at: Place
) -> float:
    """Take one step and return its loss; a batch that is refused leaves everything as it was.

    Raises:
        NonFinite: the loss or a gradient is not a number.
    """
    # A forward pass moves the means of batch norm before anybody has seen its loss.
    before = [(buffer, buffer.clone()) for buffer in objective.buffers()]
    optimizer.zero_grad(set_to_none=True)
    loss = objective(batch)
    what, value = "loss", distributed.mean(loss)
    if math.isfinite(value):
        on.backward(loss)
        norm = nn.utils.get_total_norm(
            [each.grad for each in objective.parameters() if each.grad is not None]
        ).item()
        if math.isfinite(norm):
            optimizer.step()
            return float(value)
        what, value = "gradient", norm
    for buffer, held in before:
        buffer.copy_(held)
    rows = ", ".join(str(int(row)) for row in batch["rows"])
    raise NonFinite(f"{what} is {value} at epoch {at.epoch + 1}, step {at.step + 1}, films {rows}")


def _refuse(error: NonFinite, at: Place, events: Events) -> None:
    """Tell of a batch that was left out; raise when there were too many in a row."""
    events.append("refused", epoch=at.epoch + 1, step=at.step, reason=str(error))
    _log.warning("batch left out: %s", error)
    if at.refused >= REFUSED:
        refused = counted(at.refused, "batch", "batches")
        raise NonFinite(f"{refused} in a row were refused, the last because {error}") from error


def _keep(kept: Snapshots | None, parts: Parts, at: Place, events: Events) -> None:
    seconds = kept.write(parts, at) if kept else 0.0
    if seconds:
        events.append("snapshot", step=at.step, write_seconds=round(seconds, 3))
