"""Fifty invented reports in five languages: what tags or signatures name is gone, other words stay."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import deidentify  # noqa: E402

ALLOWED = {"de": 0, "es": 0, "en": 0, "fr": 0, "pl": 1}
"""Names of tags that stay: Marcie for Marta (docs/privacy.md)."""


@pytest.mark.parametrize("language", deidentify.LANGUAGES)
def test_what_tags_signatures_and_forms_name_is_gone(language: str) -> None:
    reports = list(deidentify.read(language))
    assert len(reports) == 10
    found = [deidentify.left(report) for report in reports]
    stayed = Counter(kind for items, _ in found for kind, _ in items)
    assert stayed.keys() <= {"tag", "free"}
    assert stayed["tag"] <= ALLOWED[language]
    planted = Counter(kind for report in reports for kind, _ in report.items)
    assert min(planted[kind] for kind in deidentify.KINDS) >= 2
    lost = sum(others.total() for _, others in found)
    assert lost <= 0.01 * sum(deidentify.words(report.outside).total() for report in reports)


def test_an_item_that_stays_is_counted_and_a_lost_word_too(monkeypatch: pytest.MonkeyPatch) -> None:
    report = next(deidentify.read("en"))
    monkeypatch.setattr(deidentify, "scrub", lambda text, _: (text, Counter()))
    assert deidentify.left(report) == (list(report.items), Counter())
    monkeypatch.setattr(deidentify, "scrub", lambda text, _: ("", Counter()))
    assert deidentify.left(report) == ([], deidentify.words(report.outside))
