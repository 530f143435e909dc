"""What a classifier is worth on a cohort's test films: by label, as fields for its card.

The shipped weights are read, not the run's own numbers. Intervals: bootstrap over patients. By sex, age and
view: `python -m timnet evaluate CHECKPOINT COHORT --keep`.

    python benchmarks/findings_results.py chest-findings nih --dataset "NIH ChestX-ray14, held-out patients"
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timnet import checkpoints
from timnet.cohorts import store
from timnet.evaluation import metrics
from timnet.evaluation.calibration import fit
from timnet.evaluation.predictions import TEST


def main() -> None:
    """Print the results as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("cohort")
    parser.add_argument("--dataset", required=True)
    arguments = parser.parse_args()
    folder = checkpoints.checkpoint_folder(arguments.checkpoint)
    assert folder is not None, f"no checkpoint {arguments.checkpoint}"
    kept = fit.predicted(folder, arguments.cohort).part(TEST)
    cohort = store.Cohort.open(store.find(arguments.cohort))
    command = f"python benchmarks/findings_results.py {arguments.checkpoint} {Path(arguments.cohort).name}"
    table = metrics.evaluate(kept.truth_NL, kept.p_NL, kept.patients(cohort), kept.labels)
    table = table[(table["metric"] == "auROC") & (table["label"] != "micro") & table["value"].notna()]
    rows = [
        {
            "dataset": arguments.dataset, "real": True, "label": row["label"], "metric": "auROC",
            **{name: round(float(row[name]), 4) for name in ("value", "low", "high")},
            "images": len(kept.film_N),
            **({"positives": int(row["positives"])} if row["label"] != "macro" else {}),
            "command": command,
        }
        for row in table.to_dict("records")
    ]  # fmt: skip
    rows.sort(key=lambda row: row["label"] != "macro")
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
