"""The simulated films that come with timnet: imported at the first look, chosen from by what they show.

Owns when the demo cohort is made and which of its films serve as examples. A film of it is never shown
without the word simulated.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st

from timnet import config
from timnet.cohorts import demo_vectors, store
from timnet.cohorts.readers import demo as reader
from timnet.cohorts.records import CohortError
from timnet.cohorts.store import Cohort
from timnet.ui import cache

NAME = "demo"
_EXAMPLES = {
    "Pleural effusion": "pleural_effusion",
    "Consolidation": "consolidation",
    "Large heart": "cardiomegaly",
    "Pneumothorax": "pneumothorax",
    "Mass": "mass",
    "No finding": "no_finding",
}


def cohorts() -> list[str]:
    """Return the cohorts on this computer by name; the demo's is made first where it is missing."""
    folder = config.demo()
    if folder is not None and (folder / reader.TABLE).is_file():
        problem = _made(str(config.home()), str(folder))
        if problem:
            st.warning(f"The demo X-rays could not be prepared: {problem}", icon=":material/warning:")
    return store.available()


@st.cache_resource(show_spinner="Preparing the demo X-rays (once, a few seconds) …")
def _made(home: str, folder: str) -> str:
    """Import the demo films, unless they are there; return what went wrong, or nothing."""
    if NAME in store.available():
        return ""
    try:
        reader.run(Path(folder), NAME)
        demo_vectors.take(Cohort.open(store.find(NAME)))
    except (CohortError, OSError) as error:
        return str(error)
    return ""


def simulated(cohort: Cohort) -> bool:
    """Return whether a cohort's films are simulated."""
    return cohort.source == reader.SOURCE


def badge(is_simulated: bool) -> None:
    """Say that a film is simulated, where it is."""
    if is_simulated:
        st.badge("Simulated X-ray, not a patient's", icon=":material/model_training:", color="violet")


@st.cache_resource(max_entries=2, hash_funcs=cache.KEYS, show_spinner=False)
def truth(cohort: Cohort) -> dict[str, reader.Truth]:
    """Return what was put into each film of a simulated cohort, by path."""
    return reader.truth(cohort.root)


@st.cache_data(max_entries=2, hash_funcs=cache.KEYS, show_spinner=False)
def examples(cohort: Cohort) -> dict[str, int]:
    """Return films that show one thing each: a few words -> the film's number.

    Taken from the test split, which no shipped network has seen; without tubes and lines where one is there.
    """
    films, labels = cohort.films(), cohort.labels()
    findings = labels.drop(columns=["no_finding", "support_devices"], errors="ignore")
    alone = (films["split"] == "test") & (films["view"] != "LATERAL") & (findings.sum(axis=1) <= 1)
    bare = labels["support_devices"] != 1 if "support_devices" in labels else alone
    found = {}
    for words, label in _EXAMPLES.items():
        if label in labels and (shown := alone & (labels[label] == 1)).any():
            found[words] = int(np.flatnonzero(shown & bare if (shown & bare).any() else shown)[0])
    return found
