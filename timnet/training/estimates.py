"""What a run will take on this computer, before it starts: pairs, time, disk; no torch.

Time comes from what earlier runs here took a film and a report, of any state. Where the nearest read films of
another size, it is scaled by their area and says so; where there is none, the time is not known and nothing
is made up.

A fine-tuning's time is told from finished runs of the same kind alone (`Pace`): what a step took, and what
was around the steps (reading films, testing).
"""

from __future__ import annotations

import math
import shutil
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pydantic_core

from timnet import config
from timnet.cohorts import store, stored_vectors
from timnet.training import runs
from timnet.training.events import Event
from timnet.training.runs import State

TOKENS_A_WORD = 1.6
"""Pieces that a tokenizer makes of a word of a report, with its full stop: at most about so many."""
NETWORK_BYTES = 200e6
"""A ResNet-18 with its branches in training, as a snapshot holds it: weights and two moments."""
SNAPSHOTS_AT_ONCE = 4
"""Three kept, and one that is being written."""
WIDTH = 768
"""Width of token states, where the encoder is not on this computer yet: that of BERT-base."""


@dataclass(frozen=True)
class Pairs:
    """What cohorts hold for a pre-training."""

    train: int
    """Films with findings to learn from."""
    seen: int
    """Films an epoch, repeats counted."""
    held_out: int
    without_text: int
    films: tuple[tuple[Path, int], ...]
    """Folder and number of films of each cohort."""
    reports: int
    """Distinct findings."""
    words: int
    """Of all of them together."""


@dataclass(frozen=True)
class Time:
    """How long, by which earlier run."""

    seconds: float
    run: str
    side: int
    """Film side of that run, in pixels."""


@dataclass(frozen=True)
class Disk:
    """Bytes needed at most, and free."""

    needed: int
    free: int


def pairs(settings: config.Pretrain) -> Pairs:
    """Count the pairs of a pre-training's cohorts.

    Raises:
        CohortError: no such cohort.
    """
    train = seen = held_out = without = 0
    films, findings = [], []
    for name, repeat in zip(settings.cohorts, settings.repeats or (1,) * len(settings.cohorts), strict=True):
        cohort = store.Cohort.open(store.find(name))
        table = cohort.films()
        number = len(table)
        table = table[cohort.viewed(settings.views)]
        kept = table[table["findings"].str.strip() != ""]
        held = int(kept["split"].isin(settings.held_out).sum())
        train, held_out = train + len(kept) - held, held_out + held
        seen += repeat * (len(kept) - held)
        without += len(table) - len(kept)
        films.append((cohort.folder, number))
        findings.append(kept["findings"])
    distinct = pd.concat(findings).drop_duplicates()
    words = distinct.str.count(r"\w+|[^\w\s]")
    return Pairs(train, seen, held_out, without, tuple(films), len(distinct), int(words.sum()))


def time(settings: config.Pretrain, counted: Pairs, root: Path) -> Time | None:
    """Return how long training and reading reports may take, by the nearest earlier run; None if unknown."""
    near: list[tuple[int, float, State]] = []
    reading = 0.0
    # Newest first: of equally near runs the latest counts.
    for run in runs.all_runs(root):
        request = run.settings
        if isinstance(request, config.Pretrain) and _alike(request, settings):
            log = runs.events(run.folder)
            reading = reading or _seconds_a_report(log)
            each = _seconds_a_film(log, request.batch)
            if each is not None:
                near.append(
                    (abs(request.side - settings.side), each * (settings.side / request.side) ** 2, run)
                )
    if not near:
        return None
    _, each, run = min(near, key=lambda one: one[0])
    films = counted.seen * settings.epochs * (2 if settings.objective == "pairs" else 1)
    return Time(films * each + counted.reports * reading, run.folder.name, run.settings.side)


def disk(settings: config.Pretrain, counted: Pairs, root: Path) -> Disk:
    """Return the room that films, token states and snapshots need at most, and what is free for them."""
    needed = 0.0
    for folder, films in counted.films:
        if not list(folder.glob(f"pixels-{settings.side}-*.npy")):
            needed += films * settings.side**2
    if settings.text_mode != "full":
        tokens = counted.words * TOKENS_A_WORD
        if settings.padding == "literal":
            tokens = counted.reports * settings.tokens
        needed += 2 * tokens * _width(settings.text_encoder)
    needed += SNAPSHOTS_AT_ONCE * NETWORK_BYTES
    if settings.text_mode != "frozen":
        needed += SNAPSHOTS_AT_ONCE * 3 * _encoder_bytes(settings.text_encoder)
    there = [each for each in (config.home(), root) if each.is_dir()] or [Path.home()]
    return Disk(int(needed), min(shutil.disk_usage(each).free for each in there))


