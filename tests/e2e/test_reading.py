"""Reading films in a real browser, from the file to the printed page: by mouse, and by keyboard alone."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from browsing import Watched
from pydicom.data import get_testdata_file
from test_flows import DICOM, PAGES
from test_pdf import opened

from timnet.cohorts.store import Cohort
from timnet.reader import Reader
from timnet.reports import prompts, report_text
from timnet.reports.prompts import Prompt
from timnet.ui import film_check

pytestmark = [pytest.mark.browser, pytest.mark.whole]

REPORT = (
    "INDICATION: Cough.\n\nFINDINGS: The heart is enlarged. There is an opacity in the left lung. "
    "No pneumothorax.\n\nIMPRESSION: Opacity in the left lung."
)
SENTENCES = report_text.sentences(report_text.findings(REPORT))
PHOTOGRAPH = files("sklearn.datasets.images") / "flower.jpg"
"""A colour photograph that comes with an installed package."""
HEADER, ROW = 35, 35
"""Heights of a table's parts, in pixels of the page: its cells are drawn, not elements."""
ACTIVE = """(wanted) => {
  let at = document.activeElement
  while (at.shadowRoot && at.shadowRoot.activeElement) at = at.shadowRoot.activeElement
  const host = at.getRootNode().host
  return at.closest(wanted) !== null || (host !== undefined && host.closest(wanted) !== null)
}"""


@pytest.fixture
def classifier(home: Path, server: str, networks: Path) -> Iterator[Path]:
    """The tiny classifier among the app's checkpoints, while a test lasts."""
    folder = home.parent / "checkpoints" / "classifier"
    shutil.copytree(networks / "classifier", folder)
    yield folder
    shutil.rmtree(folder)


def test_a_dicom_film_and_a_pasted_report_are_read_sentence_by_sentence_and_printed(
    tab: Watched, home: Path
) -> None:
    if not DICOM.is_file():
        pytest.skip(f"the real DICOM film is not beside the repository ({DICOM.name})")
    page = tab.page
    tab.open("", PAGES["Match"])
    _asks(page, "upload an X-ray and paste its report")
    page.locator(".st-key-match_upload input[type=file]").set_input_files(DICOM)
    _asks(page, "paste its report")
    page.locator(".st-key-match_findings textarea").fill(REPORT)
    page.locator(".st-key-match_go button").click()
    number = page.locator("[data-testid=stMetricValue]").first
    number.wait_for()
    expected = Reader.load(home.parent / "checkpoints" / "timnet").read(_film(), REPORT)
    assert number.inner_text() == f"{expected.match:.3f}"

    for sentence in SENTENCES:
        row = page.locator(".scored .row", has_text=sentence)
        row.click()
        page.locator('.scored .row[aria-pressed="true"]', has_text=sentence).wait_for()
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()

    changes = _table(page, "match_changes")
    for row in range(4 * len(SENTENCES)):
        _click(page, changes, row, 18)
        page.get_by_role("img", name="Map of the edited text").wait_for()
        page.wait_for_timeout(1500)
        if page.get_by_text("Says the opposite: ").count():
            break
    else:
        raise AssertionError("no edit says the opposite of a sentence")

    with page.expect_download() as download:
        page.get_by_role("button", name="One page (PDF)").click()
    told = opened(download.value.path().read_bytes())
    assert told.pages == 1 and len(told.images) >= 1
    assert f"{expected.match:.3f}" in told.words and expected.film.sha256[:12] in told.words.replace("\n", "")


def test_the_sentences_of_a_finding_are_edited_and_asked_anew(
    tab: Watched, home: Path, cohort_folder: Path
) -> None:
    page, shipped = tab.page, list(prompts.shipped())
    reader = Reader.load(home.parent / "checkpoints" / "timnet")
    seen = reader.see(Cohort.open(cohort_folder).read_film(7))
    tab.open("match?match_cohort=synthetic&match_film=7", PAGES["Match"])
    page.get_by_role("tab", name="List of findings").click(timeout=240_000)
    _scored(page, shipped, reader.prompted(seen, shipped))

    table = _table(page, "match_prompts")
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    _written(page, table, "The left lung holds a dense opacity.")
    edited = [replace(shipped[0], positive="The left lung holds a dense opacity."), *shipped[1:]]
    before, after = (reader.prompted(seen, asked) for asked in (shipped, edited))
    assert abs(before[0] - after[0]) > 1e-4
    _scored(page, edited, after)


