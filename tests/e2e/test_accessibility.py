"""Every page of a fresh clone, dark and light, by axe-core: contrast, names, roles, the order of headings."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from browsing import watched

pytestmark = [pytest.mark.browser, pytest.mark.whole]

axe = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
AXE = Path(axe.__file__).parent / "axe.min.js"
PAGES = ("", "diagnose", "audit", "explore", "import_cohort", "fine_tune", "efficiency", "card")
"""By their addresses."""


def faults(page: Any) -> list[str]:
    """Return what is serious or critical, and where."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [
        f"{each['id']}: {node['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("address", PAGES)
def test_axe_finds_nothing_serious_on_a_page(chromium: Any, shipped: str, address: str, scheme: str) -> None:
    with watched(chromium, shipped, scheme) as tab:
        tab.open(address)
        tab.page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        if address in ("", "diagnose"):
            tab.page.get_by_role("img", name="The chest X-ray with the chosen map over it").wait_for()
        levels = tab.page.get_by_role("heading").evaluate_all(
            "(found) => found.map((each) => Number(each.tagName[1]))"
        )
        assert levels[0] == 1 and all(after <= before + 1 for before, after in itertools.pairwise(levels))
        assert faults(tab.page) == []
