"""One progress line on standard error: what is being done, how far, how long still."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from timnet import config
from timnet.counting import counted
from timnet.training.events import TELL_SECONDS, Event

if TYPE_CHECKING:
    from timnet.training.grids import Progress

LOG_SECONDS = 5.0
"""From one line of a log to the next where nothing but the time left has changed."""


class ProgressLine:
    """A line that is rewritten in place on a terminal, and a new line each time elsewhere."""

    def __init__(self, phase: str) -> None:
        self._phase = phase
        self._start = time.monotonic()
        self._told = 0.0
        self._doing: dict[config.Finetune, str] = {}

    def done(self, done: int, total: int | None) -> None:
        """Tell of a share done, with the seconds left."""
        now = time.monotonic()
        if now - self._told < TELL_SECONDS and done != total:
            return
        self._told = now
        left = f", {(now - self._start) / done * (total - done):.0f} s left" if total and done else ""
        self._tell(f"{self._phase}: {done}{f' of {total}' if total else ''}{left}")

    def event(self, event: Event) -> None:
        """Tell of a run's event."""
        if event["event"] == "step":
            self._tell(
                f"epoch {event['epoch']} of {event['epochs']}, loss {event['loss']:.4f}, "
                f"{event['eta_seconds']:.0f} s left"
            )
        elif event["event"] == "phase":
            share = f": {event['done']} of {event['total']}" if event.get("total") else ""
            left = f", {event['eta_seconds']:.0f} s left" if event.get("eta_seconds") else ""
            self._tell(f"{event['phase']}{share}{left}")
        elif event["event"] == "queued":
            self._tell("waiting for the device")

    def grid(self, progress: Progress) -> None:
        """Tell of a grid of runs: how many are done, which is at work, how long all will take."""
        event, request = progress.event, progress.at_work
        if event["event"] not in ("step", "phase", "queued", "done"):
            return
        doing = f"epoch {event['epoch']} of {event['epochs']}" if "epoch" in event else event["event"]
        doing = str(event.get("phase", doing))
        text = (
            f"{progress.done} of {counted(progress.total, 'run')} done; {Path(request.initialisation).name}, "
            f"{request.fraction:.1%}, seed {request.seed}: {doing}"
        )
        now = time.monotonic()
        # A grid takes hours: its log does not get a line for every step.
        if self._doing.get(request) == text and now - self._told < LOG_SECONDS and not sys.stderr.isatty():
            return
        self._doing[request], self._told = text, now
        left = "" if progress.seconds_left is None else f", {_duration(progress.seconds_left)} left"
        self._tell(f"{text}{left}")

    def end(self) -> None:
        """Leave the line as it stands."""
        if sys.stderr.isatty():
            print(file=sys.stderr)

    def _tell(self, text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)


class Phases:
    """A progress line for whatever is done now, each with its own time left."""

    def __init__(self) -> None:
        self._lines: dict[str, ProgressLine] = {}

    def step(self, phase: str, done: int, total: int) -> None:
        if phase not in self._lines:
            self.end()
            self._lines[phase] = ProgressLine(phase)
        self._lines[phase].done(done, total)

    def of(self, phase: str) -> Callable[[int, int | None], None]:
        return lambda done, total: self.step(phase, done, total or 0)

    def end(self) -> None:
        if self._lines:
            list(self._lines.values())[-1].end()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
