"""The precision: what is asked for, else the faster one, whatever else the processor is busy with."""

from __future__ import annotations

import itertools

import pytest
import torch

from timnet.model import devices

CPU = torch.device("cpu")


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
def test_what_is_asked_for_is_taken(asked):
    assert devices.precision(asked, CPU) == asked


@pytest.mark.parametrize(("fp32", "bf16", "faster"), [(4, 1, "bf16"), (1, 7, "fp32"), (1, 0.9, "fp32")])
def test_the_faster_one_is_taken_if_it_is_clearly_so(monkeypatch, fp32, bf16, faster):
    monkeypatch.setattr(devices, "_seconds", lambda step, is_bf16, on: bf16 if is_bf16 else fp32)
    assert devices.precision("auto", CPU) == faster


def test_a_busy_moment_does_not_turn_the_choice(monkeypatch):
    """Nine of ten timings of the faster one are taken at a moment when another process has the processor."""
    busy = itertools.cycle([50.0] * 9 + [1.0])
    monkeypatch.setattr(devices, "_seconds", lambda step, is_bf16, on: 7.0 if is_bf16 else next(busy))
    assert devices.precision("auto", CPU) == "fp32"


def test_the_device_is_told_in_words(monkeypatch):
    for threads, told in ((1, "CPU, 1 thread"), (4, "CPU, 4 threads")):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert devices.describe(CPU) == told
