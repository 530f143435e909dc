"""A run's picture: it shows what the log holds, and stands in the run's folder as a PNG."""

import numpy as np
import pytest
from PIL import Image

from timnet.evaluation import matching
from timnet.training import run_plot, runs
from timnet.training.events import EVALUATION, Events


def row(value: float | None) -> dict[str, object]:
    low, high = (None, None) if value is None else (value - 0.1, value + 0.1)
    return {"label": matching.MANY, "metric": "auROC", "value": value, "low": low, "high": high}


@pytest.mark.parametrize("looked_at", [False, True])
def test_the_picture_shows_each_loss_and_each_look_of_the_log(tmp_path, looked_at):
    (tmp_path / runs.CONFIG).touch()
    events, losses = Events(tmp_path), np.linspace(1, 0.2, 40)
    for step, loss in enumerate(losses):
        events.append("step", epoch=1, step=step + 1, loss=loss)
        if looked_at and step % 20 == 19:
            other = {**row(0.1), "label": matching.OTHER}
            events.append(EVALUATION, epoch=step // 20 + 1, held_out=[other, row(0.7 if step < 20 else None)])
    left, right = run_plot.figure(runs.events(tmp_path), "a $run$").axes
    told, smooth = left.get_lines()
    assert np.array_equal(told.get_ydata(), losses) and told.get_xdata()[-1] == 40
    assert np.allclose(smooth.get_ydata()[2:-1], losses[2:-1] + (losses[0] - losses[1]) / 2)
    drawn = [line.get_ydata() for line in right.get_lines()[1:]]
    assert len(drawn) == looked_at and all(np.array_equal(y, [0.7, np.nan], equal_nan=True) for y in drawn)
    run_plot.draw(tmp_path)
    with Image.open(tmp_path / run_plot.PICTURE) as film:
        assert film.format == "PNG" and film.size == (1200, 450)
