"""What stays is not searched for garbage after every look, and nothing stays for good."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

from timnet.ui import cache, gc_freeze
from timnet.ui.checkpoints import Checkpoint


class Knot:
    """Refers to itself: only a search for garbage frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Leaves nothing set aside for other tests."""
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_after_a_network_is_loaded_a_search_passes_over_what_was_there_before(networks: Path) -> None:
    st.cache_resource.clear()
    before = len(gc.get_objects())
    cache.reader(Checkpoint(networks / "timnet", "timnet", 0, 64, (), None))
    assert gc.get_freeze_count() > 0.9 * before
    assert len(gc.get_objects()) < 0.1 * before


def test_what_comes_later_is_still_found_and_what_was_set_aside_is_found_the_next_time() -> None:
    early = Knot()
    gc_freeze.set_aside()
    late = Knot()
    seen_early, seen_late = weakref.ref(early), weakref.ref(late)
    del early, late
    gc.collect()
    assert seen_late() is None
    assert seen_early() is not None
    gc_freeze.set_aside()
    assert seen_early() is None


def test_everything_is_searched_again_when_the_last_time_is_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[float] = []
    seconds = [0.0]
    monkeypatch.setattr(gc_freeze, "set_aside", lambda: searched.append(seconds[0]))
    monkeypatch.setattr("streamlit.runtime.caching.cache_utils.TTLCACHE_TIMER", lambda: seconds[0])
    st.cache_resource.clear()
    for seconds[0] in (0, 1, gc_freeze.AGAIN - 1, gc_freeze.AGAIN + 1, gc_freeze.AGAIN + 2):
        gc_freeze.renew()
    # Made with the clock of this test.
    st.cache_resource.clear()
    assert searched == [0, gc_freeze.AGAIN + 1]
