"""An audit in a real browser: ten verdicts by keyboard, taken along, a reload, and on from there."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from browsing import Watched
from playwright.sync_api import TimeoutError

from timnet import config
from timnet.cohorts import verdicts

pytestmark = [pytest.mark.browser, pytest.mark.whole]

HEADING = "Audit a cohort"
SPOKEN = "fwsmiqfwsm"
ADDRESS = "audit?cohort=audited&network=timnet"


@pytest.fixture(scope="module")
def scored(home: Path, networks: Path) -> Iterator[Path]:
    """The folder of the cohort `audited`, scored; other tests want `synthetic` without its vectors."""
    folder = shutil.copytree(home / "synthetic", home / "audited")
    command = [sys.executable, "-m", "timnet", "audit", str(folder), "--top", "8"]
    command += ["--checkpoint", str(networks / "timnet")]
    subprocess.run(command, cwd=config.REPOSITORY, check=True, capture_output=True)
    yield folder


def _study(tab: Watched) -> str:
    return re.search(r"study=([^&]+)", tab.page.url)[1]


def _read(tab: Watched, other: str = "") -> str:
    """Wait until a study other than this one is shown and return it."""
    tab.page.wait_for_function(
        "old => { const told = new URL(location).searchParams.get('study'); return told && told !== old }",
        arg=other,
    )
    study = _study(tab)
    # The first one waits for the network, too.
    tab.page.get_by_text("Match probability").first.wait_for(timeout=180_000)
    tab.page.get_by_text(f"Study {study}, patient").wait_for()
    tab.page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    return study


def _leave_the_field(tab: Watched) -> None:
    """Let letters be keys again: in a field they are its text."""
    tab.page.locator(".st-key-audit_reader input").blur()
    tab.page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def _press(tab: Watched, letter: str) -> str:
    before = _study(tab)
    tab.page.keyboard.press(letter)
    try:
        tab.page.wait_for_function(
            "old => !location.href.includes(old)", arg=f"study={before}", timeout=20_000
        )
    except TimeoutError:
        # A page that is drawn anew may not hear a key. The second says nothing of the next study.
        tab.page.keyboard.press(letter)
    return _read(tab, before)


def test_ten_verdicts_by_keyboard_are_taken_along_and_a_reload_goes_on(tab: Watched, scored: Path) -> None:
    tab.open(ADDRESS, HEADING)
    seen = [_read(tab)]
    tab.page.locator(".status", has_text="Zoom 1.0").wait_for()
    tab.fill("audit_reader", "Dr. A")
    _leave_the_field(tab)
    for letter in SPOKEN:
        seen.append(_press(tab, letter))
    kept = verdicts.standing(scored)
    words = {"f": "fits", "w": "wrong report", "s": "wrong side", "m": "missed finding"}
    words |= {"i": "invented finding", "q": "can't tell"}
    assert kept["verdict"].tolist() == [words[letter] for letter in SPOKEN]
    assert kept["study"].tolist() == seen[:-1] and set(kept["reader"]) == {"Dr. A"}
    tab.page.get_by_text("10 read, 7 confirmed: precision so far 0.70").wait_for()
    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="Verdicts (CSV)").click()
    table = pd.read_csv(download.value.path())
    assert table["study"].tolist() == seen[:-1] and set(table["cohort"]) == {"audited"}
    tab.page.reload()
    assert _read(tab) == seen[-1]
    tab.page.get_by_text("10 read, 7 confirmed").wait_for()
    tab.page.get_by_role("button", name="Undo").click()
    # A session of its own does not know the name: it is asked for again before anything is taken back.
    tab.page.get_by_text("There is no verdict by reader to take back").wait_for()
    tab.fill("audit_reader", "Dr. A")
    _leave_the_field(tab)
    assert _press(tab, "u") == seen[-2]
    tab.page.get_by_text("9 read, 6 confirmed").wait_for()


def test_a_verdict_is_given_while_the_x_ray_has_the_focus(tab: Watched, scored: Path) -> None:
    tab.open(ADDRESS, HEADING)
    study = _read(tab)
    tab.page.locator(".status", has_text="Zoom 1.0").wait_for()
    tab.page.get_by_role("img", name="The chest X-ray with the chosen map over it").focus()
    _press(tab, "w")
    assert verdicts.latest(scored)[study].verdict == verdicts.WRONG_REPORT


@pytest.mark.parametrize("size", [(1440, 900), (1024, 768), (390, 844)])
def test_nothing_is_cut_off_and_the_verdicts_are_in_view(
    tab: Watched, scored: Path, size: tuple[int, int]
) -> None:
    width, height = size
    tab.page.set_viewport_size({"width": width, "height": height})
    tab.open(ADDRESS, HEADING)
    _read(tab)
    tab.page.locator(".status", has_text="Zoom 1.0").wait_for()
    wide = tab.page.evaluate(
        "() => { const main = document.querySelector('[data-testid=stMain]');"
        " return main.scrollWidth - main.clientWidth }"
    )
    assert wide <= 0
    boxes = [
        button.bounding_box() for button in tab.page.locator(".st-key-audit_verdicts button:visible").all()
    ]
    assert len(boxes) == 7
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
    if width > 390:
        assert all(box["y"] + box["height"] <= height for box in boxes)
    if width == 1440:
        film = tab.page.locator(".stage").bounding_box()
        assert film["y"] + film["height"] <= height and film["height"] >= 480
