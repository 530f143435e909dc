"""Does a check find planted faults? Recall and precision by kind, with intervals.

Faults are planted in a copy of a cohort's X-rays in a folder of its own: 2 % of the values of each label
turned round, 20 X-rays that repeat another one (re-compressed, scaled, brightened; half of them in another
split), 10 turned by one to three quarters, 10 mirrored, and 10 lateral ones named PA where there are so many.
What the cohort has of real faults counts as false here. Intervals: Wilson's, over faults.

    .venv/bin/python benchmarks/cohort_check.py demo --checkpoint open-cxr --keep
    .venv/bin/python benchmarks/cohort_check.py nih --most 1000 --keep
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy import stats

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet import checkpoints  # noqa: E402
from timnet.cohorts import checks, store, tasks  # noqa: E402
from timnet.cohorts.readers import csv_table  # noqa: E402
from timnet.evaluation.check import run  # noqa: E402
from timnet.training import features  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "cohort_check.json"
FLIPPED, COPIES, TURNED, MIRRORED, LATERALS = 0.02, 20, 10, 10, 10


def main() -> None:
    """Plant, check, print a line a kind, and keep them where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cohort")
    parser.add_argument("--checkpoint", default="open-i")
    parser.add_argument("--most", type=int, default=10**6, help="X-rays at most, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true")
    words = parser.parse_args()
    folder = checkpoints.named(words.checkpoint)
    with tempfile.TemporaryDirectory() as home, store.Cohort.open(store.find(words.cohort)) as cohort:
        root = Path(home) / "export"
        root.mkdir()
        planted, labels = plant(cohort, root, words.most, np.random.default_rng(words.seed))
        os.environ["TIMNET_HOME"] = home
        csv_table.run(root, "planted", labels=labels)
        start = time.monotonic()
        with store.Cohort.open(store.find("planted")) as copy:
            x_NC = features.build(copy, checks.settings(folder))
            found = run.checked(copy, x_NC, lambda phase, done, total: None).found
            number = len(copy)
    rows = [judged(kind, planted, found) for kind in checks.KINDS if planted.get(kind)]
    for row in rows:
        print(json.dumps(row))
    if words.keep:
        content = (
            json.loads(RESULT.read_text()) if RESULT.is_file() else {"what": (__doc__ or "").splitlines()[0]}
        )
        content[f"{words.cohort} by {folder.name}"] = {
            "films": number,
            "seed": words.seed,
            "weights_sha256": checkpoints.weights_sha256(folder),
            "seconds": round(time.monotonic() - start),
            "rows": rows,
        }
        RESULT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def judged(kind: str, planted: dict[str, set[str]], found: pd.DataFrame) -> dict[str, object]:
    """Return recall and precision of a kind, each with its interval."""
    listed = found[found["kind"] == kind]
    names = {f"{row.study} {row.label}".strip() for row in listed.itertuples()}
    hits = len(names & planted[kind])
    row: dict[str, object] = {"kind": kind, "planted": len(planted[kind]), "listed": len(names), "hits": hits}
    for name, whole in (("recall", len(planted[kind])), ("precision", len(names))):
        if whole:
            interval = stats.binomtest(hits, whole).proportion_ci(0.95, "wilson")
            row[name] = [round(float(each), 3) for each in (hits / whole, interval.low, interval.high)]
    return row


def plant(
    cohort: store.Cohort, root: Path, most: int, rng: np.random.Generator
) -> tuple[dict[str, set[str]], list[str]]:
    """Write a cohort's X-rays with faults, and their table, to a folder; return the faults and the labels."""
    films, labels = cohort.films(), tasks.settle(cohort.labels(), "ignore")
    order = rng.permutation(len(films))[:most]
    table = films.iloc[np.sort(order)][["film", "patient", "split", "view"]].reset_index(drop=True)
    table["study"] = [f"s{film:06}" for film in table["film"]]
    table = pd.concat([table, labels.iloc[table["film"]].reset_index(drop=True)], axis=1)
    planted: dict[str, set[str]] = {}
    frontal = rng.permutation(np.flatnonzero(table["view"] != "LATERAL"))
    lateral = rng.permutation(np.flatnonzero(table["view"] == "LATERAL"))[:LATERALS]
    copied, turned, mirrored = np.split(frontal[: COPIES + TURNED + MIRRORED], [COPIES, COPIES + TURNED])
    for name in labels.columns:
        known = np.flatnonzero(table[name].notna() & (table["view"] != "LATERAL"))
        wrong = rng.permutation(known)[: round(FLIPPED * len(known))]
        table.loc[wrong, name] = 1 - table.loc[wrong, name].round()
        planted.setdefault(checks.LABEL, set()).update(f"{study} {name}" for study in table["study"][wrong])
    if len(lateral) == LATERALS:
        table.loc[lateral, "view"] = "PA"
        planted[checks.VIEW] = set(table["study"][lateral])
    planted[checks.LYING] = set(table["study"][turned])
    planted[checks.MIRRORED] = set(table["study"][mirrored])
    copies = table.iloc[copied].copy()
    copies["study"] = [f"z{film:06}" for film in copies["film"]]
    copies["patient"] = copies["study"]
    for place, row in enumerate(copies.index):
        split = copies.at[row, "split"]
        if place % 2:
            copies.at[row, "split"] = "train" if split == "test" else "test"
        kind = checks.LEAK if place % 2 else checks.DUPLICATE
        planted.setdefault(kind, set()).add(str(copies.at[row, "study"]))
    changes = {row: int(rng.integers(1, 4)) for row in turned} | dict.fromkeys(mirrored, 0)
    paths = []
    for row, each in table.iterrows():
        data = cohort.original(int(each["film"]))
        if row in changes:
            greys = grey(data)
            data = jpeg(np.rot90(greys, changes[row]) if changes[row] else greys[:, ::-1], 95)
        paths.append(written(root, str(each["study"]), data))
    for place, (_, each) in enumerate(copies.iterrows()):
        paths.append(
            written(root, each["study"], altered(grey(cohort.original(int(each["film"]))), place % 3))
        )
    whole = pd.concat([table, copies], ignore_index=True).drop(columns="film")
    whole.assign(path=paths).to_csv(root / "films.csv", index=False)
    return planted, [str(name) for name in labels.columns]


def altered(greys: np.ndarray, how: int) -> bytes:
    """Return a film re-compressed, scaled, or brightened."""
    if how == 1:
        size = (round(greys.shape[1] * 0.7), round(greys.shape[0] * 0.7))
        greys = np.asarray(Image.fromarray(greys).resize(size, Image.Resampling.BILINEAR))
    if how == 2:
        greys = np.clip(greys * 0.8 + 25, 0, 255).astype(np.uint8)
    return jpeg(greys, 40 if how == 0 else 95)


def grey(data: bytes) -> np.ndarray:
    """Return a picture's greys."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"))


def jpeg(greys: np.ndarray, quality: int) -> bytes:
    """Return greys as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(greys)).save(file, "JPEG", quality=quality)
    return file.getvalue()


def written(root: Path, name: str, data: bytes) -> str:
    """Write a file into a folder and return its name."""
    path = root / f"{name}{'.png' if data[1:4] == b'PNG' else '.jpg'}"
    path.write_bytes(data)
    return path.name


if __name__ == "__main__":
    main()
