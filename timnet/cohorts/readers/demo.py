"""The demo cohort: simulated films with their reports, and the exact truth of every finding in them.

Owns the folder that `python -m timnet simulate` writes: a table that csv_table reads, and `truth.jsonl.gz`.
No film in it is a patient's; the summary of the import says so. Refuses a folder without the two files.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pydantic_core
from numpy.typing import NDArray

from timnet.cohorts import store
from timnet.cohorts.readers import csv_table, tables
from timnet.cohorts.records import CohortError, Progress, Rules, Summary

TABLE, TRUTH = "studies.csv", "truth.jsonl.gz"
SOURCE = "simulated"
NOTE = "every film is simulated from one CT; none is a patient's"
_KEYS = {"path", "study", "patient", "split", "view", "age", "report"}
_MAX_BYTES = 2**28


@dataclass(frozen=True)
class Placed:
    """One finding on a film.

    Attributes:
        box: left, top, right, bottom (exclusive) in pixels; None where it is out of sight.
        runs: lengths of the mask's runs in reading order, outside first. shape: rows, columns.
        facts: side, place, severity, size_mm and variant as simulated.
    """

    kind: str
    box: tuple[int, int, int, int] | None
    runs: tuple[int, ...]
    shape: tuple[int, int]
    facts: Mapping[str, Any]

    def mask(self) -> NDArray[np.bool_]:
        """Return where the finding lies, bool (rows, columns)."""
        inside = np.arange(len(self.runs)) % 2 == 1
        return np.repeat(inside, self.runs).reshape(self.shape)


@dataclass(frozen=True)
class Truth:
    """What is on one film. cardiothoracic: width of the heart over that of the chest."""

    findings: tuple[Placed, ...]
    spacing_mm: float
    cardiothoracic: float


def run(root: Path, name: str = "demo", progress: Progress | None = None, **rules: Unpack[Rules]) -> Summary:
    """Import the simulated films below `root` as the cohort `name`; CohortError if there are none."""
    path, _ = _files(root)
    table = tables.open_table(path)
    labels = [column for column in table.columns if column not in _KEYS]
    folder = store.place(name)
    return store.write(
        folder,
        source=SOURCE,
        root=root,
        records=csv_table.read(root, table=TABLE, text="report", labels=labels),
        notes=[NOTE],
        progress=progress,
        **rules,
        num_films=table.num_rows,
        request=tables.request(path),
    )


def truth(root: Path) -> dict[str, Truth]:
    """Return what is on each film, by its path relative to `root`; CohortError if it cannot be read."""
    _, path = _files(root)
    try:
        with gzip.open(path) as stream:
            lines = stream.read(_MAX_BYTES).decode().splitlines()
        return {f"films/{film['film']}": _truth(film) for film in map(pydantic_core.from_json, lines)}
    except (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError, OverflowError) as error:
        raise CohortError(
            f"{path.name}: expected the truth of simulated films ({type(error).__name__})"
        ) from None


def _truth(film: Mapping[str, Any]) -> Truth:
    shape = int(film["rows"]), int(film["columns"])
    placed = []
    for finding in film["findings"]:
        facts = {key: finding[key] for key in ("side", "place", "severity", "size_mm", "variant")}
        if sum(finding["mask"]) != shape[0] * shape[1]:
            raise ValueError("a mask that does not fill its film")
        box = tuple(finding["box"]) if finding["box"] else None
        placed.append(Placed(finding["kind"], box, tuple(finding["mask"]), shape, facts))
    return Truth(tuple(placed), float(film["spacing_mm"]), float(film["cardiothoracic"]))


def _files(root: Path) -> tuple[Path, Path]:
    for name in (TABLE, TRUTH):
        if not (root / name).is_file():
            raise CohortError(f"{root.name}: expected simulated films with {name}, found no such file")
    return root / TABLE, root / TRUTH
