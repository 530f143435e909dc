"""How long until the first answer: of the command line on one core, of the first page of a cold server?

The command is `timnet match` of a demo X-ray, run anew each time. The page is opened in Chromium on a server
that has just started: until the X-ray is drawn, until the match stands there, and the same for a second
visitor of the warm server. The median of the rounds is kept.

    .venv/bin/python benchmarks/first_answer.py --keep
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from pictures import served  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "first_answer.json"
X_RAY = "assets/demo/films/s00001.jpg"
FINDINGS = "There is a small right pleural effusion."
AIMS = {"command": 2.5, "cold page": 3.0, "warm page": 2.0}
"""Seconds: of a core, until there is something to look at, until the answer."""


def main() -> None:
    """Print the medians, and keep them where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true")
    words = parser.parse_args()
    commands = [command() for _ in range(words.rounds)]
    pages = [page() for _ in range(words.rounds)]
    fields: dict[str, Any] = {
        "what": __doc__.splitlines()[0],
        "aims_seconds": AIMS,
        "command_core_seconds": middle(commands),
        **{name: middle([each[name] for each in pages]) for name in pages[0]},
        "rounds": words.rounds,
        "machine": {
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
        },
    }
    print(json.dumps(fields, indent=1))
    if words.keep:
        RESULT.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def command() -> float:
    """Return how many seconds of a core one `timnet match` takes, its imports included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "timnet", "match", X_RAY, "--findings", FINDINGS],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def page() -> dict[str, float]:
    """Return the seconds until X-ray and answer, for the first visitor of a server and for the second."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder)
        os.environ.update(TIMNET_HOME=str(home / "cohorts"), TIMNET_CHECKPOINTS=str(ROOT / "checkpoints"))
        # Once for an installation, not for a server.
        subprocess.run(
            [sys.executable, "-m", "timnet", "import", "demo"], cwd=ROOT, check=True, capture_output=True
        )
        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        with served() as address:
            fields = {f"cold {name}": seconds for name, seconds in visit(browser, address).items()}
            fields |= {f"warm {name}": seconds for name, seconds in visit(browser, address).items()}
        browser.close()
    return fields


def visit(browser: Browser, address: str) -> dict[str, float]:
    """Return the seconds until the X-ray is drawn and until the match probability stands there."""
    tab = browser.new_page(viewport={"width": 1440, "height": 900})
    begun = time.perf_counter()
    tab.goto(address)
    tab.locator(".stage canvas").first.wait_for(timeout=60_000)
    drawn = time.perf_counter() - begun
    tab.locator("[data-testid=stMetricValue]").wait_for(timeout=60_000)
    answered = time.perf_counter() - begun
    tab.close()
    return {"X-ray seconds": drawn, "answer seconds": answered}


def middle(values: list[float]) -> float:
    """Return the median to two places."""
    return round(statistics.median(values), 2)


if __name__ == "__main__":
    main()
