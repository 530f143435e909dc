"""A run's event log, as its worker writes it: one JSON object a line, appended as things happen; no torch.

Owns how often progress is told, and how a worker hears that somebody asked it to stop. Read by `runs`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic_core

from timnet import files

EVENTS, CANCEL = "metrics.jsonl", "cancel"
EVALUATION = "evaluation"
"""The event that tells how well a network does at the end of an epoch."""
VALIDATION = "validation"
"""The event that tells how a fine-tuning does, at the end of an epoch, on films it does not learn from."""
MEMORY = "memory"
"""The event that tells the bytes of memory a run took: `host`, `gpu` and, of the whole GPU, `gpu_total`."""

TELL_SECONDS = 0.5
"""Least time between two progress events."""

Event = dict[str, Any]


class Cancelled(Exception):
    """Raised inside a worker when somebody asked the run to stop."""


class Events:
    """A run's event log: one JSON object a line, appended as things happen."""

    def __init__(
        self, folder: Path, listen: Callable[[Event], None] | None = None, writes: bool = True
    ) -> None:
        """Take a run's folder; `writes` is false in all processes of a run but its first."""
        self._folder = folder
        self._listen = listen
        self._writes = writes
        self._start = time.monotonic()
        self.cancelled = False

    def append(self, event: str, **fields: Any) -> None:
        """Write one event, with the seconds since the worker's start."""
        if not self._writes:
            return
        record = {"event": event, "seconds": round(time.monotonic() - self._start, 3), **fields}
        with (self._folder / EVENTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        if self._listen:
            self._listen(record)

    def phase(self, name: str) -> Callable[[int, int | None], None]:
        """Return a progress callback that tells of a phase's share done, at most twice a second.

        The seconds left are told from the second call on: what was done before a phase's first costs nothing.
        """
        told, first = 0.0, (0.0, -1)

        def progress(done: int, total: int | None) -> None:
            nonlocal told, first
            self.check()
            now = time.monotonic()
            if first[1] < 0:
                first = (now, done)
            if now - told >= TELL_SECONDS or done == total:
                told, left = now, {}
                if total and done > first[1]:
                    seconds = (now - first[0]) / (done - first[1]) * (total - done)
                    left = {"eta_seconds": round(seconds, 1)}
                self.append("phase", phase=name, done=done, total=total, **left)

        return progress

    def stopping(self) -> bool:
        """Say whether the run was asked to stop."""
        return self.cancelled or (self._folder / CANCEL).exists()

    def check(self) -> None:
        """Raise Cancelled if the run was asked to stop."""
        if self.stopping():
            raise Cancelled

    def rewind(self, epoch: float = math.inf, step: float = math.inf) -> None:
        """Take back what was told after a place, to be told again: later steps, and ends of later epochs.

        A last line that a killed worker left half written goes as well.

        Args:
            epoch: epochs done at that place.
            step: steps done at that place.
        """
        path = self._folder / EVENTS
        if not self._writes or not path.exists():
            return
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        lines = ((line, parsed(line)) for line in whole.splitlines(True))
        kept = b"".join(line for line, event in lines if event and not _after(event, epoch, step))
        if kept != content:
            files.write_whole(path, kept)


def parsed(line: bytes) -> Event | None:
    """Return the event of a log's line; None where the line is damaged."""
    try:
        event = pydantic_core.from_json(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def _after(event: Event, epoch: float, step: float) -> bool:
    if event["event"] in ("epoch", EVALUATION, VALIDATION):
        return bool(event.get("epoch", 0) > epoch)
    return bool(event.get("step", 0) > step)
