"""The app with the synthetic cohort and the tiny networks, and workers that are asked for and not started."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driving import Open, open_at


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, cohort_folder: Path, networks: Path) -> Open:
    """Opens a page of the app with the synthetic cohort and the tiny networks."""
    monkeypatch.setenv("TIMNET_HOME", str(cohort_folder.parent))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(networks))
    return open_at


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[list[str]]]:
    """Commands of the workers that would have been started; none is. Runs go to an empty folder."""
    started: list[list[str]] = []
    popen = subprocess.Popen

    def start(command: list[str], **options: Any) -> Any:
        if "timnet" not in command:
            # No worker: a process that decodes films stays in use after this test.
            return popen(command, **options)
        started.append(command)
        return Started(command, 0)

    class Started(subprocess.CompletedProcess[bytes]):
        def wait(self) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", start)
    yield started
