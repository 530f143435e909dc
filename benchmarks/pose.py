"""How many turned and mirrored X-rays are found, and how many upright ones are called so?

Frontal X-rays that the fit (assets/chest/fit_pose.py) has not seen: a third of the patients of NIH's
selections, Mendeley-V2's test split, Open-i (another hospital), the demo cohort's test split. Each is judged
as `timnet check` does, as it lies, turned by one to three quarters, and mirrored. Intervals: Wilson's, over
X-rays.

    .venv/bin/python benchmarks/pose.py --data FOLDER --keep
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy import stats

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "assets" / "chest")]

import fit_pose  # noqa: E402

from timnet.cohorts import checks  # noqa: E402
from timnet.evaluation.check import pictures  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "pose.json"


def main() -> None:
    """Print a line a source and keep them where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--most", type=int, default=300, help="X-rays of a source at most")
    parser.add_argument("--keep", action="store_true")
    words = parser.parse_args()
    fields = {name: measured(paths, words.most) for name, paths in sources(words.data).items()}
    for name, rows in fields.items():
        print(name, json.dumps(rows))
    if words.keep:
        what = (__doc__ or "").splitlines()[0]
        RESULT.write_text(json.dumps({"what": what, "sources": fields}, indent=1) + "\n", encoding="utf-8")


def sources(data: Path) -> dict[str, list[Path]]:
    """Return frontal X-rays by source."""
    nih = []
    for folder in (data / "nih_1k", data / "nih_extra"):
        table = pd.read_csv(folder / "labels.csv")
        both = zip(table["path"], table["patient_id"], strict=True)
        nih += [folder / path for path, who in both if fit_pose.held_out(f"{who}")]
    projections = pd.read_csv(data / "open_i" / "indiana_projections.csv")
    names = projections[projections["projection"] == "Frontal"]["filename"].str.partition(".")[0] + ".jpg"
    demo = pd.read_csv(ROOT / "assets" / "demo" / "studies.csv")
    demo = demo[(demo["split"] == "test") & (demo["view"] != "LATERAL")]
    open_i = [data / "open_i" / "images" / name for name in names]
    return {
        "NIH ChestX-ray14, held-out patients": nih,
        "Mendeley-V2, test": sorted((data / "mendeley_v2" / "test").glob("*/*.jpeg")),
        "Open-i": [path for path in open_i if path.is_file()],
        "demo, test (simulated)": [ROOT / "assets" / "demo" / path for path in demo["path"]],
    }


def measured(paths: list[Path], most: int) -> dict[str, object]:
    """Return how many are called turned or mirrored as they lie, and how many of their copies are."""
    chosen = np.random.default_rng(0).permutation(len(paths))[:most]
    counts = dict.fromkeys(("turned as it lies", "mirrored as it lies", "turned found", "mirrored found"), 0)
    for place, at in enumerate(chosen):
        image = Image.open(paths[at]).convert("L")
        image.thumbnail((224, 224), Image.Resampling.BILINEAR)
        greys = np.asarray(image)
        own = kinds(greys)
        counts["turned as it lies"] += checks.LYING in own
        counts["mirrored as it lies"] += checks.MIRRORED in own
        counts["turned found"] += checks.LYING in kinds(np.rot90(greys, 1 + place % 3))
        counts["mirrored found"] += checks.MIRRORED in kinds(greys[:, ::-1])
    shares: dict[str, object] = {"X-rays": len(chosen)}
    for name, hits in counts.items():
        interval = stats.binomtest(hits, len(chosen)).proportion_ci(0.95, "wilson")
        shares[name] = [round(float(each), 4) for each in (hits / len(chosen), interval.low, interval.high)]
    return shares


def kinds(greys: np.ndarray) -> set[str]:
    """Return the kinds of fault that are seen in a frontal X-ray."""
    return {kind for kind, _, _ in pictures.judged(np.ascontiguousarray(greys), False, "PA")}


if __name__ == "__main__":
    main()
