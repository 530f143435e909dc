"""How much faster is a training step where the process holds the memory that it frees, and what does it take?

Steps of a fine-tuning, ResNet-18, 16 films, in processes of their own: as glibc does it by itself, and with
`timnet.processes`'s tunables, in turn. Seconds are the median of a process's steps.

    .venv/bin/python benchmarks/allocator_speed.py --keep
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from finetune_speed import machine, stepper

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet import processes  # noqa: E402
from timnet.model import devices  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "allocator_speed.json"
SIDES = (224, 112)
WARM, STEPS = 8, 20


def main() -> None:
    """Measure, print one line a round, and keep the figures with the machine they are of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results/allocator_speed.json")
    parser.add_argument("--steps-of", type=int, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.steps_of:
        print(json.dumps(steps(words.steps_of)))
        return
    bare = {name: value for name, value in os.environ.items() if name != processes.VARIABLE}
    ways = {"given back": bare, "held": processes.environment(bare)}
    fields: dict[str, Any] = {"what": __doc__.splitlines()[0], "batch": 16, "machine": machine(), "sides": {}}
    for side in SIDES:
        rounds = [{name: process(side, way) for name, way in ways.items()} for _ in range(words.rounds)]
        print(side, json.dumps(rounds), flush=True)
        fields["sides"][side] = {
            name: {
                of: statistics.median(each[name][of] for each in rounds) for of in ("seconds", "megabytes")
            }
            for name in ways
        }
    print(json.dumps(fields, indent=1))
    if words.keep:
        RESULT.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def process(side: int, environment: dict[str, str]) -> dict[str, float]:
    """Return what a process of its own measures."""
    command = [sys.executable, __file__, "--steps-of", str(side)]
    ran = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def steps(side: int) -> dict[str, float]:
    """Return the seconds of a step in this process, and the most memory it has had."""
    step, bf16 = stepper(side), devices.precision("auto", devices.device()) == "bf16"
    seconds = [step(bf16) for _ in range(WARM + STEPS)]
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": statistics.median(seconds[WARM:]), "megabytes": most}


if __name__ == "__main__":
    main()
