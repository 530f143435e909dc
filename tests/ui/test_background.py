"""A process that works for a page is followed until it ends."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from timnet.cohorts.audits import State
from timnet.ui import background


def _page(name: str) -> None:
    import streamlit as st

    from timnet.cohorts import audits
    from timnet.ui import background

    before = st.session_state.setdefault("states", [name, "complete"])
    if before[0] == "complete":
        st.success("ended")
    else:
        background.follow(lambda: audits.State(before.pop(0), done=3, total=12), lambda now: f"*{now.done}*")


def test_work_that_goes_on_has_a_bar_and_plain_words() -> None:
    app = AppTest.from_function(_page, kwargs={"name": "working"}).run()
    (bar,) = app.get("progress")
    assert (bar.proto.value, bar.proto.text) == (25, r"\*3\*") and not app.success


def test_work_that_has_ended_has_the_page_run_anew() -> None:
    app = AppTest.from_function(_page, kwargs={"name": "stopped"}).run()
    assert [each.value for each in app.success] == ["ended"] and not app.exception


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State("working"), "Starting …"),
        (State("working", phase="decoding", done=1, total=2_000), "Decoding: 1 of 2,000"),
        (State("working", False, "scoring", 1, 9, 29), "Scoring: 1 of 9, less than a minute left"),
        (State("working", False, "scoring", 1, 9, 100), "Scoring: 1 of 9, about 2 min left"),
    ],
)
def test_a_phase_has_its_share_and_the_time_left(state: State, words: str) -> None:
    assert background.phase(state) == words
