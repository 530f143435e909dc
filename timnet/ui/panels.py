"""Pieces that several pages show: a film from outside, a film beside its map, a run's progress.

Whatever comes from a file or a report is shown as literal text or in tables, never as markdown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from timnet import config, files, performance
from timnet.cards import Card
from timnet.cohorts.readers.demo import Truth
from timnet.config import declared
from timnet.evaluation import explanation
from timnet.films.film import Film
from timnet.ui import cache, download, notices, reading_room, viewer
from timnet.ui.checkpoints import Checkpoint, meant

if TYPE_CHECKING:
    from timnet.reading import Reading
    from timnet.reports.edits import Edit

ONE, TWO = "With map", "Side by side"
OVER, OWN = "Against a normal report", "One pass"
METHODS = ("GradCAM++", "LayerCAM", "HiResCAM", "EigenCAM")
_METHOD = (
    "One pass: this app's own maps of all labels from one reading, on an absolute scale. The others are "
    "pytorch-grad-cam's, for comparison; EigenCAM shows the same for every label."
)
_METHOD_OF_TEXT = (
    "Against a normal report: areas that support this report compared with a normal one. One pass: areas "
    "that support it, compared with no other (Grad-CAM, as in the paper). The others are pytorch-grad-cam's, "
    "for comparison; EigenCAM shows the same for every text."
)
MAP_SIDE = 256
"""Longest side of a map on a page: the network's grid is far coarser."""
WIDE = 0.6
"""Share of a map's cells above half strength from which on it points nowhere."""


def choose(checkpoints: list[Checkpoint], label: str, key: str, simulated: bool | None = None) -> Checkpoint:
    """Ask for a checkpoint, in a bar that stands already, and offer its card.

    Args:
        checkpoints: to choose from, the most recommended first.
        simulated: whether the X-ray is simulated, where one is there: until the reader has chosen a network
            it is one that is recommended for such X-rays.
    """
    by_name = {checkpoint.name: checkpoint for checkpoint in checkpoints}
    # A link may name one; taken once, so that another choice stays.
    if st.query_params.get(key) in by_name:
        st.session_state[key] = st.query_params.pop(key)
        st.session_state[f"{key}_own"] = True
    elif linked := st.query_params.get(key):
        notices.not_here("network", linked)
    # Asked where the kind of X-ray changes, not at every look: a run that ends meanwhile changes nothing.
    if simulated is not None and simulated != st.session_state.get(f"{key}_for"):
        st.session_state[f"{key}_for"] = simulated
        if not st.session_state.get(f"{key}_own"):
            st.session_state[key] = meant(checkpoints, simulated).name
    name = st.selectbox(
        label,
        list(by_name),
        format_func=lambda each: by_name[each].title,
        key=key,
        persist_state="session",
        width=190,
        on_change=lambda: st.session_state.update({f"{key}_own": True}),
    )
    chosen = by_name.get(str(name), checkpoints[0])
    with st.popover("About", icon=":material/description:", key=f"{key}_card", help="About this network"):
        if chosen.card:
            st.text(chosen.card.summary)
            st.text(performance.trust(chosen.card))
        else:
            st.caption("No model card. What its folder says:")
            st.text(f"{chosen.name}: reads X-rays at {chosen.side} x {chosen.side} pixels")
            if chosen.labels:
                st.text("labels: " + ", ".join(chosen.labels))
            if isinstance(chosen.settings, config.Finetune):
                mode = declared.word(config.Finetune, "mode", chosen.settings.mode)
                st.text(f"what learned: {mode.lower()}")
        st.page_link(
            "pages/card.py",
            label="Model card of this network",
            icon=":material/fact_check:",
            query_params={"network": chosen.name},
        )
    return chosen


def outlines(truths: Mapping[str, Truth]) -> dict[str, list[np.ndarray]]:
    """Ask whether to show where the findings of simulated films lie; return each film's masks if so."""
    if not any(truth.findings for truth in truths.values()):
        return {}
    if not st.toggle("Show where the findings are", key="explore_truth"):
        return {}
    placed = [each for truth in truths.values() for each in truth.findings]
    words = dict.fromkeys(" ".join(filter(None, (each.facts["side"], each.kind))) for each in placed)
    st.caption("Outlined: " + notices.plain(", ".join(words).replace("_", " ")))
    return {path: [each.mask() for each in truth.findings] for path, truth in truths.items()}


def picture(
    place: Any, reading: Reading, name: str, key: str, network: Checkpoint, findings: str | None = None
) -> None:
    """Show the X-ray with one of its maps, and below it how it is shown and what the map means.

    Args:
        place: what the X-ray comes into.
        name: the map, by its name in the reading.
        key: start of the widgets' keys.
        network: what the reading is of, and `findings` what it was asked with: for maps by other methods.
    """
    ways, meaning = ([OWN], _METHOD) if reading.match is None else ([OVER, OWN], _METHOD_OF_TEXT)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        wanted = st.segmented_control(
            "Panes",
            [ONE, TWO],
            required=True,
            default=ONE,
            key=f"{key}_panes",
            label_visibility="collapsed",
            persist_state="session",
        )
        method = st.selectbox(
            "Map by",
            [*ways, *METHODS],
            key=f"{key}_method",
            help=meaning,
            width=230,
            label_visibility="collapsed",
        )
    reading, words = _by(str(method), reading, name, network, findings)
    views = [painted(reading, name, reading_room.titled(reading, name))]
    if wanted == TWO:
        views.insert(0, viewer.View(reading.film, title="X-ray"))
    with place:
        viewer.show(*views, key=f"{key}_viewer", height=reading_room.HEIGHT)
    st.caption(f"{words}  \n:material/info: {notices.MAP}")


