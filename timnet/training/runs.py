"""Runs: one training job = one folder = its checkpoint. State, events, results, all runs; no torch.

A run's folder holds `config.json`, `metrics.jsonl` (events), `log.txt` and at its end one of `done.json`,
`failed.json`, `cancelled.json`, all written by its worker, which holds the lock while it lives. State is read
off files and locks, never off a process id, so a closed tab or a restarted server loses nothing. The folder's
name carries a hash of the settings.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from timnet import config
from timnet.training.events import CANCEL, EVENTS, Event

CONFIG, LOG, LOCK = "config.json", "log.txt", ".lock"
DONE, FAILED, CANCELLED, RESULT = "done.json", "failed.json", "cancelled.json", "metrics.json"

STARTING_SECONDS = 60
"""How long a worker may take from its start to its lock."""

Name = Literal["queued", "running", "done", "failed", "cancelled", "lost"]

_log = logging.getLogger(__name__)


class RunError(ValueError):
    """A run that cannot be found, read or started; the message says which and why."""


@dataclass(frozen=True)
class State:
    """Where a run stands; `last` is its latest step or phase event."""

    folder: Path
    settings: config.Run
    name: Name
    reason: str = ""
    created: float = 0.0
    last: Event = field(default_factory=dict)
    stopping: bool = False
    """Whether somebody asked it to stop."""

    @property
    def active(self) -> bool:
        """Whether the run is waiting or working."""
        return self.name in ("queued", "running")


def settings(folder: Path) -> config.Run:
    """Return what a run was asked to do.

    Raises:
        RunError: no run there.
        ConfigError: its settings cannot be read.
    """
    try:
        text = (folder / CONFIG).read_text(encoding="utf-8")
    except OSError:
        raise RunError(f"{folder.name}: expected a run's folder, found no {CONFIG} in it") from None
    return config.from_json(text, f"{folder.name}/{CONFIG}")


def state(folder: Path) -> State:
    """Read where a run stands.

    Raises:
        RunError: no run there.
    """
    asked = settings(folder)
    created = (folder / CONFIG).stat().st_mtime
    # The lock comes first: a worker writes its end before it lets go, so no end and no lock means lost.
    held = _held(folder / LOCK)
    recorded = _records(folder)
    last = next((e for e in reversed(recorded) if e["event"] in ("step", "phase")), {})
    reason = ""
    name: Name
    if (folder / DONE).exists():
        name = "done"
    elif (folder / FAILED).exists():
        name, reason = "failed", _reason(folder / FAILED)
    elif (folder / CANCELLED).exists():
        name, reason = "cancelled", _reason(folder / CANCELLED)
    elif held:
        name = "running" if any(e["event"] == "started" for e in recorded) else "queued"
    elif not recorded and time.time() - created < STARTING_SECONDS:
        name = "queued"
    else:
        name, reason = "lost", "its worker ended without a word: killed, or the machine restarted"
    return State(folder, asked, name, reason, created, last, (folder / CANCEL).exists())


def events(folder: Path) -> pd.DataFrame:
    """Return a run's events, one row each, in order; empty where there are none yet."""
    return pd.DataFrame(_records(folder))


def result(folder: Path) -> dict[str, Any]:
    """Return what a finished run measured.

    Raises:
        RunError: not finished, or its file cannot be read.
    """
    try:
        return json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{folder.name}: {RESULT} cannot be read ({error})") from None


def log_tail(folder: Path, lines: int = 30) -> str:
    """Return the last lines of a run's log."""
    try:
        text = (folder / LOG).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def all_runs(root: Path) -> list[State]:
    """Return every run under a folder, newest first; folders that hold no readable run are passed over."""
    states = []
    for path in root.glob(f"*/{CONFIG}"):
        try:
            states.append(state(path.parent))
        except (RunError, config.ConfigError) as error:
            _log.warning("%s", error)
    return sorted(states, key=lambda run: run.created, reverse=True)


def points(root: Path) -> pd.DataFrame:
    """Return the results of finished fine-tuning runs as one tidy table.

    Columns: run, cohort, task, initialisation, fraction, films, seed, recipe, label, metric, value, low,
    high. The recipe, in words, is what must be equal for two runs to lie on one curve.
    """
    rows = []
    for run in all_runs(root):
        if run.name != "done" or not isinstance(run.settings, config.Finetune):
            continue
        measured = result(run.folder)
        settings = run.settings
        for row in measured["test"]:
            rows.append(
                {
                    "run": run.folder.name,
                    "cohort": Path(settings.cohort).name,
                    "task": settings.task,
                    "initialisation": Path(settings.initialisation).name,
                    "fraction": settings.fraction,
                    "films": measured["films"],
                    "seed": settings.seed,
                    "recipe": _recipe(settings),
                    **{name: row[name] for name in ("label", "metric", "value", "low", "high")},
                }
            )
    return pd.DataFrame(rows)


def folder_name(settings: config.Run) -> str:
    """Return the run's folder name: readable, safe as a path, one a settings."""
    if isinstance(settings, config.Finetune):
        words = [
            Path(settings.cohort).name,
            settings.task,
            Path(settings.initialisation).name,
            f"{settings.fraction * 100:g}pct",
            f"s{settings.seed}",
        ]
    else:
        words = ["timnet", *(Path(cohort).name for cohort in settings.cohorts), f"s{settings.seed}"]
    readable = re.sub(r"[^a-z0-9.]+|\.\.+", "-", "-".join(words).lower()).strip("-.")[:80]
    return f"{readable}-{hashlib.sha256(config.to_json(settings).encode()).hexdigest()[:8]}"


def _recipe(settings: config.Finetune) -> str:
    augmented = "augmented" if settings.augment else "not augmented"
    films = "full batches" if settings.drop_last else "every film each epoch"
    return (
        f"{settings.side} px, {settings.epochs} epochs, batch {settings.batch}, "
        f"learning rate {settings.learning_rate:g}, {augmented}, {films}, {settings.backbone}, "
        f"normalised by {settings.normalisation}, width {settings.width}"
    )


def _records(folder: Path) -> list[Event]:
    try:
        lines = (folder / EVENTS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    records = []
    for line in lines:
        try:
            records.append(json.loads(line))
        except ValueError:
            # A killed worker can leave its last line half written.
            continue
    return records


def _held(lock: Path) -> bool:
    """Say whether a worker holds the lock; askers share it among themselves."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _reason(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("reason", ""))
    except (OSError, ValueError):
        return ""
