"""What a user does, in a real browser: match a real film, fine-tune and use the result, read any text."""

import re
import shutil
from pathlib import Path

import pytest
from browsing import HOSTILE, Watched

pytestmark = pytest.mark.browser

DICOM = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "dicom_chest" / "RG1_J2KI.dcm"
PAGES = {
    "Match": "Match an X-ray with its report",
    "Diagnose": "Read an X-ray with a classifier",
    "Audit": "Audit a cohort",
    "Explore": "Explore a cohort",
    "Fine-tune": "Fine-tune a classifier",
    "Label efficiency": "Label efficiency",
}


def test_a_page_opened_first_by_its_own_address_has_its_frame_and_keeps_choices(tab: Watched) -> None:
    # First of all browser tests: it needs a server that has not served app.py yet.
    tab.open("fine_tune", PAGES["Fine-tune"])
    tab.page.get_by_role("radio", name="100 %").click()
    tab.page.get_by_text("84 of 84 labelled training X-rays").wait_for()
    tab.page.get_by_text("Research use only.").wait_for()
    assert tab.page.get_by_role("link", name="Label efficiency").count() == 1


@pytest.mark.whole
def test_every_page_is_found_by_its_name_and_by_a_link_to_a_film(tab: Watched) -> None:
    for name, heading in zip(
        ("match", "diagnose", "audit", "explore", "fine_tune", "efficiency"), PAGES.values(), strict=True
    ):
        tab.open(name, heading)
        tab.page.get_by_text("Research use only.").wait_for()
        assert tab.page.get_by_text("Page not found").count() == 0
    tab.open("match?match_cohort=synthetic&match_film=7", PAGES["Match"])
    tab.page.get_by_text("synthetic, X-ray 7: study ").wait_for()


def test_a_real_film_and_its_findings_give_a_probability_and_a_map(tab: Watched) -> None:
    if not DICOM.is_file():
        pytest.skip(f"the real DICOM film is not beside the repository ({DICOM.name})")
    tab.open()
    tab.page.locator(".st-key-match_upload input[type=file]").set_input_files(DICOM)
    tab.page.get_by_text("Next: paste its report.").wait_for()
    tab.page.locator(".st-key-match_findings textarea").fill("The heart is enlarged. No pneumothorax.")
    tab.page.locator(".st-key-match_go button").click()
    number = tab.page.locator("[data-testid=stMetricValue]")
    number.wait_for()
    assert 0 <= float(number.inner_text()) <= 1
    images = tab.page.get_by_role("img", name="The chest X-ray with the chosen map over it")
    images.wait_for()
    assert int(images.get_attribute("data-rows")) > 900
    tab.page.get_by_text("It is not a localisation of disease").wait_for()


def test_a_classifier_is_fine_tuned_compared_and_used(tab: Watched, csv_root: Path) -> None:
    tab.open("", PAGES["Match"])
    tab.go("Fine-tune", PAGES["Fine-tune"])
    tab.page.get_by_text("Training settings").click()
    tab.fill("ft_side_small", "32")
    tab.fill("ft_epochs_small", "8")
    tab.page.locator(".st-key-ft_start button").click()
    tab.page.locator(".st-key-ft_stop button").first.wait_for()
    tab.page.get_by_role("progressbar").first.wait_for()
    tab.page.wait_for_url("**/fine_tune?run=synthetic-*")

    tab.page.reload()
    tab.page.locator(".st-key-ft_run input").wait_for()
    assert tab.page.locator(".st-key-ft_run input").input_value() in tab.page.url
    tab.page.get_by_text("Done: trained on").wait_for(timeout=600_000)
    tab.page.locator(".st-key-ft_loss .js-plotly-plot").first.wait_for()
    tab.page.get_by_role("tab", name="Curves").click()
    tab.page.locator(".st-key-ft_stop button").first.wait_for(state="detached")

    tab.page.get_by_role("link", name="See its point on the curve").click()
    tab.page.get_by_role("heading", level=1, name=PAGES["Label efficiency"]).wait_for()
    tab.page.locator(".js-plotly-plot .scatterlayer .point").first.wait_for()

    tab.go("Diagnose", PAGES["Diagnose"])
    film = csv_root / "films" / "001.png"
    tab.page.locator(".st-key-diagnose_upload input[type=file]").set_input_files(film)
    tab.page.get_by_role("img", name="The chest X-ray with the chosen map over it").wait_for()
    assert tab.page.locator(".scored .row").count() == 1


@pytest.mark.whole
def test_a_run_is_launched_reloaded_stopped_resumed_and_sent_to_diagnose(
    tab: Watched, csv_root: Path, home: Path, networks: Path
) -> None:
    page = tab.page
    tab.open("fine_tune", PAGES["Fine-tune"])
    page.get_by_role("radio", name=re.compile("^1 % ·")).click()
    page.get_by_text("labelled training X-rays, of").wait_for()
    page.get_by_text("Training settings").click()
    tab.fill("ft_side_small", "32")
    tab.fill("ft_epochs_small", "250")
    page.locator(".st-key-ft_start button").click()
    page.get_by_role("progressbar").first.wait_for()
    page.wait_for_url("**/fine_tune?run=synthetic-*-1pct-*")

    def step() -> int:
        told = page.get_by_text(re.compile(r"Training, step [\d,]+ of"))
        told.first.wait_for()
        return int(re.findall(r"step ([\d,]+)", told.first.inner_text())[0].replace(",", ""))

    before = step()
    page.reload()
    page.locator(".st-key-ft_run input").wait_for()
    assert step() >= before
    page.locator(".st-key-ft_stop button").first.click()
    page.get_by_text("This run was stopped on request.").wait_for()
    page.locator(".st-key-ft_resume button").first.click()
    assert step() >= before
    page.get_by_text("Done: trained on").wait_for(timeout=600_000)
    page.get_by_role("tab", name="Where is it wrong?").click()
    page.get_by_text("most confident errors").wait_for()

    # A newer classifier would stand first: the link has to name this run.
    shutil.copytree(networks / "classifier", home.parent / "checkpoints" / "newer")
    page.get_by_role("link", name="Diagnose an X-ray with it").click()
    page.get_by_role("heading", level=1, name=PAGES["Diagnose"]).wait_for()
    assert "1 % of labels" in page.locator(".st-key-diagnose_network input").input_value()
    film = csv_root / "films" / "001.png"
    page.locator(".st-key-diagnose_upload input[type=file]").set_input_files(film)
    page.get_by_role("img", name="The chest X-ray with the chosen map over it").wait_for()
    assert page.locator(".scored .row").count() == 1


@pytest.mark.whole
def test_hostile_text_stays_text_and_no_page_leaves_the_machine(tab: Watched) -> None:
    tab.open()
    for link, heading in PAGES.items():
        tab.go(link, heading)
        tab.page.get_by_text("Research use only.").wait_for()
    tab.open("explore?cohort=hostile", PAGES["Explore"])
    report = tab.page.get_by_role("article", name="Report of the study")
    report.get_by_text("a nodule of ~1.5 cm~").wait_for()
    assert " ".join(report.inner_text().split()) == " ".join(HOSTILE.split())
    tab.page.get_by_role("link", name="Match this X-ray").click()
    tab.page.locator("[data-testid=stMetricValue]").wait_for()
    assert tab.page.locator("img[src*='evil.example']").count() == 0
