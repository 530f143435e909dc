"""Runs: one training job = one folder = its checkpoint. State, events, results, all runs; no torch.

A run's folder holds `config.json`, `metrics.jsonl` (events), `log.txt` and at its end one of `done.json`,
`failed.json`, `cancelled.json`, all written by its worker, which holds the lock while it lives. State is read
off files and locks, never off a process id, so a closed tab or a restarted server loses nothing. While it
trains, `snapshots/` holds what it needs to go on. The folder's name carries a hash of the settings.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd
import pydantic_core

from timnet import config, settings_file
from timnet.errors import TimnetError
from timnet.processes import is_held
from timnet.training.events import CANCEL, EVENTS, Event, parsed

CONFIG, LOG, LOCK = "config.json", "log.txt", ".lock"
DONE, FAILED, CANCELLED, RESULT = "done.json", "failed.json", "cancelled.json", "metrics.json"
BEGUN = ".begun"
"""The file that says that a worker has taken up the run as it was last submitted."""
SNAPSHOTS, BEST, NOTE = "snapshots", "best", "note.txt"

NOTE_LENGTH = 2000
"""Most characters of a note."""

STARTING_SECONDS = 60
"""How long a worker may take from its start to its lock."""

Name = Literal["queued", "running", "done", "failed", "cancelled", "lost"]

LOGS_KEPT = 32
"""How many runs' events stay in memory, so that a page that looks every second reads only what is new."""

_log = logging.getLogger(__name__)


class RunError(TimnetError):
    """A run that cannot be found, read or started; the message says which and why."""


@dataclass(frozen=True)
class State:
    """Where a run stands; `last` is the latest step or phase event of one without an end."""

    folder: Path
    settings: config.Run
    name: Name
    reason: str = ""
    created: float = 0.0
    last: Event = field(default_factory=dict)
    stopping: bool = False
    """Whether somebody asked it to stop."""
    resumable: bool = False
    """Whether it was stopped, failed or was lost, and can go on from a snapshot."""

    @property
    def active(self) -> bool:
        """Whether the run is waiting or working."""
        return self.name in ("queued", "running")


@dataclass(frozen=True)
class _Read:
    """What was read of a run's log: from which start of the run, up to which byte."""

    start: tuple[int, int, int] = (0, 0, 0)
    end: int = 0
    records: tuple[Event, ...] = ()


_read: dict[Path, _Read] = {}


def settings(folder: Path) -> config.Run:
    """Return what a run was asked to do.

    Raises:
        RunError: no run there.
        ConfigError: its settings cannot be read.
    """
    try:
        text = (folder / CONFIG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        raise RunError(f"{folder.name}: expected a run's folder, found no {CONFIG} in it") from None
    return settings_file.from_json(text, f"{folder.name}/{CONFIG}")


def state(folder: Path) -> State:
    """Read where a run stands.

    Raises:
        RunError: no run there.
    """
    request = settings(folder)
    created = (folder / CONFIG).stat().st_mtime
    name: Name
    reason, held, untold = "", False, False
    recorded: tuple[Event, ...] = ()
    ended = _ended(folder)
    if not ended:
        # In this order: a worker has its lock before its first event, and writes its end before it lets go.
        recorded, untold = _records(folder), not (folder / BEGUN).exists()
        held, ended = is_held(folder / LOCK), _ended(folder)
    last: Event = next((e for e in reversed(recorded) if e["event"] in ("step", "phase")), {})
    if ended:
        name, reason = ended
    elif held:
        # A run that goes on has the events of its earlier starts before those of this one.
        turns = (e["event"] for e in reversed(recorded) if e["event"] in ("queued", "started"))
        working = next(turns, "") == "started" and not untold
        name = "running" if working else "queued"
    elif just_now(created) and untold:
        name = "queued"
    else:
        name, reason = "lost", "its worker ended without a word: killed, or the machine restarted"
    stopping = (folder / CANCEL).exists()
    resumable = name in ("failed", "cancelled", "lost") and any((folder / SNAPSHOTS).glob("*.json"))
    return State(folder, request, name, reason, created, last, stopping, resumable)


def events(folder: Path) -> pd.DataFrame:
    """Return a run's events, one row each, in order; empty where there are none yet."""
    return pd.DataFrame(_records(folder))


def note(folder: Path) -> str:
    """Return what somebody wrote about a run; empty where nobody did."""
    try:
        with (folder / NOTE).open(encoding="utf-8", errors="replace") as file:
            return file.read(NOTE_LENGTH)
    except FileNotFoundError:
        return ""


def all_runs(root: Path) -> list[State]:
    """Return every run under a folder, newest first; folders that hold no readable run are passed over."""
    states = []
    for path in root.glob(f"*/{CONFIG}"):
        try:
            states.append(state(path.parent))
        except (RunError, config.ConfigError) as error:
            _log.warning("%s", error)
    return sorted(states, key=lambda run: run.created, reverse=True)


def _ended(folder: Path) -> tuple[Name, str] | None:
    """Return how a run ended and why, if it did."""
    if (folder / DONE).exists():
        return "done", ""
    if (folder / FAILED).exists():
        return "failed", _reason(folder / FAILED)
    if (folder / CANCELLED).exists():
        return "cancelled", _reason(folder / CANCELLED)
    return None


def just_now(submitted: float) -> bool:
    """Return whether a process submitted then may still be starting; never one of the clock's future."""
    return 0 <= time.time() - submitted < STARTING_SECONDS


def _records(folder: Path) -> tuple[Event, ...]:
    """Return a run's events so far; of a log read before, only what was appended is read."""
    try:
        request = (folder / CONFIG).stat()
        with (folder / EVENTS).open("rb") as file:
            log = os.fstat(file.fileno())
            # A run that starts anew or goes on has new settings on disk; what it takes back, a new log.
            start = (request.st_mtime_ns, request.st_ino, log.st_ino)
            before = _read.get(folder, _Read())
            if before.start != start or log.st_size < before.end:
                before = _Read(start)
            file.seek(before.end)
            appended = file.read()
    except FileNotFoundError:
        return ()
    # A worker may be at the last line, or have been killed at it.
    whole = appended[: appended.rfind(b"\n") + 1]
    result = (parsed(line) for line in whole.splitlines())
    records = (*before.records, *(event for event in result if event))
    _read[folder] = _Read(start, before.end + len(whole), records)
    while len(_read) > LOGS_KEPT:
        _read.pop(next(iter(_read)), None)
    return records


def _reason(path: Path) -> str:
    try:
        return str(pydantic_core.from_json(path.read_bytes()).get("reason", ""))
    except (OSError, ValueError, AttributeError):
        return ""
