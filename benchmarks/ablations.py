"""Which of the choices that the paper leaves open pays, on the same pairs, for the same computing?

Each arm changes one choice of the first. An arm whose step costs more takes fewer epochs: equal are the
floating-point operations (`cost`), up to a whole number of epochs. Done runs are not done again; the table
has the mean over seeds with its 95 % interval (Student's t), and the difference to the first arm, seed by
seed. The cohorts are made as docs/method.md says; with those that others have, the figures are others.

    .venv/bin/python benchmarks/ablations.py            # make ablations
    .venv/bin/python benchmarks/ablations.py --table    # what is done so far, nothing trained
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet import config  # noqa: E402
from timnet.cli.progress import ProgressLine  # noqa: E402
from timnet.cohorts.pairs import Pairs, collect  # noqa: E402
from timnet.evaluation import matching  # noqa: E402
from timnet.training import run_names, run_results, runs, worker  # noqa: E402
from timnet.training.recipes import pretrain  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "ablations.json"
FIGURES = {"auROC": matching.MANY, "auROC, other labels": matching.OTHER, "R@10": matching.REPORT}
"""What is compared, and the row of a run's result that holds it."""

ARMS: dict[str, dict[str, Any]] = {
    "defaults: all pairs, frozen, masked, h_cls, 512": {},
    "objective: pairs, as in the paper": {"objective": "pairs"},
    "objective: sigmoid (cosine head)": {"objective": "sigmoid"},
    "objective: infonce (cosine head)": {"objective": "infonce"},
    "text: last 3 of 6 layers trained": {"text_mode": "partial"},
    "padding: literal": {"padding": "literal"},
    "h_cls: linear": {"h_cls": "linear"},
    "1x1 width: 256": {"width": 256},
    "h_cls: difference and product": {"h_cls": "product"},
    "1x1 width: 768": {"width": 768},
}

IMAGE_GFLOP_224 = 3.63
"""ResNet-18, one film of 224 px, forward, two operations a multiplication."""
LAYER_WEIGHTS = 12 * 384**2
"""Weights of a layer of MiniLM: attention and the two layers behind it."""


@dataclass(frozen=True)
class Limits:
    """The most pairs of a cohort that are trained on, and that are held out."""

    train: int
    held_out: int

    def gather(
        self,
        names: Sequence[str],
        held_out: Sequence[str],
        side: int,
        progress: Any = None,
        views: config.Views = "frontal",
    ) -> Pairs:
        """Return the pairs of cohorts like `pairs.collect`, whole patients drawn up to the limits."""
        return limited(collect(names, held_out, side, progress, views=views), self)


