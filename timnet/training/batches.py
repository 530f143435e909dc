"""Films as the networks take them: uint8 rows of a cohort's pixel cache -> float batches on the device.

Shapes: N films of a cohort, B batch, S side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from timnet.training.pace import steps as steps


def films(pixels_NSS: NDArray[np.uint8], rows: Sequence[int], device: torch.device) -> Tensor:
    """Return films (B, 1, S, S) float32 in [0, 1], channels last."""
    chosen = torch.from_numpy(np.ascontiguousarray(pixels_NSS[np.asarray(rows)])).to(device)
    return chosen.unsqueeze(1).to(torch.float32, memory_format=torch.channels_last).div_(255)


def generator(seed: int, epoch: int) -> torch.Generator:
    """Return an epoch's own generator: what an epoch draws does not depend on those before it."""
    return torch.Generator().manual_seed(seed * 1_000_003 + epoch)


def orders(
    rows: Sequence[int],
    batch: int,
    seed: int,
    epoch: int,
    drop_last: bool = False,
    arrange: Callable[[list[int]], list[int]] | None = None,
) -> Iterator[list[int]]:
    """Yield an epoch's shuffled batches.

    Batch norm in training needs two films: a last batch of one joins the one before it. `drop_last` leaves
    out every last batch that is not full, unless it is the only one. `arrange` puts what was shuffled into
    another order before it is cut.
    """
    shuffled = [rows[int(i)] for i in torch.randperm(len(rows), generator=generator(seed, epoch))]
    if arrange:
        shuffled = arrange(shuffled)
    if drop_last and len(shuffled) > batch:
        del shuffled[len(shuffled) // batch * batch :]
    starts = list(range(0, len(shuffled), batch))
    if len(starts) > 1 and len(shuffled) - starts[-1] == 1:
        starts.pop()
    for start, end in zip(starts, [*starts[1:], len(shuffled)], strict=True):
        yield shuffled[start:end]


@torch.inference_mode()
def forward(
    module: Callable[[Tensor], Tensor],
    pixels_NSS: NDArray[np.uint8],
    rows: Sequence[int],
    on: torch.device,
    bf16: bool,
    progress: Callable[[int, int | None], None] | None = None,
    batch: int = 64,
) -> Tensor:
    """Return the module's float32 outputs of films on the CPU, in the order of `rows`."""
    outputs = []
    for start in range(0, len(rows), batch):
        with torch.autocast(on.type, torch.bfloat16, enabled=bf16):
            outputs.append(module(films(pixels_NSS, rows[start : start + batch], on)).float().cpu())
        if progress:
            progress(min(start + batch, len(rows)), len(rows))
    return torch.cat(outputs)


def channels_last(module: nn.Module, on: torch.device) -> nn.Module:
    """Move a module to the device, its convolutions in the layout that is fastest there."""
    return module.to(on).to(memory_format=torch.channels_last)
