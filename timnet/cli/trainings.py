"""The commands that train, in this process or for a page, and the list of runs."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

from timnet import config, settings_file
from timnet.cli import arguments, output, parsing
from timnet.cli.output import Refused
from timnet.cli.progress import ProgressLine
from timnet.counting import counted


def pretrain(words: list[str]) -> None:
    """Pre-train TIMNet on cohorts, in this process."""
    _train(config.Pretrain, words)


def finetune(words: list[str]) -> None:
    """Fine-tune a classifier on a cohort, in this process."""
    _train(config.Finetune, words)


def curve(words: list[str]) -> None:
    """Fine-tune from several starts on several shares of the labels: what is missing of a curve."""
    from timnet.evaluation import metrics
    from timnet.evaluation.label_efficiency import curve as efficiency
    from timnet.training import grid_table, in_process, run_results

    grid, out, as_json, address = parsing.grid(words)
    line, path = ProgressLine(""), out or config.checkpoints() / f"{grid.name}.parquet"
    try:
        measured = in_process.measure(grid, path, address, line.grid)
    finally:
        line.end()
    # Of several labels, the first alone: the tables have them all.
    label = str(measured["label"].iloc[0])
    means = efficiency.curve(measured[measured["label"] == label])
    groups = grid_table.table(grid.settings(), config.checkpoints(), run_results.SUBGROUPS)
    by_group = metrics.records(efficiency.by_group(groups[groups["label"] == label]))
    rows = metrics.records(means.rename(columns={"mean": "value"}))
    lines = [
        f"{row['initialisation']}  {row['fraction']:.1%}  {counted(row['films'], 'film')}  "
        f"{counted(row['draws'], 'draw')}  "
        f"{row['metric']:<7}{output.number(row)}"
        for row in rows
    ]
    done = sorted(measured["run"].unique())
    fields = {"table": str(path), "runs": done, "label": label, "curve": rows, "subgroups": by_group}
    lines += output.subgroups(by_group)
    output.show(fields, as_json, [*lines, f"{counted(len(done), 'run')} in {path.name}"])


def show_runs(words: list[str]) -> None:
    """List the runs under checkpoints/."""
    from timnet.training import runs

    request = parsing.parse(arguments.Runs, "runs", words)
    rows = [
        {
            "run": run.folder.name,
            "command": settings_file.command(run.settings),
            "state": run.name,
            "reason": run.reason,
            "created": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.created)),
        }
        for run in runs.all_runs(config.checkpoints())
    ]
    output.show(
        {"runs": rows},
        request.json,
        ["  ".join(filter(None, row.values())) for row in rows] or ["no runs yet"],
    )


def run(words: list[str]) -> None:
    """Do the work of a submitted run's folder: what a page starts."""
    if len(words) != 1:
        raise Refused("run: expected one run folder")
    from timnet.training import in_process, worker

    # Pages stay quick while a run works.
    os.nice(5)
    worker.work(Path(words[0]), in_process.trainer())


def _train(shape: type[config.Run], words: list[str]) -> None:
    # As in other commands: with them comes pandas, which a reading starts without.
    from timnet.training import in_process, run_names, worker

    settings, out, as_json, fresh = parsing.training(shape, words)
    folder = out or config.checkpoints() / run_names.folder_name(settings)
    # As torchrun tells each of the processes it starts.
    processes, process = (int(os.environ.get(name, 0)) for name in ("WORLD_SIZE", "RANK"))
    if processes > 1 and "LOCAL_RANK" in os.environ:
        if shape is config.Finetune:
            raise Refused("finetune: expected one process, torchrun started several; it is for pretrain")
        if process:
            return worker.follow(settings, folder, in_process.trainer())
    line = ProgressLine("")
    try:
        result = in_process.run(settings, folder, fresh, line.event).measured
    finally:
        line.end()
    table = result.get("test") or result["held_out"]
    lines = [f"{row['label']}  {row['metric']:<7}{output.number(row)}" for row in table]
    lines += output.subgroups(result.get("subgroups") or [])
    output.show({"run": folder.name, "settings": dataclasses.asdict(settings), **result}, as_json, lines)
