"""The worker of a run: a process of its own that waits its turn, trains and leaves its end on disk; no torch.

It holds the run's lock while it lives, and waits for the device's lock: the queue. Whoever starts it need not
watch it, and may close or restart. The same settings submitted twice are one run.
"""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from timnet import config
from timnet.training import runs
from timnet.training.events import CANCEL, EVENTS, Cancelled, Event, Events
from timnet.training.runs import CANCELLED, CONFIG, DONE, FAILED, LOCK, LOG, RESULT, RunError, State

_log = logging.getLogger(__name__)

Train = Callable[[config.Run, Path, Events], dict[str, Any]]


def submit(settings: config.Run, root: Path) -> Path:
    """Start a worker for the settings and return the run's folder at once.

    Settings whose run is queued, running or done are not started again: the folder that there is comes back.
    """
    root.mkdir(parents=True, exist_ok=True)
    folder = root / runs.folder_name(settings)
    with FileLock(root / ".submit.lock"):
        if (folder / CONFIG).exists() and runs.state(folder).name in ("queued", "running", "done"):
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
    if (folder / CONFIG).exists() and runs.state(folder).active:
        raise RunError(f"{folder.name}: this run is still at work")
    folder.mkdir(parents=True, exist_ok=True)
    for name in (EVENTS, CANCEL, DONE, FAILED, CANCELLED, RESULT):
        (folder / name).unlink(missing_ok=True)
    _write(folder / CONFIG, config.to_json(settings))


def work(folder: Path, train: Train, listen: Callable[[Event], None] | None = None) -> State:
    """Do a run's work in this process: take its lock, wait for the device, train, leave its end on disk.

    Whatever goes wrong in training ends in `failed.json` with one sentence and in the log with its traceback.
    """
    settings = runs.settings(folder)
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
    return runs.state(folder)


def cancel(folder: Path) -> None:
    """Ask a run to stop; it does so after the step at hand."""
    if not (folder / CONFIG).exists():
        raise RunError(f"{folder.name}: no run of that name")
    (folder / CANCEL).touch()


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


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
