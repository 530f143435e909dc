"""Where things lie on disk: cohorts, runs, what comes with timnet, and what pages may import from."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

_PACKAGE = Path(str(resources.files("timnet"))).resolve()
REPOSITORY = _PACKAGE.parent
"""The clone; of an installed timnet the folder that holds its package."""
_INSTALLED = (_PACKAGE / "shipped").is_dir()
BUNDLE = _PACKAGE / "shipped" if _INSTALLED else REPOSITORY
"""What holds assets/ and the shipped checkpoints/: the clone, or the package as setup.py installs it."""
ASSETS = BUNDLE / "assets"
DEMO = ASSETS / "demo"
TEXT_ENCODER = ASSETS / "text-encoder"
SHIPPED = "open-cxr"
"""The initial weights that come with timnet, by their name under checkpoints/."""
MATCHING, FINDINGS = "open-i", "chest-findings"
"""The shipped checkpoints that read a real X-ray: a report's match, and findings of adults."""

RESEARCH_USE = "Research use only. Not a medical device, never a diagnosis."
MAP_LIMITS = (
    "The map shows what moved the score. It is not a localisation of disease and falls short of a "
    "radiologist's eye."
)


def home() -> Path:
    """Return the folder of the cohorts: ``TIMNET_HOME``, by default ``data/`` in the clone."""
    return _folder("TIMNET_HOME", "data")


def checkpoints() -> Path:
    """Return the folder of runs and checkpoints: ``TIMNET_CHECKPOINTS``, by default ``checkpoints/``."""
    return _folder("TIMNET_CHECKPOINTS", "checkpoints")


def _folder(variable: str, name: str) -> Path:
    """Return the folder that a variable names; where none is set and timnet is installed, one of the user."""
    data = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "timnet"
    default = (data if _INSTALLED else REPOSITORY) / name
    return Path(os.environ.get(variable) or default).expanduser().resolve()


def checkpoint_places(source: str) -> tuple[Path, ...]:
    """Return where a checkpoint may lie by its path or name: the user's runs come before shipped ones."""
    return Path(source).expanduser(), checkpoints() / source, BUNDLE / "checkpoints" / source


def demo() -> Path | None:
    """Return the folder of the demo films: ``TIMNET_DEMO``, by default the shipped one; None for ``none``."""
    named = os.environ.get("TIMNET_DEMO", "")
    if named == "none":
        return None
    return Path(named).expanduser().resolve() if named else DEMO


def refusing() -> bool:
    """Return whether what looks like no frontal chest film is refused: ``TIMNET_REFUSE=never`` ends that."""
    return os.environ.get("TIMNET_REFUSE", "") != "never"


def importable() -> tuple[Path, ...]:
    """Return the folders that a page may import from: ``TIMNET_IMPORTS``, separated as in ``PATH``.

    By default the user's home and the folder that holds ``TIMNET_HOME``; none for ``none``.
    """
    named = os.environ.get("TIMNET_IMPORTS", "")
    if named == "none":
        return ()
    listed = [Path(each).expanduser() for each in named.split(os.pathsep) if each.strip()]
    folders = dict.fromkeys(path.resolve() for path in listed or (Path.home(), home().parent))
    # Never everything by default: a cohort's folder may lie at the top of a disk.
    return tuple(path for path in folders if listed or path != Path(path.anchor))
