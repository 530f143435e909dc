"""Small changes of films, drawn and applied on the batch: rotation, scale, shift, contrast, brightness.

Where asked for, noise and a rectangle of one grey too.

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
NOISE, PATCH = 0.05, 0.35
"""The noise's largest deviation, and a rectangle's largest side as a share of the film's."""
_SEEDS = 2**24
"""Whole numbers that a float32 holds exactly."""


def draw(batch: int, generator: torch.Generator, erase: bool = False) -> Tensor:
    """Draw parameters (B, 6): angle, log scale, two shifts, log contrast, brightness.

    With `erase` (B, 12): the noise's seed and deviation, and the rectangle's left, top, width and height too.
    """
    limits = torch.tensor([ROTATION, SCALE, SHIFT, SHIFT, CONTRAST, BRIGHTNESS])
    drawn = (torch.rand(batch, 6, generator=generator) * 2 - 1) * limits
    if not erase:
        return drawn
    seed = torch.randint(_SEEDS, (batch, 1), generator=generator).float()
    # A rectangle may begin outside, so that no place of the film is spared.
    ranges = torch.tensor([[0, NOISE], [-PATCH, 1], [-PATCH, 1], [0, PATCH], [0, PATCH]])
    low, high = ranges.unbind(1)
    return torch.cat([drawn, seed, low + torch.rand(batch, 5, generator=generator) * (high - low)], 1)


def apply(x_B1SS: Tensor, parameters: Tensor) -> Tensor:
    """Return the changed films, in [0, 1] and channels last, by parameters of `draw`.

    What comes in from outside is black.
    """
    angle, log_scale, shift_x, shift_y, log_contrast, brightness = parameters[:, :6].to(x_B1SS).unbind(1)
    cos, sin = torch.cos(angle) * log_scale.exp(), torch.sin(angle) * log_scale.exp()
    theta_B23 = torch.stack([cos, -sin, shift_x, sin, cos, shift_y], 1).view(-1, 2, 3)
    grid = F.affine_grid(theta_B23, list(x_B1SS.shape), align_corners=False)
    moved = F.grid_sample(x_B1SS, grid, align_corners=False)
    middle = moved.mean((1, 2, 3), keepdim=True)
    contrast = log_contrast.exp().view(-1, 1, 1, 1)
    changed = (moved - middle) * contrast + middle + brightness.view(-1, 1, 1, 1)
    ready = (_erased(changed, parameters[:, 6:]) if parameters.shape[1] > 6 else changed).clamp(0, 1)
    # One channel lies alike in both layouts, and a convolution goes by the strides alone: without those of
    # channels last the first layers, where most of the pixels are, would run in the slow layout.
    return ready.squeeze(1).unsqueeze(-1).movedim(-1, 1)


def _erased(x_B1SS: Tensor, parameters_B6: Tensor) -> Tensor:
    """Return the films with noise, and with a rectangle of each film's own mean."""
    side, on = x_B1SS.shape[-1], x_B1SS.device
    # Each film's own seed: what a process draws for its rows is what one process draws for all.
    noise = [
        torch.randn(side, side, generator=torch.Generator(on).manual_seed(int(seed)), device=on)
        for seed in parameters_B6[:, 0]
    ]
    deviation, left, top, width, height = parameters_B6[:, 1:].to(x_B1SS).view(-1, 5, 1, 1).unbind(1)
    noisy = x_B1SS + (torch.stack(noise).to(x_B1SS) * deviation).unsqueeze(1)
    place = (torch.arange(side, device=on).to(x_B1SS) + 0.5) / side
    across, down = place.view(1, 1, -1), place.view(1, -1, 1)
    inside = (across >= left) & (across < left + width) & (down >= top) & (down < top + height)
    return torch.where(inside.unsqueeze(1), x_B1SS.mean((1, 2, 3), keepdim=True), noisy)
