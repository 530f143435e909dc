"""The sentences of `reports/sentences/` with the labels they state, and how well the rules agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from timnet.reports import label_words

CODES = {
    "EC": "Enlarged Cardiomediastinum",
    "CM": "Cardiomegaly",
    "LO": "Lung Opacity",
    "LL": "Lung Lesion",
    "ED": "Edema",
    "CO": "Consolidation",
    "PN": "Pneumonia",
    "AT": "Atelectasis",
    "PX": "Pneumothorax",
    "EF": "Pleural Effusion",
    "PO": "Pleural Other",
    "FX": "Fracture",
    "SD": "Support Devices",
    "NF": "No Finding",
}
VALUES = {"+": 1.0, "-": 0.0, "?": -1.0}
Row = tuple[str, dict[str, float]]


def read(path: Path) -> list[Row]:
    """Return the sentences of a file, and what each states."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        sentence, _, codes = line.partition("\t")
        rows.append((sentence, {CODES[code[:2]]: VALUES[code[2:]] for code in codes.split()}))
    return rows


def told(spoken: str, row: Row) -> set[tuple[str, float]]:
    """Return the labels and values that the rules find; `No Finding` only where the row judges it."""
    sentence, stated = row
    found = label_words.labels([sentence], spoken) or {}
    judged = {*CODES.values()} - ({"No Finding"} - stated.keys())
    return {(label, each.value) for label, each in found.items() if label in judged}


def f1(spoken: str, rows: Sequence[Row]) -> float:
    """Return the F1 over all pairs of a label and its value."""
    pairs = [(set(stated.items()), told(spoken, (sentence, stated))) for sentence, stated in rows]
    both = sum(len(stated & found) for stated, found in pairs)
    return 2 * both / sum(len(stated) + len(found) for stated, found in pairs)
