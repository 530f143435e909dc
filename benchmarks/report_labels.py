"""How well do labels by reports agree with MeSH indexers and a simulation's truth, and how fast are they?

Open-i: each study's labels from findings and impression against the MeSH headings of its table, on two
halves drawn by study, and on both; the rules were worked on with half A alone until half B had been read
once. A heading makes a label present, none makes it absent. An uncertain label counts as absent, as the
indexers seldom code what is only possible; the same with uncertain labels as present stands beside it. The
simulation: each study's truth in assets/demo. Sentences: those of tests/reports/sentences. Intervals: 1,000
resamples of studies.

    .venv/bin/python -m timnet import open-i FOLDER --name open_i
    .venv/bin/python benchmarks/report_labels.py open_i --keep
    .venv/bin/python benchmarks/report_labels.py open_i --wrong Pneumothorax    # of half A
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import sentence_labels  # noqa: E402

from timnet.cohorts import store  # noqa: E402
from timnet.cohorts.records import fold  # noqa: E402
from timnet.reports import label_words, language, phrase_tables, report_text  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "report_labels.json"
HEADINGS = {
    "No Finding": ("normal",),
    "Enlarged Cardiomediastinum": ("mediastinum/prominent", "mediastinum/enlarged"),
    "Cardiomegaly": ("cardiomegaly", "cardiac shadow/enlarged"),
    "Lung Opacity": ("opacity", "airspace disease", "infiltrate", "markings/interstitial", "density"),
    "Lung Lesion": (
        "nodule", "mass", "opacity/nodular", "density/nodular", "opacity/round", "density/round",
    ),
    "Edema": ("pulmonary edema", "pulmonary congestion", "heart failure"),
    "Consolidation": ("consolidation",),
    "Pneumonia": ("pneumonia",),
    "Atelectasis": ("pulmonary atelectasis",),
    "Pneumothorax": ("pneumothorax", "hydropneumothorax", "hemopneumothorax"),
    "Pleural Effusion": ("pleural effusion", "hydropneumothorax", "hemopneumothorax", "hemothorax"),
    "Pleural Other": ("thickening/pleura",),
    "Fracture": ("fractures, bone",),
    "Support Devices": (
        "catheters, indwelling", "implanted medical device", "tube, inserted", "medical device", "stents",
        "surgical instruments", "sutures",
    ),
}  # fmt: skip
"""The headings that state a label, with a qualifier where it takes one."""
DRAWS = 1000


def main() -> None:
    """Print precision, recall and F1 by label, and reports a second; keep them where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", help="Open-i, imported")
    parser.add_argument("--wrong", choices=[*HEADINGS], help="print the disagreements of half A and end")
    parser.add_argument("--keep", action="store_true", help=f"write {RESULT.relative_to(ROOT)}")
    words = parser.parse_args()
    texts, mesh, seconds = open_i(words.cohort)
    fields = {study: label_words.labels(each) for study, each in texts.items() if study in mesh}
    if words.wrong:
        return disagreements(words.wrong, texts, mesh, fields)
    result: dict[str, Any] = {"what": __doc__.splitlines()[0], "machine": machine(), "seconds": seconds}
    for half, named in (("A", "half A"), ("B", "half B"), ("AB", "both halves")):
        chosen = [study for study in fields if half_of(study) in half]
        for name, also in (("", False), (", uncertain as present", True)):
            said = [values(fields[study], also) for study in chosen]
            result[f"open_i, {named}{name}"] = agreement(
                [mesh[study] for study in chosen], said, tuple(HEADINGS)
            )
    result["simulation"] = simulation()
    result["sentences"] = of_sentences()
    for name, table in result.items():
        print(f"\n{name}" if isinstance(table, list) else f"{name}: {table}")
        for row in table if isinstance(table, list) else ():
            shown = "  ".join(
                f"{key} {row[key][0]:.3f} ({row[key][1]:.3f} to {row[key][2]:.3f})" for key in METRICS
            )
            print(f"  {row['label']:<20}{row['stated']:>6} stated {row['told']:>6} told  {shown}")
    if words.keep:
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


METRICS = ("precision", "recall", "f1")


def half_of(study: str) -> str:
    """Return A or B, as good as drawn, the same for ever."""
    return "AB"[zlib.crc32(f"half {study}".encode()) % 2]


