"""Put Mendeley-V2 into a table that holds a tenth of its training patients back for validation.

The official test stays the test. File numbers restart between the folders: a patient is folder and number.

    python benchmarks/mendeley_cohort.py build/mendeley ../shared/data/mendeley_v2
    python -m timnet import csv build/mendeley --name mendeley-val --patient patient --split part \\
        --labels Pneumonia
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from pathlib import Path

import pandas as pd


def table(labels: pd.DataFrame) -> pd.DataFrame:
    """Return one row a film: path, patient, part and label."""
    patient = labels["split"].replace("val", "train") + "/" + labels["patient_id"]
    drawn = patient.map(lambda name: int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10 == 0)
    part = labels["split"].replace("val", "train").where(~drawn | (labels["split"] == "test"), "val")
    return pd.DataFrame(
        {"path": labels["path"], "patient": patient, "part": part, "Pneumonia": labels["label"]}
    )


def main() -> None:
    """Write the table, and the films beside it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("source", type=Path)
    arguments = parser.parse_args()
    films = table(pd.read_csv(arguments.source / "labels.csv", dtype={"patient_id": str}))
    for part in ("train", "val", "test"):
        shutil.copytree(arguments.source / part, arguments.out / part, dirs_exist_ok=True)
    films.to_csv(arguments.out / "films.csv", index=False)
    print(films.groupby("part")["Pneumonia"].agg(["size", "sum"]).to_string())


if __name__ == "__main__":
    main()
