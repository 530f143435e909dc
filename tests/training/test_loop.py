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


def batches(epoch, done=0):
    generator = torch.Generator().manual_seed(epoch)
    for i in range(5):
        x = torch.rand(8, 1, generator=generator)
        if i >= done:
            yield {"x": x, "rows": [3, 1]}


def fit(objective, folder, source=batches, epochs=80, kept=None):
    events: list[dict] = []
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.05)
    log = Events(folder, events.append)
    loop.fit(objective, source, optimizer, loop.accelerator("fp32"), log, epochs=epochs, steps=5, kept=kept)
    return events


def poisoned(*steps, factor=math.nan):
    """Return batches of which some, numbered from 0 over all epochs, give no finite loss."""

    def source(epoch, done=0):
        for i, batch in enumerate(batches(epoch), start=5 * epoch):
            if i >= 5 * epoch + done:
                yield batch | {"rows": [17, i], "factor": factor if i in steps else 1}

    return source


def test_a_line_is_learned(tmp_path):
    torch.manual_seed(0)
    line = Line()
    fit(line, tmp_path)
    assert line.layer.weight.item() == pytest.approx(3, abs=0.05)
    assert line.layer.bias.item() == pytest.approx(1, abs=0.05)


def test_the_last_step_and_the_last_epoch_stand_at_the_end(tmp_path):
    *_, step, epoch = fit(Line(), tmp_path, epochs=3)
    assert (step["epoch"], step["step"], step["steps"], step["eta_seconds"]) == (3, 15, 15, 0)
    assert (epoch["event"], epoch["epoch"], epoch["step"]) == ("epoch", 3, 15)


def test_the_loss_of_an_epoch_is_the_mean_over_its_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "TELL_SECONDS", 0)
    events = fit(Line(), tmp_path, epochs=2)
    for number in (1, 2):
        steps = [e["loss"] for e in events if e["event"] == "step" and e["epoch"] == number]
        (told,) = [e["loss"] for e in events if e["event"] == "epoch" and e["epoch"] == number]
        assert len(steps) == 5
        assert told == pytest.approx(sum(steps) / 5, abs=1e-6)


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_three_refused_batches_in_a_row_end_the_run_before_the_weights_move(tmp_path, factor):
    line = Line()
    before = line.layer.weight.clone()
    reason = (
        "3 batches in a row were refused, the last because loss is (nan|inf) at epoch 1, step 3, films 17, 2"
    )
    with pytest.raises(loop.NonFinite, match=f"^{reason}$"):
        fit(line, tmp_path, poisoned(0, 1, 2, factor=factor))
    assert torch.equal(line.layer.weight, before)


def test_a_gradient_that_is_not_finite_is_refused_too(tmp_path):
    class Root(Line):
        def forward(self, batch):
            # Finite at zero, with an infinite slope.
            return (self.layer.weight * 0).abs().sqrt().sum()

    with pytest.raises(loop.NonFinite, match="gradient is nan"):
        fit(Root(), tmp_path)


def test_a_refused_batch_is_named_and_the_others_are_as_if_it_had_not_been(tmp_path, caplog):
    class Normalised(Line):
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(1)

        def forward(self, batch):
            x = self.norm(batch["x"] * batch["factor"])
            return (self.layer(x) - 3 * batch["x"]).square().mean()

    def without(epoch, done=0):
        return (batch for batch in poisoned()(epoch, done) if batch["rows"][1] not in (3, 4, 7))

    lines, told = [], []
    for source in (poisoned(3, 4, 7), without):
        torch.manual_seed(0)
        lines.append(Normalised())
        told.append(fit(lines[-1], tmp_path, source, epochs=3))
    refused = [(e["epoch"], e["step"], e["reason"]) for e in told[0] if e["event"] == "refused"]
    assert [(epoch, step) for epoch, step, _ in refused] == [(1, 4), (1, 5), (2, 8)]
    assert refused[0][2] == "loss is nan at epoch 1, step 4, films 17, 3"
    assert "films 17, 3" in caplog.text
    for left, right in zip(lines[0].state_dict().values(), lines[1].state_dict().values(), strict=True):
        assert torch.equal(left, right)
    means = [[e["loss"] for e in events if e["event"] == "epoch"] for events in told]
    assert means[0] == means[1]


def test_a_request_to_stop_is_heard_at_the_next_step(tmp_path):
    def cancelling(epoch, done):
        for i, batch in enumerate(batches(epoch, done)):
            if i == 2:
                (tmp_path / "cancel").touch()
            yield batch

    with pytest.raises(Cancelled):
        fit(Line(), tmp_path, cancelling)
