"""Names of runs: a folder's name from its settings, and the command that repeats a run."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from timnet import config, settings_file
from timnet.training.runs import State


def command_line(state: State) -> str:
    """Return the command that does the same run in a terminal: what differs from its preset is spelt out."""
    settings = state.settings
    result = words(settings)
    if state.folder.name != folder_name(settings):
        result += ["--out", str(state.folder)]
    return shlex.join(["python", "-m", "timnet", settings_file.command(settings), *result])


def words(request: config.Run, leaving_out: Sequence[str] = ()) -> list[str]:
    """Return settings as arguments of the command line: the cohorts, and what differs from the preset.

    A value that begins with a dash is joined to its option by `=`, so that it is never read as an option.
    """
    usual = {**settings_file.numbers(type(request), request.preset), "preset": "small"}
    items: list[str] = []
    for each in fields(request):
        value, option = getattr(request, each.name), each.name.replace("_", "-")
        if each.name in ("cohort", "cohorts"):
            items += [value] if isinstance(value, str) else value
        elif each.name in leaving_out or value == usual.get(each.name, each.default):
            continue
        elif isinstance(value, bool):
            items.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, tuple):
            items += [f"--{option}", *map(str, value)]
        elif str(value).startswith("-"):
            items.append(f"--{option}={value}")
        else:
            items += [f"--{option}", str(value)]
    return items


def folder_name(settings: config.Run) -> str:
    """Return the run's folder name: readable, safe as a path, one a settings."""
    if isinstance(settings, config.Finetune):
        items = [
            Path(settings.cohort).name,
            settings.task,
            Path(settings.initialisation).name,
            f"{settings.fraction * 100:g}pct",
            f"s{settings.seed}",
        ]
    else:
        items = ["timnet", *(Path(cohort).name for cohort in settings.cohorts), f"s{settings.seed}"]
    return f"{readable(*items)}-{hashlib.sha256(settings_file.to_json(settings).encode()).hexdigest()[:8]}"


def readable(*words: str) -> str:
    """Return words as the beginning of a folder's or file's name: short, and safe as a path."""
    return re.sub(r"[^a-z0-9.]+|\.\.+", "-", "-".join(words).lower()).strip("-.")[:80]
