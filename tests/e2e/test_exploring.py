"""Exploring in a real browser: find, open, look closely, read; on a desk and on a telephone."""

import pytest
from browsing import Watched

pytestmark = [pytest.mark.browser, pytest.mark.whole]

HEADING = "Explore a cohort"


def _viewer(tab: Watched) -> None:
    tab.page.get_by_role("img", name="X-ray 1 of the chosen study").wait_for()
    tab.page.locator(".status", has_text="Zoom 1.0").wait_for()


def test_words_are_found_and_marked_and_a_study_of_the_gallery_is_opened(tab: Watched) -> None:
    tab.open("explore?cohort=synthetic", HEADING)
    _viewer(tab)
    tab.fill("explore_query", "opacity AND left")
    report = tab.page.get_by_role("article", name="Report of the study")
    report.locator("mark").first.wait_for()
    assert {mark.lower() for mark in report.locator("mark").all_inner_texts()} == {"opacity", "left"}
    assert "opacity" not in tab.page.url
    button = tab.page.locator(".st-key-explore_open_3 button").first
    name = button.inner_text()
    button.click()
    tab.page.get_by_text(f"Study {name}, patient").wait_for()
    assert "film=" in tab.page.url


def test_the_film_answers_to_hand_and_keys_without_the_server(tab: Watched) -> None:
    received: list[int] = []
    tab.page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))),
    )
    tab.open("explore?cohort=synthetic&label=Opacity&value=present", HEADING)
    _viewer(tab)
    tab.page.wait_for_timeout(1500)
    before = len(received)
    film = tab.page.get_by_role("img", name="X-ray 1 of the chosen study")
    film.scroll_into_view_if_needed()
    box = film.bounding_box()
    tab.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2, steps=3)
    tab.page.mouse.up()
    tab.page.locator(".status", has_text="level 50 %, width 75 %").wait_for()
    tab.page.keyboard.press("h")
    tab.page.get_by_text("Flipped: left and right are swapped", exact=True).first.wait_for()
    # Streamlit's own keys, r to run the page anew among them, stay out of it.
    tab.page.keyboard.press("r")
    tab.page.locator(".status", has_text="turned 90 degrees").wait_for()
    tab.page.wait_for_timeout(500)
    assert len(received) == before


def test_a_page_run_anew_keeps_the_view_and_does_not_send_the_film_again(tab: Watched) -> None:
    received: list[int] = []
    tab.page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))),
    )
    tab.open("explore?cohort=synthetic", HEADING)
    _viewer(tab)
    tab.page.get_by_role("img", name="X-ray 1 of the chosen study").focus()
    tab.page.keyboard.press("i")
    tab.page.locator(".status", has_text="inverted").wait_for()
    film = max(received)
    assert film > 2 * 96 * 80  # 16 bits a pixel
    before = len(received)
    tab.page.locator(".st-key-shown").get_by_text("Table").click()
    tab.page.locator("[data-testid=stDataFrame]").first.wait_for()
    tab.page.wait_for_timeout(1000)
    assert len(received) > before and "inverted" in tab.page.locator(".status").inner_text()
    assert max(received[before:]) < film


@pytest.mark.parametrize("width", [390, 1024])
def test_nothing_is_cut_off_on_a_narrow_screen(tab: Watched, width: int) -> None:
    tab.page.set_viewport_size({"width": width, "height": 844})
    tab.open("explore?cohort=synthetic", HEADING)
    _viewer(tab)
    wide = tab.page.evaluate(
        "() => { const main = document.querySelector('[data-testid=stMain]');"
        " return main.scrollWidth - main.clientWidth }"
    )
    assert wide <= 0
    for control in tab.page.locator(".viewer button, .viewer select, .viewer input").all():
        if control.is_visible():
            box = control.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= width


def test_the_viewer_is_used_without_a_mouse(tab: Watched) -> None:
    tab.open("explore?cohort=synthetic", HEADING)
    _viewer(tab)
    tab.page.get_by_role("button", name="Window").focus()
    reached = set()
    for _ in range(30):
        tab.page.keyboard.press("Tab")
        reached.add(
            tab.page.evaluate(
                "() => { let at = document.activeElement;"
                " while (at.shadowRoot && at.shadowRoot.activeElement) at = at.shadowRoot.activeElement;"
                " return at.dataset.act || at.dataset.set || at.dataset.tool || at.tagName }"
            )
        )
    assert {"zoom", "pan", "smaller", "larger", "fit", "invert", "rotate", "flip"} <= reached
    assert {"preset", "level", "width", "full", "CANVAS", "SUMMARY"} <= reached
