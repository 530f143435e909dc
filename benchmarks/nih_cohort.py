"""Put NIH ChestX-ray14 films of several folders into one table whose labels have radiology's words.

Films whose contrast was equalised are left out. "Infiltration" is no term of the Fleischner Society's
glossary (Radiology 246, 2008) and is not kept: with consolidation and pneumonia it is an airspace opacity.
Patients are one over all folders, so that the import splits by them. Labels are the columns with a capital:

    python benchmarks/nih_cohort.py build/nih ../shared/data/nih_1k ../shared/data/nih_extra
    python -m timnet import csv build/nih --name nih --film path --patient patient_id --labels '[A-Z]*'
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import pandas as pd

WORDS = {
    "Atelectasis": "Atelectasis", "Cardiomegaly": "Cardiomegaly", "Consolidation": "Consolidation",
    "Edema": "Edema", "Effusion": "Pleural effusion", "Emphysema": "Emphysema", "Fibrosis": "Fibrosis",
    "Hernia": "Hiatal hernia", "Mass": "Lung mass", "Nodule": "Lung nodule",
    "Pleural_Thickening": "Pleural thickening", "Pneumonia": "Pneumonia", "Pneumothorax": "Pneumothorax",
}  # fmt: skip
"""NIH's label -> ours."""
OPACITY = ["Infiltration", "Consolidation", "Pneumonia"]


def table(folders: list[Path]) -> pd.DataFrame:
    """Return one row a film: path below its folder's name, patient, sex, age, view and labels."""
    parts = []
    for folder in folders:
        part = pd.read_csv(folder / "labels.csv", dtype={"patient_id": str})
        if "note" in part:
            part = part[part["note"].isna()]
        parts.append(part.assign(path=folder.name + "/" + part["path"]))
    whole = pd.concat(parts, ignore_index=True)
    kept = whole[["path", "patient_id", "sex", "age", "view"]].copy()
    kept[list(WORDS.values())] = whole[list(WORDS)]
    kept["Airspace opacity"] = whole[OPACITY].max(axis=1)
    kept["No Finding"] = (whole["finding_labels"] == "No Finding").astype(int)
    return kept


def main() -> None:
    """Write the table, and the films beside it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    films = table(arguments.folders)
    for folder in arguments.folders:
        shutil.copytree(folder / "images", arguments.out / folder.name / "images", dirs_exist_ok=True)
    films.to_csv(arguments.out / "films.csv", index=False)
    print(f"{len(films)} films of {films['patient_id'].nunique()} patients in {arguments.out}")


if __name__ == "__main__":
    main()
