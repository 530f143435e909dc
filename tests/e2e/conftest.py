"""What browser tests share: the app on a free port, with data of its own, and headless Chromium."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browsing import HOSTILE, Watched

from timnet import config
from timnet.cohorts.readers import csv_table

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
    with _served(environment, home.parent / "server.log") as address:
        yield address


@pytest.fixture(scope="session")
def refusing_server(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the app with the tiny networks, refusing what looks like no chest film as it is shipped.

    The other server reads all: the films of its cohorts are planted noise.
    """
    root = tmp_path_factory.mktemp("refusing")
    environment = os.environ | {"TIMNET_HOME": str(root / "home"), "TIMNET_CHECKPOINTS": str(networks)}
    del environment["TIMNET_REFUSE"]
    with _served(environment, root / "server.log") as address:
        yield address


@pytest.fixture
def tab(chromium: Any, server: str) -> Iterator[Watched]:
    """A tab of the app; at the end it must not have complained, opened a dialog or left the machine."""
    with _watched(chromium, server) as watched:
        yield watched


@pytest.fixture
def refusing_tab(chromium: Any, refusing_server: str) -> Iterator[Watched]:
    """As `tab`, of the app that refuses."""
    with _watched(chromium, refusing_server) as watched:
        yield watched


@contextmanager
def _served(environment: dict[str, str], told: Path) -> Iterator[str]:
    """Serve the app on a free port while the context lasts; what it says goes to a file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    with told.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=config.REPOSITORY, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait(f"http://127.0.0.1:{port}/_stcore/health", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=20)


@contextmanager
def _watched(chromium: Any, server: str) -> Iterator[Watched]:
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(60_000)
    watched = Watched(context.new_page(), server)

    def on_request(request: Any) -> None:
        if not request.url.startswith((f"{server}/", "data:", "blob:")):
            watched.complaints.append(f"request: {request.url}")

    def on_console(message: Any) -> None:
        # Streamlit looks for its server below a page's own address first, and is told that it is not there.
        probe = "/_stcore/" in message.location.get("url", "") and "404" in message.text
        if message.type == "error" and not probe:
            watched.complaints.append(f"console: {message.text}")

    def on_dialog(dialog: Any) -> None:
        watched.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    watched.page.on("request", on_request)
    watched.page.on("console", on_console)
    watched.page.on("dialog", on_dialog)
    watched.page.on("pageerror", lambda error: watched.complaints.append(f"error: {error}"))
    yield watched
    context.close()
    assert watched.complaints == []


def _hostile(folder: Path, csv_root: Path, home: Path) -> None:
    """Import a cohort of one film whose report tries to be a page."""
    folder.mkdir()
    shutil.copy(csv_root / "films" / "000.png", folder / "film.png")
    with (folder / "films.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "report"), ("film.png", HOSTILE)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMNET_HOME", str(home))
        csv_table.run(folder, "hostile")


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise RuntimeError(f"the app's server did not start (exit status {process.poll()})")
