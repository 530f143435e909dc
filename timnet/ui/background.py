"""Work that a process of its own does for a page: how far it is, until it ends, or why it stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from timnet.cohorts import audits, vectors
from timnet.ui import notices

State = audits.State | vectors.State
_MINUTE = 60


@st.fragment(run_every=1.0)
def follow(
    state: Callable[[], Any], words: Callable[[Any], str], until: Callable[[Any], bool] = lambda _: False
) -> None:
    """Show how far a process is; have the whole page run anew once it has ended, or earlier.

    Args:
        state: gives how far it is now.
        words: say it, as plain text.
        until: whether the page has something new to show.
    """
    now = state()
    if now.name not in ("working", "building") or until(now):
        st.rerun()
    st.progress(min(now.done / max(now.total, 1), 1.0), notices.plain(words(now)))


def stopped(state: State, words: str) -> None:
    """Say that a process has stopped, and what it said last."""
    st.warning(words, icon=":material/warning:")
    st.text(state.message)


def offer(
    state: vectors.State, done: str, label: str, key: str, start: Callable[..., None], *args: object
) -> None:
    """Offer to start a process, or to let one go on that stopped; `done` says how far that came."""
    if state.name == "stopped":
        stopped(state, f"It stopped after {done}.")
        label = "Go on" if state.done else label
    # Started before the page is drawn: what stands above may run the page anew before it comes to here.
    st.button(label, key=key, icon=":material/play_arrow:", on_click=start, args=args)


def phase(state: audits.State) -> str:
    """Return in words how far an audit or a check is."""
    if not state.total:
        return f"{state.phase or 'starting'} …".capitalize()
    left = ""
    if state.seconds_left is not None:
        minutes = round(state.seconds_left / _MINUTE)
        left = f", about {minutes} min left" if minutes else ", less than a minute left"
    return f"{state.phase.capitalize()}: {state.done:,} of {state.total:,}{left}"
