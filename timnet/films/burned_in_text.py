"""Text in a film's pixels: bright, thin marks in a row near the border, as burned-in names and dates are.

Owns a light detector that says where a person should look. It reads no letters and misses what is faint,
handwritten or inside the lungs. Refuses nothing; side markers are single letters, and too few to be noticed.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from timnet.films import frontal_check
from timnet.films.film import Film

REMARK = (
    "films with marks near the border that look like text: expected of side and position markers, to be "
    "looked through for names and dates"
)
MARGIN = 0.15
"""Share of the film's longer side that counts as its border."""
LEAST_GLYPHS = 5

_LARGEST = 2048  # pixels of the longer side that are looked at
_STROKE = 9  # pixels: thicker marks are no letters
_CONTRAST = 0.3  # above the darkest of a stroke's surroundings
_MOST_GLYPHS = 2000  # in a strip: more are noise
_HEIGHTS = (7, 0.05)  # pixels, share of the longer side


def remark(film: Film) -> str | None:
    """Return REMARK if a film seems to hold a line of text near its border, else as `chest.remark`."""
    return REMARK if has_text(film.pixels) else frontal_check.remark(film)


def has_text(px_HW: np.ndarray) -> bool:
    """Tell whether at least LEAST_GLYPHS letter-like marks of one size and one grey stand in a row.

    Args:
        px_HW: (height, width) float in [0, 1].
    """
    step = -(-max(px_HW.shape) // _LARGEST)
    px_HW = px_HW[::step, ::step]
    margin, highest = round(MARGIN * max(px_HW.shape)), _HEIGHTS[1] * max(px_HW.shape)
    inner = px_HW[margin:-margin]
    strips = px_HW[:margin], px_HW[-margin:], inner[:, :margin], inner[:, -margin:]
    # Text that was white before a MONOCHROME1 film was inverted is black now.
    return any(_has_row(side, highest) for strip in strips for side in (strip, 1 - strip) if strip.size)


def _has_row(px_HW: np.ndarray, highest: float) -> bool:
    """Tell whether a strip holds a row of bright glyphs."""
    # The white top hat keeps what is brighter than its surroundings and thinner than a stroke.
    strokes = px_HW - ndimage.grey_opening(px_HW, size=(_STROKE, _STROKE)) > _CONTRAST
    labels, _ = ndimage.label(strokes, structure=np.ones((3, 3)))
    glyphs = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if not _HEIGHTS[0] <= height <= highest or width > 1.3 * height:
            continue
        mark = labels[rows, columns] == number
        # A letter fills a part of its box, but for I and 1.
        if width > 0.35 * height and not 0.15 <= mark.mean() <= 0.8:
            continue
        glyphs.append(
            (rows.start, columns.start, height, width, float(np.median(px_HW[rows, columns][mark])))
        )
    if len(glyphs) > _MOST_GLYPHS:
        return False
    glyphs.sort(key=lambda glyph: glyph[1])
    return any(_row_length(glyphs, first) >= LEAST_GLYPHS for first in range(len(glyphs)))


def _row_length(glyphs: list[tuple[int, int, int, int, float]], first: int) -> int:
    """Count the marks, sorted from the left, that follow one at letter distance, in its size and grey."""
    top, left, height, width, grey = glyphs[first]
    right, count = left + width, 1
    for other_top, other_left, other_height, other_width, other_grey in glyphs:
        if other_left < right or other_left - right > 1.2 * height:
            continue
        is_alike = abs(other_height - height) <= 0.25 * height and abs(other_grey - grey) <= 0.12
        if is_alike and abs(other_top + other_height - top - height) <= 0.25 * height:
            right, count = other_left + other_width, count + 1
    return count
