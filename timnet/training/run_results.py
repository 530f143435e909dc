"""What finished runs have measured: one run's result, and the points of all as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from timnet import cards, config, files
from timnet.cohorts import stored_vectors
from timnet.counting import counted
from timnet.training.runs import RESULT, RunError, _log, all_runs


def result(folder: Path) -> dict[str, Any]:
    """Return what a finished run measured.

    Raises:
        RunError: not finished, or its file cannot be read.
    """
    try:
        return files.read(folder / RESULT, cards.MEASURED, RunError).model_dump(exclude_unset=True)
    except FileNotFoundError:
        raise RunError(f"{folder.name}: expected {RESULT}, found none") from None


TEST, SUBGROUPS = "test", "subgroups"


def points(root: Path, part: str = TEST) -> pd.DataFrame:
    """Return the results of finished fine-tuning runs as one tidy table.

    Args:
        part: TEST, or SUBGROUPS for the area by sex, age and view: then kind, group and images follow.

    Columns: run, cohort, task, initialisation, fraction, films, positives, seed, recipe, label, metric,
    value, low, high. Films are all whose labels the run used: those drawn, and images of `val` that stopped
    it early. Positives are those of the label among the films drawn, of an average those of all labels. The
    recipe, in words, is what must be equal for two runs to lie on one curve.
    """
    rows, more = [], ("kind", "group", "images") if part == SUBGROUPS else ()
    for run in all_runs(root):
        if run.name != "done" or not isinstance(run.settings, config.Finetune):
            continue
        try:
            measured = result(run.folder)
        except RunError as error:
            _log.warning("%s", error)
            continue
        settings, positives = run.settings, measured.get("positives") or {}
        films, stopping = measured.get("films"), measured.get("early_stopping")
        if films is not None and stopping and not stopping["held_back"]:
            films += stopping["films"]
        for row in measured.get(part) or ():
            rows.append(
                {
                    "run": run.folder.name,
                    "cohort": Path(settings.cohort).name,
                    "task": settings.task,
                    "initialisation": _start(settings),
                    "fraction": settings.fraction,
                    "films": films,
                    "positives": positives.get(row["label"], sum(positives.values()) if positives else None),
                    "seed": settings.seed,
                    "recipe": _recipe(settings),
                    **{name: row.get(name) for name in ("label", "metric", "value", "low", "high", *more)},
                }
            )
    return pd.DataFrame(rows)


def _start(settings: config.Finetune) -> str:
    """Return a start's name, which says where a probe of vectors stands among trained networks."""
    outcome = Path(settings.initialisation).name
    probed = stored_vectors.is_stored(outcome) and settings.mode != "probe"
    return f"{outcome} (linear probe)" if probed else outcome


def _recipe(settings: config.Finetune) -> str:
    certain = settings.uncertain == "ignore"
    policy = "" if certain else f", uncertain labels: {settings.uncertain}"
    shuffled = ", labels shuffled" if settings.shuffled_labels else ""
    if settings.mode == "probe":
        # Nothing else has a say in it.
        return (
            f"probe, {settings.side} px, {settings.backbone}, normalised by {settings.normalisation}{policy}"
            f"{shuffled}"
        )
    augmented = "augmented" if settings.augment else "not augmented"
    films = "full batches" if settings.drop_last else "every film each epoch"
    layers = "last layers, " if settings.mode == "last-layers" else ""
    weighted = ", classes weigh alike" if settings.class_weights == "balanced" else ""
    stopped = f", stopped early (patience {settings.patience})" if settings.patience else ""
    least = f" or {counted(settings.least_steps, 'step')}" if settings.least_steps else ""
    return (
        f"{layers}{settings.side} px, {counted(settings.epochs, 'epoch')}{least}, batch {settings.batch}, "
        f"learning rate {settings.learning_rate:g}, {augmented}, {films}, {settings.backbone}, "
        f"normalised by {settings.normalisation}, width {settings.width}{policy}{shuffled}{weighted}{stopped}"
    )
