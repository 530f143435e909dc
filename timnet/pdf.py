"""One page for a Reading: film, map, numbers and where they come from, as a PDF.

Owns the page's layout and what may stand on it: no file name, no tag, no date of making; the words of the
findings with names, dates and numbers marked (`reading.marked`). What does not fit or cannot be written is
counted, never dropped in silence. The same Reading gives the same bytes.
Source: ISO 32000 by way of fpdf2; DejaVu Sans from assets/font.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PIL import Image

from timnet import __version__, config, performance
from timnet.films import letterbox
from timnet.pdf_sheet import GREY, ORANGE, PICTURE, Row, Sheet
from timnet.reading import marked

if TYPE_CHECKING:
    from timnet.reading import Reading


def page(reading: Reading, name: str, *, simulated: bool = False) -> bytes:
    """Return a Reading with one of its maps as a PDF of one page.

    Args:
        reading: of either kind of network.
        name: the map to show, one of `reading.maps`.
        simulated: whether the film is known to be simulated.

    Raises:
        ReadingError: there is no map of that name.
    """
    sheet = Sheet()
    sheet.line(config.RESEARCH_USE, 9, colour=ORANGE, bold=True)
    sheet.line("Reading of a chest X-ray by a network", 15, bold=True)
    if reading.doubt:
        sheet.line(f"Read at the reader's wish: {reading.doubt}.", 9, colour=ORANGE, bold=True)
    sheet.space(1)
    _pictures(sheet, reading, name, simulated)
    sheet.space(1.5)
    tail = [
        (
            "Network",
            f"{reading.checkpoint}, reads {reading.side} x {reading.side} pixels; timnet {__version__}",
        ),
        ("Its summary", reading.card.summary if reading.card else "This network has no model card."),
        ("Its probabilities", _calibration(reading)),
        ("Fingerprint of its weights", reading.weights_sha256),
        ("X-ray", _film(reading)),
        *([("Notes on the X-ray", "; ".join(reading.film.notes))] if reading.film.notes else []),
        ("Fingerprint of the X-ray's file", reading.film.sha256),
    ]
    below = sheet.height_of(tail)
    if reading.match is not None:
        sheet.line(f"Match probability {reading.match:.3f}", 12, bold=True)
        sheet.line(reading.trust, 9, bold=True)
        if reading.rank:
            sheet.line(reading.rank.sentence, 9)
        if reading.explanation:
            sheet.line(reading.explanation.sentence, 9, bold=True)
        sheet.line(
            "Near 1: the report fits this X-ray. Near 0: it fits another one better. About 0.5: undecided. "
            "It says nothing about whether the findings are correct. Below, the findings with each "
            "sentence's own match probability; names, "
            f"dates and numbers of known forms are marked. Section read: {reading.section}.",
            7.5,
            colour=GREY,
        )
        if reading.long_text:
            sheet.line(reading.long_text, 7.5, colour=ORANGE)
        rows = [Row(marked(words), p) for words, p in reading.sentences]
        sheet.table(rows, below, "sentence")
    else:
        sheet.line("Probability of each label", 12, bold=True)
        sheet.line(reading.trust, 9, bold=True)
        if reading.too_weak:
            sheet.line(reading.too_weak, 7.5, colour=ORANGE)
        rows = [Row(_judged(reading, label), p) for label, p in reading.probabilities.items()]
        sheet.table(sorted(rows, key=lambda row: -row.probability), below, "label")
    sheet.facts(tail)
    return sheet.done()


def _calibration(reading: Reading) -> str:
    sure = reading.certainty
    if not sure.lines:
        return "not calibrated: treat the number as a score, not a probability"
    return f"calibrated on {sure.fitted_on}; not for other X-rays"


def _judged(reading: Reading, label: str) -> str:
    verdict, measured = reading.verdict(label), performance.headline(reading.card, label)
    worth = f" (on real X-rays: auROC {performance.figures(measured)})" if measured else ""
    return f"{label}: {verdict}{worth}" if verdict else f"{label}{worth}"


def _film(reading: Reading) -> str:
    film = reading.film
    spacing = " x ".join(f"{mm:g}" for mm in film.spacing_mm) + " mm" if film.spacing_mm else "not stated"
    sides = film.sides
    stated = "" if sides.stated else " (assumed)"
    edges = f"left edge {sides.left}, right edge {sides.right}{stated}" if sides.left else "sides not marked"
    return (
        f"{film.kind.upper()}, {film.rows} rows x {film.columns} columns, {film.bits} bits; "
        f"view {film.view or 'not stated'}; pixel spacing {spacing}; {edges}"
    )


def _pictures(sheet: Sheet, reading: Reading, name: str, simulated: bool) -> None:
    small = replace(reading, film=letterbox.smaller(reading.film, PICTURE))
    painted = Image.fromarray(small.overlay(name))
    plain = Image.fromarray(letterbox.to_uint8(small.film.pixels))
    whole = "the whole text" if name == "match" else marked(name)
    shown = "Simulated X-ray, not a patient's" if simulated else "The X-ray"
    pictures = [(plain, shown), (painted, f"With the map of: {whole}")]
    sheet.pictures(pictures, reading.film.sides.marks())
    sheet.scale(f"full strength: {reading.map_scale:.3g} logits")
    sheet.line(
        f"{reading.shows(name)} Evidence: {reading.strength(name)}. The scale is the same for every X-ray of "
        f"this network. {config.MAP_LIMITS}",
        7.5,
        colour=GREY,
    )
