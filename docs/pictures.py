"""Take the pictures of the guide: `make pictures`.

Draws chests, since no patient's film is in the repository, imports them as a cohort, fine-tunes on them,
starts the app on all that and photographs each page in headless Chromium.
"""

from __future__ import annotations

import contextlib
import csv
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

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from playwright.sync_api import sync_playwright

REPOSITORY = Path(__file__).resolve().parent.parent
PICTURES = REPOSITORY / "docs" / "pictures"
FINDINGS = "The heart is normal in size. There is an opacity in the right lower lung. No pleural effusion."
WIDE = {"width": 1440, "height": 900}
SIDE = 512


def draw_chest(rng: np.random.Generator, opacity: str | None) -> Image.Image:
    """Draw a frontal chest of 512 x 512: lungs, heart, ribs, diaphragm, and an opacity on a side or none."""
    size = rng.normal(1, 0.04, 4)
    body = Image.new("L", (SIDE, SIDE), 18)
    canvas = ImageDraw.Draw(body)
    canvas.ellipse((30, 10, 482, 780), fill=120)
    for side in (-1, 1):
        wide, high = 95 * size[0], 185 * size[1]
        x, y = 256 + side * 112 * size[2], 235
        canvas.ellipse((x - wide, y - high, x + wide, y + high), fill=46)
        canvas.pieslice((x - wide - 20, y + high - 70, x + wide + 20, y + high + 120), 180, 360, fill=135)
    canvas.rectangle((228, 20, 284, 500), fill=165)
    heart = 78 * size[3]
    canvas.ellipse((232 - heart * 0.5, 240, 262 + heart * 1.4, 420), fill=170)
    canvas.polygon([(236, 60), (276, 60), (300, 260), (214, 260)], fill=150)
    ribs = Image.new("L", (SIDE, SIDE), 0)
    lines = ImageDraw.Draw(ribs)
    for i in range(8):
        top = 70 + 44 * i
        for side in (-1, 1):
            box = (256 + side * 120 - 120, top, 256 + side * 120 + 120, top + 120)
            lines.arc(box, 180, 360, fill=34, width=9)
    for side in (-1, 1):
        lines.line((256, 66, 256 + side * 170, 40), fill=70, width=12)
    film = np.asarray(body.filter(ImageFilter.GaussianBlur(7)), float)
    film += np.asarray(ribs.filter(ImageFilter.GaussianBlur(2)), float)
    if opacity:
        # The patient's right is the left of the image.
        x, y = (150 if opacity == "right" else 372) + rng.normal(0, 12), 318 + rng.normal(0, 15)
        rows, columns = np.mgrid[:SIDE, :SIDE]
        film += 78 * np.exp(-(((rows - y) / 42) ** 2 + ((columns - x) / 46) ** 2))
    film += rng.normal(0, 4, film.shape)
    return Image.fromarray(np.clip(film, 0, 255).astype(np.uint8))


def write_export(folder: Path, number: int = 160) -> None:
    """Write drawings with reports and a label as a table with films."""
    rng = np.random.default_rng(0)
    (folder / "films").mkdir(parents=True)
    rows = []
    for i in range(number):
        opacity = (None, "left", None, "right")[i % 4]
        path = f"films/drawing-{i:03}.png"
        draw_chest(rng, opacity).save(folder / path)
        seen = f"There is an opacity in the {opacity} lower lung." if opacity else "The lungs are clear."
        report = f"FINDINGS: The heart is normal in size. {seen} No pleural effusion."
        rows.append((path, report, f"drawn-{i:03}", int(bool(opacity))))
    with (folder / "films.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "report", "patient", "Opacity"), *rows])


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


def photograph(address: str, film: Path) -> None:
    """Walk through the five pages."""
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 1400}, color_scheme="dark")
        page.set_default_timeout(120_000)

        page.goto(address)
        page.locator(".st-key-match_upload input[type=file]").set_input_files(film)
        page.locator(".st-key-match_findings textarea").fill(FINDINGS)
        page.locator(".st-key-match_go button").click()
        page.locator("[data-testid=stMetricValue]").wait_for()
        take(page, "match")

        page.goto(f"{address}/diagnose")
        page.locator(".st-key-diagnose_upload input[type=file]").set_input_files(film)
        page.get_by_role("img", name="The chest film with the chosen map over it").wait_for()
        take(page, "diagnose")

        page.set_viewport_size(WIDE)
        page.goto(f"{address}/explore?cohort=drawings")
        page.get_by_role("img", name="Film of the chosen study").wait_for()
        take(page, "explore")

        page.goto(f"{address}/fine_tune")
        page.get_by_text("Done: trained on").wait_for()
        take(page, "fine-tune")

        page.goto(f"{address}/efficiency")
        page.locator(".js-plotly-plot").first.wait_for()
        take(page, "efficiency")
        browser.close()


def main() -> None:
    """Make the data, then the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ.update(TIMNET_HOME=str(home / "cohorts"), TIMNET_CHECKPOINTS=str(home / "checkpoints"))
        shutil.copytree(REPOSITORY / "checkpoints" / "open-pairs", home / "checkpoints" / "open-pairs")
        write_export(home / "export")
        timnet("import", "csv", str(home / "export"), "--name", "drawings", "--labels", "Opacity")
        for fraction in ("0.05", "0.2", "0.5"):
            for seed in ("0", "1"):
                draw = ("--fraction", fraction, "--seed", seed)
                size = ("--side", "64", "--width", "64", "--epochs", "15", "--learning-rate", "0.001")
                timnet("finetune", "drawings", "--task", "Opacity", *draw, *size)
        with served() as address:
            photograph(address, home / "export" / "films" / "drawing-003.png")


if __name__ == "__main__":
    main()