def open_i(cohort: str) -> tuple[dict[str, list[str]], dict[str, set[str]], dict[str, Any]]:
    """Return findings and impression by study, the labels of its headings, and how long labelling takes."""
    with store.Cohort.open(cohort) as opened:
        table = opened.studies(limit=None)
        root = opened.root
    columns = (table[name].astype(str) for name in ("study", "findings", "impression"))
    texts = {study: [findings, impression] for study, findings, impression in zip(*columns, strict=True)}
    began = time.process_time()
    for each in texts.values():
        label_words.labels(each)
    spent = time.process_time() - began
    mesh = {}
    with (root / "indiana_reports.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            said = [set(heading.strip().casefold().split("/")) for heading in row["MeSH"].split(";")]
            said = [parts for parts in said if parts != {""} and "no indexing" not in parts]
            if said and row["uid"] in texts and any(texts[row["uid"]]):
                mesh[row["uid"]] = {
                    label
                    for label, names in HEADINGS.items()
                    if any(parts.issuperset(name.split("/")) for parts in said for name in names)
                    and (label != "No Finding" or len(said) == 1)
                }
    seconds = {
        "reports": len(texts),
        "process": round(spent, 2),
        "of 100,000": round(spent / len(texts) * 1e5),
    }
    return texts, mesh, seconds


def values(fields: dict[str, label_words.Stated] | None, also_uncertain: bool = False) -> set[str]:
    """Return the labels that are present, or also those that are uncertain, but for `No Finding`."""
    return {
        label
        for label, each in (fields or {}).items()
        if each.value == label_words.PRESENT
        or (also_uncertain and each.value == label_words.UNCERTAIN and label != label_words.NO_FINDING)
    }


def of_sentences() -> dict[str, dict[str, float]]:
    """Return F1 over labels and values of the sentences of each language, of those kept aside apart."""
    folder = ROOT / "tests" / "reports" / "sentences"
    found = {}
    for spoken in phrase_tables.LANGUAGES:
        rows = sentence_labels.read(folder / f"{spoken}.tsv")
        parts = {"worked on": [row for at, row in enumerate(rows, 1) if at % 3], "kept aside": rows[2::3]}
        found[spoken] = {
            "sentences": len(rows),
            **{name: round(sentence_labels.f1(spoken, part), 3) for name, part in parts.items()},
            "language told": round(
                sum(language.detect(sentence) == spoken for sentence, _ in rows) / len(rows), 3
            ),
        }
    return found


def simulation() -> list[dict[str, Any]]:
    """Return the agreement with the truth of the simulated studies."""
    truth, said = [], []
    with (ROOT / "assets" / "demo" / "studies.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["study"]: row for row in csv.DictReader(file)}
    named = {fold(label): label for label in phrase_tables.LABELS} | {
        "nodule": "Nodule",
        "mass": "Mass",
        "emphysema": "Emphysema",
    }
    named |= {"fibrosis": "Fibrosis"}
    columns = [name for name in next(iter(rows.values())) if fold(name) in named]
    for row in rows.values():
        extract = report_text.extract(row["report"])
        truth.append({named[fold(name)] for name in columns if row[name] == "1"})
        said.append(values(label_words.labels([extract.findings, extract.impression])))
    return agreement(truth, said, tuple(named[fold(name)] for name in columns))


def agreement(truth: list[set[str]], said: list[set[str]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each label with their intervals."""
    rows = []
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(truth), size=(DRAWS, len(truth)))
    for label in names:
        stated = np.array([label in each for each in truth])
        result = np.array([label in each for each in said])
        whole = scores(stated, result)
        resampled = np.array([scores(stated[rows], result[rows]) for rows in drawn])
        low, high = np.nanpercentile(resampled, (2.5, 97.5), axis=0)
        row: dict[str, Any] = {"label": label, "stated": int(stated.sum()), "told": int(result.sum())}
        rows.append(
            row
            | {
                name: [round(float(each), 4) for each in (whole[i], low[i], high[i])]
                for i, name in enumerate(METRICS)
            }
        )
    return rows


def scores(stated: np.ndarray, result: np.ndarray) -> tuple[float, float, float]:
    """Return precision, recall and F1, nan where undefined."""
    both = (stated & result).sum()
    with np.errstate(invalid="ignore"):
        return both / result.sum(), both / stated.sum(), 2 * both / (stated.sum() + result.sum())


def disagreements(
    label: str, texts: dict[str, list[str]], mesh: dict[str, set[str]], fields: dict[str, Any]
) -> None:
    """Print the studies of half A in which a label and the headings differ."""
    for study, found in fields.items():
        if half_of(study) == "A" and (label in mesh[study]) != (label in values(found)):
            sentence = (found or {}).get(label)
            print(f"{study}: {'missed' if label in mesh[study] else 'extra'}: {sentence}")
            print("   ", " | ".join(texts[study]))


def machine() -> str:
    """Return what it ran on."""
    return f"{platform.machine()}, one of {os.cpu_count()} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
