"""How many X-rays a second do batches read, against one command an X-ray and against Reader.read in a loop?

Cases that are compared are timed in turn, round by round, so that a busy machine slows both sides alike; a
ratio is the median of the rounds' ratios, an X-ray's seconds over an X-ray's seconds. `loop`, `many` and
`table` run in this process with the network loaded; the commands include their start. The findings of a
match differ from X-ray to X-ray, as reports do.

    .venv/bin/python benchmarks/batch_speed.py
    .venv/bin/python benchmarks/batch_speed.py --folder FOLDER     # other X-rays
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet import batch, config, files  # noqa: E402
from timnet.cohorts import listed  # noqa: E402
from timnet.reader import Reader  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "batch_speed.json"
FOLDER = ROOT / "assets" / "demo" / "films"
SENTENCES = (
    "The heart is mildly enlarged.", "There is a small left pleural effusion.", "No pneumothorax.",
    "Patchy opacity in the right lower lung.", "The lungs are clear.", "The mediastinal contours are stable.",
)  # fmt: skip
BARS = {"one_command_over_batch_command": "at least 8"}


def main() -> None:
    """Measure both commands, print one line a figure, and keep the figures with the machine they are of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--number", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    words = parser.parse_args()
    films = sorted(path for path in words.folder.iterdir() if path.suffix in (".jpg", ".png"))[: words.number]
    reports = [f"{' '.join(np.roll(SENTENCES, at)[: 3 + at % 3])} Study {at}." for at in range(len(films))]
    fields: dict[str, Any] = {"what": __doc__.splitlines()[0], "x_rays": len(films), "rounds": words.rounds}
    fields |= {
        "folder": words.folder.name,
        "bars": BARS,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    for command, checkpoint in (("diagnose", config.FINDINGS), ("match", config.MATCHING)):
        texts = reports if command == "match" else None
        with tempfile.TemporaryDirectory() as folder:
            fields[command] = measure(command, checkpoint, films, texts, Path(folder), words.rounds)
        for name, value in fields[command].items():
            print(
                f"{command} {name}: {value}" + (f" (bar: {BARS[name]})" if name in BARS else ""), flush=True
            )
    fields["load"] = round(os.getloadavg()[0], 1)
    files.write_whole(RESULT, (files.to_json(fields, "result", indent=1) + "\n").encode())


def measure(
    command: str, checkpoint: str, films: list[Path], reports: list[str] | None, folder: Path, rounds: int
) -> dict[str, float]:
    """Return ratios and an X-ray's seconds of each way to read these X-rays."""
    table, out = folder / "list.csv", folder / "out.csv"
    with table.open("w", newline="") as file:
        texts = reports or [""] * len(films)
        csv.writer(file).writerows([("path", "report"), *zip(films, texts, strict=True)])
    reader = Reader.load(checkpoint)
    listing = listed.of(table, None, reports is not None)

    each_text: Sequence[str | None] = reports or [None] * len(films)

    def started(*words: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "timnet", command, *words], cwd=ROOT, check=True, capture_output=True
        )

    def loop() -> None:
        for film, text in zip(films, each_text, strict=True):
            reader.read(film, text)

    one = [str(films[0]), "--anyway", *(["--findings", reports[0]] if reports else [])]
    cases: dict[str, tuple[int, Callable[[], object]]] = {
        "one_command": (1, lambda: started(*one)),
        "batch_command": (len(films), lambda: started(str(table), "--anyway", "--out", str(out))),
        "loop": (len(films), loop),
        "many": (len(films), lambda: reader.read_many(films, reports)),
        "table": (
            len(films),
            lambda: batch.run(listing, reader, out, matched=reports is not None, anyway=True),
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, (count, case) in cases.items():
            begun = time.perf_counter()
            case()
            if number:  # the first does not count
                seconds[name].append((time.perf_counter() - begun) / count)

    def ratio(above: str, below: str) -> float:
        return round(float(np.median(np.divide(seconds[above], seconds[below]))), 2)

    return {
        "one_command_over_batch_command": ratio("one_command", "batch_command"),
        "loop_over_table": ratio("loop", "table"),
        "loop_over_many": ratio("loop", "many"),
        **{f"{name}_seconds": round(float(np.median(spent)), 4) for name, spent in seconds.items()},
    }


if __name__ == "__main__":
    main()
