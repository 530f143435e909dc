"""What a classifier is worth on a cohort's test films: by label, sex, age and view, as fields for its card.

The shipped weights are read, not the run's own numbers. Intervals: bootstrap over patients.

    python benchmarks/findings_results.py chest-findings nih --dataset "NIH ChestX-ray14, held-out patients"
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timnet import checkpoints
from timnet.cohorts import store
from timnet.evaluation import metrics
from timnet.evaluation.calibration import fit
from timnet.evaluation.predictions import TEST

AGES = ((0, 40), (40, 60), (60, 121))
LEAST = 5
"""Films of either kind below which a subgroup says nothing of a label."""


def groups(films: pd.DataFrame, people: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return which films are whose: all, by sex, by age and by view."""
    found = {"": np.ones(len(films), bool)}
    for sex, word in (("F", "women"), ("M", "men")):
        found[word] = (people["sex"] == sex).to_numpy()
    age = people["age"].to_numpy(float)
    for low, high in AGES:
        found[f"{low} to {high - 1} years" if high < 121 else f"{low} years and older"] = (age >= low) & (
            age < high
        )
    for view in ("PA", "AP"):
        found[f"{view} view"] = (films["view"] == view).to_numpy()
    return found


def main() -> None:
    """Print the results as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("cohort")
    parser.add_argument("--dataset", required=True)
    asked = parser.parse_args()
    folder = checkpoints.checkpoint_folder(asked.checkpoint)
    assert folder is not None, f"no checkpoint {asked.checkpoint}"
    kept = fit.predicted(folder, asked.cohort).part(TEST)
    cohort = store.Cohort.open(store.find(asked.cohort))
    films = cohort.films().iloc[kept.film_N].reset_index(drop=True)
    people = pd.DataFrame([{"sex": each.sex, "age": each.age} for each in map(cohort.study, films["study"])])
    command = f"python benchmarks/findings_results.py {asked.checkpoint} {Path(asked.cohort).name}"
    rows = []
    for group, chosen in groups(films, people).items():
        truth = kept.truth_NL[chosen].copy()
        few = (np.nansum(truth == 1, 0) < LEAST) | (np.nansum(truth == 0, 0) < LEAST)
        if group:
            truth[:, few] = np.nan
        if not len(truth) or np.isnan(truth).all():
            continue
        patients = films["patient"][chosen].astype(str).tolist()
        table = metrics.evaluate(truth, kept.p_NL[chosen], patients, kept.labels)
        table = table[(table["metric"] == "auROC") & (table["label"] != "micro") & table["value"].notna()]
        if group and len(kept.labels) > 1:
            table = table[table["label"] == "macro"]
        rows += [
            {
                "dataset": asked.dataset, "real": True, "label": row["label"],
                **({"group": group} if group else {}), "metric": "auROC",
                **{name: round(float(row[name]), 4) for name in ("value", "low", "high")},
                "images": int(chosen.sum()),
                **({"positives": int(row["positives"])} if row["label"] != "macro" else {}),
                "command": command,
            }
            for row in table.to_dict("records")
        ]  # fmt: skip
    rows.sort(key=lambda row: (bool(row.get("group")), row["label"] != "macro"))
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
