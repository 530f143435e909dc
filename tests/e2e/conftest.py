"""What browser tests share: the app on a free port, with data of its own, and headless Chromium."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import HOSTILE, Watched, served, watched

from timnet import config
from timnet.cohorts.readers import csv_table
from timnet.cohorts.readers import demo as demo_reader
from timnet.cohorts.store import Cohort

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Headless Chromium; skips where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def home(cohort_folder: Path, csv_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app's TIMNET_HOME, with the cohorts `synthetic` and `hostile`."""
    root = tmp_path_factory.mktemp("app")
    shutil.copytree(cohort_folder.parent, root / "home")
    _hostile(root / "hostile", csv_root, root / "home")
    return root / "home"


@pytest.fixture(scope="session")
def server(home: Path, networks: Path) -> Iterator[str]:
    """The address of the app, serving `home` and a tiny TIMNet."""
    checkpoints = home.parent / "checkpoints"
    shutil.copytree(networks / "timnet", checkpoints / "timnet")
    environment = os.environ | {"TIMNET_HOME": str(home), "TIMNET_CHECKPOINTS": str(checkpoints)}
    with served(environment, home.parent / "server.log") as address:
        yield address


@pytest.fixture(scope="session")
def refusing_server(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the app with the tiny networks, refusing what looks like no chest film as it is shipped.

    The other server reads all: the films of its cohorts are planted noise.
    """
    root = tmp_path_factory.mktemp("refusing")
    environment = os.environ | {"TIMNET_HOME": str(root / "home"), "TIMNET_CHECKPOINTS": str(networks)}
    del environment["TIMNET_REFUSE"]
    with served(environment, root / "server.log") as address:
        yield address


@pytest.fixture(scope="session")
def demo_cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """The demo cohort, in a home of its own."""
    home = tmp_path_factory.mktemp("demo_home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMNET_HOME", str(home))
        demo_reader.run(config.DEMO, "demo")
    return Cohort.open(home / "demo")


@pytest.fixture(scope="session")
def shipped(demo_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the app with what a clone holds."""
    environment = os.environ | {
        "TIMNET_HOME": str(demo_cohort.folder.parent),
        "TIMNET_CHECKPOINTS": str(config.REPOSITORY / "checkpoints"),
    }
    del environment["TIMNET_DEMO"], environment["TIMNET_REFUSE"]
    with served(environment, tmp_path_factory.mktemp("server") / "log.txt") as address:
        yield address


@pytest.fixture
def tab(chromium: Any, server: str) -> Iterator[Watched]:
    """A tab of the app; at the end it must not have complained, opened a dialog or left the machine."""
    with watched(chromium, server) as opened:
        yield opened


@pytest.fixture
def refusing_tab(chromium: Any, refusing_server: str) -> Iterator[Watched]:
    """As `tab`, of the app that refuses."""
    with watched(chromium, refusing_server) as opened:
        yield opened


def _hostile(folder: Path, csv_root: Path, home: Path) -> None:
    """Import a cohort of one film whose report tries to be a page."""
    folder.mkdir()
    shutil.copy(csv_root / "films" / "000.png", folder / "film.png")
    with (folder / "films.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "report"), ("film.png", HOSTILE)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMNET_HOME", str(home))
        csv_table.run(folder, "hostile")
