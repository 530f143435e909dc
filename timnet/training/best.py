"""A run's best network so far, beside its last: `best/` in the run's folder, and what chose it.

Written last, what tells of it is never there without it. Knows nothing of how networks are compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pydantic_core

from timnet import files
from timnet.training.runs import BEST

CHOSEN = "chosen.json"


def keep(run: Path, save: Callable[[Path], None], told: Mapping[str, Any]) -> None:
    """Put a network in the place of a run's best.

    Args:
        save: writes the network as a checkpoint into the folder it is given.
        told: which look chose it, and by what.
    """
    folder = run / BEST
    save(folder)
    files.write_whole(folder / CHOSEN, (json.dumps(dict(told)) + "\n").encode())


def chosen(run: Path) -> dict[str, Any]:
    """Return which network a run holds as its best, and by what; empty where it holds none."""
    try:
        told = pydantic_core.from_json((run / BEST / CHOSEN).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
