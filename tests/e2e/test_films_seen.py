"""The film viewer in a real browser: what the hand does to it, seen in the pixels that it draws."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from browsing import HOSTILE, mount

from timnet.evaluation.maps import cam
from timnet.films.film import Film
from timnet.ui import viewer
from timnet.ui.viewer import View

pytestmark = [pytest.mark.browser, pytest.mark.whole]

ROWS, COLUMNS = 200, 160
PIXEL = """([across, down, which]) => {
  const canvas = document.body.firstChild.shadowRoot.querySelectorAll(".pane canvas")[which]
  const point = [Math.round(across * canvas.width), Math.round(down * canvas.height)]
  return [...canvas.getContext("2d").getImageData(...point, 1, 1).data].slice(0, 3)
}"""


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """An empty page; at the end nothing must have gone wrong in it."""
    context = chromium.new_context(viewport={"width": 900, "height": 1000})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("request", lambda asked: None if asked.url.startswith("blob:") else wrong.append(asked.url))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    yield page
    context.close()
    assert wrong == []


def _film(**fields: Any) -> Film:
    """A film that rises from black at its left to white at its right."""
    greys = np.tile(np.linspace(0, 1, COLUMNS, dtype=np.float32), (ROWS, 1))
    known = dict(kind="png", sha256="a" * 64, bits=16, spacing_mm=(0.5, 0.5), view="PA", notes=())
    return Film(greys, **(known | fields))  # type: ignore[arg-type]


def _show(page: Any, *views: View) -> None:
    mount(page, viewer.message(views, [view.film for view in views], cam.STOPS.tolist()))


def _pixel(page: Any, across: float = 0.5, down: float = 0.5, which: int = 0) -> list[int]:
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate(PIXEL, [across, down, which])


def _status(page: Any) -> str:
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return str(page.locator(".status").inner_text())


def _drag(page: Any, across: float, down: float) -> None:
    box = page.locator(".pane canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + across * box["width"], y + down * box["height"], steps=4)
    page.mouse.up()


def _key(page: Any, *keys: str) -> None:
    page.locator(".pane canvas").first.focus()
    for key in keys:
        page.keyboard.press(key)


def test_dragging_changes_level_and_width_as_its_formula_says(page: Any) -> None:
    _show(page, View(_film()))
    assert _pixel(page)[0] == pytest.approx(127, abs=3)
    _drag(page, -0.4, 0.2)
    # Level 0.7, width 0.6: the middle grey, 0.5, is a sixth of the way up the window 0.4 to 1.
    assert _pixel(page)[0] == pytest.approx(255 / 6, abs=6)
    assert "level 70 %, width 60 %" in page.locator(".status").inner_text()
    assert page.locator("[data-set=preset]").input_value() == "own"


def test_level_and_width_can_be_set_without_a_mouse_and_by_name(page: Any) -> None:
    _show(page, View(_film()))
    page.get_by_label("Level").fill("25")
    assert _pixel(page)[0] == pytest.approx(255 * 0.75, abs=4)
    page.get_by_label("Greys").select_option("full")
    assert _pixel(page)[0] == pytest.approx(127, abs=3)
    page.get_by_label("Greys").select_option("auto")
    assert page.locator("[data-set=preset]").input_value() in ("auto", "full")


def test_inverting_twice_is_nothing_and_once_is_the_negative(page: Any) -> None:
    _show(page, View(_film()))
    before = _pixel(page, 0.4)[0]
    _key(page, "i")
    assert _pixel(page, 0.4)[0] == pytest.approx(255 - before, abs=1)
    _key(page, "i")
    assert _pixel(page, 0.4)[0] == before


def test_a_flip_warns_and_takes_the_patients_side_along(page: Any) -> None:
    _show(page, View(_film()))
    right, warning = page.locator(".side.right").first, page.locator(".warning").first
    assert right.get_attribute("data-edge") == "left" and not warning.is_visible()
    before = _pixel(page, 0.4)[0]
    _key(page, "h")
    assert _pixel(page, 0.6)[0] == pytest.approx(before, abs=3)
    assert warning.is_visible() and warning.inner_text() == "Flipped: left and right are swapped"
    assert right.get_attribute("data-edge") == "right"
    assert "flipped: left and right are swapped" in page.locator(".status").inner_text()
    page.get_by_role("button", name="Flip").click()
    _pixel(page)
    assert not warning.is_visible() and right.get_attribute("data-edge") == "left"


def test_a_quarter_turn_clockwise_takes_the_left_edge_to_the_top(page: Any) -> None:
    _show(page, View(_film()))
    edges = []
    for _ in range(4):
        _key(page, "r")
        _pixel(page)
        edges.append(page.locator(".side.right").first.get_attribute("data-edge"))
    assert edges == ["top", "right", "bottom", "left"]
    _key(page, "h", "r")
    # What the eye sees turns clockwise, mirrored or not: the right edge goes to the bottom.
    _pixel(page)
    assert page.locator(".side.right").first.get_attribute("data-edge") == "bottom"


def test_the_other_keys_of_ohif_turn_back_flip_over_and_choose_greys(page: Any) -> None:
    _show(page, View(_film()))
    right = page.locator(".side.right").first
    _key(page, "r", "r", "l")
    _pixel(page)
    assert right.get_attribute("data-edge") == "top"
    _key(page, "l", "v")
    # Upside down: the patient's right stays at the left, and the film is mirrored all the same.
    _pixel(page)
    assert right.get_attribute("data-edge") == "left" and page.locator(".warning").first.is_visible()
    _key(page, "v", "3")
    assert _pixel(page)[0] == pytest.approx(255 * 0.9, abs=4)
    assert page.locator("[data-set=preset]").input_value() == "dark"
    _key(page, "1")
    assert _pixel(page)[0] == pytest.approx(127, abs=3) and not page.locator(".warning").first.is_visible()


DIRECTIONS = {"R": "L", "L": "R", "A": "P", "P": "A", "H": "F", "F": "H"}
MIDDLES = {"left": (0.1, 0.5), "right": (0.9, 0.5), "top": (0.5, 0.1), "bottom": (0.5, 0.9)}


def _marks(page: Any) -> dict[str, str]:
    """Return what stands at the edges of the first pane: edge -> text."""
    marks = page.locator(".pane").first.locator(".side:visible")
    return {mark.get_attribute("data-edge"): mark.inner_text() for mark in marks.all()}


@pytest.mark.parametrize(
    "turns", [[], ["r"], ["r", "r"], ["l"], ["h"], ["v"], ["h", "r"], ["r", "h"]], ids="".join
)
def test_every_mark_stands_where_the_film_lies_towards_it(page: Any, turns: list[str]) -> None:
    """Brightness is the proof: it rises steeply along the rows of each film, and slowly along its columns."""
    steps = np.linspace(0, 1, 100, dtype=np.float32)
    film = replace(_film(view=None), pixels=0.7 * steps[None] + 0.3 * steps[:, None])
    for across, down in ((a, d) for a in DIRECTIONS for d in DIRECTIONS if d not in (a, DIRECTIONS[a])):
        _show(page, View(replace(film, orientation=(across, down))))
        _key(page, *turns)
        seen = {edge: _pixel(page, *_on_film(page, place))[0] for edge, place in MIDDLES.items()}
        marks = _marks(page)
        if len(marks) == 2 and {across, down} & {"H", "F"}:
            marks |= {"top": "H", "bottom": "F"}  # head up goes without saying
        expected = [DIRECTIONS[across], DIRECTIONS[down], down, across]
        assert [marks[edge] for edge in sorted(seen, key=seen.__getitem__)] == expected, (across, down)


def _on_film(page: Any, place: tuple[float, float]) -> tuple[float, float]:
    """Return where on the canvas a place of a square film at zoom 1 lies, both in shares."""
    box = page.locator(".pane canvas").first.bounding_box()
    side = min(box["width"], box["height"])
    across, down = (
        0.5 + (share - 0.5) * side / box[length]
        for share, length in zip(place, ("width", "height"), strict=True)
    )
    return across, down


def test_sides_that_no_file_states_have_a_question_mark(page: Any) -> None:
    _show(page, View(_film(view=None)))
    assert _marks(page) == {"left": "R?", "right": "L?"}
    status = page.locator(".status").inner_text()
    assert "Patient's right is at the left (R?). This is assumed" in status
    _show(page, View(_film(view="PA", sha256="c" * 64)))
    assert _marks(page) == {"left": "R", "right": "L"}
    assert "assumed" not in page.locator(".status").inner_text()


def test_a_lateral_film_that_states_its_orientation_has_front_and_back(page: Any) -> None:
    _show(page, View(_film(view="LATERAL", orientation=("A", "F"))))
    assert _marks(page) == {"left": "P", "right": "A"}
    assert "Patient's front is at the right (A)" in page.locator(".status").inner_text()


def test_a_lateral_film_has_no_sides(page: Any) -> None:
    _show(page, View(_film(view="LATERAL")))
    assert not page.locator(".side.right").first.is_visible()
    assert "Lateral X-ray" in page.locator(".status").inner_text()


def test_the_scale_bar_is_as_long_as_it_says(page: Any) -> None:
    _show(page, View(_film()))
    for _ in range(3):
        bar, text = page.locator(".scale i").first, page.locator(".scale b").first
        centimetres = float(text.inner_text().split()[0])
        fitted = page.locator(".pane canvas").first.bounding_box()
        zoom = float(page.locator(".status").inner_text().split("Zoom ")[1].split(",")[0])
        pixels_mm = min(fitted["height"] / ROWS, fitted["width"] / COLUMNS) * zoom / 0.5
        assert bar.bounding_box()["width"] == pytest.approx(10 * centimetres * pixels_mm, rel=0.05)
        _key(page, "+", "+", "+")
        _pixel(page)
    _show(page, View(_film(spacing_mm=None)))
    assert not page.locator(".scale").first.is_visible()


def test_keys_zoom_move_and_bring_the_film_back(page: Any) -> None:
    _show(page, View(_film()))
    before = [_pixel(page, across) for across in (0.3, 0.5, 0.6)]
    _key(page, "+", "ArrowRight", "ArrowDown", "w", "i", "h")
    assert [_pixel(page, across) for across in (0.3, 0.5, 0.6)] != before
    _key(page, " ")
    assert [_pixel(page, across) for across in (0.3, 0.5, 0.6)] == before
    _key(page, "z")
    assert page.locator("[data-tool=zoom]").get_attribute("aria-pressed") == "true"
    _drag(page, 0, -0.2)
    assert "Zoom 1.8" in page.locator(".status").inner_text()
    _key(page, "Escape")
    assert page.locator("[data-tool=window]").get_attribute("aria-pressed") == "true"


def test_the_wheel_zooms_only_a_film_that_is_in_use(page: Any) -> None:
    _show(page, View(_film()))
    page.locator(".pane canvas").first.hover()
    page.mouse.wheel(0, -120)
    _pixel(page)
    assert "Zoom 1.0" in page.locator(".status").inner_text()
    page.locator(".pane canvas").first.click()
    page.mouse.wheel(0, -120)
    _pixel(page)
    assert "Zoom 1.3" in page.locator(".status").inner_text()


def test_opacity_and_threshold_change_what_has_evidence_and_nothing_else(page: Any) -> None:
    strength = np.zeros((ROWS, COLUMNS), np.float32)
    strength[:, : COLUMNS // 2] = 0.5
    _show(page, View(_film(), strength_hw=strength))
    evidence, none = (0.4, 0.5), (0.6, 0.5)
    painted = _pixel(page, *evidence)
    expected = cam.paint(_film().pixels, strength, 1.0, 0.6)[ROWS // 2, COLUMNS // 2 - 1]
    assert np.abs(np.array(_pixel(page, 0.495, 0.5)) - expected).max() <= 6
    bare = _pixel(page, *none)
    assert bare[0] == bare[1] == bare[2]
    page.get_by_label("Opacity").fill("100")
    assert _pixel(page, *evidence) != painted and _pixel(page, *none) == bare
    page.get_by_label("Hide below").fill("60")
    grey = _pixel(page, *evidence)
    assert grey[0] == grey[1] == grey[2] and _pixel(page, *none) == bare
    page.get_by_label("Hide below").fill("0")
    page.get_by_role("combobox", name="Colours").select_option("Ice")
    assert _pixel(page, *evidence) != grey
    page.get_by_label("Map", exact=True).uncheck()
    assert _pixel(page, *evidence) == grey


def test_a_map_without_evidence_changes_no_pixel(page: Any) -> None:
    places = [(x / 10, y / 10) for x in range(1, 10) for y in range(1, 10, 2)]
    _show(page, View(_film()))
    bare = [_pixel(page, *place) for place in places]
    _show(page, View(_film(), strength_hw=np.zeros((8, 8), np.float32)))
    page.get_by_label("Opacity").fill("100")
    page.get_by_label("Contours").check()
    assert [_pixel(page, *place) for place in places] == bare


def test_an_outline_lies_on_the_edge_of_its_mask(page: Any) -> None:
    mask = np.zeros((ROWS, COLUMNS), bool)
    mask[50:150, 40:120] = True
    _show(page, View(_film(), masks=(mask,)))
    box = page.locator(".pane canvas").first.bounding_box()
    wide = box["height"] / ROWS * COLUMNS / box["width"]
    left_edge = 0.5 + (40 / COLUMNS - 0.5) * wide
    red, _, blue = _pixel(page, left_edge, 0.5)
    assert red > 200 and blue < 120
    inside = _pixel(page, 0.5, 0.5)
    assert inside[0] == inside[2]


def test_two_films_move_together_until_they_are_parted(page: Any) -> None:
    second = _film(sha256="b" * 64, view="LATERAL")
    _show(page, View(_film()), View(second, title="Lateral"))
    _key(page, "i")
    assert max(_pixel(page, 0.6, 0.5, which)[0] for which in (0, 1)) < 127
    box = page.locator(".pane canvas").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5)
    assert page.locator(".cross").nth(1).is_visible()
    page.get_by_label("Move both images together").uncheck()
    _key(page, "i")
    assert _pixel(page, 0.6, 0.5, 0)[0] > 127 > _pixel(page, 0.6, 0.5, 1)[0]


def test_words_of_a_film_stay_words(page: Any) -> None:
    _show(page, View(_film(), alt=HOSTILE, title=HOSTILE))
    assert page.locator(".title").first.inner_text() == " ".join(HOSTILE.split())
    assert page.get_by_role("img", name="a nodule of ~1.5 cm~").count() == 1
    assert page.locator("img, script, iframe").count() == 0


def test_a_ruler_measures_in_millimetres_and_two_lines_give_their_ratio(page: Any) -> None:
    _show(page, View(_film()))
    box = page.locator(".pane canvas").first.bounding_box()
    scale = min(box["width"] / COLUMNS, box["height"] / ROWS)
    _key(page, "d")
    _drag(page, 0.2, 0)
    across = 0.5 * 0.2 * box["width"] / scale
    assert f"Measured: {across:.0f} mm." in _status(page)
    _drag(page, 0, 0.1)
    down = 0.5 * 0.1 * box["height"] / scale
    ratio = min(across, down) / max(across, down)
    assert f"{across:.0f} mm, {down:.1f} mm; ratio {ratio:.2f}." in _status(page)
    # A click is no line; a turned film keeps its lines.
    _drag(page, 0, 0)
    _key(page, "r")
    assert "Measured: " in _status(page) and "ratio" not in _status(page)
    _key(page, "=")
    assert "Measured" not in _status(page)


def test_a_ruler_works_by_keys_and_says_shares_where_no_size_is_stated(page: Any) -> None:
    _show(page, View(_film(spacing_mm=None)))
    _key(page, "d", "Enter", *["ArrowRight"] * 10, "Enter")
    assert "Measured: 10 % of the width." in _status(page)
    _key(page, "Enter", *["Shift+ArrowDown"] * 4, "Enter")
    # A fifth of 200 rows is a quarter of 160 columns.
    assert "10 % of the width, 25 % of the width; ratio 0.40." in _status(page)
    _key(page, "Backspace")
    assert "Measured: 10 % of the width." in _status(page)
    _key(page, "Escape", "ArrowRight")
    assert _pixel(page, 0.55, 0.3)[0] == pytest.approx(127, abs=6)


def test_the_magnifier_enlarges_what_lies_under_the_pointer_alone(page: Any) -> None:
    _show(page, View(_film()))
    box = page.locator(".pane canvas").first.bounding_box()
    before = [_pixel(page, 0.5 + away)[0] for away in (0, 0.05, 0.3)]
    page.get_by_role("button", name="Magnifier").click()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    after = [_pixel(page, 0.5 + away)[0] for away in (0, 0.05, 0.3)]
    assert after[0] == pytest.approx(before[0], abs=3) and after[2] == before[2]
    assert after[1] - after[0] == pytest.approx((before[1] - before[0]) / 2.5, abs=3)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] - 40)
    assert [_pixel(page, 0.5 + away)[0] for away in (0, 0.05, 0.3)] == before
