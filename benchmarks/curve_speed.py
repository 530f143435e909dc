"""How much faster is a reduced grid of Fig. 5 by `timnet curve` than by a plain script, run by run?

Four shares of Mendeley-V2's labels up to 10 %, two starts, two draws: 16 runs, of few epochs so that it
ends in minutes. Both sides train the same numbers of films and epochs, from the process's start to the last
number, and test once, at the end (`plain_finetune.py --test end`). Testing after each epoch, as such scripts
often do, takes more than half of the plain script's time and is another comparison, for which `--ways` asks.
Ours does the runs with `--ray` several at once, or one after another. The cohort's import is told apart.

    .venv/bin/python benchmarks/curve_speed.py FOLDER_OF_MENDELEY_V2
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from finetune_speed import machine
from torchvision import models

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet.cohorts import store  # noqa: E402
from timnet.cohorts.readers import mendeley  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "curve_speed.json"
BAR = 5.0
FRACTIONS = (0.005, 0.02, 0.05, 0.1)
WAYS = ("timnet curve", "plain, tested each epoch", "timnet curve --ray local", "plain, tested at the end")
FAIR = WAYS[2:]


def main() -> None:
    """Measure, print one line a way, and keep the figures with the machine they are of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--fractions", nargs="+", type=float, default=FRACTIONS)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=FAIR, help="which of them are timed")
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results/curve_speed.json")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "start.pt"
        torch.manual_seed(1)
        torch.save(models.resnet18().state_dict(), start)
        os.environ["TIMNET_HOME"] = f"{folder}/home"
        begun = time.perf_counter()
        mendeley.run(words.folder.resolve(), "mendeley")
        store.Cohort.open(store.find("mendeley")).pixels(words.side)
        fields: dict[str, Any] = {
            "what": __doc__.splitlines()[0],
            "side": words.side,
            "epochs": words.epochs,
            "fractions": words.fractions,
            "starts": 2,
            "seeds": words.seeds,
            "bar": BAR,
            "seconds_of_import_once": time.perf_counter() - begun,
            "seconds": {},
        }
        ways = (
            lambda: ours(folder, "one", start, words),
            lambda: plain("epoch", start, words),
            lambda: ours(folder, "ray", start, words, "--ray", "local"),
            lambda: plain("end", start, words),
        )
        for name, way in zip(WAYS, ways, strict=True):
            if name not in words.ways:
                continue
            begun = time.perf_counter()
            way()
            fields["seconds"][name] = time.perf_counter() - begun
            print(json.dumps({name: fields["seconds"][name]}), flush=True)
    taken = fields["seconds"]
    fields["times_faster"] = {
        f"{mine} against {theirs}": taken[theirs] / taken[mine]
        for mine in taken
        if mine.startswith("timnet")
        for theirs in taken
        if theirs.startswith("plain")
    }
    fields["machine"] = machine()
    print(json.dumps(fields, indent=1))
    if words.keep:
        RESULT.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def ours(folder: str, name: str, start: Path, words: argparse.Namespace, *more: str) -> None:
    """Do the grid by the command line."""
    command = ["curve", "mendeley", "--task", "pneumonia", "--initialisations", "base", str(start)]
    command += ["--fractions", *map(str, words.fractions), "--seeds", str(words.seeds)]
    command += ["--side", str(words.side), "--epochs", str(words.epochs), *more]
    there = os.environ | {"TIMNET_CHECKPOINTS": f"{folder}/{name}"}
    subprocess.run(
        [sys.executable, "-m", "timnet", *command], cwd=ROOT, env=there, check=True, stdout=subprocess.DEVNULL
    )


def plain(test: str, start: Path, words: argparse.Namespace) -> None:
    """Do the same grid by the script, run by run."""
    script = [sys.executable, str(ROOT / "benchmarks" / "plain_finetune.py"), str(words.folder)]
    for fraction in words.fractions:
        for seed in range(words.seeds):
            for each in ("base", str(start)):
                command = [*script, "--fraction", str(fraction), "--seed", str(seed), "--start", each]
                command += ["--side", str(words.side), "--epochs", str(words.epochs), "--test", test]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
