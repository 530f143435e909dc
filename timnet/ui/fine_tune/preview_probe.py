"""How good a probe of the chosen share is, in seconds, before a run is started; never by the test films."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from timnet import config
from timnet.cohorts import tasks
from timnet.cohorts.records import CohortError
from timnet.cohorts.store import Cohort
from timnet.counting import counted
from timnet.evaluation import probe
from timnet.evaluation.probe import Preview
from timnet.ui import cache, fold, notices
from timnet.ui.fine_tune import features

METRIC = "auROC"


def show(cohort: Cohort, settings: config.Finetune) -> None:
    """Show what a probe of the chosen share reaches, once the reader opens it."""
    box = fold.opened("Preview in seconds", "bolt", "ft_preview")
    if box is None:
        return
    with box:
        folder = features.place(cohort, settings, "ft_preview")
        if folder is None:
            return
        share = settings.task, settings.fraction, settings.seed, settings.uncertain
        seen = _preview(cohort, str(folder), *share)
        if isinstance(seen, str):
            st.info(notices.plain(f"{seen}."), icon=":material/info:")
            return
        areas = seen.table[seen.table["metric"] == METRIC]
        for row in areas.to_dict("records"):
            name = "" if len(areas) == 1 else f"{row['label']}: "
            if pd.isna(row["value"]):
                st.markdown(f"{notices.plain(name)} no auROC, the X-rays are all of one class.")
            else:
                st.markdown(
                    f"{notices.plain(name)} **auROC {row['value']:.3f}** (95 % interval {row['low']:.3f} to "
                    f"{row['high']:.3f}) on {row['n']:,} {seen.on}."
                )
        st.caption(
            f"A linear probe: the network is not trained, a line is fitted to its features of "
            f"{counted(seen.films, 'X-ray')}. Training may do better or worse. Test X-rays were not "
            "used. If you tune on this number it becomes optimistic; only the test is unbiased."
        )


@st.cache_data(max_entries=128, hash_funcs=cache.KEYS, show_spinner="Fitting a line …")
def _preview(
    cohort: Cohort, place: str, task: str, fraction: float, seed: int, uncertain: tasks.Policy
) -> Preview | str:
    """Return a preview, or why there is none."""
    try:
        return probe.preview(cohort, features.opened(place), task, fraction, seed, uncertain)
    except CohortError as error:
        return str(error)
