"""Where cohorts lie: one folder each below the home of cohorts, found by name or by path.

Owns the names that exist. Refuses a name that is none, and names those there are.
"""

from __future__ import annotations

from pathlib import Path

from timnet import config
from timnet.cohorts import schema
from timnet.cohorts.records import CohortError, check_name


def place(name: str) -> Path:
    """Return where a cohort of this name belongs; CohortError for a bad name that no cohort has yet."""
    return config.home() / (name if name in available() else check_name(name))


def available() -> list[str]:
    """Return the names of the cohorts that exist, sorted."""
    return sorted(
        path.parent.name for path in config.home().glob(f"*/{schema.DATABASE}") if path.parent.name[0] != "."
    )


def find(name_or_path: str) -> Path:
    """Return the folder of a cohort by its name or its path; CohortError listing the names that exist."""
    for folder in (config.home() / name_or_path, Path(name_or_path).expanduser()):
        try:
            if name_or_path.strip() and (folder / schema.DATABASE).is_file():
                return folder.resolve()
        except (OSError, ValueError):  # no path at all, such as one with NUL
            continue
    names = ", ".join(available()) or "none yet"
    raise CohortError(f"cohort: expected a folder of a cohort or one of: {names}; got {name_or_path[:200]!r}")
