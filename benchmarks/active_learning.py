"""Do films chosen by a probe teach it more than films drawn at random?

A cohort whose labels are all known plays one that is labelled bit by bit: from a few films of both kinds on,
each order (`evaluation.active_learning`, and a random one) asks for the next batch of training films, the
probe is fitted anew and judged on the test films, which no order ever sees. The three share their first
films, draw by draw; a difference is taken draw by draw and its interval is Student's over the draws.

    .venv/bin/python benchmarks/active_learning.py mendeley pneumonia --start open-cxr --side 112 --draws 10
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet import config  # noqa: E402
from timnet.cli.progress import ProgressLine  # noqa: E402
from timnet.cohorts import splits  # noqa: E402
from timnet.evaluation import (  # noqa: E402
    active_learning,
    auroc,
    probe,
)
from timnet.evaluation.label_efficiency import curve  # noqa: E402
from timnet.training import features, finetune_data  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "active_learning.json"
RANDOM = "random"
Order = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]
"""Candidates and labelled films -> places of the candidates asked for next."""


def main() -> None:
    """Measure, print one line an order and number of labels, and keep the figures with the machine's name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort")
    parser.add_argument("task")
    parser.add_argument("--start", default="open-cxr")
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--first", type=int, default=10, help="films labelled before the first is chosen")
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--most", type=int, default=200)
    parser.add_argument("--draws", type=int, default=10)
    words = parser.parse_args()
    settings = config.Finetune(
        cohort=words.cohort, task=words.task, initialisation=words.start, side=words.side, mode="probe"
    )
    line = ProgressLine("reading films")
    held = finetune_data.gather(settings)
    if len(held.targets.labels) != 1:
        raise SystemExit(f"active learning: expected one label, got {', '.join(held.targets.labels)}")
    x_NC = np.asarray(features.build(held.cohort, settings, line.done), float)
    line = ProgressLine("draws")
    numbers = list(range(words.first, words.most + 1, words.batch))
    reached: dict[str, list[list[float]]] = {}
    for draw in range(words.draws):
        for order, areas in played(held, x_NC, numbers, words.batch, draw).items():
            reached.setdefault(order, []).append(areas)
        line.done(draw + 1, words.draws)
    line.end()
    rows = [
        row
        for order, areas_DP in reached.items()
        for row in summed_up(order, numbers, np.array(areas_DP), np.array(reached[RANDOM]))
    ]
    for row in rows:
        print(json.dumps(row))
    fields = {
        "what": __doc__.splitlines()[0],
        "cohort": held.cohort.name,
        "task": settings.task,
        "start": words.start,
        "side": words.side,
        "penalty": probe.PENALTY,
        "draws": words.draws,
        "films_train": len(held.train_rows),
        "films_test": len(held.test_rows),
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "rows": rows,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def played(
    held: finetune_data.Material, x_NC: NDArray[np.float64], numbers: list[int], batch: int, draw: int
) -> dict[str, list[float]]:
    """Return the test auROC of every order at every number of labels, from the same first films."""
    y_N1 = held.targets.y_NL.astype(float)
    ordered = held.train_rows[splits.order(y_N1[held.train_rows], draw)]
    rng = np.random.default_rng(draw)

    def unsure(candidates: NDArray[np.int64], labelled: NDArray[np.int64]) -> NDArray[np.int64]:
        logits = probe.fit(x_NC[labelled], y_N1[labelled]).logits(x_NC[candidates])[:, 0]
        return active_learning.uncertain(probe.probability(logits), batch)

    def unlike(candidates: NDArray[np.int64], labelled: NDArray[np.int64]) -> NDArray[np.int64]:
        return active_learning.diverse(x_NC[candidates], x_NC[labelled], batch)

    def drawn(candidates: NDArray[np.int64], labelled: NDArray[np.int64]) -> NDArray[np.int64]:
        return rng.choice(len(candidates), batch, replace=False)

    orders: dict[str, Order] = {RANDOM: drawn, "uncertain": unsure, "diverse": unlike}
    reached: dict[str, list[float]] = {}
    for name, order in orders.items():
        labelled, areas = ordered[: numbers[0]], []
        for number in numbers:
            if number > len(labelled):
                candidates = np.setdiff1d(held.train_rows, labelled)
                labelled = np.concatenate([labelled, candidates[order(candidates, labelled)]])
            line = probe.fit(x_NC[labelled], y_N1[labelled])
            logits = line.logits(x_NC[held.test_rows])[:, 0]
            areas.append(auroc.area(y_N1[held.test_rows, 0], logits).value)
        reached[name] = areas
    return reached


def summed_up(
    order: str, numbers: list[int], areas_DP: NDArray[np.float64], random_DP: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """Return one row a number of labels: the mean auROC and the mean difference to random, with intervals."""

    def interval(values_D: NDArray[np.float64], low: float) -> list[float]:
        half = curve.half_width(float(values_D.std(ddof=1)), len(values_D))
        mean = float(values_D.mean())
        return [round(mean, 4), *(round(float(np.clip(mean + side * half, low, 1)), 4) for side in (-1, 1))]

    return [
        {
            "order": order,
            "labels": number,
            "auroc": interval(areas_DP[:, place], 0),
            "more_than_random": interval(areas_DP[:, place] - random_DP[:, place], -1),
        }
        for place, number in enumerate(numbers)
    ]


if __name__ == "__main__":
    main()
