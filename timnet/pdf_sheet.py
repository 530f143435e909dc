"""One sheet of a PDF: lines, tables, pictures and scales, set from the top."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from fpdf import FPDF
from PIL import Image

from timnet import config
from timnet.counting import counted, verb
from timnet.evaluation.maps import cam
from timnet.films.hanging import EDGES

PICTURE = 900
"""Longest side of a film on the page, in its pixels: about 250 a inch."""
_FONTS = config.ASSETS / "font"
_FONT = "DejaVu"
_NO_DATE = datetime(1970, 1, 1, tzinfo=UTC)
_UNKNOWN = "�"
_MARGIN, _WIDTH, _FOOT = 14.0, 182.0, 277.0
"""Of an A4 page, in mm: margin, width between margins, where the last line must end."""
_HIGHEST = 104.0
_GAP = 4.0
_STEPS = 48
"""Of the drawn scale of colours."""
GREY, _BLACK, ORANGE = (95, 95, 95), (20, 20, 20), (176, 84, 0)


@dataclass(frozen=True)
class Row:
    """A line of the page's table."""

    words: str
    probability: float


class Sheet:
    """A page being written from top to bottom."""

    def __init__(self) -> None:
        self._pdf = FPDF(format="A4")
        self._pdf.set_creation_date(_NO_DATE)
        self._pdf.set_title("timnet: reading of a chest X-ray. " + config.RESEARCH_USE)
        self._pdf.set_lang("en")
        self._pdf.set_image_filter("FlateDecode")
        self._pdf.set_auto_page_break(False)
        self._pdf.set_margins(_MARGIN, _MARGIN)
        self._pdf.c_margin = 0
        self._pdf.add_font(_FONT, "", _FONTS / "DejaVuSans.ttf")
        self._pdf.add_font(_FONT, "B", _FONTS / "DejaVuSans-Bold.ttf")
        self._pdf.add_page()
        self._pdf.set_font(_FONT, "", 9)
        self._known = set(self._pdf.fonts[_FONT.lower()].cmap)  # type: ignore[union-attr]
        self._strange: set[str] = set()

    def line(
        self, words: str, size: float, colour: tuple[int, int, int] = _BLACK, bold: bool = False
    ) -> None:
        """Write a paragraph over the page's whole width."""
        self._pdf.set_font(_FONT, "B" if bold else "", size)
        self._pdf.set_text_color(*colour)
        self._pdf.multi_cell(
            _WIDTH, size * 0.46, self._writable(words), align="L", new_x="LMARGIN", new_y="NEXT"
        )

    def space(self, millimetres: float) -> None:
        """Leave a gap."""
        self._pdf.set_y(self._pdf.get_y() + millimetres)

    def pictures(self, pictures: Sequence[tuple[Image.Image, str]], marks: Mapping[str, str]) -> None:
        """Show pictures of one size beside each other, each with what it is and a mark at edges of it."""
        width = (_WIDTH - _GAP * (len(pictures) - 1)) / len(pictures)
        image = pictures[0][0]
        height = min(width * image.height / image.width, _HIGHEST)
        shown = height * image.width / image.height
        top = self._pdf.get_y()
        for i, (picture, words) in enumerate(pictures):
            left = _MARGIN + i * (width + _GAP)
            self._pdf.image(
                picture, left + (width - shown) / 2, top, shown, height, alt_text=self._writable(words)
            )
            self._marks(marks, left + (width - shown) / 2, top, shown, height)
            self._pdf.set_xy(left, top + height + 1)
            self._pdf.set_font(_FONT, "", 8)
            self._pdf.set_text_color(*_BLACK)
            self._pdf.cell(width, 4, self._cut(self._writable(words), width), align="C")
        self._pdf.set_xy(_MARGIN, top + height + 6)

    def _marks(self, marks: Mapping[str, str], left: float, top: float, width: float, height: float) -> None:
        wide, high = 5.0, 4.0
        self._pdf.set_font(_FONT, "B", 9)
        self._pdf.set_text_color(255, 255, 255)
        self._pdf.set_fill_color(0, 0, 0)
        for edge, letter in marks.items():
            across, down = EDGES[edge]
            self._pdf.set_xy(left + across * (width - wide), top + down * (height - high))
            self._pdf.cell(wide, high, letter, align="C", fill=True)

    def scale(self, full: str) -> None:
        """Draw the colours of a map, from no evidence to full strength."""
        colours = cam.scale_bar(_STEPS, 1)[0].tolist()
        top, step = self._pdf.get_y(), _WIDTH / 3 / _STEPS
        left = _MARGIN + _WIDTH / 3
        for i, colour in enumerate(colours):
            self._pdf.set_fill_color(*colour)
            self._pdf.rect(left + i * step, top, step, 2.6, "F")
        self._pdf.set_font(_FONT, "", 7.5)
        self._pdf.set_text_color(*GREY)
        self._pdf.set_xy(_MARGIN, top - 0.4)
        self._pdf.cell(_WIDTH / 3 - 2, 3.4, "no evidence", align="R")
        self._pdf.set_x(left + _WIDTH / 3 + 2)
        self._pdf.cell(0, 3.4, full)
        self._pdf.set_xy(_MARGIN, top + 4)

    def table(self, rows: Sequence[Row], below: float, unit: str) -> None:
        """Write a line or more a row, probability first, as far as they fit.

        Args:
            below: height in mm that must stay free under them.
            unit: what a row is, for the words about those left out.
        """
        self.space(1)
        size, pitch, number = 8.0, 3.9, 14.0
        last = _FOOT - below - 2 * pitch
        for i, row in enumerate(rows):
            words = self._writable(row.words)
            lines = self._wrapped(words, size, _WIDTH - number)
            if self._pdf.get_y() + pitch * len(lines) > last:
                left = len(rows) - i
                self.line(
                    f"and {left} more {unit}{'s' * (left > 1)}, for which this page has no room.",
                    size,
                    ORANGE,
                )
                break
            self._pdf.set_text_color(*_BLACK)
            self._pdf.cell(number, pitch, f"{row.probability:.3f}")
            self._pdf.multi_cell(_WIDTH - number, pitch, words, align="L", new_x="LMARGIN", new_y="NEXT")

    def height_of(self, facts: Sequence[tuple[str, str]]) -> float:
        """Return the height that `facts` takes, in mm."""
        return 4.0 + sum(3.5 * len(self._wrapped(words, 7.5, _WIDTH - 48)) for _, words in facts) + 3.5

    def facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """Write what is known, name and words, under a rule."""
        self.space(2)
        self._pdf.set_draw_color(*GREY)
        self._pdf.line(_MARGIN, self._pdf.get_y(), _MARGIN + _WIDTH, self._pdf.get_y())
        self.space(2)
        for name, words in facts:
            wrapped = self._wrapped(words, 7.5, _WIDTH - 48)
            self._pdf.set_text_color(*GREY)
            self._pdf.cell(48, 3.5, name)
            self._pdf.set_text_color(*_BLACK)
            self._pdf.multi_cell(
                _WIDTH - 48, 3.5, "\n".join(wrapped), align="L", new_x="LMARGIN", new_y="NEXT"
            )

    def done(self) -> bytes:
        """Write the foot and return the page's bytes."""
        if self._strange:
            number = len(self._strange)
            self.line(
                f"{counted(number, 'character')} that this page's font does not hold {verb(number)} shown as "
                f"{_UNKNOWN}.",
                7.5,
                ORANGE,
            )
        self._pdf.set_y(_FOOT + 4)
        self.line(f"timnet. {config.RESEARCH_USE}", 8, colour=ORANGE)
        return bytes(self._pdf.output())

    def _wrapped(self, words: str, size: float, width: float) -> list[str]:
        self._pdf.set_font(_FONT, "", size)
        lines = self._pdf.multi_cell(width, 4, self._writable(words), align="L", dry_run=True, output="LINES")
        return cast(list[str], lines)

    def _cut(self, words: str, width: float) -> str:
        if self._pdf.get_string_width(words) <= width:
            return words
        while words and self._pdf.get_string_width(words + " …") > width:
            words = words[:-1]
        return words.rstrip() + " …"

    def _writable(self, words: str) -> str:
        """Return words on one line, without invisible characters, unknown ones replaced and counted."""
        composed = unicodedata.normalize("NFC", " ".join(words.split()))
        visible = [each for each in composed if unicodedata.category(each)[0] != "C"]
        self._strange.update(each for each in visible if ord(each) not in self._known)
        return "".join(each if ord(each) in self._known else _UNKNOWN for each in visible)
