"""Networks whose every weight differs from its start."""

from __future__ import annotations

import torch


def perturbed(module):
    """Move every weight off its start and onto an fp16 grid, so that equality means something."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand(value.shape, generator=generator) * 0.01)
                value.copy_(value.half().float())
    return module.eval()
