"""CONTRIBUTING.md names what is there, and its recipe for a reader works when it is followed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ANSWERS = re.findall(r"^## ((?:Where|How) [^\n]+)\n\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
READER = """
from timnet.cohorts import store
from timnet.cohorts.records import FilmRecord, StudyRecord


def run(root, name, progress=None, **rules):
    return store.write(
        store.place(name), source="folder", root=root, records=read(root), progress=progress, **rules
    )


def read(root):
    for path in sorted(root.glob("*.png")):
        yield StudyRecord(path.stem, path.stem, "", (FilmRecord(path.name),), {}, None)
"""
SOURCE = '"folder": Source("folder", "a folder of images", "Folder of the images."),\n    '


@pytest.mark.parametrize(("question", "answer"), ANSWERS, ids=[question for question, _ in ANSWERS])
def test_an_answer_has_five_points_that_name_what_is_there(question: str, answer: str) -> None:
    assert re.findall(r"^\d", answer, re.MULTILINE) == list("12345")
    named = [word for word in re.findall(r"`([\w./]+)`", answer) if "NAME" not in word]
    files = [word for word in named if "/" in word]
    assert [file for file in files if not (ROOT / file).exists()] == []
    code = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("timnet/**/*.py"))
    functions = re.findall(r"`(\w+)\(", answer)
    assert [name for name in functions if not re.search(rf"def {name}\(", code)] == []
    names = [word for word in named if re.fullmatch(r"[A-Za-z_]+", word)]
    assert [name for name in names if not re.search(rf"\b{name}\b", code)] == []
    assert files or functions


def test_a_newcomers_questions_are_answered() -> None:
    asked = " ".join(question for question, _ in ANSWERS)
    for word in ("window", "matching loss", "run's state", "a reader", "an encoder", "a page piece"):
        assert word in asked


@pytest.mark.parametrize(("size", "fits"), [(45 << 20, True), ((45 << 20) + 1, False)])
def test_a_file_over_45_mb_is_not_tracked(tmp_path: Path, size: int, fits: bool) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "a film.bin").write_bytes(b"")
    os.truncate(tmp_path / "a film.bin", size)
    for words in (["git", "init", "--quiet"], ["git", "add", "."]):
        subprocess.run(words, cwd=tmp_path, check=True)
    done = subprocess.run(["make", "sizes"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode == 0) is fits
    assert ("a film.bin: over 45 MB" in done.stdout) is not fits


def test_a_commit_is_checked_by_commands_of_make_check() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(BIN)", ".venv/bin")
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    asked = re.findall(r"entry: (?:make )?(.+)", hooks)
    assert len(asked) == 4
    assert [command for command in asked if command not in makefile] == []


def test_a_reader_made_by_the_recipe_imports_a_cohort(tmp_path: Path) -> None:
    copy, export = tmp_path / "repository", tmp_path / "export"
    shutil.copytree(ROOT / "timnet", copy / "timnet", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "assets").symlink_to(ROOT / "assets")
    (copy / "timnet/cohorts/readers/folder.py").write_text(READER, encoding="utf-8")
    added = {
        "timnet/cli/imports.py": ('"mendeley": Source(', SOURCE),
        "timnet/cohorts/importing/jobs.py": ('"mendeley"', '"folder", '),
        "timnet/ui/importing/form.py": ('"mendeley": (', '"folder": ("A folder", "Images"),\n    '),
    }  # fmt: skip
    for name, (before, line) in added.items():
        assert f"`{name}`" in TEXT
        code = (copy / name).read_text(encoding="utf-8")
        assert code.count(before) == 1, name
        (copy / name).write_text(code.replace(before, line + before), encoding="utf-8")

    export.mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 64), np.uint8)
        Image.fromarray(pixels).save(export / f"{number}.png")
    done = subprocess.run(
        [sys.executable, "-m", "timnet", "import", "folder", str(export), "--name", "mine", "--json"],
        cwd=copy, env=os.environ | {"TIMNET_HOME": str(tmp_path / "home")}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"studies": 2' in done.stdout