def _by(
    method: str, reading: Reading, name: str, network: Checkpoint, findings: str | None
) -> tuple[Reading, str]:
    """Return a reading whose maps are by a method, and what the map of a name then means."""
    if method not in (OVER, OWN):
        return cache.by_library(network, reading, name, method, findings), (
            f"{method} by pytorch-grad-cam, stretched so that the strongest point is always full strength: a "
            "meaningless map shows a bright spot too, and two X-rays cannot be compared. Downloads keep the "
            "map that is shown first."
        )
    about, match = "", reading.match
    if match is not None and match < explanation.FITS:
        about = "The report does not fit this X-ray; painted is what speaks for it all the same. "
    if method == OVER:
        about += (
            "Areas that support this report compared with a normal one. For a normal report the map is "
            "nearly empty. "
        )
    elif match is not None:
        about += "Areas that support this report, compared with no other. "
        about += "Downloads keep the map shown first. "
        reading = replace(reading, maps=reading.alone)
    return reading, (
        f"{about}From weak (dark) to strong (bright) evidence, on one scale for every X-ray of this "
        f"network: where evidence is weak, the X-ray stays unpainted. Evidence: {reading.strength(name)}."
        f"{_extent(reading.maps[name] / reading.map_scale)}"
    )


def pair(place: Any, reading: Reading, edit: Edit, key: str) -> None:
    """Show the map of the text as given beside that of an edited one, in a place."""
    assert reading.match is not None
    after = next(probability for each, probability in reading.edits if each.name == edit.name)
    given, edited = f"Text as given: {reading.match:.3f}", f"Edited text: {after:.3f}"
    with place:
        viewer.show(
            painted(reading, reading_room.WHOLE, given, "Map of the given text"),
            painted(reading, edit.name, edited, "Map of the edited text"),
            key=key,
            height=reading_room.HEIGHT,
        )


def trust(words: str, card: Card | None) -> None:
    """Show what the network was worth on real X-rays: beside every number."""
    weak = performance.doubtful(card) or performance.sides(card) != ""
    st.markdown(
        f"{':orange' if weak else ':blue'}[:material/{'warning' if weak else 'fact_check'}: "
        f"**{notices.plain(words)}**]"
    )


def match_calibration(reading: Reading) -> str:
    """Return in words how the match probability was calibrated, or that it was not."""
    sure = reading.certainty
    if not reading.calibrated("match"):
        return "Not calibrated: treat the number as a score, not a probability."
    line = sure.line("match")
    words = f"Calibrated on {notices.plain(sure.fitted_on)}"
    if line.error_before is not None and line.error_after is not None:
        checked = notices.plain(sure.checked_on)
        words += f"; calibration error on {checked}: {line.error_after:.3f} ({line.error_before:.3f} before)"
    return f"{words}. Not fitted for a single sentence or an edited text."


def painted(
    reading: Reading, name: str, title: str, alt: str = "The chest X-ray with the chosen map over it"
) -> viewer.View:
    """Return the film with one of a reading's maps over it."""
    small = replace(reading, film=cache.shown(reading.film, MAP_SIDE))
    strength_hw = small.heat(name) / reading.map_scale
    return viewer.View(reading.film, alt=alt, title=title, strength_hw=strength_hw)


def _extent(strength_hw: np.ndarray) -> str:
    """Say of a map that is painted nearly everywhere that it points nowhere."""
    if float((strength_hw > 0.5).mean()) > WIDE:
        return " Most of the X-ray is painted: this map singles out no place."
    return ""


def film_facts(film: Film) -> None:
    """Show what is known of a film and what was done to its greys."""
    spacing = " x ".join(f"{mm:g}" for mm in film.spacing_mm) + " mm" if film.spacing_mm else "not stated"
    facts = {
        "Size": f"{film.rows} rows x {film.columns} columns, {film.bits} bits",
        "File": film.kind.upper(),
        "Pixel spacing": spacing,
        "View": film.view or "not stated",
        "Fingerprint (sha256)": film.sha256[:16],
    }
    facts |= {f"Note {i}": note for i, note in enumerate(film.notes, 1)}
    st.text("\n".join(f"{name}: {value}" for name, value in facts.items()))


def exports(reading: Reading, name: str, key: str, simulated: bool = False) -> None:
    """Offer the numbers, the painted X-ray at full size with its legend, and both on one page to print."""
    from timnet import legend  # with torch, which a reading has needed already

    numbers = files.to_json(reading.as_dict(), "numbers", indent=2) + "\n"
    stem = f"timnet-{reading.film.sha256[:12]}"
    with st.container(horizontal=True):
        download.offer("Numbers (JSON)", numbers, f"{stem}.json", f"{key}_json")

        def picture() -> bytes:
            return cache.png(np.asarray(legend.picture(reading, name, simulated=simulated)))

        download.offer("X-ray with map (PNG)", picture, f"{stem}.png", f"{key}_png")

        def page() -> bytes:
            from timnet import pdf  # its fonts take a second to import

            return pdf.page(reading, name, simulated=simulated)

        download.offer(
            "One page (PDF)",
            page,
            f"{stem}.pdf",
            f"{key}_pdf",
            "X-ray, map, numbers, fingerprints and the findings' words; no file name and no DICOM tag. "
            "Names, dates and numbers in the words are marked only where their form is known: read it "
            "before you pass it on.",
        )
