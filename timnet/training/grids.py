"""A grid of fine-tuning runs: every start, share of the labels and draw, run by run; no torch.

Owns the order (small shares first, and of each draw all starts, so that a useful curve appears early), what
is left to do, and the tidy table of what was measured. A run that is done is skipped, one that was stopped
goes on, one at work elsewhere is waited for. Source: Liang et al. 2022, Figs. 3 to 5.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from timnet import config, processes, settings_file
from timnet.cohorts import store, tasks
from timnet.counting import counted
from timnet.training import estimates, run_names, runs, worker
from timnet.training.events import Event, Events
from timnet.training.runs import CONFIG, RunError, State

GRIDS = ".grids"
"""Folder of the locks and logs of grids, beside the runs."""
GRIDDED = ("initialisation", "fraction", "seed")
"""Settings that a grid has several of."""
FAILURES = 3
"""Runs that may fail one after another before a grid gives up."""


class Stopped(RunError):
    """A grid that was asked to stop: what it has done is kept, and the same command goes on."""


@dataclass(frozen=True)
class Grid:
    """Which runs: `shared` says all but start, share and draw; the draws are the seeds from 0 on."""

    shared: config.Finetune
    initialisations: tuple[str, ...]
    fractions: tuple[float, ...]
    seeds: int

    def __post_init__(self) -> None:
        for name in ("initialisations", "fractions"):
            if not getattr(self, name):
                raise config.ConfigError(f"{name}: expected at least one, got none")
        for word in (self.shared.cohort, *self.initialisations):
            if word.startswith("-"):
                which = f"expected a name or path, got {word!r}, which a command takes for an option"
                raise config.ConfigError(f"curve: {which}: rename it, or write ./ before it")
        if not 1 <= self.seeds <= 1000:
            raise config.ConfigError(f"seeds: expected 1 to 1000, got {self.seeds}")

    def settings(self) -> list[config.Finetune]:
        """Return the settings of every run, in the order in which they are done."""
        return [
            replace(self.shared, initialisation=start, fraction=fraction, seed=seed)
            for fraction in sorted(set(self.fractions))
            for seed in range(self.seeds)
            for start in dict.fromkeys(self.initialisations)
        ]

    @property
    def name(self) -> str:
        """Return a name for the grid's files: readable, safe as a path, one a grid."""
        stem = run_names.readable("curve", Path(self.shared.cohort).name, self.shared.task)
        settings = json.dumps([settings_file.to_json(each) for each in self.settings()])
        return f"{stem}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"

    def words(self) -> list[str]:
        """Return the words after `python -m timnet` that do this grid in a terminal."""
        return [
            "curve",
            *run_names.words(self.shared, leaving_out=GRIDDED),
            *("--initialisations", *self.initialisations),
            *("--fractions", *(f"{fraction:g}" for fraction in self.fractions)),
            *("--seeds", str(self.seeds)),
        ]


@dataclass(frozen=True)
class Progress:
    """How far a grid is: runs done of all, the run at work, its latest event, seconds left where known."""

    done: int
    total: int
    at_work: config.Finetune
    event: Event
    seconds_left: float | None


def complete(
    items: Sequence[config.Finetune],
    root: Path,
    train: worker.Train,
    tell: Callable[[Progress], None] | None = None,
) -> list[State]:
    """Do, in this process and in this order, the runs that are not done; return those that failed.

    After every run `tell` has heard of its end, and what is on disk is whole.

    Raises:
        Stopped: SIGTERM or Ctrl-C came, or somebody stopped the run at work, which goes on later.
        RunError: FAILURES runs failed one after another.
        CohortError: no such cohort, task or share.
    """
    root.mkdir(parents=True, exist_ok=True)
    waited = steps(items)
    waiting, total = missing(list(dict.fromkeys(items)), root), len(set(items))
    failed: list[State] = []
    row = 0
    while waiting:
        settings = claim(waiting, root)
        if settings is None:
            time.sleep(1 if waiting else 0)
            continue
        ahead = [waited[each] for each in waiting]
        done = total - len(waiting) - 1 - len(failed)
        pace = estimates.measured_pace(runs.all_runs(root), settings)
        heard = _Listener(settings, done, total, waited[settings], ahead, pace, tell)
        state = worker.work(root / run_names.folder_name(settings), heard.watching(train), heard.event)
        if state.name == "cancelled" or heard.stopped():
            done += state.name == "done"
            message = f"{done} of {counted(total, 'run')}"
            raise Stopped(f"stopped with {message} done; the same command goes on from there")
        row = 0 if state.name == "done" else row + 1
        if state.name != "done":
            failed.append(state)
        if row == FAILURES:
            raise RunError(f"{FAILURES} runs failed one after another, the last because {state.reason}")
    return failed


@contextmanager
def alone(grid: Grid, root: Path) -> Iterator[None]:
    """Hold a grid's lock, so that it is done in one process.

    Raises:
        RunError: it is at work in another one.
    """
    (root / GRIDS).mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / GRIDS / f"{grid.name}.lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"{grid.name}: this grid is at work in another process") from None
    with held:
        yield


