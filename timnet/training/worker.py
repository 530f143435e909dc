"""The worker of a run: a process of its own that waits its turn, trains and leaves its end on disk; no torch.

It holds the run's lock while it lives, and waits for the device's lock: the queue. Whoever starts it need not
watch it, and may close or restart. The same settings submitted twice are one run, and a run that was stopped,
failed or was lost goes on where its last good snapshot was taken.
"""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from filelock import FileLock, Timeout
from pydantic_core import to_json

from timnet import config, files, processes, settings_file
from timnet.evaluation import predictions
from timnet.training import run_names, runs
from timnet.training.events import CANCEL, EVENTS, Cancelled, Event, Events
from timnet.training.runs import (
    BEGUN,
    BEST,
    CANCELLED,
    CONFIG,
    DONE,
    FAILED,
    LOCK,
    LOG,
    NOTE,
    NOTE_LENGTH,
    RESULT,
    SNAPSHOTS,
    RunError,
    State,
)

SUBMITTING, DEVICE, CARD = ".submit.lock", ".device.lock", "card.md"

Train = Callable[[config.Run, Path, Events], dict[str, Any]]


def submit(settings: config.Run, root: Path, fresh: bool = False) -> Path:
    """Start a worker for the settings and return the run's folder at once.

    Settings whose run is queued, running or done are not started again: the folder that there is comes back.
    One that was stopped, failed or was lost goes on from its last snapshot; `fresh` starts it anew.
    """
    root.mkdir(parents=True, exist_ok=True)
    folder = root / run_names.folder_name(settings)
    _start(settings, folder, fresh)
    return folder


def restart(folder: Path, fresh: bool = False) -> None:
    """Let a run that was stopped, failed or was lost go on; `fresh` starts it anew.

    Raises:
        RunError: no run there.
    """
    _start(runs.settings(folder), folder, fresh)


@files.private()
def prepare(settings: config.Run, folder: Path, fresh: bool = False) -> None:
    """Lay out a run's folder: to go on where a run of these settings can, else for a new start.

    Raises:
        RunError: the folder holds something else, or a run that is still at work.
    """
    text, goes_on = settings_file.to_json(settings), False
    if (folder / CONFIG).exists():
        state = runs.state(folder)
        if state.active:
            raise RunError(f"{folder.name}: this run is still at work")
        goes_on = state.resumable and not fresh and settings_file.to_json(state.settings) == text
    elif folder.exists() and any(not _leftover(each) for each in folder.iterdir()):
        raise RunError(f"{folder.name}: expected a new, empty or run folder, found other files in it")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    files.remove_leftovers(folder / CONFIG)
    if not goes_on:
        for name in (SNAPSHOTS, BEST):
            if (folder / name).exists():
                shutil.rmtree(folder / name)
        (folder / EVENTS).unlink(missing_ok=True)
    for name in (BEGUN, CANCEL, DONE, FAILED, CANCELLED, RESULT, predictions.FILE):
        (folder / name).unlink(missing_ok=True)
    _write(folder / CONFIG, text)


def _leftover(path: Path) -> bool:
    """Return whether a file is one that a run killed before it had settings leaves."""
    return path.name == LOCK or path.name.startswith(f".{CONFIG}.")


class Stoppable(Protocol):
    """What is told that somebody asked it to stop."""

    cancelled: bool


@files.private()
def work(
    folder: Path, train: Train, listen: Callable[[Event], None] | None = None, queues: bool = True
) -> State:
    """Do a run's work in this process: take its lock, wait for the device, train, leave its end on disk.

    Whoever shares the device out otherwise, as Ray does, lets it not queue. Whatever goes wrong in training
    ends in `failed.json` with one sentence and in the log with its traceback.
    """
    settings = runs.settings(folder)
    lock = FileLock(folder / LOCK)
    try:
        held = lock.acquire(timeout=5)
    except Timeout:
        raise RunError(f"{folder.name}: another worker is at this run") from None
    with held:
        events = Events(folder, listen)
        events.rewind()
        (folder / BEGUN).touch()
        try:
            with stoppable(events), _device(folder.parent, events, queues):
                result = train(settings, folder, events)
            # What is undefined is null: JSON has no NaN.
            _write(folder / RESULT, to_json(result, indent=2, inf_nan_mode="null").decode() + "\n")
            events.append("done")
            _write(folder / DONE, json.dumps({"finished": time.time()}) + "\n")
        except (Cancelled, KeyboardInterrupt):
            _end(folder, CANCELLED, "stopped on request")
        except Exception as error:
            # To the run's log, which is not always where this process writes its errors, and before the end
            # is told: who reads of it finds its cause. On a full disk the end matters more.
            with suppress(OSError), (folder / LOG).open("a", encoding="utf-8") as log:
                traceback.print_exception(error, file=log)
            _end(folder, FAILED, _sentence(error))
        else:
            # The checkpoint stays; a snapshot that cannot be removed does no harm.
            shutil.rmtree(folder / SNAPSHOTS, ignore_errors=True)
            if isinstance(settings, config.Finetune):
                # Its best is the checkpoint itself.
                shutil.rmtree(folder / BEST, ignore_errors=True)
    return runs.state(folder)


