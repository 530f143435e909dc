"""A Reading as one picture that can leave the app: the image with its map, its sides, and the legend below.

Owns the layout. The image's own pixels stay as they are: sides stand in the margin, words below. The words of
a report are marked as in `Reading.as_dict`; no file name and no DICOM tag is written.
Source of the letters: DejaVu Sans from assets/font.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from timnet import __version__, config
from timnet.evaluation.maps import cam
from timnet.films.hanging import EDGES

if TYPE_CHECKING:
    from timnet.reading import Reading

_FONTS = config.ASSETS / "font"
_SMALLEST, _A_LINE = 14, 60
"""Smallest letters in pixels, and how many of them the image's width holds at least."""
_WHITE, _GREY, _ORANGE = (235, 235, 235), (165, 165, 165), (255, 170, 80)
Line = tuple[str, bool, tuple[int, int, int]]
"""Words, whether bold, colour."""


def letters(width: int) -> int:
    """Return the size of the letters for an image so many pixels wide: the image's margin is twice that."""
    return max(_SMALLEST, width // _A_LINE)


def picture(reading: Reading, name: str, *, simulated: bool = False) -> Image.Image:
    """Return the image at full size with a map over it, its sides in the margin and the legend below.

    Args:
        reading: of either kind of network.
        name: the map to show, one of `reading.maps`.
        simulated: whether the image is known to be simulated.

    Raises:
        ReadingError: there is no map of that name.
    """
    painted = Image.fromarray(reading.overlay(name))
    size = letters(painted.width)
    margin, pitch = 2 * size, size + size // 2
    inner = max(painted.width, _A_LINE * size // 2)
    fonts = [
        ImageFont.truetype(str(_FONTS / f"{file}.ttf"), size) for file in ("DejaVuSans", "DejaVuSans-Bold")
    ]
    lines = [
        (part, bold, colour)
        for words, bold, colour in _words(reading, name, simulated)
        for part in _wrapped(words, fonts[bold], inner)
    ]
    top = painted.height + 2 * margin
    sheet = Image.new("RGB", (inner + 2 * margin, top + (len(lines) + 3) * pitch))
    sheet.paste(painted, (margin, margin))
    draw = ImageDraw.Draw(sheet)
    for edge, letter in reading.film.sides.marks().items():
        across, down = EDGES[edge]
        place = size + across * (painted.width + margin), size + down * (painted.height + margin)
        draw.text(place, letter, _WHITE, fonts[1], anchor="mm")
    sheet.paste(Image.fromarray(cam.scale_bar(inner, size)), (margin, top))
    draw.text((margin, top + pitch), "no evidence", _GREY, fonts[0])
    full = f"full strength: {reading.map_scale:.3g} logits"
    draw.text((margin + inner, top + pitch), full, _GREY, fonts[0], anchor="ra")
    for i, (words, bold, colour) in enumerate(lines):
        draw.text((margin, top + (i + 2) * pitch + pitch // 2), words, colour, fonts[bold])
    return sheet


def _words(reading: Reading, name: str, simulated: bool) -> list[Line]:
    """Return the legend's paragraphs."""
    number = reading.number(name)
    sides = reading.film.sides
    lines: list[Line] = [
        (number, True, _WHITE),
        (reading.trust, True, _ORANGE),
        (f"{reading.shows(name)} Evidence: {reading.strength(name)}.", False, _WHITE),
        (config.MAP_LIMITS, False, _GREY),
    ]
    if simulated:
        lines.insert(0, ("Simulated X-ray, not a patient's", True, _WHITE))
    if reading.doubt:
        lines.append((f"Read at the reader's wish: {reading.doubt}.", False, _ORANGE))
    if sides.marks() and not sides.stated:
        lines.append(("R?, L?: sides are assumed, the file does not state them.", False, _GREY))
    lines += [(f"Note: {note}", False, _GREY) for note in reading.film.notes]
    traced = (
        f"timnet {__version__}, network {reading.checkpoint}, weights {reading.weights_sha256[:12]}, "
        f"image {reading.film.sha256[:12]}"
    )
    return [*lines, (traced, False, _GREY), (config.RESEARCH_USE, True, _ORANGE)]


def _wrapped(words: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    # By the mean width of these very letters, with some room for wide ones.
    mean = font.getlength(words) / max(len(words), 1) or 1
    return textwrap.wrap(words, max(int(0.92 * width / mean), 1))
