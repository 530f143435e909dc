"""The words of simulated reports: banks of sentence frames, and what fills their slots, from phrases.toml.

A frame is written as it stands in the middle of a sentence, without a full stop. `(a|b)` is a choice, `[a]`
may be left out, and `{name}` is filled from the finding (see `reports`). Which frames are kept for testing
is decided by `frames.frames`, by place in the bank: a bank needs nine or more, its styles mixed.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _lists(name: str) -> dict[str, tuple[str, ...]]:
    return {kind: tuple(texts) for kind, texts in _TABLES[name].items()}


FINDINGS, NORMALS = _lists("findings"), _lists("normals")
ADVICE = _lists("advice")
"""What is advised, by kind; a mass is advised as a nodule is."""
VIEWS, SIGNATURES, STEADY, CHANGED, LEADS, TAILS, CHANGED_TAILS = (
    tuple[str, ...](_TABLES[name])
    for name in ("views", "signatures", "steady", "changed", "leads", "tails", "changed_tails")
)
COMPLAINTS, REASONS, HISTORIES, COURSES = (
    tuple[str, ...](_TABLES[name]) for name in ("complaints", "reasons", "histories", "courses")
)
TECHNIQUES, COMPARISONS, HEADERS, TOPICS = map(_lists, ("techniques", "comparisons", "headers", "topics"))
SEVERITY, SIGNS = _lists("severity"), _lists("signs")
"""Words for mild, moderate and severe: by the slot that they fill, and what is seen, by kind of finding."""
SHARED, WHERE, AREA, BORDER, ABSENT, ORDINALS = (
    dict[str, str](_TABLES[name]) for name in ("shared", "where", "area", "border", "absent", "ordinals")
)
