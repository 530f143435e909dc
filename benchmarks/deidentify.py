"""What de-identification leaves of 50 invented reports, by kind and language, and which other words it takes.

The reports (tests/invented_reports) mark what names somebody; an item is left if a word of two characters or
more of it is. A study's own tags are known, as in an import. With a table of reports that are de-identified
already, such as Open-I's, every change of theirs counts instead.

    .venv/bin/python benchmarks/deidentify.py
    .venv/bin/python benchmarks/deidentify.py --table indiana_reports.csv
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydicom.dataset import Dataset

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet.reports.deidentify import MARKS, OLDEST, Known, known, scrub  # noqa: E402

REPORTS = ROOT / "tests" / "invented_reports"
LANGUAGES = {"en": "English", "de": "German", "fr": "French", "es": "Spanish", "pl": "Polish"}
SECTIONS = ("indication", "comparison", "findings", "impression")
KINDS = ("tag", "cue", "free", "date", "number", "address", "age")
ORDINARY = ("Small", "Long", "Heart", "An", "Right")
"""Surnames that are words of reports as well."""
# What a planted item has besides that, and what names nobody.
_TITLES = """
    dr med drs mr mrs ms prof pd oa habil lek hab herr herrn frau kollege schwester nurse mme monsieur madame
    docteur pr le confrère sr sra el dra doña pan pani panie doktorze md do dear radiologist fachärztin für
    radiologie klinikum st saint santa the de la
"""
TITLES = frozenset(_TITLES.split())


@dataclass(frozen=True)
class Report:
    """An invented report: its text, the planted items (kind, text), and what its tags hold."""

    text: str
    items: tuple[tuple[str, str], ...]
    outside: str
    identifiers: Known


def read(language: str) -> Iterator[Report]:
    """Yield the reports of a language (`en`)."""
    for block in (REPORTS / f"{language}.txt").read_text(encoding="utf-8").split("\n---\n"):
        first, _, body = block.strip().partition("\n")
        header = Dataset()
        for tag in first.split("; "):
            setattr(header, *tag.split("=", 1))
        planted = re.compile(r"\{(\w+)\|([^{}]+)\}")
        items = tuple((match[1], match[2]) for match in planted.finditer(body))
        yield Report(planted.sub(r"\2", body), items, planted.sub(" ", body), known(header))


def words(text: str) -> Counter[str]:
    """Count the words and numbers of a text that have two characters or more, marks left out."""
    for mark in MARKS:
        text = text.replace(mark, " ")
    return Counter(word.casefold() for word in re.findall(r"\w\w+", text))


def left(report: Report) -> tuple[list[tuple[str, str]], Counter[str]]:
    """Return the items of which a word is left, and the other words that are lost."""
    marked = words(scrub(report.text, report.identifiers)[0])
    outside = words(report.outside)
    over = marked - outside
    stayed = [
        (kind, text)
        for kind, text in report.items
        if any(over[word] and word not in TITLES and word != f"{OLDEST:.0f}" for word in words(text))
    ]
    return stayed, outside - marked


def table() -> pd.DataFrame:
    """Return `left of planted` by kind (rows) and language, and the share of other words lost."""
    rows: dict[str, dict[str, str]] = {}
    for short, language in LANGUAGES.items():
        planted, stayed, lost, total = Counter[str](), Counter[str](), 0, 0
        for report in read(short):
            items, others = left(report)
            planted.update(kind for kind, _ in report.items)
            stayed.update(kind for kind, _ in items)
            lost, total = lost + others.total(), total + words(report.outside).total()
        rows[language] = {kind: f"{stayed[kind]} of {planted[kind]}" for kind in KINDS}
        rows[language]["other words lost"] = f"{lost} of {total}"
    return pd.DataFrame(rows)


def main() -> None:
    """Print the table, then each item that is left."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--table", type=Path, help="de-identified reports, a column a section")
    given = arguments.parse_args()
    if given.table is not None:
        reports = pd.read_csv(given.table).fillna("")
        columns = [name for name in SECTIONS if name in reports.columns]
        texts = ["\n".join(row) for row in reports[columns].astype(str).itertuples(index=False)]
        changed = [text for text in texts if scrub(text, Known())[0] != text]
        print(f"{len(changed)} of {len(texts)} reports changed")
        for name in ORDINARY:
            header = Dataset()
            header.PatientName = f"{name}^Zoe"
            marks = [scrub(text, known(header))[1].total() for text in texts]
            uses = sum(len(re.findall(rf"(?i)\b{name}\b", text)) for text in texts)
            print(f"patient {name}: {sum(marks)} marks, the word is used {uses} times")
        return
    figures = table()
    print("| left | " + " | ".join(figures.columns) + " |\n" + "|---" * (1 + len(figures.columns)) + "|")
    for kind, row in figures.iterrows():
        print(f"| {kind} | " + " | ".join(row) + " |")
    for short in LANGUAGES:
        for number, report in enumerate(read(short), 1):
            items, others = left(report)
            for kind, text in items:
                print(f"{short} {number}: {kind} left: {text}")
            if others:
                print(f"{short} {number}: lost: {', '.join(others)}")


if __name__ == "__main__":
    main()
