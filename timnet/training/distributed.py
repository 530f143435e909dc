"""Several processes at one training: each takes its rows of every batch, and together they are one.

Owns the group that torchrun starts (accelerate joins it), which rows are whose, sums over all processes with
their gradients, the vectors of all gathered by them, and batch norm over all. What a batch holds is drawn for
the whole of it by everyone, so that any number of processes trains on the same batches. A process alone is a
group of one, and none of this then costs anything.

Shapes: B batch, b a process's rows of it, D joint width, C channels.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

PATIENCE = timedelta(days=7)
"""How long processes wait for the first: for its turn on the device, or while it looks at held-out pairs."""

Value = TypeVar("Value")


def join() -> None:
    """Join the other processes where torchrun has started this one; return once all are there."""
    if "LOCAL_RANK" in os.environ and not dist.is_initialized():
        PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)


def leave() -> None:
    """Leave the group of processes, where there is one."""
    if dist.is_initialized():
        PartialState().destroy_process_group()


def count() -> int:
    """Return how many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def number() -> int:
    """Return which one this is, from 0; the first writes, the others do not."""
    return dist.get_rank() if dist.is_initialized() else 0


def share(rows: int) -> slice:
    """Return which of so many rows are this process's: one after another, as even as can be."""
    each, more = divmod(rows, count())
    start = number() * each + min(number(), more)
    return slice(start, start + each + (number() < more))


@contextmanager
def first_goes_first() -> Iterator[None]:
    """Let the first process of each machine do something before the others: they find it done."""
    if count() == 1:
        yield
        return
    with PartialState().local_main_process_first():
        yield


def wait() -> None:
    """Wait until every process is here."""
    if count() > 1:
        PartialState().wait_for_everyone()


def agreed(value: Value) -> Value:
    """Return the first process's value to every one."""
    if count() == 1:
        return value
    held = [value]
    broadcast_object_list(held)
    return held[0]


def anyone(said: bool, on: torch.device) -> bool:
    """Say whether any process says so: all act alike then."""
    if count() == 1:
        return said
    result = torch.tensor(float(said), device=on)
    dist.all_reduce(result, dist.ReduceOp.MAX)
    return bool(result.item())


def mean(value: Tensor) -> float:
    """Return the mean of a number over the processes."""
    result = value.detach().clone()
    if count() > 1:
        dist.all_reduce(result)
    return result.item() / count()


def summed(value: Tensor) -> Tensor:
    """Return the sum over the processes; its gradient goes back to each of them."""
    if count() == 1:
        return value
    result: Tensor = _Sum.apply(value)
    return result


def gathered(own_bD: Tensor, rows: int) -> Tensor:
    """Return the rows (B, D) of all processes, of which this one has `own_bD`; gradients go back to them."""
    if count() == 1:
        return own_bD
    place = share(rows)
    before, after = place.start, rows - place.stop
    # Shares may differ by a row: each lays its own into zeros, and the sum has them all.
    return summed(nn.functional.pad(own_bD, (0, 0, before, after)))


def shared_norms(module: nn.Module, on: torch.device) -> nn.Module:
    """Let batch norm take the films and tokens of all processes, as one process would; return the module."""
    if count() == 1:
        return module
    if on.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            setattr(module, name, _Norm.of(child))
        else:
            shared_norms(child, on)
    return module


class _Sum(torch.autograd.Function):
    """Sum over the processes: what each of them feels of it comes back summed too."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


class _Norm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the processes, on the CPU: PyTorch's own is for GPUs alone."""

    @classmethod
    def of(cls, norm: Any) -> _Norm:
        """Return the same layer, its parameters and buffers shared."""
        made = cls(norm.num_features, norm.eps, norm.momentum, device="meta")
        for name in ("weight", "bias"):
            setattr(made, name, getattr(norm, name))
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            made.register_buffer(name, getattr(norm, name))
        return made

    def _check_input_dim(self, input: Tensor) -> None:
        """Take films (b, C, h, w) and tokens (K, C) alike."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the input at zero mean and unit deviation over what all processes have of it."""
        if not self.training:
            return super().forward(input)
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        across = [axis for axis in range(x.dim()) if axis != 1]
        view = [1, -1] + [1] * (x.dim() - 2)
        number = torch.tensor(x.numel() // self.num_features, dtype=x.dtype)
        dist.all_reduce(number)
        centred = x - (mean_C := summed(x.sum(across)) / number).view(view)
        variance_C = summed((centred * centred).sum(across)) / number
        with torch.no_grad():
            running, spread = self.running_mean, self.running_var
            assert running is not None and spread is not None and self.num_batches_tracked is not None
            momentum = 0.1 if self.momentum is None else self.momentum
            running.lerp_(mean_C.to(running.dtype), momentum)
            spread.lerp_((variance_C * number / (number - 1)).to(spread.dtype), momentum)
            self.num_batches_tracked.add_(1)
        scaled = centred * ((variance_C + self.eps).rsqrt() * self.weight).view(view)
        return (scaled + self.bias.view(view)).to(input.dtype)
