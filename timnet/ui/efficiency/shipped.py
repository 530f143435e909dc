"""Curves that come with timnet: runs whose results alone are here, so that a fresh clone has a curve to show.

Owns how their cohorts are named, which cohort the page opens on, and what is said of a curve of theirs.
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from timnet import cards, config
from timnet.counting import counted

FOLDER = config.ASSETS / "curves"
MARK = " (shipped)"
ABOUT = {
    "mendeley": "Mendeley-V2, its official test X-rays, trained on one NVIDIA H200",
    "nih": "NIH ChestX-ray14, 464 X-rays of held-out patients, one linear probe on frozen networks each",
}
"""What each shipped curve is of; a fresh clone opens on the first."""
NO_GROUPS = "The runs that came with timnet come without results by sex, age and view."


@st.cache_data(show_spinner=False)
def points() -> pd.DataFrame:
    """Return the shipped results in the columns of `run_results.points`; their cohorts bear the mark."""
    tables = [pd.read_parquet(FOLDER / f"{name}.parquet") for name in ABOUT]
    return pd.concat([table.assign(cohort=table["cohort"] + MARK) for table in tables])


def first(all_points: pd.DataFrame) -> str:
    """Return the cohort to open on: the one with most runs of the reader's own, else a shipped one."""
    runs = all_points.drop_duplicates("run")
    carded = [run for run in runs["run"] if (config.checkpoints() / run / cards.FILE).exists()]
    own = runs[~runs["run"].isin(carded) & ~runs["cohort"].str.endswith(MARK)]
    return str(own["cohort"].value_counts().sort_index().idxmax()) if len(own) else next(iter(ABOUT)) + MARK


def is_shipped(cohort: str) -> bool:
    """Say whether a cohort is one of the shipped curves'."""
    return cohort.endswith(MARK)


def tell(shown: pd.DataFrame) -> None:
    """Say where the points of a shipped curve come from, and how others are added."""
    about = ABOUT[str(shown["cohort"].iloc[0]).removesuffix(MARK)]
    st.info(
        f"{counted(shown['run'].nunique(), 'run')} that came with timnet: {about}. docs/evidence.md has the "
        "command, and intervals that cover the test X-rays, too. Runs of your own stand under your cohort's "
        "name.",
        icon=":material/inventory_2:",
    )
    st.page_link("pages/fine_tune.py", label="Fine-tune a classifier", icon=":material/model_training:")
