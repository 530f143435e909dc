"""Runs: one training job = one folder = its checkpoint. Submit, state, events, cancel; no torch.

A run's folder holds `config.json`, `metrics.jsonl` (events), `log.txt` and at its end one of `done.json`,
`failed.json`, `cancelled.json`. The worker is a process of its own that holds the lock while it lives,
and waits for the device's lock: the queue. State is read off files and locks, never off a process id, so a
closed tab or a restarted server loses nothing. The folder's name carries a hash of the settings: the same
settings submitted twice are one run.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import pandas as pd
from filelock import FileLock, Timeout

from timnet import config

CONFIG, EVENTS, LOG, LOCK, CANCEL = "config.json", "metrics.jsonl", "log.txt", ".lock", "cancel"
DONE, FAILED, CANCELLED, RESULT = "done.json", "failed.json", "cancelled.json", "metrics.json"

TELL_SECONDS = 0.5
"""Least time between two progress events."""

STARTING_SECONDS = 60
"""How long a worker may take from its start to its lock."""

Name = Literal["queued", "running", "done", "failed", "cancelled", "lost"]
Event = dict[str, Any]

_log = logging.getLogger(__name__)


class RunError(ValueError):
    """A run that cannot be found, read or started; the message says which and why."""


class Cancelled(Exception):
    """Raised inside a worker when somebody asked the run to stop."""


@dataclass(frozen=True)
class State:
    """Where a run stands; `last` is its latest step or phase event."""

    folder: Path
    settings: config.Run
    name: Name
    reason: str = ""
    created: float = 0.0
    last: Event = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether the run is waiting or working."""
        return self.name in ("queued", "running")


class Events:
    """A run's event log: one JSON object a line, appended as things happen."""

    def __init__(self, folder: Path, listen: Callable[[Event], None] | None = None) -> None:
        self._folder = folder
        self._listen = listen
        self._start = time.monotonic()
        self.cancelled = False

    def append(self, event: str, **fields: Any) -> None:
        """Write one event, with the seconds since the worker's start."""
        record = {"event": event, "seconds": round(time.monotonic() - self._start, 3), **fields}
        with (self._folder / EVENTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        if self._listen:
            self._listen(record)

    def phase(self, name: str) -> Callable[[int, int | None], None]:
        """Return a progress callback that tells of a phase's share done, at most twice a second."""
        told = 0.0

        def progress(done: int, total: int | None) -> None:
            nonlocal told
            self.check()
            now = time.monotonic()
            if now - told >= TELL_SECONDS or done == total:
                told = now
                self.append("phase", phase=name, done=done, total=total)

        return progress

    def check(self) -> None:
        """Raise Cancelled if the run was asked to stop."""
        if self.cancelled or (self._folder / CANCEL).exists():
            raise Cancelled


Train = Callable[[config.Run, Path, Events], dict[str, Any]]


def submit(settings: config.Run, root: Path) -> Path:
    """Start a worker for the settings and return the run's folder at once.

    Settings whose run is queued, running or done are not started again: the folder that there is comes back.
    """
    root.mkdir(parents=True, exist_ok=True)
    folder = root / folder_name(settings)
    with FileLock(root / ".submit.lock"):
        if (folder / CONFIG).exists() and state(folder).name in ("queued", "running", "done"):
            return folder
        prepare(settings, folder)
        with (folder / LOG).open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "timnet", "run", str(folder)],
                cwd=config.REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        # Somebody has to take a finished child off the system's list; the run itself needs no watching.
        threading.Thread(target=worker.wait, daemon=True).start()
    return folder


def prepare(settings: config.Run, folder: Path) -> None:
    """Lay out a run's folder for a fresh start.

    Raises:
        RunError: the folder holds something else, or a run that is still at work.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / CONFIG).exists():
        raise RunError(f"{folder.name}: expected a new, empty or run folder, found other files in it")
    if (folder / CONFIG).exists() and state(folder).active:
        raise RunError(f"{folder.name}: this run is still at work")
    folder.mkdir(parents=True, exist_ok=True)
    for name in (EVENTS, CANCEL, DONE, FAILED, CANCELLED, RESULT):
        (folder / name).unlink(missing_ok=True)
    _write(folder / CONFIG, config.to_json(settings))


def work(folder: Path, train: Train, listen: Callable[[Event], None] | None = None) -> State:
    """Do a run's work in this process: take its lock, wait for the device, train, leave its end on disk.

    Whatever goes wrong in training ends in `failed.json` with one sentence and in the log with its traceback.
    """
    settings = _settings(folder)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=5)
    except Timeout:
        raise RunError(f"{folder.name}: another worker is at this run") from None
    with lock:
        events = Events(folder, listen)
        try:
            with _stoppable(events), _device(folder.parent, events):
                result = train(settings, folder, events)
            _write(folder / RESULT, json.dumps(result, indent=2) + "\n")
            events.append("done")
            _write(folder / DONE, json.dumps({"finished": time.time()}) + "\n")
        except (Cancelled, KeyboardInterrupt):
            _end(folder, CANCELLED, "stopped on request")
        except ValueError as error:
            # Our own errors are sentences for the user.
            _end(folder, FAILED, str(error))
            _log.exception("run failed")
        except OSError as error:
            _end(folder, FAILED, f"{type(error).__name__}: {error.strerror or error}")
            _log.exception("run failed")
        except Exception as error:
            _end(folder, FAILED, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
            _log.exception("run failed")
    return state(folder)


def cancel(folder: Path) -> None:
    """Ask a run to stop; it does so after the step at hand."""
    if not (folder / CONFIG).exists():
        raise RunError(f"{folder.name}: no run of that name")
    (folder / CANCEL).touch()


def state(folder: Path) -> State:
    """Read where a run stands.

    Raises:
        RunError: no run there.
    """
    settings = _settings(folder)
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
    return State(folder, settings, name, reason, created, last)


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

    Columns: run, cohort, task, initialisation, fraction, films, seed, side, label, metric, value, low, high.
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
                    "side": settings.side,
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


def _settings(folder: Path) -> config.Run:
    try:
        text = (folder / CONFIG).read_text(encoding="utf-8")
    except OSError:
        raise RunError(f"{folder.name}: expected a run's folder, found no {CONFIG} in it") from None
    return config.from_json(text, f"{folder.name}/{CONFIG}")


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


@contextmanager
def _device(root: Path, events: Events) -> Iterator[None]:
    """Wait for the device, one run at a time under a root."""
    events.append("queued")
    lock = FileLock(root / ".device.lock")
    while True:
        events.check()
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            continue
    with lock:
        events.append("started")
        yield


@contextmanager
def _stoppable(events: Events) -> Iterator[None]:
    """Turn SIGTERM into a request to stop, where this is the main thread's work."""

    def stop(number: int, frame: FrameType | None) -> None:
        events.cancelled = True

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(folder: Path, name: str, reason: str) -> None:
    _write(folder / name, json.dumps({"finished": time.time(), "reason": reason}) + "\n")


def _reason(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("reason", ""))
    except (OSError, ValueError):
        return ""


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
