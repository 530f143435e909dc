"""Small changes of films, drawn and applied on the batch: rotation, scale, shift, contrast, brightness.

Laterality is kept: no left-right flip, since the heart's side and a report's words depend on it. Drawing and
applying are apart, so that a seed says everything.

Shapes: B films, S side.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ROTATION, SCALE, SHIFT, CONTRAST, BRIGHTNESS = math.radians(20), 0.20, 0.12, 0.40, 0.16


def draw(batch: int, generator: torch.Generator) -> Tensor:
    """Draw parameters (B, 6): angle, log scale, two shifts, log contrast, brightness."""
    limits = torch.tensor([ROTATION, SCALE, SHIFT, SHIFT, CONTRAST, BRIGHTNESS])
    return (torch.rand(batch, 6, generator=generator) * 2 - 1) * limits


def apply(x_B1SS: Tensor, parameters_B6: Tensor) -> Tensor:
    """Return the changed films, in [0, 1]; what comes in from outside is black."""
    angle, log_scale, shift_x, shift_y, log_contrast, brightness = parameters_B6.to(x_B1SS).unbind(1)
    cos, sin = torch.cos(angle) * log_scale.exp(), torch.sin(angle) * log_scale.exp()
    theta_B23 = torch.stack([cos, -sin, shift_x, sin, cos, shift_y], 1).view(-1, 2, 3)
    grid = F.affine_grid(theta_B23, list(x_B1SS.shape), align_corners=False)
    moved = F.grid_sample(x_B1SS, grid, align_corners=False)
    middle = moved.mean((1, 2, 3), keepdim=True)
    contrast = log_contrast.exp().view(-1, 1, 1, 1)
    return ((moved - middle) * contrast + middle + brightness.view(-1, 1, 1, 1)).clamp(0, 1)
