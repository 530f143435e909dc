"""A study on the page Explore: on which of its pages it stands, and the link that opens it there."""

from __future__ import annotations

import streamlit as st

from timnet.cohorts.store import Cohort
from timnet.ui import notices

PAGE = 12
"""Studies of a page of Explore's list."""


def page(cohort: Cohort, study: str) -> int:
    """Return the page of the list without filters on which a study stands, from 1."""
    return cohort.position(study) // PAGE + 1


def show(cohort: Cohort, study: str, film: int) -> None:
    """Offer to open a study on Explore, by one of its films."""
    st.page_link(
        "pages/explore.py",
        label=f"Study {notices.plain(study)}",
        icon=":material/open_in_new:",
        query_params={"cohort": cohort.name, "page": str(page(cohort, study)), "open": str(film)},
    )
