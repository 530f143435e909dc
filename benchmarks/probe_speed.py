"""How long does a preview take, once the features of a cohort's films are kept?

Each preview is what the Fine-tune page does on opening it: features opened, a line fitted to a share of the
labels, films not learned from judged with a bootstrap over patients. The last row fits all training films and
judges the test films, as a run of the mode `probe` does. Reading the films, once before all, is told apart.

    .venv/bin/python benchmarks/probe_speed.py mendeley pneumonia
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet import config  # noqa: E402
from timnet.cli.progress import ProgressLine  # noqa: E402
from timnet.cohorts import features, store  # noqa: E402
from timnet.evaluation import metrics, probe  # noqa: E402
from timnet.training import features as reading  # noqa: E402
from timnet.training import finetune_data  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "probe_speed.json"
FRACTIONS = (0.01, 0.1, 0.9)


def main() -> None:
    """Measure, print one line a case, and keep the figures with the machine they are of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort")
    parser.add_argument("task")
    parser.add_argument("--start", default="open-cxr")
    parser.add_argument("--side", type=int, default=112)
    words = parser.parse_args()
    settings = config.Finetune(
        cohort=words.cohort, task=words.task, initialisation=words.start, side=words.side, mode="probe"
    )
    cohort = store.Cohort.open(store.find(words.cohort))
    line, start = ProgressLine("reading films"), time.perf_counter()
    reading.build(cohort, settings, line.done)
    line.end()
    reading_seconds = round(time.perf_counter() - start, 1)
    place = features.place(cohort, settings)
    rows = []
    for fraction in FRACTIONS:

        def previewed(fraction: float = fraction) -> int:
            # Opened anew: tables kept in memory belong to no first look.
            opened = store.Cohort.open(cohort.folder)
            return probe.preview(opened, features.load(place), words.task, fraction, seed=0).films

        rows.append(timed(f"preview of {fraction:g}", previewed))

    def whole() -> int:
        held = finetune_data.gather(settings)
        kept = features.load(place)
        y_NL = held.targets.y_NL
        fitted = probe.fit(kept[held.train_rows], y_NL[held.train_rows])
        said = probe.probability(fitted.logits(kept[held.test_rows]))
        patients = held.table["patient"].iloc[held.test_rows].tolist()
        metrics.evaluate(y_NL[held.test_rows].astype(float), said, patients, held.targets.labels)
        return len(held.train_rows)

    rows.append(timed("all training films, judged on the test films", whole))
    machine: dict[str, Any] = {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    machine |= {"processor": processor(), "load": round(os.getloadavg()[0], 1)}
    fields = {
        "what": __doc__.splitlines()[0],
        "cohort": cohort.name,
        "films": len(cohort),
        "start": words.start,
        "side": words.side,
        "reading_seconds": reading_seconds,
        "machine": machine,
        "rows": rows,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def timed(case: str, work: Callable[[], int]) -> dict[str, Any]:
    """Return a case's films and seconds; the first one's hold the import of scikit-learn."""
    start, processor_start = time.perf_counter(), time.process_time()
    films = work()
    row = {
        "case": case,
        "films": films,
        "seconds": round(time.perf_counter() - start, 2),
        "processor_seconds": round(time.process_time() - processor_start, 2),
    }
    print(json.dumps(row), flush=True)
    return row


def processor() -> str:
    """Return the processor's name where the system tells it."""
    result = Path("/proc/cpuinfo")
    lines = result.read_text().splitlines() if result.is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "not known")


if __name__ == "__main__":
    main()
