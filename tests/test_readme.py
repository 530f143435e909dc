"""The README's tree lists what is there, and every module of each folder that it opens."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("checkpoints/**/*.md")])
TREE = re.compile(r"^## The tree\n(.*?)^## ", re.MULTILINE | re.DOTALL)


def listed(readme: str) -> set[str]:
    """Return the folders and Python files of the tree, as paths below the repository."""
    found: set[str] = set()
    open_folders: list[tuple[int, str]] = []
    section = TREE.search(readme)
    assert section, "README.md has no section of that name"
    for line in section[1].splitlines():
        indent = len(line) - len(line.lstrip())
        if indent < 4:
            continue
        open_folders = [(depth, path) for depth, path in open_folders if depth < indent]
        parent = open_folders[-1][1] if open_folders else ""
        for word in line.split():
            if not re.fullmatch(r"[\w-]+(\.py|/)", word):
                break
            found.add(parent + word)
            if word.endswith("/"):
                open_folders.append((indent, parent + word))
    return found


def test_the_tree_and_the_package_agree() -> None:
    found = listed(README.read_text(encoding="utf-8"))
    assert sorted(path for path in found if not (ROOT / path).exists()) == []
    folders = {path.parent.relative_to(ROOT).as_posix() + "/" for path in ROOT.glob("timnet/**/*.py")}
    assert sorted(folders - found) == []


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ("    timnet/\n      films.py dicom.py   a film\n", {"timnet/films.py", "timnet/dicom.py"}),
        ("    timnet/\n      ui/\n        a.py b/  or x.py\n      c.py\n", {"timnet/ui/b/", "timnet/c.py"}),
        ("    timnet/\n      readers/   one a source: nih.py\n", {"timnet/readers/"}),
    ],
)
def test_a_tree_is_read_by_its_indents(tree: str, expected: set[str]) -> None:
    found = listed(f"## The tree\n\n{tree}\n## Limits\n")
    assert expected <= found
    assert not {path for path in found if path.endswith(("x.py", "nih.py"))}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_within_the_repository_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


NAMED = re.compile(r"(?<![\w./])(?:tests/[\w/]*(?:\.py)?|(?:\w+/)+\w+\.py|test_\w+\.py)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_and_module_that_a_document_names_is_there(document: Path) -> None:
    """By its path from the repository, from `tests/`, from `timnet/` or from the document."""
    words = document.read_text(encoding="utf-8").replace("\\_", "_")
    named = {path for path in NAMED.findall(words) if "NAME" not in path}
    places = (ROOT, ROOT / "tests", ROOT / "timnet", document.parent)
    assert sorted(path for path in named if not any((place / path).exists() for place in places)) == []


PAGES = [path for path in sorted(ROOT.glob("docs/*.md")) if path.name != "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_of_docs_says_for_whom_it_is_and_is_listed(page: Path) -> None:
    assert re.match(r"# .+\n\nFor \w+", page.read_text(encoding="utf-8"))
    assert f"]({page.name})" in (ROOT / "docs" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "term",
    [
        "match probability", "calibrated", "grey zone", "operating point", "evidence map", "label efficiency",
        "initial weights", "share of the labels", "seed", "linear probe", "frontal", "cohort", "study",
        "findings", "auroc", "interval", "model card",
    ],
)  # fmt: skip
def test_the_glossary_explains_a_term_in_its_own_line(term: str) -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").lower()
    assert len(re.findall(rf"^- \*\*[^*]*\b{term}\b[^*]*\*\*: ", glossary, re.MULTILINE)) == 1


def test_the_software_is_cited_with_its_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"\nversion: {project['version']}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


PROSE = {
    "research use only, never a diagnosis",
    "A whole curve from a terminal",
    "A control",
    "Several runs at once",
}
"""What docs/guide.md sets in bold and is no label of the interface."""


def test_every_label_that_the_guide_names_is_in_the_interface() -> None:
    sources = [*ROOT.glob("pages/*.py"), *ROOT.glob("timnet/ui/**/*.py"), *ROOT.glob("timnet/ui/**/*.js")]
    sources += [*ROOT.glob("timnet/ui/**/*.html"), *ROOT.glob("timnet/plots/*.py")]
    code = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text(encoding="utf-8") for path in sources))
    guide = " ".join((ROOT / "docs" / "guide.md").read_text(encoding="utf-8").split())
    labels = set(re.findall(r"\*\*([^*]+)\*\*", guide)) - PROSE
    assert len(labels) > 30
    assert sorted(label for label in labels if label.rstrip("?.:") not in code) == []
