"""What stays while the server runs, set aside: it is not searched for garbage after every look.

Streamlit has Python search everything for garbage whenever a page has run. Once torch and a network are
there, that alone took four fifths of the time of a view that was already worked out; and while it lasts, no
other visitor's page runs. What is alive as a network has been loaded stays for long. Some of it is a
visitor's, though: everything is searched again from time to time, so that nothing stays for good.
"""

from __future__ import annotations

import gc

import streamlit as st

AGAIN = 600
"""Seconds after which everything is searched again, at the next look at a page."""


def set_aside() -> None:
    """Search everything once, and from then on only what comes after."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@st.cache_resource(ttl=AGAIN, show_spinner=False)
def renew() -> None:
    """Set aside anew what stays, where the last time was long ago."""
    set_aside()
