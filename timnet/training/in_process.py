"""Train in this process, as the command line and the library do: check, lay the run out, train, measure.

Owns the order of these steps. The same settings go on where an earlier run of them stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from timnet import checkpoints, config
from timnet.counting import counted
from timnet.training import grid_table, grids, run_names, run_results, worker
from timnet.training.events import Event, Events
from timnet.training.runs import RunError


@dataclass(frozen=True)
class Result:
    """A finished run: its folder is a checkpoint, `Reader.load(result.folder)` reads with it."""

    folder: Path
    settings: config.Run
    measured: dict[str, Any]
    """What `metrics.json` of the run holds."""

    @property
    def table(self) -> pd.DataFrame:
        """Return what was measured on test or held-out X-rays: label, metric, value, low, high."""
        return pd.DataFrame(self.measured.get("test") or self.measured["held_out"])


def finetune(settings: config.Finetune, out: str | Path | None = None, *, fresh: bool = False) -> Result:
    """Fine-tune a classifier and return what it was worth; see `run` for arguments and errors."""
    return run(settings, out, fresh)


def pretrain(settings: config.Pretrain, out: str | Path | None = None, *, fresh: bool = False) -> Result:
    """Pre-train TIMNet and return what it was worth; see `run` for arguments and errors."""
    return run(settings, out, fresh)


def curve(grid: grids.Grid, out: str | Path | None = None) -> pd.DataFrame:
    """Return the label-efficiency curve of a grid, of several labels the first's; its missing runs are done.

    Columns initialisation, fraction, films, metric, mean, low, high, draws: the 95 % interval is that over
    draws of labels. Errors as for `measure`.
    """
    from timnet.evaluation.label_efficiency import curve as efficiency

    measured = measure(grid, Path(out) if out else None)
    return efficiency.curve(measured[measured["label"] == measured["label"].iloc[0]])


def run(
    settings: config.Run,
    out: str | Path | None = None,
    fresh: bool = False,
    listen: Callable[[Event], None] | None = None,
) -> Result:
    """Train, or go on where a run of these settings was stopped.

    Args:
        settings: of a pre-training or a fine-tuning.
        out: the run's folder; by default one named after its settings, in the folder of runs.
        fresh: start anew where the run was stopped.
        listen: called with every event of the run.

    Raises:
        TimnetError: the cohort, task or weights are not there, or the training ended early; it says why.
    """
    folder = Path(out) if out else config.checkpoints() / run_names.folder_name(settings)
    check(settings)
    worker.prepare(settings, folder, fresh)
    ended = worker.work(folder, trainer(), listen)
    if ended.name != "done":
        goes_on = "; the same command goes on where it stopped" if ended.resumable else ""
        raise RunError(ended.reason + goes_on)
    return Result(folder, settings, run_results.result(folder))


def measure(
    grid: grids.Grid,
    out: Path | None = None,
    ray: str | None = None,
    tell: Callable[[grids.Progress], None] | None = None,
) -> pd.DataFrame:
    """Do the runs of a grid that are missing, keep their table as Parquet and return it.

    Beside it, in `NAME-subgroups.parquet`, is their table by sex, age and view.

    Args:
        grid: which runs.
        out: the Parquet file; by default one named after the grid, in the folder of runs.
        ray: `local`, or the address of a cluster, for several runs at once.
        tell: called with how far the grid is.

    Raises:
        TimnetError: a run cannot be done, or failed; what the others measured is kept.
    """
    root, request = config.checkpoints(), grid.settings()
    for settings in {each.initialisation: each for each in request}.values():
        check(settings)
    root.mkdir(parents=True, exist_ok=True)
    with grids.alone(grid, root):
        try:
            if ray is None:
                failed = grids.complete(request, root, trainer(), tell)
            else:
                from timnet.training import grids_ray

                failed = grids_ray.complete(request, root, ray, tell)
        finally:
            measured = grid_table.table(request, root)
            if len(measured):
                path = out or root / f"{grid.name}.parquet"
                grid_table.write(measured, path)
                groups = grid_table.table(request, root, run_results.SUBGROUPS)
                grid_table.write(groups, path.with_name(f"{path.stem}-subgroups.parquet"))
    if failed:
        message = f"{len(failed)} of {counted(len(request), 'run')}"
        raise RunError(f"{message} failed, the first because {failed[0].reason}")
    return measured


def check(settings: config.Run) -> None:
    """Refuse a training whose cohort, task or weights are not there, before anything is written."""
    from timnet.cohorts import features, store, stored_vectors, tasks
    from timnet.model import encoders, initialisation

    if isinstance(settings, config.Finetune):
        with store.Cohort.open(store.find(settings.cohort)) as cohort:
            tasks.targets(cohort, settings.task, settings.uncertain, settings.views)
            features.start_of(settings)
            if stored_vectors.is_stored(settings.initialisation):
                stored_vectors.join(cohort, Path(settings.initialisation).expanduser())
                return
        initialisation.check(
            settings.initialisation, settings.backbone, settings.normalisation, settings.side
        )
        return
    for name in settings.cohorts:
        store.Cohort.open(store.find(name)).close()
    features.start_of(config.Finetune(cohort="none", task="none", initialisation=settings.image_weights))
    initialisation.check(settings.image_weights, settings.backbone, settings.normalisation, settings.side)
    if settings.start and checkpoints.checkpoint_folder(settings.start) is None:
        raise RunError(f"start: expected a TIMNet checkpoint, found none at {settings.start}")
    if encoders.local_folder(settings.text_encoder):
        encoders.load(settings.text_encoder)


def trainer() -> worker.Train:
    """Return what trains either kind of settings; torch is imported when it starts."""

    def train(settings: config.Run, folder: Path, events: Events) -> dict[str, Any]:
        if isinstance(settings, config.Pretrain):
            from timnet.training.recipes import pretrain as recipe

            return recipe.train(settings, folder, events)
        from timnet.training.recipes import finetune

        return finetune.train(settings, folder, events)

    return train
