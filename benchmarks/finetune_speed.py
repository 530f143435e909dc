"""How much faster is our fine-tuning than a plain script for the same steps, and where does the time go?

Both do the same number of steps on the same number of films, in turn, in processes of their own and with
the same threads; the script is `plain_finetune.py`. A step is timed from the first one's end to the last
one's. The share of convolutions in our step, and its time in each precision, are told, too.

    .venv/bin/python benchmarks/finetune_speed.py FOLDER_OF_MENDELEY_V2
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet.checkpoints import ClassifierSpec  # noqa: E402
from timnet.cohorts import store  # noqa: E402
from timnet.cohorts.readers import mendeley  # noqa: E402
from timnet.model import devices, weights  # noqa: E402
from timnet.training import batches, estimates, objectives, runs  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "finetune_speed.json"
BAR = 4.0


def main() -> None:
    """Measure, print one line a round, and keep the figures with the machine they are of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results/finetune_speed.json")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(TIMNET_HOME=f"{folder}/home", TIMNET_CHECKPOINTS=f"{folder}/runs")
        begun = time.perf_counter()
        mendeley.run(words.folder.resolve(), "mendeley")
        cohort = store.Cohort.open(store.find("mendeley"))
        cohort.pixels(words.side)
        cached = time.perf_counter() - begun
        number = int((cohort.films()["split"] == "train").sum())
        fraction = words.steps * 16 / number
        rounds = []
        for turn in range(words.rounds):
            ours = ours_step(folder, fraction, words.side, turn)
            plain = plain_step(words.folder, fraction, words.side, turn)
            rounds.append({"ours": ours, "plain": plain, "times": plain / ours})
            print(json.dumps(rounds[-1]), flush=True)
        fields: dict[str, Any] = {
            "what": __doc__.splitlines()[0],
            "side": words.side,
            "steps": words.steps,
            "batch": 16,
            "bar": BAR,
            "times_faster": statistics.median(each["times"] for each in rounds),
            "seconds_a_step": rounds,
            "seconds_of_import_once": cached,
            "where": profiled(words.side),
            "machine": machine(),
        }
    print(json.dumps(fields, indent=1))
    if words.keep:
        RESULT.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def ours_step(folder: str, fraction: float, side: int, seed: int) -> float:
    """Return the seconds a step of one fine-tuning by the command line takes."""
    command = ["finetune", "mendeley", "--task", "pneumonia", "--fraction", f"{fraction:.6f}"]
    command += ["--side", str(side), "--epochs", "1", "--seed", str(seed), "--out", f"{folder}/runs/{seed}"]
    subprocess.run([sys.executable, "-m", "timnet", *command], cwd=ROOT, check=True, capture_output=True)
    states = [runs.state(Path(folder) / "runs" / str(seed))]
    found = estimates.measured_pace(states, states[0].settings)  # type: ignore[arg-type]
    assert found is not None, "the run was too short to tell its pace: ask for more steps"
    return found.step


def plain_step(folder: Path, fraction: float, side: int, seed: int) -> float:
    """Return the seconds a step of the plain script takes."""
    command = [sys.executable, str(ROOT / "benchmarks" / "plain_finetune.py"), str(folder)]
    command += ["--fraction", f"{fraction:.6f}", "--side", str(side), "--seed", str(seed), "--test", "never"]
    result = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(json.loads(result)["step_seconds"])


def stepper(side: int) -> Callable[[bool], float]:
    """Return what takes one of our steps, in bf16 or fp32, and tells its seconds."""
    spec = ClassifierSpec(
        backbone="resnet18", side=side, width=512, normalisation="film", task="t", labels=("t",)
    )
    on = devices.device()
    classifier = batches.channels_last(weights.build_classifier(spec, 0), on)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=1e-4, fused=True)
    films = torch.rand(16, 1, side, side, device=on).to(memory_format=torch.channels_last)
    y = torch.ones(16, 1, device=on)

    def step(bf16: bool) -> float:
        begun = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(on.type, torch.bfloat16, enabled=bf16):
            loss = objectives.masked_bce(classifier(films), y)
        loss.backward()
        optimizer.step()
        loss.item()
        return time.perf_counter() - begun

    return step


def profiled(side: int) -> dict[str, Any]:
    """Return the share of our step that convolutions take, and the seconds of it in each precision."""
    step, on = stepper(side), devices.device()
    fields = {name: [step(bf16) for _ in range(3)] for name, bf16 in (("fp32", False), ("bf16", True))}
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        step(devices.precision("auto", on) == "bf16")
    rows = profile.key_averages()
    whole = sum(row.self_cpu_time_total for row in rows)
    convolutions = sum(row.self_cpu_time_total for row in rows if "convolution" in row.key)
    return {
        "seconds_a_step": {name: min(values) for name, values in fields.items()},
        "share_of_convolutions": convolutions / whole,
        "chosen": devices.precision("auto", on),
    }


def machine() -> dict[str, Any]:
    """Return what the figures are of."""
    result = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    words = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in result)}
    flags = [
        name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in words.get("flags", "")
    ]
    return {
        "system": platform.platform(),
        "processor": words.get("model name", "not known"),
        "instructions": flags,
        "cores": os.cpu_count(),
        "device": devices.describe(devices.device()),
        "load": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    main()
