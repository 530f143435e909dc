"""The app on a free port, a browser tab under watch, and a text that would like to be a page."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from timnet import config
from timnet.ui import viewer

HOSTILE = (
    '<img src="http://evil.example/a.png" onerror="alert(1)"> ![x](http://evil.example/b.png) '
    "<script>alert(2)</script> :red[red] $x^2$ a nodule of ~1.5 cm~"
)


@dataclass
class Watched:
    """A tab, and what it did that it should not have done."""

    page: Any
    base: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str = "", heading: str | None = None) -> None:
        """Go to a page by its address and wait for its heading."""
        self.page.goto(f"{self.base}/{path}")
        self.page.get_by_role("heading", level=1, name=heading).wait_for()

    def go(self, link: str, heading: str) -> None:
        """Go to a page by the navigation."""
        self.page.get_by_role("link", name=link, exact=True).first.click()
        self.page.get_by_role("heading", level=1, name=heading).wait_for()

    def fill(self, key: str, value: str) -> None:
        """Write into the box of a widget and leave it."""
        box = self.page.locator(f".st-key-{key} input")
        box.fill(value)
        box.press("Enter")


MOUNT = """
async ({ html, css, js, data }) => {
  document.body.replaceChildren()
  const shadow = document.body.appendChild(document.createElement("div")).attachShadow({ mode: "open" })
  const style = document.createElement("style")
  style.textContent = css
  const template = document.createElement("template")
  template.innerHTML = html
  shadow.append(style, template.content)
  const module = await import(URL.createObjectURL(new Blob([js], { type: "text/javascript" })))
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))
  module.default({ data: bytes, parentElement: shadow })
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
}
"""


def mount(page: Any, data: bytes) -> None:
    """Put the film viewer alone into a page and give it a message."""
    page.evaluate(MOUNT, {**viewer.sources(), "data": base64.b64encode(data).decode()})


@contextmanager
def served(environment: dict[str, str], told: Path) -> Iterator[str]:
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
def watched(chromium: Any, server: str, scheme: str = "dark") -> Iterator[Watched]:
    """Open a tab of the app; at the end it must not have complained, opened a dialog or left the machine."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(60_000)
    seen = Watched(context.new_page(), server)

    def on_request(request: Any) -> None:
        if not request.url.startswith((f"{server}/", "data:", "blob:")):
            seen.complaints.append(f"request: {request.url}")

    def on_console(message: Any) -> None:
        # Streamlit looks for its server below a page's own address first, and is told that it is not there.
        probe = "/_stcore/" in message.location.get("url", "") and "404" in message.text
        if message.type == "error" and not probe:
            seen.complaints.append(f"console: {message.text}")

    def on_dialog(dialog: Any) -> None:
        seen.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    seen.page.on("request", on_request)
    seen.page.on("console", on_console)
    seen.page.on("dialog", on_dialog)
    seen.page.on("pageerror", lambda error: seen.complaints.append(f"error: {error}"))
    yield seen
    context.close()
    assert seen.complaints == []


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise RuntimeError(f"the app's server did not start (exit status {process.poll()})")