def test_similar_cases_are_prepared_listed_and_opened(tab: Watched) -> None:
    page = tab.page
    tab.open("match?match_cohort=synthetic&match_film=7", PAGES["Match"])
    page.get_by_role("tab", name="Other patients").click()
    page.locator(".st-key-match_prepare button").click()
    page.get_by_text("X-rays that match this report best").wait_for(timeout=240_000)
    link = page.get_by_role("link", name="Study study").first
    study = link.inner_text().split()[-1]
    link.click()
    page.get_by_role("heading", level=1, name=PAGES["Explore"]).wait_for()
    page.get_by_text(f"Study {study}, patient").wait_for()


def test_five_films_are_diagnosed_at_once_and_their_numbers_saved(
    tab: Watched, csv_root: Path, classifier: Path
) -> None:
    page, films = tab.page, [csv_root / "films" / f"{number:03}.png" for number in range(5)]
    # By name: whichever runs other tests have left, the newest stands first.
    tab.open(f"diagnose?diagnose_network={classifier.name}", PAGES["Diagnose"])
    _asks(page, "upload an X-ray")
    page.get_by_text("Several X-rays", exact=True).click()
    _asks(page, "upload X-rays")
    page.locator(".st-key-diagnose_uploads input[type=file]").set_input_files(films)
    page.get_by_role("button", name="Read 5 X-rays").click()
    page.get_by_text("5 of 5 X-rays read.").wait_for()
    page.get_by_role("img", name="The chest X-ray with the chosen map over it").wait_for()
    with page.expect_download() as download:
        page.locator(".st-key-diagnose_films_csv button").click()
    with download.value.path().open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [row["film"] for row in rows] == [film.name for film in films]
    assert all(0 <= float(row["Effusion"]) <= 1 and row["film sha256"] for row in rows)


def test_an_upload_stays_while_several_are_read(tab: Watched, csv_root: Path, classifier: Path) -> None:
    page = tab.page
    tab.open(f"diagnose?diagnose_network={classifier.name}", PAGES["Diagnose"])
    _asks(page, "upload an X-ray")
    film = csv_root / "films" / "001.png"
    page.locator(".st-key-diagnose_upload input[type=file]").set_input_files(film)
    drawn = page.get_by_role("img", name="The chest X-ray with the chosen map over it")
    drawn.wait_for()
    page.get_by_text("Several X-rays", exact=True).click()
    _asks(page, "upload X-rays")
    page.get_by_text("One X-ray", exact=True).click()
    drawn.wait_for()
    page.get_by_text("001.png").wait_for()
    # The next click was the one that lost it.
    page.get_by_text("Side by side", exact=True).click()
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(1000)
    assert drawn.count() == 1 and page.get_by_text("001.png").count() == 1


def test_a_ct_slice_is_refused_in_one_sentence(tab: Watched) -> None:
    tab.open("", PAGES["Match"])
    _asks(tab.page, "upload an X-ray and paste its report")
    slice_ = get_testdata_file("CT_small.dcm")
    tab.page.locator(".st-key-match_upload input[type=file]").set_input_files(slice_)
    said = tab.page.locator("[data-testid=stAlert]", has_text="CT_small.dcm")
    said.wait_for()
    assert "expected a radiograph (CR, DX, RG, PX, SC or OT), got modality CT" in said.inner_text()
    assert tab.page.locator("[data-testid=stMetricValue]").count() == 0


@pytest.mark.parametrize("address", ["match", "diagnose"])
def test_a_photograph_is_refused_in_one_sentence_and_read_at_the_readers_wish(
    refusing_tab: Watched, address: str
) -> None:
    page = refusing_tab.page
    refusing_tab.open(f"{address}?diagnose_network=classifier", None)
    _asks(page, "upload an X-ray and paste its report" if address == "match" else "upload an X-ray")
    if address == "match":
        page.locator(".st-key-match_findings textarea").fill(REPORT)
        page.locator(".st-key-match_go button").click()
        _asks(page, "upload an X-ray")
    page.locator(f".st-key-{address}_upload input[type=file]").set_input_files(PHOTOGRAPH)
    said = page.locator("[data-testid=stAlert]", has_text="timnet reads no others")
    said.wait_for()
    reason = "This does not look like a frontal chest X-ray; timnet reads no others."
    assert said.inner_text().strip().removeprefix("block").strip() == reason
    numbers = page.locator("[data-testid=stMetricValue], [data-testid=stDataFrame]")
    assert numbers.count() == 0
    # It is shown all the same, without a map.
    page.get_by_role("img", name="The chest X-ray", exact=True).wait_for()
    page.get_by_text(film_check.ANYWAY).click()
    page.locator(".pane canvas").first.wait_for()
    numbers.first.wait_for()
    assert said.count() == 1


