"""A browser tab under watch, and a text that would like to be a page."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

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
