"""The reading room of a fresh clone: an answered example at a look, a report of the wrong side, an upload."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Watched, watched

from timnet import config
from timnet.cohorts.store import Cohort
from timnet.reader import Reader
from timnet.reports import edits

pytestmark = [pytest.mark.browser, pytest.mark.whole]

HEADING = "Match an X-ray with its report"
NETWORK = "open-cxr"


@pytest.fixture
def tab(chromium: Any, shipped: str) -> Iterator[Watched]:
    """A tab of that app."""
    with watched(chromium, shipped) as opened:
        yield opened


def rest(tab: Watched) -> None:
    tab.page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def wrong_side(cohort: Cohort) -> tuple[int, str, str]:
    """Return a test X-ray, its report with sides exchanged, and the headline that tells it."""
    reader, films = Reader.load(Path(config.REPOSITORY / "checkpoints" / NETWORK)), cohort.films()
    for film in films.index[(films["split"] == "test") & (films["view"] != "LATERAL")]:
        text = edits.misplaced(films["findings"][film])
        if text:
            read = reader.edited(cohort.read_film(film), text)
            found = read.explained(read.edits).explanation
            if found.sentence.startswith("Check the side"):
                return int(film), text, found.sentence
    raise AssertionError(f"{NETWORK} finds no report of the wrong side among the demo's")


@pytest.mark.parametrize("size", [(1440, 900), (1024, 768), (390, 844)])
def test_the_first_page_is_an_answered_example_in_one_look(tab: Watched, size: tuple[int, int]) -> None:
    page, (width, height) = tab.page, size
    page.set_viewport_size({"width": width, "height": height})
    tab.open("", HEADING)
    page.locator("[data-testid=stMetricValue]").wait_for()
    page.locator(".stage").wait_for()
    rest(tab)
    page.get_by_text("Simulated X-ray, not a patient's").wait_for()
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("(part) => part.scrollWidth - part.clientWidth") <= 0
    assert page.locator(".scored .row").count() > 1
    film = page.locator(".stage").bounding_box()
    if width < 640:
        return
    last = page.locator(".scored .row").last.bounding_box()
    number = page.locator("[data-testid=stMetricValue]").bounding_box()
    # The number and the sentences stand beside the X-ray.
    assert number["x"] > film["x"] + film["width"] and last["x"] > film["x"] + film["width"]
    if width == 1440:
        assert max(film["y"] + film["height"], last["y"] + last["height"]) <= height
        whole = page.locator("[data-testid=stMainBlockContainer]").evaluate(
            "(part) => part.clientWidth - 2 * parseFloat(getComputedStyle(part).paddingLeft)"
        )
        assert film["width"] >= 0.6 * whole
        assert page.get_by_role("tab").first.bounding_box()["y"] <= 1.6 * height


@pytest.mark.parametrize("size", [(1440, 900), (1024, 768)])
def test_a_report_of_the_wrong_side_is_told_and_shown_at_a_click(
    tab: Watched, demo_cohort: Cohort, size: tuple[int, int]
) -> None:
    film, text, headline = wrong_side(demo_cohort)
    page = tab.page
    page.set_viewport_size({"width": size[0], "height": size[1]})
    tab.open(f"?match_cohort=demo&match_film={film}", HEADING)
    page.get_by_text(f"demo, X-ray {film}: study ").wait_for()
    page.locator("[data-testid=stMetricValue]").wait_for()
    rest(tab)
    page.get_by_text("Report", exact=True).click()
    page.get_by_text("Use this study's own report").click()
    page.locator(".st-key-match_findings textarea").fill(text)
    page.locator(".st-key-match_go button").click()
    told = page.get_by_role("button", name=headline)
    told.click(timeout=120_000)
    page.get_by_role("img", name="Map of the edited text").wait_for()
    assert page.get_by_role("img", name="Map of the given text").count() == 1
    told.click()
    page.get_by_role("img", name="Map of the edited text").wait_for(state="detached")
    page.get_by_role("img", name="The chest X-ray with the chosen map over it").wait_for()


def test_an_upload_is_shown_at_once_and_answered_after_three_actions(tab: Watched) -> None:
    # An X-ray of the demo as a file of one's own.
    film = next(path for path in sorted((config.DEMO / "films").iterdir()))
    tab.open("", HEADING)
    page = tab.page
    page.locator("[data-testid=stMetricValue]").wait_for()
    rest(tab)
    page.locator(".st-key-match_upload input[type=file]").set_input_files(film)
    page.get_by_text("Next: paste its report.").wait_for()
    page.get_by_role("img", name="The chest X-ray").first.wait_for()
    page.locator(".st-key-match_findings textarea").fill("There is a small left pleural effusion.")
    page.locator(".st-key-match_go button").click()
    page.locator("[data-testid=stMetricValue]").wait_for()
    page.get_by_role("img", name="The chest X-ray with the chosen map over it").wait_for()
    assert page.get_by_text("Simulated X-ray").count() == 0
