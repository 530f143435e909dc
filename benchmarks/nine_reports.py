"""Does a matching network put the report of what an X-ray shows before eight others?

Nine reports in words of our own, one a finding and one of a normal chest, each asked of every frontal X-ray
of a cohort labelled like NIH ChestX-ray14 (`nih_cohort.py`). Own report first: of X-rays with one of the
findings alone, as the match stands and standardised by report over all X-rays, since a network likes some
reports whatever it sees. Nine X-rays: one of each kind drawn a thousand times, how many have their own
report first. auROC: the match with a report, X-rays with the finding against those without. Intervals:
1,000 resamples of patients.

    python benchmarks/nih_cohort.py build/nih ../shared/data/nih_1k ../shared/data/nih_extra
    python -m timnet import csv build/nih --name nih --film path --patient patient_id --labels '[A-Z]*'
    python benchmarks/nine_reports.py nih --checkpoint open-i --keep
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sklearn.metrics import roc_auc_score  # noqa: E402

from timnet import Reader  # noqa: E402
from timnet.cohorts import store  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "nine_reports.json"
NORMAL = "No Finding"
REPORTS = {
    NORMAL: "The heart is normal in size. The lungs are clear. No pleural effusion or pneumothorax.",
    "Atelectasis": "Linear atelectasis at the lung base with mild volume loss.",
    "Cardiomegaly": "The cardiac silhouette is enlarged. The lungs are clear.",
    "Airspace opacity": "Patchy airspace opacity in the lung, concerning for pneumonia.",
    "Edema": "Diffuse interstitial opacities and vascular congestion, consistent with pulmonary edema.",
    "Pleural effusion": "There is a pleural effusion with blunting of the costophrenic angle.",
    "Emphysema": "The lungs are hyperinflated with flattened diaphragms, consistent with emphysema.",
    "Lung nodule": "A nodule is seen in the lung.",
    "Pneumothorax": "There is a pneumothorax. A pleural line is seen at the apex of the lung.",
}
DRAWS = 1000


def main() -> None:
    """Print how often the own report is first, and the auROC of each report; keep them where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cohort")
    parser.add_argument("--checkpoint", default="open-i")
    parser.add_argument("--keep", action="store_true", help=f"write {RESULT.relative_to(ROOT)}")
    arguments = parser.parse_args()
    with store.Cohort.open(arguments.cohort) as cohort:
        films, labels = cohort.films(), cohort.labels()
        scores_NR = matches(cohort, arguments.checkpoint)
    labels = labels.set_index(films.index) if len(labels) == len(films) else labels.loc[films["study"]]
    has_NR = labels[list(REPORTS)].to_numpy() == 1
    found = measured(scores_NR, has_NR, alone(labels), films["patient"].to_numpy())
    result = {"what": (__doc__ or "").splitlines()[0], "checkpoint": arguments.checkpoint, **found}
    print(json.dumps(result, indent=1))
    if arguments.keep:
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def matches(cohort: store.Cohort, checkpoint: str) -> np.ndarray:
    """Return the match of each X-ray with each report (N, R)."""
    reader = Reader.load(checkpoint)
    reports_RD = reader.matcher.text_vectors(list(REPORTS.values()))
    seen = (reader.see(cohort.read_film(i)) for i in range(len(cohort)))
    return np.stack([reader.matcher.logits(each.grid_1Chw, reports_RD) for each in seen])


def alone(labels: pd.DataFrame) -> np.ndarray:
    """Return which X-rays have one finding and no other (N,); opacities in several words are one."""
    opacities = ["Airspace opacity", "Consolidation", "Pneumonia"]
    findings = labels.drop(columns=[NORMAL, *opacities]).to_numpy() == 1
    return findings.sum(1) + (labels[opacities] == 1).to_numpy().any(1) <= 1


def measured(
    scores_NR: np.ndarray, has_NR: np.ndarray, alone_N: np.ndarray, patients: np.ndarray
) -> dict[str, Any]:
    """Return the figures with their intervals."""
    standard_NR = (scores_NR - scores_NR.mean(0)) / scores_NR.std(0)
    rng = np.random.default_rng(0)
    people, of_person = np.unique(patients, return_inverse=True)
    rows_of = [np.flatnonzero(of_person == person) for person in range(len(people))]
    drawn = [
        np.concatenate([rows_of[i] for i in rng.integers(len(people), size=len(people))])
        for _ in range(DRAWS)
    ]
    chosen = alone_N & (has_NR.sum(1) == 1)
    own_N = has_NR.argmax(1)
    result: dict[str, Any] = {
        "x_rays": len(scores_NR),
        "of one kind": {name: int((chosen & (own_N == i)).sum()) for i, name in enumerate(REPORTS)},
        "chance": round(1 / len(REPORTS), 3),
    }
    for name, table_NR in (("own report first", scores_NR), ("own report first, standardised", standard_NR)):
        is_first_N = table_NR.argmax(1) == own_N

        def share(rows: np.ndarray, is_first_N: np.ndarray = is_first_N) -> float:
            kept = rows[chosen[rows]]
            return float(np.mean([is_first_N[kept[own_N[kept] == i]].mean() for i in set(own_N[kept])]))

        result[name] = interval(share, len(scores_NR), drawn)
        kinds = [np.flatnonzero(chosen & (own_N == i)) for i in range(len(REPORTS))]
        nine = [sum(is_first_N[rng.choice(rows)] for rows in kinds if len(rows)) for _ in range(DRAWS)]
        result[f"{name}, of nine X-rays"] = [float(np.mean(nine)), *np.percentile(nine, (2.5, 97.5)).tolist()]
    for i, name in enumerate(REPORTS):
        result[f"auROC, {name}"] = interval(
            lambda rows, i=i: float(roc_auc_score(has_NR[rows, i], scores_NR[rows, i])), len(scores_NR), drawn
        )
    return result


def interval(figure: Any, number: int, drawn: list[np.ndarray]) -> list[float]:
    """Return a figure of all X-rays, and its 95 % interval over resamples of patients."""
    low, high = np.percentile([figure(rows) for rows in drawn], (2.5, 97.5))
    return [round(each, 4) for each in (figure(np.arange(number)), float(low), float(high))]


if __name__ == "__main__":
    main()
