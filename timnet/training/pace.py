"""How long a run takes, told from runs of the same kind that were done on this computer; no torch.

Owns the time a step took and the time around the steps (reading films, testing), measured on finished runs.
Refuses to guess: without such a run there is no answer.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from timnet import config
from timnet.training import runs
from timnet.training.events import Event
from timnet.training.runs import State

RECENT = 5
"""Newest runs that are asked: the machine may have changed since the others."""
SAME = ("mode", "side", "batch", "backbone", "width", "augment")
"""Settings that a step's time depends on."""


@dataclass(frozen=True)
class Pace:
    """Seconds a step, seconds a run beside its steps, and the number of runs that say so."""

    step: float
    around: float
    runs: int

    def seconds(self, steps: int) -> float:
        """Return how long a run of so many steps takes."""
        return self.around + self.step * steps


def steps(films: int, batch: int, drop_last: bool = False) -> int:
    """Return how many steps an epoch takes (`batches.orders`)."""
    whole, rest = divmod(films, batch)
    return max(whole + (rest > 1 and not drop_last), 1)


def epochs_of(settings: config.Finetune, films: int) -> int:
    """Return how many passes a run on so many films takes: the least steps may ask for more than `epochs`."""
    each = steps(films, settings.batch, settings.drop_last)
    return max(settings.epochs, math.ceil(settings.least_steps / each))


def steps_of(settings: config.Finetune, films: int) -> int:
    """Return how many steps a run on so many films takes; a probe takes none."""
    if settings.mode == "probe":
        return 0
    return epochs_of(settings, films) * steps(films, settings.batch, settings.drop_last)


def measured(states: Iterable[State], like: config.Finetune) -> Pace | None:
    """Return the median pace of the newest finished runs like this one; None where there is none.

    Args:
        states: newest first, as of `runs.all_runs`.
    """
    found: list[tuple[float, float]] = []
    for state in states:
        asked = state.settings
        alike = isinstance(asked, config.Finetune) and all(
            getattr(asked, name) == getattr(like, name) for name in SAME
        )
        if alike and state.name == "done":
            timed = _timed(_events(state.folder), stepless=like.mode == "probe")
            found += [timed] if timed else []
        if len(found) == RECENT:
            break
    if not found:
        return None
    step, around = (statistics.median(each) for each in zip(*found, strict=True))
    return Pace(step, around, len(found))


def _events(folder: Path) -> list[Event]:
    return [{str(key): value for key, value in row.items()} for row in runs.events(folder).to_dict("records")]


def _timed(events: list[Event], stepless: bool = False) -> tuple[float, float] | None:
    """Return the seconds a step and those around the steps, of the last start of a run."""
    last = max((i for i, event in enumerate(events) if event["event"] == "started"), default=None)
    if last is None:
        return None
    told = events[last:]
    timed = [event for event in told if event["event"] == "step"]
    if stepless and told[-1]["event"] == "done":
        return 0.0, told[-1]["seconds"] - told[0]["seconds"]
    if len(timed) < 2 or told[-1]["event"] != "done":
        return None
    first, final = timed[0], timed[-1]
    step = (final["seconds"] - first["seconds"]) / (final["step"] - first["step"])
    # The first step, with all that is set up in it, counts as around.
    taken = final["step"] - first["step"]
    return step, told[-1]["seconds"] - told[0]["seconds"] - step * taken
