"""Which device trains, and in which precision.

bf16 is several times faster than fp32 where the processor has instructions for it and many times slower where
it is emulated, and no portable flag tells: a small convolution is timed in both.
"""

from __future__ import annotations

import time

import torch
from torch import nn


def device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe(on: torch.device) -> str:
    """Return the device in words for logs and pages."""
    return torch.cuda.get_device_name(on) if on.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def precision(asked: str, on: torch.device) -> str:
    """Return `fp32` or `bf16`: what is asked for, and for `auto` the faster of the two on this device."""
    if asked != "auto":
        return asked
    return "bf16" if _seconds(on, bf16=True) < 0.8 * _seconds(on, bf16=False) else "fp32"


def _seconds(on: torch.device, bf16: bool) -> float:
    """Time one forward and backward of a small convolution: the best of three after one to warm up."""
    with torch.random.fork_rng(devices=[]):
        layer = nn.Conv2d(32, 32, 3, padding=1).to(on)
    films = torch.ones(4, 32, 28, 28, device=on).to(memory_format=torch.channels_last)
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        with torch.autocast(on.type, torch.bfloat16, enabled=bf16):
            total = layer(films).float().sum()
        total.backward()
        if on.type == "cuda":
            torch.cuda.synchronize(on)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
