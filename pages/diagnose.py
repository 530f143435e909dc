"""What a fine-tuned classifier says of one film, and where it looked."""

import streamlit as st

from timnet.plots import bars
from timnet.ui import cache, checkpoints, film_check, film_picker, frame, notices, panels, uploaded
from timnet.ui.diagnose import batch, probabilities, two_classifiers

frame.require()
st.title("Read an X-ray with a classifier")
uploaded.lead(
    "Upload a chest X-ray. A classifier gives a probability for each label and shows which parts of the "
    "image influenced it.",
    "match_findings",
)

classifiers = checkpoints.listed("classifier")
if not classifiers:
    notices.no_classifier()

with notices.sentences():
    first, second = st.columns(2, gap="large")
    with first:
        network = panels.choose(classifiers, "Classifier", "diagnose_network")
        beside = two_classifiers.choose(classifiers, network, "diagnose_beside")
    one, many = "One X-ray", "Several X-rays"
    with second:
        how = st.segmented_control(
            "Read", [one, many], default=one, required=True, key="diagnose_how", persist_state="session"
        )
        chosen = film_picker.choose("diagnose") if how == one else film_picker.Chosen(None)
    if how == many:
        # The table of several films needs the page's whole width.
        chosen = batch.choose(network, "diagnose")
    film = chosen.film
    if film is None:
        if how == one:
            st.info("Next: upload an X-ray.", icon=":material/arrow_upward:")
        st.stop()
    if how == one:
        film_check.ask(film, "diagnose")
    reading = cache.reading(network, film)

st.divider()
panels.trust(reading)
if beside:
    with notices.sentences():
        other = cache.reading(beside, film)
        panels.trust(other)
        two_classifiers.show(reading, other, "diagnose")
    panels.film_facts(film)
    panels.exports(reading, st.session_state["diagnose_map"], "diagnose", chosen.simulated)
    st.caption(
        "The downloads are the first classifier's; choose the other one as classifier to have its own."
    )
    st.stop()

chart, numbers = st.columns([3, 2], gap="large")
chart.plotly_chart(
    bars.probabilities(reading.probabilities),
    key="diagnose_bars",
    alt="Probability of each label",
    config={"displayModeBar": False},
)
with numbers:
    probabilities.show(reading, "diagnose")

likeliest = sorted(reading.probabilities, key=lambda label: -reading.probabilities[label])
names = {label: f"{label}: probability {reading.probabilities[label]:.3f}" for label in likeliest}
with notices.sentences():
    panels.film_and_map(reading, names, "diagnose", network)
panels.film_facts(film)
panels.exports(reading, st.session_state["diagnose_map"], "diagnose", chosen.simulated)
