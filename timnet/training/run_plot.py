"""A run's one picture: the loss step by step, and how well held-out pairs were matched epoch by epoch.

Owns PICTURE in a run's folder, drawn by matplotlib from the run's own log when it ends. Shows what the log
holds and nothing else; no patient's data is in it.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from timnet.evaluation import matching
from timnet.files import write_whole
from timnet.training import runs
from timnet.training.events import EVALUATION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE = "run.png"
AREA = "auROC"
_SMOOTHED = 50
"""Losses told of that a line is the running median of, at most a tenth of them."""


def draw(folder: Path) -> None:
    """Write PICTURE from the log of a pre-training: 1200 x 450 pixels, PNG."""
    file = io.BytesIO()
    figure(runs.events(folder), folder.name).savefig(file, format="png", metadata={"Software": None})
    write_whole(folder / PICTURE, file.getvalue())


def figure(log: pd.DataFrame, name: str) -> Figure:
    """Return the picture of a pre-training's events, in the order of the log."""
    # Imported here: a training needs it once, at its end.
    from matplotlib.figure import Figure

    made = Figure(figsize=(12, 4.5), dpi=100, layout="constrained")
    left, right = made.subplots(1, 2)
    steps = log[log["event"] == "step"]
    left.plot(steps["step"], steps["loss"], color="0.8", linewidth=1, label="a step")
    window = max(min(_SMOOTHED, len(steps) // 10), 1)
    left.plot(steps["step"], steps["loss"].rolling(window, center=True).median(), label="running median")
    left.set(xlabel="step", ylabel="loss")
    left.set_title(name, parse_math=False)
    left.legend(frameon=False)
    looks = log[log["event"] == EVALUATION]
    right.axhline(0.5, color="0.7", linestyle=":")
    if len(looks):
        areas = pd.DataFrame(
            [_area(result) for result in looks["held_out"]], columns=["value", "low", "high"]
        )
        right.fill_between(looks["epoch"], areas["low"], areas["high"], alpha=0.2)
        right.plot(looks["epoch"], areas["value"], marker="o")
    right.set(xlabel="epoch", ylabel=AREA, ylim=(0, 1), title=f"held-out pairs, {matching.MANY}, 95 %")
    return made


def _area(rows: list[dict[str, Any]]) -> list[float]:
    """Return the area under the curve with its interval; nan where it is not defined."""
    for row in rows:
        if row["metric"] == AREA and row["label"] == matching.MANY:
            return [math.nan if row[name] is None else row[name] for name in ("value", "low", "high")]
    return [math.nan] * 3
