"""The reference cohort from choice to curve in a real browser: half a percent of Mendeley-V2's labels."""

import json
from pathlib import Path

import pytest
from browsing import Watched

from timnet.cohorts.readers import mendeley

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE_MS = 1_800_000
CURVE = "[...document.querySelector('.js-plotly-plot').data[0].{axis}]"


@pytest.fixture
def mendeley_cohort(home: Path, real_data: Path) -> None:
    """The cohort `mendeley` in the app's TIMNET_HOME; skips where the archive is not there."""
    if not (real_data / "mendeley_v2").is_dir():
        pytest.skip("Mendeley-V2 is not beside the repository (shared/data/mendeley_v2)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMNET_HOME", str(home))
        mendeley.run(real_data / "mendeley_v2", "mendeley")


@pytest.mark.usefixtures("mendeley_cohort")
def test_half_a_percent_of_the_labels_becomes_a_point_of_the_curve(tab: Watched, home: Path) -> None:
    page = tab.page
    # Thousands of films are read here, perhaps beside another training.
    page.set_default_timeout(PATIENCE_MS)
    tab.open("", "Match an X-ray with its report")
    tab.go("Fine-tune", "Fine-tune a classifier")
    page.locator(".st-key-ft_cohort input").click()
    page.get_by_role("option", name="mendeley").click()
    page.get_by_text("523 of 5,232 labelled training X-rays").wait_for()
    page.get_by_role("radio", name="0.5 % · 26").click()
    page.get_by_text("26 of 5,232 labelled training X-rays").wait_for()
    page.get_by_text("Training settings").click()
    tab.fill("ft_epochs_small", "10")
    page.locator(".st-key-ft_start button").click()

    page.wait_for_url("**/fine_tune?run=mendeley-pneumonia-base-0.5pct-s0-*")
    page.locator(".st-key-ft_stop button").first.wait_for()
    page.get_by_role("progressbar").first.wait_for()
    page.get_by_text("Training, step").wait_for()
    page.get_by_text("Done: trained on 26 X-rays").wait_for()

    page.get_by_role("link", name="See its point on the curve").click()
    page.get_by_role("heading", level=1, name="Label efficiency").wait_for()
    page.locator(".js-plotly-plot .scatterlayer .point").first.wait_for()
    (result,) = (home.parent / "checkpoints").glob("mendeley-*/metrics.json")
    (auroc,) = [row["value"] for row in json.loads(result.read_text())["test"] if row["metric"] == "auROC"]
    assert page.locator(".st-key-eff_cohort input").input_value() == "mendeley"
    assert page.evaluate(CURVE.format(axis="x")) == [0.5]
    assert page.evaluate(CURVE.format(axis="y")) == [auroc]
