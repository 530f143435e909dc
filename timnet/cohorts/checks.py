"""What a check of a cohort found, kept beside it: faults by X-ray, and what could not be checked.

Owns the folder `checks/NETWORK-KEY` of a cohort, whose key is made of the network's weights, the films and
the labels, and the process that a page starts to fill it. What fills it is `evaluation.check.run`. No report
text is kept. How far it is, `audits.state` reads off its lock and its log.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from timnet import config, spreadsheet
from timnet.cohorts import audits, features, vectors
from timnet.cohorts.store import Cohort

FOLDER = "checks"
LEAK, LABEL, DUPLICATE, LYING, MIRRORED = "leak", "label", "duplicate", "lying", "mirrored"
VIEW, REPORT = "view", "report"
KINDS = {
    LEAK: "same image in two splits",
    LABEL: "label may be wrong",
    DUPLICATE: "same image twice in a split",
    LYING: "on its side or upside down",
    MIRRORED: "may be mirrored",
    VIEW: "view may be named wrongly",
    REPORT: "report says nothing, or what many say",
}
"""Kinds of fault, the worst first, in words."""
_FOUND, _UNCHECKED = "found.parquet", "unchecked.parquet"
_RULE = "1"
"""Raise it when cohorts are checked in another way: older lists are then made anew."""


@dataclass(frozen=True)
class Kept:
    """A finished check.

    Attributes:
        found: a row a fault, by kind and the surest first: kind, study, patient, split, film (missing where a
            study has none), label, other (the study with the same image), score, reason.
        unchecked: kind, reason.
    """

    found: pd.DataFrame
    unchecked: pd.DataFrame


def settings(checkpoint: Path) -> config.Finetune:
    """Return the settings whose features a check by a network looks at: those of Fine-tune's previews."""
    return config.Finetune(cohort="any", task="none", initialisation=str(checkpoint))


def place(cohort: Cohort, checkpoint: Path) -> Path:
    """Return the folder of a cohort's check by a network; errors as for `features.start_of`."""
    name = features.place(cohort, settings(checkpoint)).name
    key = hashlib.sha256(f"{_RULE} {cohort.identity} {name}".encode()).hexdigest()[:16]
    return cohort.folder / FOLDER / f"{checkpoint.name}-{key}"


def start(cohort: Cohort, checkpoint: Path) -> None:
    """Start a process that checks a cohort, and return at once; one that runs goes on alone."""
    vectors.launch(place(cohort, checkpoint), ["check", str(cohort.folder), "--checkpoint", str(checkpoint)])


def state(folder: Path) -> audits.State:
    """Return how far the check of a folder is."""
    return audits.state(folder, _FOUND)


def keep(folder: Path, done: Kept) -> None:
    """Write a check, whole; it is there once both of its tables are. Those of other labels are removed."""
    for name, table in ((_UNCHECKED, done.unchecked), (_FOUND, done.found)):
        spreadsheet.writer(folder / name)(table)
    vectors.remove_older(folder)


def load(folder: Path) -> Kept | None:
    """Return the check that is kept; None where there is none, or it is damaged: it is then made anew."""
    try:
        return Kept(*(pd.read_parquet(folder / name) for name in (_FOUND, _UNCHECKED)))
    except (OSError, ValueError, KeyError, TypeError):
        return None