def main() -> None:
    """Train what is missing, then print the table and keep it with the machine it is of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohorts", nargs="+", default=["sim", "vqa-rad"])
    parser.add_argument("--train", type=int, default=1000, help="most training pairs of a cohort")
    parser.add_argument("--held-out", type=int, default=300, help="most held-out pairs of a cohort")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=4, help="of the first arm; the others get as much")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=ROOT / "build" / "ablations")
    parser.add_argument("--table", action="store_true", help="train nothing")
    words = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    first = config.Pretrain(
        cohorts=tuple(words.cohorts), side=words.side, epochs=words.epochs, batch=32, learning_rate=7e-4,
        schedule="cosine", augment=False, both_normal="ignore", evaluate_every=0, precision="fp32",
    )  # fmt: skip
    limits = Limits(words.train, words.held_out)
    root = words.runs / f"train{limits.train}-held{limits.held_out}-epochs{words.epochs}"
    rows: list[dict[str, Any]] = []
    for name, changes in ARMS.items():
        arm = replace(first, **changes, epochs=epochs(first, replace(first, **changes)))
        found = [
            done(replace(arm, seed=seed), limits, root, train=not words.table) for seed in range(words.seeds)
        ]
        if None not in found:
            rows.append(row(name, arm, cost(first), [each for each in found if each], rows))
            print(line(rows[-1]), flush=True)
    machine = {"system": platform.platform(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    fields = {
        "what": __doc__.splitlines()[0],
        "cohorts": words.cohorts,
        "limits": vars(limits),
        "side": words.side,
        "seeds": words.seeds,
        "machine": machine,
        "rows": rows,
    }
    RESULT.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def limited(pairs: Pairs, limits: Limits) -> Pairs:
    """Return at most so many pairs of each source: whole patients, drawn from one seed."""
    rng, kept = np.random.default_rng(0), []
    for source in np.unique(pairs.source):
        for held, most in ((False, limits.train), (True, limits.held_out)):
            rows = np.flatnonzero((pairs.source == source) & (pairs.held_out == held))
            order = rng.permutation(np.unique(pairs.patient[rows]))
            place = {patient: i for i, patient in enumerate(order.tolist())}
            by_patient = sorted(rows.tolist(), key=lambda row: place[int(pairs.patient[row])])
            kept += by_patient[:most]
    chosen = np.sort(np.array(kept))
    used, text = np.unique(pairs.text[chosen], return_inverse=True)
    per_pair = ("row", "source", "study", "patient", "labels", "normal", "split", "held_out")
    return replace(
        pairs,
        text=text.astype(np.int64),
        texts=tuple(pairs.texts[i] for i in used),
        **{name: getattr(pairs, name)[chosen] for name in per_pair},
    )


def cost(settings: config.Pretrain, tokens: int = 70) -> float:
    """Return the training GFLOP of a film of an epoch: three forward passes of what is trained.

    `tokens` is the mean length of a report here; literal padding projects all of `settings.tokens`.
    """
    image = IMAGE_GFLOP_224 * (settings.side / 224) ** 2
    layers = settings.text_layers if settings.text_mode == "partial" else 0
    text = 2 * layers * LAYER_WEIGHTS * tokens / 1e9
    projected = settings.tokens if settings.padding == "literal" else tokens
    text += 2 * 384 * settings.width * projected / 1e9
    # A film comes twice an epoch in the paper's pairs, once with each of two reports.
    return 3 * (image + text) * (2 if settings.objective == "pairs" else 1)


def epochs(first: config.Pretrain, arm: config.Pretrain) -> int:
    """Return the epochs that give an arm as much computing as the first has, rounded, at least one."""
    return max(round(first.epochs * cost(first) / cost(arm)), 1)


def done(settings: config.Pretrain, limits: Limits, root: Path, train: bool) -> dict[str, Any] | None:
    """Return the result of a run, trained if it is not done; None where it is not to be trained."""
    folder = root / run_names.folder_name(settings)
    if not (folder / runs.CONFIG).exists() or runs.state(folder).name != "done":
        if not train:
            return None
        progress = ProgressLine("")
        worker.prepare(settings, folder)
        recipe = functools.partial(pretrain.train, gather=limits.gather)
        ended = worker.work(folder, recipe, progress.event)
        progress.end()
        if ended.name != "done":
            raise SystemExit(f"{folder.name}: {ended.reason}")
    return {**run_results.result(folder), "seconds": seconds(folder)}


def seconds(folder: Path) -> float:
    """Return what the training of a run took, reading and testing left out."""
    log = runs.events(folder)
    phases = log[log["event"] == "phase"]
    begun = phases.loc[phases["phase"] == "training", "seconds"].iloc[-1]
    return float(phases.loc[phases["phase"] == "testing", "seconds"].iloc[0] - begun)


def figure(result: dict[str, Any], name: str) -> float:
    """Return a figure of a run's result by its name in FIGURES."""
    return next(
        each["value"]
        for each in [*result["held_out"], *result["retrieval"]]
        if each["label"] == FIGURES[name] and each["metric"] == name.split(",")[0]
    )


def row(
    name: str, arm: config.Pretrain, budget: float, found: list[dict[str, Any]], before: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return an arm's line: each figure by seed, its mean and interval, and those over the first arm."""
    first = before[0] if before else None
    fields: dict[str, Any] = {
        "arm": name,
        "epochs": arm.epochs,
        "gflop_a_film": round(cost(arm), 3),
        "seconds": round(float(np.median([each["seconds"] for each in found])), 1),
        "pairs_train": found[0]["pairs_train"],
        "pairs_held_out": found[0]["pairs_held_out"],
    }
    fields["computing"] = round(arm.epochs * cost(arm) / ((first or fields)["epochs"] * budget), 2)
    for each in FIGURES:
        values = [figure(result, each) for result in found]
        fields[each] = {"seeds": [round(value, 4) for value in values], **interval(values)}
        if first:
            paired = np.array(values) - np.array(first[each]["seeds"])
            fields[each]["minus_first"] = interval(paired.tolist())
    return fields


def interval(values: Sequence[float]) -> dict[str, float]:
    """Return mean, low and high of Student's 95 % interval over seeds; nan bounds for one seed."""
    mean = float(np.mean(values))
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)) if len(values) > 1 else float("nan")
    return {"mean": round(mean, 4), "low": round(mean - half, 4), "high": round(mean + half, 4)}


def line(fields: dict[str, Any]) -> str:
    """Return an arm's line of a Markdown table."""
    cells = [fields["arm"], f"{fields['epochs']} ({fields['computing']:.2f})", f"{fields['seconds']:.0f} s"]
    for each in FIGURES:
        value = fields[each]
        cells.append(f"{value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})")
    if "minus_first" in fields["auROC"]:
        less = fields["auROC"]["minus_first"]
        cells.append(f"{less['mean']:+.3f} ({less['low']:+.3f} to {less['high']:+.3f})")
    else:
        cells.append("")
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
