"""Is a start worth it? Fine-tunes a task from several starts on the same draws of labels and compares them.

Every run is an ordinary run folder, named after its settings, and is skipped where it is done: stop and start
at will. The difference of two starts is taken draw by draw, its interval is Student's over the draws.

    .venv/bin/python benchmarks/transfer.py mendeley pneumonia --starts base open-cxr --precision bf16
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
from scipy import stats

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet import config, settings_file  # noqa: E402
from timnet.cli.progress import ProgressLine  # noqa: E402
from timnet.training import grids, run_results  # noqa: E402
from timnet.training.events import Events  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "transfer.json"
METRICS = ("auROC", "ACC", "AP")


def main() -> None:
    """Run what is missing, then print one line a start and one a difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort")
    parser.add_argument("task")
    parser.add_argument(
        "--starts", nargs="+", default=["base", "open-cxr"], help="the first is compared with"
    )
    parser.add_argument("--fractions", nargs="+", type=float, default=[0.005, 0.02])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--least-steps", type=int, default=120)
    parser.add_argument("--precision", choices=get_args(config.Precision), default="auto")
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results/transfer.json")
    words = parser.parse_args()
    line = ProgressLine("")
    rows: list[dict[str, Any]] = []
    shared = config.Finetune(
        cohort=words.cohort, task=words.task, side=words.side, epochs=words.epochs,
        least_steps=words.least_steps, precision=words.precision,
    )  # fmt: skip
    for fraction in words.fractions:
        # Draw by draw, so that a run that is cut short has compared all starts.
        wanted = grids.Grid(shared, tuple(words.starts), (fraction,), words.draws).settings()
        failed = grids.complete(wanted, config.checkpoints(), trained, line.grid)
        line.end()
        if failed:
            raise SystemExit(f"{failed[0].folder.name}: {failed[0].reason}")
        found: dict[str, list[dict[str, float]]] = {start: [] for start in words.starts}
        folders = grids.finished(wanted, config.checkpoints())
        for settings in wanted:
            found[settings.initialisation].append(measured(folders[settings]))
        rows += compared(words.starts, found, fraction)
        devices = sorted({run_results.result(folder)["device"] for folder in folders.values()})
        for result in rows[-len(METRICS) * len(words.starts) :]:
            print(json.dumps(result), flush=True)
    if words.keep:
        settings = json.loads(settings_file.to_json(shared)) | {"draws": words.draws, "devices": devices}
        result = {"what": __doc__.splitlines()[0], "settings": settings, "rows": rows}
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def trained(settings: config.Run, folder: Path, events: Events) -> dict[str, Any]:
    """Fine-tune; torch is imported when the first run starts."""
    from timnet.training.recipes import finetune

    assert isinstance(settings, config.Finetune)
    return finetune.train(settings, folder, events)


def measured(folder: Path) -> dict[str, float]:
    """Return the test metrics of a run that is done."""
    rows: list[dict[str, Any]] = run_results.result(folder)["test"]
    return {row["metric"]: row["value"] for row in rows if row["metric"] in METRICS}


def compared(
    starts: list[str], found: dict[str, list[dict[str, float]]], fraction: float
) -> list[dict[str, Any]]:
    """Return rows: means over the draws, and paired differences to the first start."""
    rows = []
    for metric in METRICS:
        values = {start: np.array([run[metric] for run in found[start]]) for start in starts}
        for start in starts:
            fields: dict[str, Any] = {"fraction": fraction, "metric": metric, "start": start}
            fields |= {"draws": len(values[start])}
            fields |= {"mean": round(float(values[start].mean()), 4)}
            if start != starts[0] and len(values[start]) > 1:
                difference = values[start] - values[starts[0]]
                half = stats.t.ppf(0.975, len(difference) - 1) * stats.sem(difference)
                fields["minus " + starts[0]] = round(float(difference.mean()), 4)
                fields["95 %"] = [round(float(difference.mean() + sign * half), 4) for sign in (-1, 1)]
            rows.append(fields)
    return rows


if __name__ == "__main__":
    main()
