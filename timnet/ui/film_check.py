"""A film that looks like no frontal chest film: one sentence with the reason, and a deliberate way on.

Owns the refusal that Match and Diagnose share. The reader's wish to go on holds for that film alone.
"""

from __future__ import annotations

import streamlit as st

from timnet.films.film import INVERTED, LOOKS_INVERTED, Film
from timnet.ui import cache, notices

ANYWAY = "Read it anyway"


def ask(film: Film, key: str) -> None:
    """Refuse a film that may be no frontal chest film and end the page, unless it is to be read anyway."""
    reason = cache.doubt(film)
    looks_inverted = reason == LOOKS_INVERTED
    # Shown as long as it is on: a widget that is not drawn forgets its state.
    if looks_inverted or INVERTED in film.notes:
        if looks_inverted:
            question = "This X-ray looks inverted (bone dark). Show it inverted?"
            st.warning(question, icon=":material/invert_colors:")
        st.toggle("Show inverted", key=cache.invert_key(film.sha256), persist_state="session")
    if not reason:
        return
    if not looks_inverted:
        st.warning(f"{notices.plain(reason[0].upper() + reason[1:])}.", icon=":material/block:")
    # A key of the film's own: the next one is asked about anew.
    if not st.toggle(ANYWAY, key=f"{key}_anyway_{film.sha256[:16]}", persist_state="session"):
        st.stop()
    st.caption(
        "Read anyway. The network learned from frontal chest X-rays: its numbers mean nothing for others."
    )
