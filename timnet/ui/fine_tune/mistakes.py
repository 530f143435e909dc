"""The surest mistakes of a run as a gallery: each film with the map of what moved the classifier.

Owns the pictures and their words. Films come from the cohort that the run was tested on; where it was
imported anew, or is gone, a sentence says so and no other film is shown in its place.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import streamlit as st
from PIL import Image

from timnet import config
from timnet.cohorts.records import CohortError
from timnet.cohorts.store import Cohort
from timnet.evaluation.predictions import Predictions
from timnet.ui import cache, checkpoints, notices
from timnet.ui.checkpoints import Checkpoint
from timnet.ui.notices import plain

MOST = 4
"""Films of each kind."""
CELL = 165
"""Width of a film with its words; what does not fit beside the others goes below."""
LONGEST = 320
"""Longest side of a picture, in pixels."""


def show(folder: Path, found: Predictions, label: str, threshold: float) -> None:
    """Show the films of one label that a run was surest of and got wrong at a threshold."""
    # With it comes SciPy, which takes longer to import than the page to draw.
    from timnet.evaluation import appraisal
    from timnet.evaluation.calibration import record

    cohort = _cohort(folder, found)
    network = next((each for each in checkpoints.listed("classifier") if each.folder == folder), None)
    if cohort is None or network is None:
        return
    st.markdown(
        f"Test X-rays with the **most confident errors** at the threshold {threshold:.3g}. Do they share "
        "something: a device, a view, a doubtful label?"
    )
    line = record.of(folder).line(label)
    missed, alarms = appraisal.surest_mistakes(found, label, threshold, MOST, line)
    name = plain(label)
    for title, films, none in (
        (f"**{name} present, predicted absent**", missed, f"No X-ray with {name} was missed."),
        (f"**{name} absent, predicted present**", alarms, "There was no false alarm."),
    ):
        st.markdown(title)
        if not films:
            st.caption(none)
            continue
        row = st.container(horizontal=True)
        for each in films:
            with row.container(width=CELL):
                word = "present" if each.positive else "absent"
                st.image(
                    _painted(network, cohort, each.film, label),
                    alt=f"X-ray {each.film} with the map of what moved the classifier",
                )
                st.markdown(f"Predicted **{each.probability:.1%}**; label: {word}.")
                st.page_link(
                    "pages/diagnose.py",
                    label=f"X-ray {each.film}",
                    icon=":material/open_in_new:",
                    query_params={
                        "diagnose_network": folder.name,
                        "diagnose_cohort": cohort.name,
                        "diagnose_film": str(each.film),
                    },
                )
    st.caption(f"Each map is painted on the network's one scale. :material/info: {notices.MAP}")


def _cohort(folder: Path, found: Predictions) -> Cohort | None:
    """Return the cohort whose films these are, or say why there is none."""
    settings = checkpoints.settings(folder)
    try:
        cohort = cache.cohort(settings.cohort) if isinstance(settings, config.Finetune) else None
        if cohort is not None:
            found.patients(cohort)
    except CohortError as error:
        st.info(plain(f"{error}."), icon=":material/info:")
        return None
    return cohort


@st.cache_resource(
    max_entries=128, hash_funcs=cache.KEYS, show_spinner="Reading the X-ray with the network …"
)
def _painted(network: Checkpoint, cohort: Cohort, film: int, label: str) -> bytes:
    """Return a film with a label's map over it, as a JPEG file."""
    whole = cache.cohort_film(cohort, film)
    reading = cache.reader(network).read(whole)
    small = replace(reading, film=cache.shown(whole, LONGEST))
    file = io.BytesIO()
    Image.fromarray(small.overlay(label)).save(file, format="JPEG", quality=88)
    return file.getvalue()
