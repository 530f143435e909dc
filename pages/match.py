"""Does this text belong to this film? One number, and where it comes from."""

from dataclasses import replace

import streamlit as st

from timnet.reports import report_text
from timnet.ui import (
    cache,
    checkpoints,
    demo,
    film_check,
    film_picker,
    frame,
    notices,
    panels,
    reading_room,
    uploaded,
    viewer,
)
from timnet.ui.match import other_patients, prompts, report_field, second_xray, similar_cases, text_edits

CHANGES, FINDINGS, OTHERS, FACTS = (
    "What changes the match",
    "List of findings",
    "Other patients",
    "About the X-ray",
)

frame.require()
frame.head(
    "Match an X-ray with its report",
    "Upload a chest X-ray and paste its report. timnet estimates whether the report belongs to this X-ray "
    "and shows which parts of the image influenced the score.",
)

networks = checkpoints.listed("timnet")
if not networks:
    notices.no_timnet()

with notices.sentences():
    with st.container(horizontal=True, vertical_alignment="bottom", key="match_bar"):
        chosen = film_picker.choose("match")
        film = chosen.film
        kind = None if film is None else chosen.simulated
        network = panels.choose(networks, "Matching network", "match_network", kind)
        uploaded.new(report_field.TEXT)
    pictures, words = st.columns(reading_room.WIDTHS)
    with words:
        film_picker.named(chosen)
        result = st.container()
        findings, is_own = report_field.ask(chosen)
    place = pictures.empty()
    if film is not None:
        reading_room.first(place, film, "match", bool(cache.doubt(film)))
        with result:
            film_check.ask(film, "match")
    if film is None or not findings.strip():
        missing = "upload an X-ray" if film is None else "paste its report"
        if film is None and not findings.strip():
            missing = "upload an X-ray and paste its report"
        with pictures:
            st.info(f"Next: {missing}.", icon=":material/arrow_upward:")
        if film is not None:
            with place:
                viewer.show(viewer.View(film), key="match_viewer", height=reading_room.HEIGHT)
        st.stop()

    reading = cache.reading(network, film, findings)
    if is_own and chosen.study:  # its findings were taken from its report at the import
        reading = replace(reading, section=report_text.extract(chosen.study.report).section)
    name = reading_room.chosen(reading, "match")

with result:
    if findings == report_field.EXAMPLE:
        st.warning("An example text: it does not describe your X-ray.", icon=":material/edit_note:")
    row = st.container(horizontal=True, vertical_alignment="center", gap="medium")
    row.metric(
        "Match probability",
        f"{reading.match:.3f}",
        width="content",
        help="**Near 1**: the report fits this X-ray. **Near 0**: it fits another one better. **About 0.5**: "
        "undecided. It says nothing about whether the findings are correct or complete.",
    )
    # What stands here is of another text until the changes of this one have been looked at.
    headline = row.empty()
    headline.caption("Looking at each change of the text …")
    if reading.rank:
        st.markdown(notices.plain(reading.rank.sentence))
    panels.trust(reading.trust, reading.card)
    reading_room.sentences(reading, "match")
    st.caption(f"Section read: {reading.section.capitalize()}. {panels.match_calibration(reading)}")
with notices.sentences():
    pair = st.session_state.get(text_edits.PAIR)
    edit = text_edits.paired(cache.edited(network, film, findings)) if pair else None
    with pictures:
        second = second_xray.choose(chosen)
        if edit is not None:
            panels.pair(place, cache.edited(network, film, findings), edit, "match_pair_viewer")
        elif second is not None:
            second_xray.show(place, reading, name, network, findings, second)
        else:
            panels.picture(place, reading, name, "match", network, findings)
        downloads = st.container()

    tabs = [CHANGES, FINDINGS, *([OTHERS] if demo.cohorts() else []), FACTS]
    more = dict(zip(tabs, st.tabs(tabs, key="match_more", on_change="rerun"), strict=True))
    with more[CHANGES]:
        edited = cache.edited(network, film, findings)
        if more[CHANGES].open:
            text_edits.show(edited, findings)
    explained = reading.explained(edited.edits)
    with headline.container():
        text_edits.headline(explained)
    with downloads:
        panels.exports(explained, name, "match", chosen.simulated)
    with more[FINDINGS]:
        if more[FINDINGS].open:
            prompts.show(network, film)
    if OTHERS in more and more[OTHERS].open:
        with more[OTHERS]:
            cohort = film_picker.other(chosen, "match")
            other_patients.show(network, film, reading, findings, chosen, cohort)
            similar_cases.show(network, film, findings, chosen, cohort)
    with more[FACTS]:
        panels.film_facts(film)
