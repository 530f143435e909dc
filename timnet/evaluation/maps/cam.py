"""Where the model looked: evidence maps from one forward of the trunk, and how they are painted.

Grad-CAM at the last grid. Behind global average pooling the gradient of a logit is the same at every place of
a channel, so the gradient at the pooled vector is all that is needed: one forward of the trunk, a gradient of
the head alone, every label at once. Classic CAM (paper ref. [68]) needs a linear head and is undefined
through |h_t - h_i| and h_cls. Maps keep the logit's own unit: a map's mean is the pooled vector's first-order
share of the logit, so a film without evidence stays unpainted.

Shapes: B films, C channels, h w grid, L logits, H W the film's own pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Head = Callable[[Tensor], Tensor]
"""Pooled grid (B, C) -> logits (B, L)."""

Maps = tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]] | tuple[()]
"""Maps (h, w) by name: over those of normal texts, and alone; or none."""

STOPS = np.array([[46, 16, 101], [202, 60, 76], [249, 160, 30], [252, 250, 160]], float)
"""Colours of rising evidence: dark to bright, readable without telling red from green."""


def evidence(grid_BChw: Tensor, head: Head) -> tuple[Tensor, Tensor]:
    """Return the logits (B, L) and their signed evidence maps (B, L, h, w), in logits.

    The positive part of a map is Grad-CAM's up to a factor of h * w, before its scaling.
    """
    with torch.enable_grad():
        pooled_BC = grid_BChw.detach().mean((2, 3)).requires_grad_()
        logits_BL = head(pooled_BC)
        maps = [
            torch.einsum(
                "bc,bchw->bhw",
                torch.autograd.grad(logits_BL[:, i].sum(), pooled_BC, retain_graph=True)[0],
                grid_BChw.detach(),
            )
            for i in range(logits_BL.shape[1])
        ]
    return logits_BL.detach(), torch.stack(maps, 1)


def with_maps(grid_1Chw: Tensor, head: Head, names: Sequence[str]) -> tuple[NDArray[np.float64], Maps]:
    """Return the logits of the names with two maps of each: over those of normal texts, and alone.

    The head gives a logit for each name, and may give those of normal texts behind them: maps are linear
    in the logit, so each is taken over the normal ones' mean.
    """
    logits_1L, maps_1Lhw = evidence(grid_1Chw, head)
    maps, number = maps_1Lhw[0].float().cpu().numpy(), len(names)
    alone, normal = maps[:number], maps[number:]
    over = alone - normal.mean(0) if len(normal) else alone
    logits_L = logits_1L[0, :number].double().cpu().numpy()
    return logits_L, (dict(zip(names, over, strict=True)), dict(zip(names, alone, strict=True)))


def scale_of(maps_BLhw: Tensor) -> float:
    """Return the evidence painted at full strength: the 99th percentile of the positive cells."""
    positive = maps_BLhw[maps_BLhw > 0]
    return float(positive.float().quantile(0.99)) if positive.numel() else 1.0


def scale_bar(columns: int, rows: int) -> NDArray[np.uint8]:
    """Return how evidence from none (left) to full strength (right) is painted on grey, (H, W, 3)."""
    strength_HW = np.tile(np.linspace(0, 1, columns, dtype=np.float32), (rows, 1))
    return paint(np.full((rows, columns), 0.5, np.float32), strength_HW, 1.0)


def paint(
    pixels_HW: NDArray[np.float32], map_HW: NDArray[np.float32], scale: float, opacity: float = 0.6
) -> NDArray[np.uint8]:
    """Return the film (H, W, 3) with its evidence over it.

    Strength is evidence / scale, cut to 0..1, for colour and cover alike: no evidence, no paint. The scale
    belongs to the model, not to the film, so that two films can be compared.
    """
    strength_HW = np.clip(map_HW / scale, 0, 1)
    position = strength_HW * (len(STOPS) - 1)
    lower = np.minimum(position.astype(int), len(STOPS) - 2)
    colour_HW3 = STOPS[lower] + (position - lower)[..., None] * (STOPS[lower + 1] - STOPS[lower])
    cover_HW1 = (opacity * np.sqrt(strength_HW))[..., None]
    grey_HW1 = (pixels_HW * 255)[..., None]
    return np.rint(grey_HW1 * (1 - cover_HW1) + colour_HW3 * cover_HW1).astype(np.uint8)
