"""What a fine-tuned classifier says of one film, and where it looked."""

import streamlit as st

from timnet.ui import (
    cache,
    checkpoints,
    film_check,
    film_picker,
    frame,
    notices,
    panels,
    reading_room,
    uploaded,
)
from timnet.ui.diagnose import batch, probabilities, two_classifiers

ONE, MANY = "One X-ray", "Several X-rays"
NUMBERS, FACTS = "All numbers", "About the X-ray"

frame.require()
lead = frame.head(
    "Read an X-ray with a classifier",
    "Upload a chest X-ray. A classifier gives a probability for each label and shows which parts of the "
    "image influenced it.",
)

classifiers = checkpoints.listed("classifier")
if not classifiers:
    notices.no_classifier()

with notices.sentences():
    how = lead.segmented_control(
        "Read",
        [ONE, MANY],
        default=ONE,
        required=True,
        key="diagnose_how",
        label_visibility="collapsed",
        persist_state="session",
        on_change=uploaded.list_anew,
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="diagnose_bar"):
        chosen = film_picker.choose("diagnose") if how == ONE else film_picker.Chosen(None)
        kind = None if chosen.film is None else chosen.simulated
        if how == MANY:
            kind = batch.is_simulated("diagnose")
        network = panels.choose(classifiers, "Classifier", "diagnose_network", kind)
        beside = two_classifiers.choose(classifiers, network, "diagnose_beside")
        uploaded.new("match_findings")
    if how == MANY:
        # The table of several films needs the page's whole width.
        chosen = batch.choose(network, "diagnose")
    film = chosen.film
    if film is None:
        if how == ONE:
            st.info("Next: upload an X-ray.", icon=":material/arrow_upward:")
        st.stop()
    pictures, words = st.columns(reading_room.WIDTHS)
    place = pictures.empty()
    if how == ONE:
        reading_room.first(place, film, "diagnose", bool(cache.doubt(film)))
        with words:
            film_check.ask(film, "diagnose")
    if beside:
        place.empty()
        reading, other = cache.reading(network, film), cache.reading(beside, film)
        for each in (reading, other):
            panels.trust(f"{each.checkpoint}: {each.trust}", each.card)
        name = two_classifiers.show(reading, other, "diagnose")
        panels.exports(reading, name, "diagnose", chosen.simulated)
        st.caption(
            "The downloads are the first classifier's; choose the other one as classifier to have its own."
        )
        panels.film_facts(film)
        st.stop()
    reading = cache.reading(network, film)
    name = reading_room.chosen(reading, "diagnose")
    with words:
        film_picker.named(chosen)
        if how == ONE:
            panels.trust(reading.trust, reading.card)
        reading_room.labels(reading, "diagnose")
        probabilities.explain(reading)
    with pictures:
        panels.picture(place, reading, name, "diagnose", network)
        panels.exports(reading, name, "diagnose", chosen.simulated)
    numbers, facts = st.tabs([NUMBERS, FACTS])
    with numbers:
        probabilities.show(reading, "diagnose")
    with facts:
        panels.film_facts(film)
