"""The frame around every page: its title, the navigation, and the line that says what the app is not for.

A server that has just started and is asked for a page by its address runs that file of pages/ alone, without
app.py, and would forget what is chosen on it; pages therefore ask for the frame, which has them run anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from timnet import config
from timnet.ui import gc_freeze, notices

PAGES = (
    ("pages/match.py", "Match", ":material/compare:"),
    ("pages/diagnose.py", "Diagnose", ":material/radiology:"),
    ("pages/audit.py", "Audit", ":material/rule:"),
    ("pages/explore.py", "Explore", ":material/search:"),
    ("pages/import_cohort.py", "Import", ":material/create_new_folder:"),
    ("pages/fine_tune.py", "Fine-tune", ":material/model_training:"),
    ("pages/efficiency.py", "Label efficiency", ":material/show_chart:"),
    ("pages/card.py", "Model card", ":material/fact_check:"),
)
_DRAWN = "frame_drawn"
# Streamlit writes white on the primary colour, which has to be light to be read on a dark page.
DARK_ON_PRIMARY = "<style>button[kind='primary'] p, button[kind='primary'] span { color: #0e1317 }</style>"


def draw() -> Any:
    """Draw the frame and return the page to run."""
    # A file of ours: for a material icon the browser would ask a font server on the internet.
    st.set_page_config(page_title="timnet", page_icon=str(config.ASSETS / "icon.png"), layout="wide")
    st.logo(str(config.ASSETS / "logo.svg"), size="large")
    (path, title, icon), *others = PAGES
    first = st.Page(path, title=title, icon=icon, url_path="", default=True)

    def at_root() -> None:
        st.switch_page(first, query_params=st.query_params.to_dict())

    # Streamlit knows its first page at / alone; whoever types its name is sent there.
    named = st.Page(at_root, title=title, url_path=Path(path).stem, visibility="hidden")
    pages = [first, *(st.Page(path, title=title, icon=icon) for path, title, icon in others), named]
    # Films need the width that a sidebar would take.
    page = st.navigation(pages, position="top")
    if st.context.theme.type != "light":
        st.html(DARK_ON_PRIMARY)
    notices.research_use()
    gc_freeze.renew()
    st.session_state[_DRAWN] = True
    return page


def head(title: str, words: str) -> Any:
    """Show a page's title and, beside it where there is room, what the page is for; return that part."""
    left, right = st.columns([3, 5], vertical_alignment="center")
    left.title(title)
    right.markdown(words)
    return right


def require() -> None:
    """Draw the frame, unless app.py has done so in this run; at a visitor's first look have app.py do it."""
    drawn = st.session_state.get(_DRAWN)
    if not drawn:
        draw()
    if drawn is None:
        # Nothing was chosen yet, and from here on Streamlit knows that app.py runs the pages.
        st.rerun()
    st.session_state[_DRAWN] = False