def test_a_film_is_read_and_printed_without_a_mouse(tab: Watched, csv_root: Path) -> None:
    page = tab.page
    tab.open("", PAGES["Match"])
    _asks(page, "upload an X-ray and paste its report")
    _chosen(page, ".st-key-match_upload [data-testid=stFileUploaderDropzone]", csv_root / "films" / "001.png")
    _asks(page, "paste its report")
    _reach(page, ".st-key-match_findings textarea")
    page.keyboard.type(report_text.findings(REPORT))
    _reach(page, ".st-key-match_go button")
    page.keyboard.press("Enter")
    page.locator("[data-testid=stMetricValue]").first.wait_for()
    page.get_by_role("img", name="The chest X-ray with the chosen map over it").wait_for()

    _reach(page, ".scored .row")
    page.keyboard.press("Enter")
    page.locator('.scored .row[aria-pressed="true"]', has_text=SENTENCES[0]).wait_for()

    _reach(page, ".pane canvas")
    page.keyboard.press("i")
    page.locator(".st-key-match_viewer .status", has_text="inverted").wait_for()
    _reach(page, ".st-key-match_pdf button")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert opened(download.value.path().read_bytes()).pages == 1


def _written(page: Any, table: Any, words: str) -> None:
    """Write into the second cell of a table's first row."""
    # In the middle of the page: at its top the table's first rows may lie below the navigation.
    table.evaluate("(canvas) => canvas.scrollIntoView({ block: 'center' })")
    page.wait_for_timeout(500)
    box = table.bounding_box()
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + HEADER + ROW / 2)
    cell = page.locator("#portal textarea")
    cell.fill(words)
    page.keyboard.press("Enter")


def _scored(page: Any, asked: list[Prompt], scores: list[float]) -> None:
    """Wait until the table of scores holds these to six places, the highest first."""
    told = sorted(zip(scores, asked, strict=True), key=lambda each: each[0], reverse=True)
    page.wait_for_function(
        """(wanted) => {
          const table = document.querySelector("[aria-label^='Each finding with its score']")
          // What is out of sight is not drawn anew, and its cells are those of the last drawing.
          table?.closest("[data-testid=stDataFrame]")?.scrollIntoView({ block: "center" })
          const cells = [...(table?.querySelectorAll("tbody td") ?? [])].map((cell) => cell.textContent)
          const pairs = wanted.map((_, row) => [cells[2 * row], Number(cells[2 * row + 1]).toFixed(6)])
          return JSON.stringify(pairs) === JSON.stringify(wanted)
        }""",
        arg=[[each.finding, f"{score:.6f}"] for score, each in told],
    )


def _film() -> Any:
    from timnet.films.read import read_film

    return read_film(DICOM)


def _asks(page: Any, what: str) -> None:
    """Wait until the page asks for something: a file given before its run has ended may be lost."""
    page.get_by_text(f"Next: {what}.").wait_for()
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def _chosen(page: Any, box: str, film: Path) -> None:
    """Choose a file by the keyboard; a press that comes as the page draws the box anew is made again."""
    from playwright import sync_api

    for tries_left in reversed(range(6)):
        _reach(page, box)
        try:
            with page.expect_file_chooser(timeout=10_000) as chooser:
                page.keyboard.press("Enter")
        except sync_api.TimeoutError:
            if not tries_left:
                raise
        else:
            chooser.value.set_files(film)
            return


def _table(page: Any, key: str) -> Any:
    """Return a table's drawing, in sight."""
    canvas = page.locator(f"[class*=st-key-{key}] canvas").first
    canvas.wait_for()
    canvas.scroll_into_view_if_needed()
    return canvas


def _click(page: Any, table: Any, row: int, across: int) -> None:
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    page.mouse.click(box["x"] + across, box["y"] + HEADER + ROW * (row + 0.5))


def _reach(page: Any, wanted: str) -> None:
    """Press Tab until what is wanted has the focus."""
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate(ACTIVE, wanted):
            return
    raise AssertionError(f"{wanted}: not reached by the Tab key")
