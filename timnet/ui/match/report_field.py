"""The report that an X-ray is matched with: the study's own, or a text of the reader's.

Owns the text field. Once X-ray and text are given it stands folded below what is said of them.
"""

from __future__ import annotations

import streamlit as st

from timnet.ui.film_picker import Chosen

TEXT = "match_findings"
"""Key of the session: the reader's text."""
EXAMPLE = "The heart is enlarged. There is a small left pleural effusion. No pneumothorax."


def ask(chosen: Chosen) -> tuple[str, bool]:
    """Ask for the text; return it, and whether it is the study's own."""
    study = chosen.study
    own = study.findings if study is not None and st.session_state.get("match_own", True) else ""
    is_given = chosen.film is not None and bool((own or st.session_state.get(TEXT, "")).strip())
    with st.expander("Report", icon=":material/edit_note:") if is_given else st.container():
        if study is not None and st.toggle(
            "Use this study's own report", value=True, key="match_own", persist_state="session"
        ):
            st.text(study.findings or "This study has no report: write your own.", width="stretch")
            return study.findings, True
        findings = st.text_area(
            "Report",
            key=TEXT,
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
                on_click=lambda: st.session_state.update({TEXT: EXAMPLE}),
            )
    return findings or "", False
