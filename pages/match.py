"""Does this text belong to this film? One number, and where it comes from."""

from dataclasses import replace

import streamlit as st

from timnet.reports import report_text
from timnet.ui import cache, checkpoints, demo, film_check, film_picker, frame, notices, panels, uploaded
from timnet.ui.match import other_patients, prompts, sentences, similar_cases, text_edits

EXAMPLE = "The heart is enlarged. There is a small left pleural effusion. No pneumothorax."

frame.require()
st.title("Match an X-ray with its report")
uploaded.lead(
    "Upload a chest X-ray and paste its report. timnet estimates whether the report belongs to this X-ray "
    "and shows which parts of the image influenced the score.",
    "match_findings",
)

networks = checkpoints.listed("timnet")
if not networks:
    notices.no_timnet()

findings = ""
about_film, about_text = st.columns(2, gap="large")
with notices.sentences():
    with about_film:
        chosen = film_picker.choose("match")
    with about_text:
        study = chosen.study
        is_own = study is not None and st.toggle(
            "Use this study's own report", value=True, key="match_own", persist_state="session"
        )
        if study and is_own:
            findings = study.findings
            with st.container(border=True):
                st.text(findings or "This study has no report: write your own.", width="stretch")
        else:
            findings = st.text_area(
                "Report",
                key="match_findings",
                height=170,
                max_chars=20_000,
                persist_state="session",
                placeholder="A whole report, or its findings section",
            )
            with st.container(horizontal=True):
                st.button("Match", key="match_go", type="primary", icon=":material/compare:")
                st.button(
                    "Insert an example",
                    key="match_example",
                    icon=":material/edit_note:",
                    on_click=lambda: st.session_state.update(match_findings=EXAMPLE),
                )
            if findings == EXAMPLE:
                st.caption(":orange[An example text: it does not describe your X-ray.]")
    network = panels.choose(networks, "Matching network", "match_network")

film = chosen.film
if film is None or not (findings or "").strip():
    missing = "upload an X-ray" if film is None else "paste its report"
    if film is None and not (findings or "").strip():
        missing = "upload an X-ray and paste its report"
    st.info(f"Next: {missing}.", icon=":material/arrow_upward:")
    st.stop()

with notices.sentences():
    film_check.ask(film, "match")
    reading = cache.reading(network, film, findings)
    if study and is_own:  # its findings were taken from its report at the import
        reading = replace(reading, section=report_text.extract(study.report).section)

st.divider()
number, words = st.columns([1, 2], vertical_alignment="center")
number.metric("Match probability", f"{reading.match:.3f}", border=True)
with words:
    panels.trust(reading)
words.markdown(
    "**Near 1**: the report fits this X-ray. **Near 0**: it fits another one better. **About 0.5**: "
    "undecided. It says nothing about whether the findings are correct or complete."
)
headline = words.container()
words.caption(panels.match_calibration(reading))
words.caption(f"Section read: {reading.section.capitalize()}.")
sentences.show(reading, "match")
names = {"match": "Whole text"} | {name: name for name in reading.maps if name != "match"}
with notices.sentences():
    panels.film_and_map(reading, names, "match", network, findings)
with notices.sentences():
    reading = reading.explained(text_edits.show(network, film, findings).edits)
    with headline:
        text_edits.headline(reading)
    prompts.show(network, film)
    if demo.cohorts():
        st.subheader("Among other patients")
        cohort = film_picker.other(chosen, "match")
        other_patients.show(network, film, reading, findings, chosen, cohort)
        similar_cases.show(network, film, findings, chosen, cohort)
panels.film_facts(film)
panels.exports(reading, st.session_state["match_map"], "match", chosen.simulated)
