"""How good does a classifier get with few labels of Mendeley-V2, from a random start and from `open-cxr`?

The paper's Fig. 5 at its small shares, by `timnet curve`: done runs are not done again, so that a stopped
grid goes on. The tidy table is kept as Parquet, the differences between starts as JSON, and the page's own
picture of the curve is taken in headless Chromium. One precision for all runs: bf16 where it is in hardware.
Intervals are over draws of labels and test patients, the wider of Student's and the hierarchical bootstrap's.

    python -m timnet import mendeley FOLDER_OF_MENDELEY_V2 --name mendeley
    .venv/bin/python benchmarks/fig5.py --precision bf16
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from pictures import served  # noqa: E402

from timnet import config  # noqa: E402
from timnet.cohorts import store  # noqa: E402
from timnet.evaluation import predictions  # noqa: E402
from timnet.evaluation.label_efficiency import bootstrap, curve  # noqa: E402
from timnet.training import run_results  # noqa: E402

TABLE = ROOT / "assets" / "curves" / "mendeley.parquet"
"""It ships: Label efficiency shows it."""
RESULT = ROOT / "benchmarks" / "results" / "fig5.json"
PICTURE = ROOT / "docs" / "pictures" / "fig5.png"
STARTS = ("base", "open-cxr")
FRACTIONS = ("0.005", "0.01", "0.02", "0.05", "0.1")
TASK, METRICS = "pneumonia", ("auROC", "ACC", "F1", "AP")


def main() -> None:
    """Do what is missing of the grid, then keep its table, its differences and its picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohort", default="mendeley")
    parser.add_argument("--side", default="224")
    parser.add_argument("--epochs", default="10")
    parser.add_argument("--least-steps", default="120")
    parser.add_argument("--seeds", default="5")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--no-picture", action="store_true")
    words = parser.parse_args()
    command = ["curve", words.cohort, "--task", TASK, "--initialisations", *STARTS, "--fractions", *FRACTIONS]
    command += ["--seeds", words.seeds, "--side", words.side, "--epochs", words.epochs]
    command += ["--least-steps", words.least_steps, "--precision", words.precision]
    command += ["--ray", "local", "--out", str(TABLE)]
    subprocess.run([sys.executable, "-m", "timnet", *command], cwd=ROOT, check=True)
    found = run_results.points(config.checkpoints())
    # What the page needs, too: cohort and training settings.
    table = found[found["run"].isin(pd.read_parquet(TABLE)["run"])]
    table.to_parquet(TABLE, index=False)
    fields: dict[str, Any] = {
        "what": __doc__.splitlines()[0],
        "command": " ".join(["python -m timnet", *command[:-1], TABLE.name]),
        "runs": int(table["run"].nunique()),
        "devices": sorted(
            {run_results.result(config.checkpoints() / run)["device"] for run in table["run"].unique()}
        ),
        "rows": rows(table, store.Cohort.open(store.find(words.cohort))),
    }
    for row in fields["rows"]:
        print(json.dumps(row))
    RESULT.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")
    if not words.no_picture:
        photograph()


def rows(table: pd.DataFrame, cohort: store.Cohort) -> list[dict[str, Any]]:
    """Return the means over draws with intervals over draws and test patients, and differences of starts."""
    kept = {run: predictions.of_run(config.checkpoints() / run) for run in table["run"].unique()}
    parts = {run: each.part(predictions.TEST) for run, each in kept.items() if each is not None}
    patients = next(iter(parts.values())).patients(cohort)
    items = []
    for _, measured in table[table["metric"].isin(METRICS)].groupby(["fraction", "metric"]):
        fraction, metric, label, films = measured[["fraction", "metric", "label", "films"]].iloc[0]
        by_start = {str(start): part.set_index("seed") for start, part in measured.groupby("initialisation")}
        for start, part in by_start.items():
            found = bootstrap.of_runs([parts[run] for run in part["run"]], patients, label, metric)
            items.append(row(fraction, films, start, metric, part["value"], found))
            items[-1]["best"] = round(float(part["value"].max()), 4)
        one, other = (by_start[start] for start in STARTS)
        seeds = sorted(set(one.index) & set(other.index))
        first, second = ([parts[run] for run in each.loc[seeds, "run"]] for each in (one, other))
        found = bootstrap.difference_of_runs(first, second, patients, label, metric)
        gained = other.loc[seeds, "value"] - one.loc[seeds, "value"]
        items.append(row(fraction, films, f"{STARTS[1]} minus {STARTS[0]}", metric, gained, found))
    return items


def row(
    fraction: float, films: int, start: str, metric: str, values: pd.Series, found: bootstrap.Estimate
) -> dict[str, Any]:
    """Return a mean over draws with its interval."""
    mean, half = float(values.mean()), curve.half_width(float(values.std(ddof=1)), len(values))
    low, high = bootstrap.wider(mean - half, mean + half, found)
    fields = {"fraction": float(fraction), "films": int(films), "start": start, "metric": metric}
    return fields | {
        "mean": round(mean, 4), "low": round(low, 4), "high": round(high, 4), "draws": len(values)
    }  # fmt: skip


def photograph() -> None:
    """Take the picture of the curve, as the page shows it."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 1400}, color_scheme="dark")
        page.set_default_timeout(120_000)
        page.goto(f"{address}/efficiency")
        page.locator(".js-plotly-plot .scatterlayer .point").first.wait_for()
        page.wait_for_timeout(3000)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
