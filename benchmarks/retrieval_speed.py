"""How long does a search of 370,000 film vectors by the match head take, and what does its pre-filter miss?

Vectors of two kinds, each searched with the same questions: random ones with the mean and covariance of the
shipped checkpoint's own film vectors (of the demo films), and the same without the covariance, as independent
numbers, where a line has the least to go by. Recall compares with the head's judgement of every vector.

    .venv/bin/python benchmarks/retrieval_speed.py
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet.evaluation import retrieval  # noqa: E402
from timnet.films.read import read_film  # noqa: E402
from timnet.reader import Reader  # noqa: E402
from timnet.reports import report_text  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "retrieval_speed.json"
DEMO = ROOT / "assets" / "demo"
TOP = 50


def main() -> None:
    """Measure, print one line a case, and keep the figures with the machine they are of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="open-cxr")
    parser.add_argument("--films", type=int, default=370_000)
    parser.add_argument("--questions", type=int, default=3)
    parser.add_argument("--known", type=int, default=60, help="demo films whose vectors set the covariance")
    words = parser.parse_args()
    # One thread: a search is too short to share, and a page's other visitors have the other core.
    torch.set_num_threads(1)
    with (DEMO / "studies.csv").open(newline="", encoding="utf-8") as file:
        studies = [row for row in csv.DictReader(file) if row["split"] == "test"][: words.known]
    reader = Reader.load(words.checkpoint)
    texts = [report_text.findings(row["report"]) for row in studies[: words.questions]]
    queries = reader.matcher.text_vectors(texts)
    known = np.concatenate(
        [reader.matcher.film_vectors(reader.see(read_film(DEMO / row["path"])).grid_1Chw) for row in studies]
    )
    rows = []
    for kind, vectors in cases(known, words.films):
        rows.append(measured(reader, kind, vectors, queries))
        print(json.dumps(rows[-1]))
    machine: dict[str, Any] = {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    machine |= {"processor": processor(), "load": round(os.getloadavg()[0], 1)}
    fields = {"what": __doc__.splitlines()[0], "films": words.films, "top": TOP, "kept": retrieval.KEPT}
    fields |= {"checkpoint": words.checkpoint, "machine": machine, "rows": rows}
    RESULT.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def cases(known: np.ndarray, number: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield vectors (N, D) of each kind, drawn like the known ones."""
    rng = np.random.default_rng(0)
    mean, deviation = known.mean(0), known.std(0)
    # Draws within the span of the known vectors have their covariance.
    centred = (known - mean) / np.sqrt(len(known))
    for kind, drawn_as in (("covariance of the demo films", centred), ("independent numbers", None)):
        vectors = np.empty((number, len(mean)), np.float16)
        for start in range(0, number, 10_000):
            width = len(mean) if drawn_as is None else len(drawn_as)
            drawn = rng.standard_normal((min(10_000, number - start), width), dtype=np.float32)
            moved = drawn * deviation if drawn_as is None else drawn @ drawn_as
            vectors[start : start + len(drawn)] = mean + moved
        yield kind, vectors


def measured(reader: Reader, kind: str, vectors: np.ndarray, queries: torch.Tensor) -> dict[str, Any]:
    """Return the seconds of each search and the share of the true best that it finds."""
    timnet = reader.matcher.timnet
    wall, spent, whole, recalls = [], [], [], []
    retrieval.nearest(timnet, queries[0], vectors, TOP)
    for query in queries:
        begun, used = time.perf_counter(), time.process_time()
        found, _ = retrieval.nearest(timnet, query, vectors, TOP)
        wall.append(time.perf_counter() - begun)
        spent.append(time.process_time() - used)
        used = time.process_time()
        every, _ = retrieval.nearest(timnet, query, vectors, TOP, kept=len(vectors))
        whole.append(time.process_time() - used)
        recalls.append(len(set(found) & set(every)) / TOP)
    return {
        "vectors": kind,
        "seconds": [round(value, 3) for value in wall],
        "processor_seconds": [round(value, 3) for value in spent],
        "processor_seconds_without_filter": [round(value, 3) for value in whole],
        "recall_at_50": [round(recall, 3) for recall in recalls],
    }


def processor() -> str:
    """Return the processor's name where the system tells it."""
    result = Path("/proc/cpuinfo")
    lines = result.read_text().splitlines() if result.is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "not known")


if __name__ == "__main__":
    main()
