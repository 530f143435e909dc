"""`python -O` leaves asserts out: nothing in timnet depends on one being run."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
CODE = sorted(path for name in ("timnet", "pages") for path in (ROOT / name).rglob("*.py"))
WRITE = """
import sys
from pathlib import Path
import numpy as np
from timnet.cohorts import pixels
rows = np.arange(2 * 8 * 8, dtype=np.uint8).reshape(2, 8, 8)
assert False, "python -O leaves this out"
with pixels.Writer(Path(sys.argv[1]), 8) as writer:
    for row in rows:
        writer.append(row)
"""


def test_an_assert_only_tells_the_type_checker_what_a_value_is() -> None:
    """Without a call, which may have an effect, and never of what a user gave: that gets a sentence."""
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assert):
                parts = node.test.values if isinstance(node.test, ast.BoolOp) else [node.test]
                told = [ast.unparse(part) for part in parts]
                narrow = [each.endswith(" is not None") or each.startswith("isinstance(") for each in told]
                calls = [each for each in ast.walk(node.test) if isinstance(each, ast.Call)]
                where = f"{path.relative_to(ROOT)}, line {node.lineno}: {' and '.join(told)}"
                assert all(narrow) and all(ast.unparse(each.func) == "isinstance" for each in calls), where


def test_a_pixel_cache_is_whole_where_python_leaves_asserts_out(tmp_path: Path) -> None:
    path = tmp_path / "pixels.npy"
    subprocess.run([sys.executable, "-O", "-c", WRITE, str(path)], check=True, cwd=ROOT)
    assert np.array_equal(np.load(path), np.arange(128, dtype=np.uint8).reshape(2, 8, 8))