def follow(settings: config.Run, folder: Path, train: Train) -> None:
    """Do a process's part of a run whose first process is another: nothing is written."""
    events = Events(folder, writes=False)
    with stoppable(events), suppress(Cancelled, KeyboardInterrupt):
        train(settings, folder, events)


@contextmanager
def stoppable(request: Stoppable) -> Iterator[None]:
    """Turn SIGTERM and the first Ctrl-C into a request to stop, where this is the main thread's work."""
    before: dict[int, Any] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        request.cancelled = True
        if number == signal.SIGINT:
            # Whoever presses it again will not wait for the snapshot.
            signal.signal(number, before[number])

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def cancel(folder: Path) -> None:
    """Ask a run to stop; it takes a snapshot after the step at hand and ends."""
    _known(folder)
    (folder / CANCEL).touch()


def delete(folder: Path) -> None:
    """Remove a run with its checkpoint.

    Raises:
        RunError: no run there, one still at work, or one with a model card, as those that come with timnet.
    """
    _known(folder)
    with FileLock(folder.parent / SUBMITTING):
        if runs.state(folder).active:
            raise RunError(f"{folder.name}: this run is still at work; stop it first")
        if (folder / CARD).exists() or folder.is_symlink():
            what = "is a link to another folder" if folder.is_symlink() else "has a model card"
            raise RunError(f"{folder.name}: {what} and is kept; remove it by hand")
        # Without its settings it is no run any more, should this be the last thing that happens here.
        (folder / CONFIG).unlink()
        shutil.rmtree(folder)


def annotate(folder: Path, text: str) -> None:
    """Keep a note on a run; a blank one removes it.

    Raises:
        RunError: no run there, or too long a note.
    """
    _known(folder)
    if len(text) > NOTE_LENGTH:
        raise RunError(f"note: expected at most {NOTE_LENGTH:,} characters, got {len(text):,}")
    if text.strip():
        _write(folder / NOTE, text)
    else:
        (folder / NOTE).unlink(missing_ok=True)


def _known(folder: Path) -> None:
    if not (folder / CONFIG).exists():
        raise RunError(f"{folder.name}: no run of that name")


@files.private()
def _start(settings: config.Run, folder: Path, fresh: bool) -> None:
    """Start a worker at a folder, unless its run is waiting, at work or done."""
    with FileLock(folder.parent / SUBMITTING):
        if (folder / CONFIG).exists() and runs.state(folder).name in ("queued", "running", "done"):
            return
        prepare(settings, folder, fresh)
        with (folder / LOG).open("ab") as log:
            processes.start(["run", str(folder)], log, trains=True)


@contextmanager
def _device(root: Path, events: Events, queues: bool) -> Iterator[None]:
    """Wait for the device, one run at a time under a root."""
    if not queues:
        events.append("started")
        yield
        return
    events.append("queued")
    lock = FileLock(root / DEVICE)
    while True:
        events.check()
        try:
            held = lock.acquire(timeout=1)
            break
        except Timeout:
            continue
    with held:
        events.append("started")
        yield


def _sentence(error: Exception) -> str:
    if isinstance(error, ValueError):
        # Our own errors are sentences for the user.
        return str(error)
    if isinstance(error, OSError):
        return f"{type(error).__name__}: {error.strerror or error}"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _end(folder: Path, name: str, reason: str) -> None:
    _write(folder / name, json.dumps({"finished": time.time(), "reason": reason}) + "\n")


def _write(path: Path, text: str) -> None:
    files.write_whole(path, text.encode())
