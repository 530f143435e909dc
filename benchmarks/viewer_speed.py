"""How often a second does the film viewer redraw a film in headless Chromium, all in software?

Asks for the next frame as soon as one is drawn, with a new window (every pixel looked up again), a new place
(the picture moved only) and both under a map, on one canvas of 1024 x 1024 points. The browser's own limit of
60 frames a second is lifted, so that what is measured is the viewer.

    .venv/bin/python benchmarks/viewer_speed.py
"""

from __future__ import annotations

import base64
import json
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet.evaluation.maps import cam  # noqa: E402
from timnet.films.film import Film  # noqa: E402
from timnet.ui import viewer  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "viewer_speed.json"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-frame-rate-limit", "--disable-gpu-vsync"]
SIDES, FRAMES = (1024, 2048), 300
MOVES = {
    "window": "view.level = 0.5 + 0.2 * Math.sin(i / 10); view.width = 0.6",
    "pan": "view.x = 0.2 * Math.sin(i / 10); view.y = 0.2 * Math.cos(i / 10)",
    "window and pan": "view.level = 0.5 + 0.2 * Math.sin(i / 10); view.x = 0.2 * Math.cos(i / 10)",
}
MEASURE = """
async ({ html, css, js, data, move, frames }) => {
  document.body.replaceChildren()
  document.body.style.margin = 0
  const shadow = document.body.appendChild(document.createElement("div")).attachShadow({ mode: "open" })
  const style = document.createElement("style")
  style.textContent = css + "\\n.pane { height: 1024px; width: 1024px; flex: none }"
  const template = document.createElement("template")
  template.innerHTML = html
  shadow.append(style, template.content)
  const source = js + "\\nexport const of = (root) => viewers.get(root)"
  const module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })))
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))
  module.default({ data: bytes, parentElement: shadow })
  const seen = module.of(shadow.querySelector(".viewer"))
  const step = new Function("view", "i", move)
  const next = () => new Promise((done) => requestAnimationFrame(done))
  for (let i = 0; i < 20; i++) { step(seen.active.view, i); seen.ask(); await next() }
  const drawn = []
  const draw = seen.draw.bind(seen)
  seen.draw = () => { const start = performance.now(); draw(); drawn.push(performance.now() - start) }
  const start = performance.now()
  for (let i = 0; i < frames; i++) { step(seen.active.view, i); seen.ask(); await next() }
  const seconds = (performance.now() - start) / 1000
  drawn.sort((a, b) => a - b)
  const at = (share) => drawn[Math.floor(share * (drawn.length - 1))]
  const { width } = seen.active.canvas
  return { redraws: drawn.length, seconds, median_ms: at(0.5), p95_ms: at(0.95), canvas: width }
}
"""


def main() -> None:
    """Measure, print one line a case, and keep the figures with the machine they are of."""
    rows = []
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1100, "height": 1300})
        page.goto("about:blank")
        for side in SIDES:
            for mapped in (False, True):
                for name, move in MOVES.items():
                    rows.append(measured(page, side, mapped, name, move))
                    row = rows[-1]
                    case = f"{side} px, {'map' if mapped else 'no map'}, {name}"
                    print(f"{case}: {row['redraws_a_second']} a second, {row['median_ms']} ms each")
        machine: dict[str, Any] = {
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "processor": processor(),
        }
        machine |= {"browser": f"Chromium {browser.version}", "load": round(os.getloadavg()[0], 1)}
        browser.close()
    RESULT.parent.mkdir(exist_ok=True)
    fields = {"what": __doc__.splitlines()[0], "frames": FRAMES, "machine": machine, "rows": rows}
    RESULT.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def measured(page: Any, side: int, mapped: bool, name: str, move: str) -> dict[str, Any]:
    """Return how fast one case is redrawn."""
    greys = np.random.default_rng(0).random((side, side), dtype=np.float32)
    film = Film(greys, kind="png", sha256="0" * 64, bits=16, spacing_mm=(0.2, 0.2), view="PA", notes=())
    strength = np.random.default_rng(1).random((256, 256), dtype=np.float32) if mapped else None
    view = viewer.View(film, strength_hw=strength)
    data = base64.b64encode(viewer.message([view], [film], cam.STOPS.tolist(), 1024)).decode()
    result = page.evaluate(MEASURE, viewer.sources() | {"data": data, "move": move, "frames": FRAMES})
    return {
        "film_side": side,
        "canvas": result["canvas"],
        "map": mapped,
        "change": name,
        "redraws_a_second": round(result["redraws"] / result["seconds"], 1),
        "median_ms": round(result["median_ms"], 2),
        "p95_ms": round(result["p95_ms"], 2),
    }


def processor() -> str:
    """Return the processor's name where the system tells it."""
    result = Path("/proc/cpuinfo")
    lines = result.read_text().splitlines() if result.is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "not known")


if __name__ == "__main__":
    main()
