"""What an audit of a cohort found, kept beside its vectors: the ranked pairs, those left out, the reasons.

Owns the folder `audits/CHECKPOINT-KEY` of a cohort, whose key is that of the vectors, and the process that a
page starts to fill it. What fills it is `evaluation.audit.run`. No report text is kept. State is read off a
lock, a log and files, never off a process id.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from timnet import checkpoints, files, processes, spreadsheet
from timnet.cohorts import vectors
from timnet.cohorts.records import CohortError
from timnet.cohorts.store import Cohort

FOLDER = "audits"
TOP = 100
"""Pairs at the head of the list whose reasons are worked out, and of each further part that is asked for."""
REASONS = "reasons"
"""Name of the notes that a matching network gives (`evaluation.audit.reasons`)."""
SIDE, SENTENCE, FINDING, REPORT = "side", "sentence", "finding", "report"
"""Why a report may not fit: sides, one sentence, a finding that it denies or does not name, all of it."""
_RANKED, _LEFT_OUT, _LOG, _LOCK = "ranked.parquet", "left_out.parquet", "log.txt", ".lock"
_RULE = "1"
"""Raise it when pairs are scored in another way: older audits are then made anew."""
_KEY = 16
_SHARE = re.compile(r"^(.*): (\d+) of (\d+)(?:, (\d+) s left)?")
# What pyarrow and pandas raise where bytes were flipped or are missing.
_DAMAGED = (OSError, ValueError, KeyError, TypeError)


@dataclass(frozen=True)
class State:
    """How far an audit is: what is done now, how much of it, and the seconds left where that is known."""

    name: Literal["none", "working", "stopped", "complete"]
    ranked: bool = False
    """Whether the list is there; its reasons may still be worked out."""
    phase: str = ""
    done: int = 0
    total: int = 0
    seconds_left: int | None = None
    message: str = ""
    """Why it stopped, in its last line."""


@dataclass(frozen=True)
class Kept:
    """A finished list: pairs, the worst first, and films and studies that are not in it, with the reason."""

    ranked: pd.DataFrame
    left_out: pd.DataFrame


def place(cohort: Cohort, checkpoint: Path) -> Path:
    """Return the folder of a cohort's audit by a checkpoint.

    Raises:
        CohortError: the checkpoint's description cannot be read.
    """
    name = vectors.place(cohort, checkpoint).name
    key = hashlib.sha256(f"{_RULE} {name}".encode()).hexdigest()[:_KEY]
    return cohort.folder / FOLDER / f"{checkpoint.name}-{key}"


def start(cohort: Cohort, checkpoint: Path, classifier: Path | None, top: int) -> None:
    """Start a process that audits a cohort, and gives reasons of its first `top` pairs; return at once.

    One that runs goes on alone.
    """
    words = ["audit", str(cohort.folder), "--checkpoint", str(checkpoint), "--top", str(top)]
    words += ["--classifier", str(classifier)] if classifier else []
    vectors.launch(place(cohort, checkpoint), words)


def state(folder: Path, made: str = _RANKED) -> State:
    """Return how far the audit of a folder is; complete is one that has a list and no process at it.

    Args:
        made: the file that the list is; another command's may have another name.
    """
    if not folder.is_dir():
        return State("none")
    has_list = (folder / made).is_file()
    result = processes.tail(folder / _LOG)
    if vectors.is_held(folder):
        share = _SHARE.match(result)
        if not share:
            return State("working", has_list)
        left = None if share[4] is None else int(share[4])
        return State("working", has_list, share[1], int(share[2]), int(share[3]), left)
    if result.startswith("timnet: "):
        return State("stopped", has_list, message=result.removeprefix("timnet: "))
    return State("complete" if has_list else "stopped", has_list)


def holding(folder: Path) -> Any:
    """Hold an audit's folder, which is made, until the block ends; gives None if another process has it."""
    with files.private():
        folder.mkdir(parents=True, exist_ok=True)
    return processes.hold(folder / _LOCK)


def keep(folder: Path, found: Kept) -> None:
    """Write a list, whole; it is there once both of its tables are."""
    for name, table in ((_LEFT_OUT, found.left_out), (_RANKED, found.ranked)):
        spreadsheet.writer(folder / name)(table)


def load(folder: Path) -> Kept | None:
    """Return the list that is kept; None where there is none, or it is damaged: it is then made anew."""
    try:
        return Kept(*(pd.read_parquet(folder / name) for name in (_RANKED, _LEFT_OUT)))
    except _DAMAGED:
        return None


def note(folder: Path, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add what was found of some pairs to a file of notes (`reasons`), a line of JSON each."""
    # The line break comes first: it also ends what a killed process left half.
    lines = "".join("\n" + files.to_json(dict(row), name, CohortError) for row in rows)
    with (folder / f"{name}.jsonl").open("a", encoding="utf-8") as file:
        file.write(lines)


def notes(folder: Path, name: str) -> dict[int, dict[str, Any]]:
    """Return what was noted under a name, by film; a line that a killed process left half is no note."""
    try:
        lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    found: dict[int, dict[str, Any]] = {}
    for line in lines:
        try:
            row = json.loads(line)
            found[int(row["film"])] = row
        except (ValueError, KeyError, TypeError):
            continue
    return found


def labels(classifier: Path) -> str:
    """Return the name of the notes that a classifier gives."""
    return f"labels-{checkpoints.weights_sha256(classifier)[:_KEY]}"


def explained(folder: Path, found: Kept, classifier: Path | None = None) -> Kept:
    """Return a list with what was noted of its pairs; films in doubt go to those left out.

    Returns:
        The list with columns why (SIDE, SENTENCE, FINDING, REPORT; "" where none is known yet), told, match,
        swapped, swapped_sentence, without, sentence, denied and not_named (labels, joined by commas).
    """
    noted = notes(folder, REASONS)
    said = notes(folder, labels(classifier)) if classifier is not None else {}
    films = found.ranked["film"].tolist()
    rows = [noted.get(film, {}) for film in films]
    doubt = pd.Series([row.get("doubt") or "" for row in rows], index=found.ranked.index, dtype=object)
    columns: dict[str, list[Any]] = {name: [row.get(name) or "" for row in rows] for name in ("why", "told")}
    for name in ("match", "swapped", "swapped_sentence", "without", "sentence"):
        columns[name] = [row.get(name) for row in rows]
    for name in ("denied", "not_named"):
        columns[name] = [", ".join(said.get(film, {}).get(name, ())) for film in films]
    table = found.ranked.assign(**columns)
    named = (table["denied"] != "") | (table["not_named"] != "")
    table["why"] = table["why"].mask(named & table["why"].eq(REPORT), FINDING)
    apart = table[doubt != ""][["study", "film", "split"]].assign(reason=doubt[doubt != ""])
    left_out = pd.concat([found.left_out, apart], ignore_index=True)
    return Kept(table[doubt == ""].reset_index(drop=True), left_out)
