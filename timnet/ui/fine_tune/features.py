"""Films read once by a start, before a probe of them answers in seconds: the offer, the wait, the features.

The reading is a process of its own (`cohorts.features`): a closed tab loses nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from timnet import config
from timnet.cohorts import features, vectors
from timnet.cohorts.store import Cohort
from timnet.counting import counted
from timnet.ui import background


def place(cohort: Cohort, settings: config.Finetune, key: str) -> Path | None:
    """Return where a cohort's features under a start lie; where they do not, offer to read the films."""
    folder = features.place(cohort, settings)
    state = vectors.state(folder)
    if state.name == "complete":
        return folder
    if state.name == "building":
        background.follow(lambda: vectors.state(folder), _progress)
        return None
    st.caption(
        f"{counted(len(cohort), 'X-ray')} will be read once with these weights, in the background. After "
        "that, a preview for any share or new label takes seconds. You can close the page meanwhile."
    )
    done = counted(state.done, "X-ray")
    background.offer(state, done, "Read the X-rays", f"{key}_read", features.prepare, cohort, settings)
    return None


@st.cache_resource(max_entries=4, show_spinner=False)
def opened(folder: str) -> NDArray[np.float16]:
    """Return features by their folder, whose name says whose they are."""
    return features.load(Path(folder))


def _progress(state: vectors.State) -> str:
    done = f"{state.done:,} of {state.total:,}" if state.total else "getting them ready"
    return f"Reading the X-rays: {done}"
