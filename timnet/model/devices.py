"""Which device computes, and in which precision.

bf16 is several times faster than fp32 where the processor has instructions for it and many times slower where
it is emulated, and no portable flag tells: a small convolution is timed in both.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

from timnet.counting import counted

ROUNDS = 12
"""Timings of each precision; the first of each warms up."""


def device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe(on: torch.device) -> str:
    """Return the device in words for logs and pages."""
    if on.type == "cuda":
        return torch.cuda.get_device_name(on)
    return f"CPU, {counted(torch.get_num_threads(), 'thread')}"


def memory(on: torch.device) -> dict[str, int]:
    """Return the most memory that this process has had, in bytes, and what the GPU has in all; 0 of none.

    `gpu` counts what the driver holds beside torch's own memory, a neighbour's share with it.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    held = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "gpu": 0, "gpu_total": 0}
    if on.type == "cuda":
        free, total = torch.cuda.mem_get_info(on)
        beside = total - free - torch.cuda.memory_reserved(on)
        held |= {"gpu": torch.cuda.max_memory_reserved(on) + beside, "gpu_total": total}
    return held


def free(on: torch.device) -> int:
    """Return the bytes of the device's own memory that nobody has taken; 0 of a processor, which has none."""
    return torch.cuda.mem_get_info(on)[0] if on.type == "cuda" else 0


def precision(wanted: str, on: torch.device) -> str:
    """Return `fp32` or `bf16`: what is asked for, and for `auto` the faster of the two on this device.

    The two are timed in turn, and the best of each counts: another process may take the processor from any
    one of them for a while.
    """
    if wanted != "auto":
        return wanted
    step = _step(on)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(ROUNDS):
        for bf16, measured in seconds.items():
            measured.append(_seconds(step, bf16, on))
    return "bf16" if min(seconds[True]) < 0.8 * min(seconds[False]) else "fp32"


def _step(on: torch.device) -> Callable[[], None]:
    """Return one forward and backward of a small convolution."""
    with torch.random.fork_rng(devices=[]):
        layer = nn.Conv2d(64, 64, 3, padding=1).to(on)
    layer = layer.to(memory_format=torch.channels_last)
    films = torch.ones(4, 64, 28, 28, device=on).to(memory_format=torch.channels_last)
    return lambda: layer(films).float().sum().backward()


def _seconds(step: Callable[[], None], bf16: bool, on: torch.device) -> float:
    start = time.perf_counter()
    with torch.autocast(on.type, torch.bfloat16, enabled=bf16):
        step()
    if on.type == "cuda":
        torch.cuda.synchronize(on)
    return time.perf_counter() - start
