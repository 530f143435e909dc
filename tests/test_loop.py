"""fit(): it learns, tells, stops on request, and never steps on what is not finite."""

from __future__ import annotations

import math

import pytest
import torch

from timnet.training import loop
from timnet.training.events import Cancelled, Events


class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, batch):
        return (self.layer(batch["x"]) - 3 * batch["x"] - 1).square().mean() * batch.get("factor", 1)


def batches(epoch):
    generator = torch.Generator().manual_seed(epoch)
    for _ in range(5):
        yield {"x": torch.rand(8, 1, generator=generator), "rows": [3, 1]}


def fit(objective, folder, source=batches, epochs=80):
    events: list[dict] = []
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.05)
    log = Events(folder, events.append)
    loop.fit(objective, source, optimizer, loop.accelerator("fp32"), log, epochs=epochs, steps=5)
    return events


def test_a_line_is_learned(tmp_path):
    torch.manual_seed(0)
    line = Line()
    fit(line, tmp_path)
    assert line.layer.weight.item() == pytest.approx(3, abs=0.05)
    assert line.layer.bias.item() == pytest.approx(1, abs=0.05)


def test_the_last_event_stands_at_the_end_with_no_time_left(tmp_path):
    last = fit(Line(), tmp_path, epochs=3)[-1]
    assert (last["epoch"], last["step"], last["steps"], last["eta_seconds"]) == (3, 15, 15, 0)


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_a_step_that_is_not_finite_is_refused_before_the_weights_move(tmp_path, factor):
    def poisoned(epoch):
        yield {"x": torch.ones(2, 1), "rows": [17, 4], "factor": factor}

    line = Line()
    before = line.layer.weight.clone()
    with pytest.raises(loop.NonFinite, match=r"loss is (nan|inf) at epoch 1, step 1, films 17, 4"):
        fit(line, tmp_path, poisoned)
    assert torch.equal(line.layer.weight, before)


def test_a_gradient_that_is_not_finite_is_refused_too(tmp_path):
    class Root(Line):
        def forward(self, batch):
            # Finite at zero, with an infinite slope.
            return (self.layer.weight * 0).abs().sqrt().sum()

    with pytest.raises(loop.NonFinite, match="gradient is nan"):
        fit(Root(), tmp_path)


def test_a_request_to_stop_is_heard_at_the_next_step(tmp_path):
    def cancelling(epoch):
        for i, batch in enumerate(batches(epoch)):
            if i == 2:
                (tmp_path / "cancel").touch()
            yield batch

    with pytest.raises(Cancelled):
        fit(Line(), tmp_path, cancelling)
