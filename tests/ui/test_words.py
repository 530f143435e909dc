"""What users read says X-ray or image: `film` is the code's word for one image of a study."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOWN = [
    *ROOT.glob("pages/*.py"), *ROOT.glob("timnet/ui/**/*.py"), *ROOT.glob("timnet/plots/*.py"),
    ROOT / "timnet/pdf.py", ROOT / "timnet/legend.py",
]  # fmt: skip
KEYS = {"film sha256", "up to 20 mismatched reports a film"}
"""A table's column and a row of metrics.json: read by programs."""


def sentences(code: str) -> Iterator[str]:
    """Yield the strings of several words in a module's code, without docstrings."""
    tree = ast.parse(code)
    alone = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in alone:
            yield from [node.value] if " " in node.value.strip() else []


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_sentence_of_the_interface_speaks_of_films(path: Path) -> None:
    shown = sentences(path.read_text(encoding="utf-8"))
    assert [text for text in shown if re.search(r"\bfilms?\b", text, re.I) and text not in KEYS] == []


def test_the_viewer_speaks_of_no_films() -> None:
    html = (ROOT / "timnet/ui/browser/viewer.html").read_text(encoding="utf-8")
    assert re.findall(r"[^\n]*\bfilms?\b[^\n]*", html, re.I) == []
