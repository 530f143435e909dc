"""Films as the networks take them: uint8 rows of a cohort's pixel cache -> float batches on the device.

Shapes: N films of a cohort, B batch, S side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from timnet.cohorts.records import Progress
from timnet.model import devices

ROOM = 0.5
"""Share of the GPU's free memory that films may take: the training wants the rest."""
_PIECE = 1024
"""Films that go to the GPU at once."""


@dataclass(frozen=True)
class Resident:
    """Films that lie on the device as uint8, found by their rows in the cohort."""

    films_MSS: Tensor
    place_N: Tensor


Pixels = NDArray[np.uint8] | Resident
"""Films by their rows: a cohort's pixel cache (N, S, S), or those of its films that lie on the device."""


def resident(
    pixels_NSS: NDArray[np.uint8],
    rows: NDArray[np.intp],
    device: torch.device,
    progress: Progress | None = None,
) -> Pixels:
    """Return the films of `rows` where batches are fastest made of them.

    That is on a GPU where they fit; else, and on a processor, the cache as it is.

    Args:
        progress: called with films moved and films in all while they are moved.
    """
    chosen, side = np.unique(rows), pixels_NSS.shape[-1]
    if len(chosen) * side * side > ROOM * devices.free(device):
        return pixels_NSS
    films_MSS = torch.empty(len(chosen), side, side, dtype=torch.uint8, device=device)
    for start in range(0, len(chosen), _PIECE):
        piece = pixels_NSS[chosen[start : start + _PIECE]]
        films_MSS[start : start + len(piece)] = torch.from_numpy(np.ascontiguousarray(piece))
        if progress:
            progress(start + len(piece), len(chosen))
    # A row that is none of them would be out of bounds, not another film.
    place_N = torch.full((len(pixels_NSS),), len(chosen), device=device)
    place_N[torch.from_numpy(chosen).to(device)] = torch.arange(len(chosen), device=device)
    return Resident(films_MSS, place_N)


def films(pixels: Pixels, rows: Sequence[int], device: torch.device) -> Tensor:
    """Return films (B, 1, S, S) float32 in [0, 1], channels last."""
    if isinstance(pixels, Resident):
        chosen = pixels.films_MSS[pixels.place_N[torch.as_tensor(rows, device=device)]]
    else:
        chosen = torch.from_numpy(np.ascontiguousarray(pixels[np.asarray(rows)])).to(device)
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
    pixels: Pixels,
    rows: Sequence[int],
    on: torch.device,
    bf16: bool,
    progress: Progress | None = None,
    batch: int = 64,
) -> Tensor:
    """Return the module's float32 outputs of films on the CPU, in the order of `rows`."""
    outputs = []
    for start in range(0, len(rows), batch):
        with torch.autocast(on.type, torch.bfloat16, enabled=bf16):
            outputs.append(module(films(pixels, rows[start : start + batch], on)).float().cpu())
        if progress:
            progress(min(start + batch, len(rows)), len(rows))
    return torch.cat(outputs)


def channels_last(module: nn.Module, on: torch.device) -> nn.Module:
    """Move a module to the device, its convolutions in the layout that is fastest there."""
    return module.to(on).to(memory_format=torch.channels_last)