def start(grid: Grid, root: Path) -> None:
    """Start a grid in a process of its own, unless it is at work."""
    (root / GRIDS).mkdir(parents=True, exist_ok=True)
    with FileLock(root / worker.SUBMITTING):
        if at_work(grid, root):
            return
        with _log(grid, root).open("wb") as log:
            processes.start(grid.words(), log, trains=True, niceness=5)


def at_work(grid: Grid, root: Path) -> bool:
    """Say whether a process is at a grid, or was started a moment ago and has said nothing yet."""
    if processes.is_held(root / GRIDS / f"{grid.name}.lock"):
        return True
    try:
        result = _log(grid, root).stat()
    except FileNotFoundError:
        return False
    return not result.st_size and runs.just_now(result.st_mtime)


def last_words(grid: Grid, root: Path) -> str:
    """Return the last line that a started grid has printed; empty where there is none."""
    return processes.tail(_log(grid, root))


def missing(settings: Sequence[config.Finetune], root: Path) -> list[config.Finetune]:
    """Return the settings of which no run is done."""
    done = finished(settings, root)
    return [each for each in settings if each not in done]


def finished(settings: Sequence[config.Finetune], root: Path) -> dict[config.Finetune, Path]:
    """Return the folders of the runs that are done, also of those that were given a name of their own."""
    wanted = set(settings)
    done = [
        (state.settings, state.folder)
        for state in runs.all_runs(root)
        if isinstance(state.settings, config.Finetune) and state.settings in wanted and state.name == "done"
    ]
    # Of several runs of the same settings the one that bears their name counts.
    return dict(sorted(done, key=lambda each: each[1].name == run_names.folder_name(each[0])))


def claim(waiting: list[config.Finetune], root: Path) -> config.Finetune | None:
    """Take the next run that nobody is at off the list and lay out its folder; drop those that are done."""
    # Whoever starts runs holds this lock: two grids never take the same one.
    with FileLock(root / worker.SUBMITTING):
        for settings in list(waiting):
            folder = root / run_names.folder_name(settings)
            # Looked at once: between two looks a run may end.
            state = runs.state(folder) if (folder / CONFIG).exists() else None
            if state and state.name == "done":
                waiting.remove(settings)
            elif not (state and state.active):
                worker.prepare(settings, folder)
                waiting.remove(settings)
                return settings
    return None


def steps(settings: Sequence[config.Finetune]) -> dict[config.Finetune, int]:
    """Return how many steps each run takes; the number of films is that of draw 0."""
    films: dict[tuple[str, str, str, float], int] = {}
    found = {}
    for each in settings:
        key = (each.cohort, each.task, each.uncertain, each.fraction)
        if key not in films:
            cohort = store.Cohort.open(store.find(each.cohort))
            films[key] = tasks.share_sizes(cohort, each.task, [each.fraction], each.uncertain, each.views)[
                each.fraction
            ]
        found[each] = estimates.steps_of(each, films[key])
    return found


def seconds(settings: Sequence[config.Finetune], root: Path) -> tuple[float, int] | None:
    """Return how long runs will take, and how many runs of the same kind say so; None where none does.

    Raises:
        CohortError: no such cohort, task or share.
    """
    found = estimates.measured_pace(runs.all_runs(root), settings[0]) if settings else None
    if found is None:
        return None
    each_takes = steps(settings)
    return sum(found.seconds(each_takes[each]) for each in settings), found.runs


@dataclass
class _Listener:
    """Hears of the run at work: tells how far the grid is, and whether it was asked to stop."""

    settings: config.Finetune
    done: int
    total: int
    steps: int
    ahead: list[int]
    """Steps of the runs that wait."""
    pace: estimates.Pace | None
    tell: Callable[[Progress], None] | None
    events: Events | None = None

    def watching(self, train: worker.Train) -> worker.Train:
        """Return what trains and lets this hear of a signal that comes when the run has just ended."""

        def watched(settings: config.Run, folder: Path, events: Events) -> dict[str, Any]:
            self.events = events
            return train(settings, folder, events)

        return watched

    def stopped(self) -> bool:
        """Say whether a signal came."""
        return self.events is not None and self.events.cancelled

    def event(self, event: Event) -> None:
        """Tell of an event of the run at work."""
        if self.tell:
            done = self.done + (event["event"] == "done")
            self.tell(Progress(done, self.total, self.settings, event, self._left(event)))

    def _left(self, event: Event) -> float | None:
        """Return the seconds left for the grid: by earlier runs, else by the steps of this one."""
        known = self.pace
        at_step = event["event"] == "step"
        if known is None and at_step and event["step"] < event["steps"]:
            known = estimates.Pace(event["eta_seconds"] / (event["steps"] - event["step"]), 0.0, 0)
        if known is None:
            return None
        mine = 0.0 if event["event"] == "done" else known.seconds(self.steps)
        if at_step:
            mine = event["eta_seconds"]
        return float(mine + sum(known.seconds(steps) for steps in self.ahead))


def _log(grid: Grid, root: Path) -> Path:
    return root / GRIDS / f"{grid.name}.log"
