"""Take the pictures of the guide: `make pictures`.

Fine-tunes a few small classifiers on the demo films, which are simulated, starts the app on them and on the
shipped checkpoints, and photographs each page in headless Chromium.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import ViewportSize, sync_playwright

REPOSITORY = Path(__file__).resolve().parent.parent
PICTURES = REPOSITORY / "docs" / "pictures"
SHIPPED = sorted(card.parent.name for card in (REPOSITORY / "checkpoints").glob("*/card.json"))
WIDE: ViewportSize = {"width": 1440, "height": 900}


def timnet(*words: str) -> None:
    """Run a timnet command."""
    subprocess.run([sys.executable, "-m", "timnet", *words], cwd=REPOSITORY, check=True)


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Serve the app on a free port while the context lasts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    process = subprocess.Popen(command, cwd=REPOSITORY)
    try:
        for _ in range(120):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                break
            time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait()


def take(page: Any, name: str) -> None:
    """Photograph the page once it is at rest."""
    page.wait_for_timeout(1500)
    page.locator("[data-testid=stStatusWidget]").wait_for(state="detached")
    page.wait_for_timeout(1500)
    page.screenshot(path=PICTURES / f"{name}.png")


def photograph(address: str) -> None:
    """Walk through the pages."""
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=WIDE, color_scheme="dark")
        page.set_default_timeout(120_000)

        page.goto(address)
        page.locator("[data-testid=stMetricValue]").wait_for()
        take(page, "match")

        page.goto(f"{address}/diagnose")
        page.get_by_text("Examples").click()
        page.get_by_role("radio", name="Large heart").click()
        page.keyboard.press("Escape")
        page.get_by_role("img", name="The chest X-ray with the chosen map over it").wait_for()
        take(page, "diagnose")

        page.goto(f"{address}/audit?cohort=demo&network=open-cxr")
        page.get_by_text("No study of this list has a verdict yet.").wait_for()
        take(page, "audit")

        page.goto(f"{address}/explore?cohort=demo&label=consolidation&value=present")
        page.get_by_text("Show where the findings are").click()
        page.get_by_text("Outlined:").wait_for()
        take(page, "explore")

        page.goto(f"{address}/fine_tune")
        page.get_by_text("Done: trained on").wait_for()
        take(page, "fine-tune")

        # The page opens on the task with most runs, which are those made above.
        page.goto(f"{address}/efficiency")
        chosen = "document.querySelector('.st-key-eff_task input')?.value === 'pleural_effusion'"
        page.wait_for_function(chosen)
        page.locator(".js-plotly-plot").first.wait_for()
        take(page, "efficiency")
        browser.close()


def main() -> None:
    """Make the runs, then the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ.update(TIMNET_HOME=str(home / "cohorts"), TIMNET_CHECKPOINTS=str(home / "checkpoints"))
        for name in SHIPPED:
            shutil.copytree(REPOSITORY / "checkpoints" / name, home / "checkpoints" / name)
        timnet("import", "demo")
        timnet("audit", "demo", "--checkpoint", "open-cxr", "--classifier", "demo-findings", "--top", "12")
        for fraction in ("0.05", "0.2", "1.0"):
            for seed in ("0", "1"):
                draw = ("--fraction", fraction, "--seed", seed)
                size = ("--side", "64", "--width", "64", "--epochs", "8", "--learning-rate", "0.001")
                timnet("finetune", "demo", "--task", "pleural_effusion", *draw, *size)
        with served() as address:
            photograph(address)


if __name__ == "__main__":
    main()
