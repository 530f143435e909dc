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
KEYS = {"film", "film.js", "film sha256", "up to 20 mismatched reports a film"}
"""Columns of tables, names in an address, a file, and a row of metrics.json: read by programs."""


def sentences(code: str) -> Iterator[str]:
    """Yield the strings in a module's code, without docstrings and what a value is found or compared by."""
    tree = ast.parse(code)
    unseen: set[ast.AST | None] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=documented):
                unseen |= {documented}
            case ast.Subscript(slice=index):
                unseen |= {*ast.walk(index)}
            case ast.Dict(keys=several) | ast.Call(func=ast.Attribute(attr="get" | "pop"), args=several):
                unseen |= {*several}
            case ast.Compare():
                unseen |= {node.left, *node.comparators}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in unseen:
            yield node.value


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_sentence_of_the_interface_speaks_of_films(path: Path) -> None:
    shown = sentences(path.read_text(encoding="utf-8"))
    assert [text for text in shown if re.search(r"\bfilms?\b", text, re.I) and text not in KEYS] == []


def test_the_viewer_speaks_of_no_films() -> None:
    html = (ROOT / "timnet/ui/browser/viewer.html").read_text(encoding="utf-8")
    assert re.findall(r"[^\n]*\bfilms?\b[^\n]*", html, re.I) == []