def _alike(one: config.Pretrain, other: config.Pretrain) -> bool:
    names = ["backbone", "text_mode", "text_layers", "text_encoder", "objective", "width"]
    # Each of these has layers computed twice, or every film encoded once more.
    names += ["negatives", "mirrored", "chunk", "recompute"]
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _seconds_a_film(log: pd.DataFrame, batch: int) -> float | None:
    """Return what a film of a step took, over the longest stretch without a restart; None if too short."""
    if "step" not in log:
        return None
    steps = log[log["event"] == "step"]
    # The clock of a run that goes on begins anew.
    start = (log["event"] == "started").cumsum()
    best = None
    for _, part in steps.groupby(start.loc[steps.index]):
        taken, seconds = (part[name].iloc[-1] - part[name].iloc[0] for name in ("step", "seconds"))
        if taken >= 3 and (best is None or taken > best[0]):
            best = (taken, seconds / taken / batch)
    return best[1] if best else None


def _seconds_a_report(log: pd.DataFrame) -> float:
    """Return what reading one report took; 0 where the reports of that run had been read before."""
    if "done" not in log:
        return 0.0
    result = log[(log["phase"] == "reading reports") & log["done"].notna()]
    done = result["done"].iloc[-1] - result["done"].iloc[0] if len(result) else 0
    return float((result["seconds"].iloc[-1] - result["seconds"].iloc[0]) / done) if done else 0.0


def _folder(source: str) -> Path | None:
    folders = (Path(source).expanduser(), config.BUNDLE / source)
    return next((folder for folder in folders if folder.is_dir()), None)


def _width(source: str) -> int:
    folder = _folder(source)
    try:
        content = pydantic_core.from_json((folder / "config.json").read_bytes()) if folder else {}
        return int(content.get("hidden_size", WIDTH))
    except (OSError, ValueError, AttributeError, TypeError, OverflowError):
        return WIDTH


def _encoder_bytes(source: str) -> float:
    folder = _folder(source)
    weights = folder / "model.safetensors" if folder else None
    return float(weights.stat().st_size) if weights and weights.is_file() else 440e6


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


def steps_an_epoch(films: int, batch: int, drop_last: bool = False) -> int:
    """Return how many steps an epoch takes (`batches.orders`)."""
    whole, rest = divmod(films, batch)
    return max(whole + (rest > 1 and not drop_last), 1)


def epochs_of(settings: config.Finetune, films: int) -> int:
    """Return how many passes a run on so many films takes: the least steps may ask for more than `epochs`."""
    each = steps_an_epoch(films, settings.batch, settings.drop_last)
    return max(settings.epochs, math.ceil(settings.least_steps / each))


def steps_of(settings: config.Finetune, films: int) -> int:
    """Return how many steps a run on so many films takes; a probe takes none."""
    if settings.mode == "probe" or stored_vectors.is_stored(settings.initialisation):
        return 0
    return epochs_of(settings, films) * steps_an_epoch(films, settings.batch, settings.drop_last)


def measured_pace(states: Iterable[State], like: config.Finetune) -> Pace | None:
    """Return the median pace of the newest finished runs like this one; None where there is none.

    Args:
        states: newest first, as of `runs.all_runs`.
    """
    found: list[tuple[float, float]] = []
    for state in states:
        settings = state.settings
        alike = isinstance(settings, config.Finetune) and all(
            getattr(settings, name) == getattr(like, name) for name in SAME
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
    result = events[last:]
    timed = [event for event in result if event["event"] == "step"]
    if stepless and result[-1]["event"] == "done":
        return 0.0, result[-1]["seconds"] - result[0]["seconds"]
    if len(timed) < 2 or result[-1]["event"] != "done":
        return None
    first, final = timed[0], timed[-1]
    step = (final["seconds"] - first["seconds"]) / (final["step"] - first["step"])
    # The first step, with all that is set up in it, counts as around.
    taken = final["step"] - first["step"]
    return step, result[-1]["seconds"] - result[0]["seconds"] - step * taken
