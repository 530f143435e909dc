"""What a fine-tuning means before the click: some of the films that are drawn, and how long it may take."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from timnet import config
from timnet.cohorts import tasks
from timnet.cohorts.store import Cohort
from timnet.cohorts.tasks import Share
from timnet.counting import counted, duration
from timnet.training import estimates, runs
from timnet.ui import cache, demo, fold, notices

SHOWN = 8
WIDTH = 96


def some(cohort: Cohort, share: Share, task: str) -> None:
    """Show a few of the films drawn with their labels, once the reader opens it."""
    box = fold.opened("Examples of these X-rays", "grid_view", "ft_some")
    if box is None:
        return
    # Spread over the draw: beside each other in the cohort, films are often of one kind.
    step = max(len(share.rows) // SHOWN, 1)
    rows = list(share.rows[::step][:SHOWN])
    targets = tasks.targets(cohort, task)
    with box:
        demo.badge(demo.simulated(cohort))
        with st.container(horizontal=True, gap="small"):
            for row, picture in zip(rows, cache.thumbnails(cohort, rows), strict=True):
                present = [
                    label
                    for label, value in zip(targets.labels, targets.y_NL[row], strict=True)
                    if value > 0.5
                ]
                with st.container(width=WIDTH, gap="xsmall"):
                    st.image(picture, width="stretch", alt="One of the training X-rays")
                    st.caption(notices.plain(", ".join(present) or "none present"))


def time(settings: config.Finetune, share: Share, root: Path) -> None:
    """Say how long a run may take on this computer, or that nothing here says so yet."""
    found = estimates.measured_pace(runs.all_runs(root), settings)
    if found is None:
        st.caption(
            "Time: not known yet, as no such run has finished on this computer. You will see an estimate "
            "after the first minute. You can stop and resume at any time."
        )
        return
    seconds = found.seconds(estimates.steps_of(settings, share.films))
    by = "the last run" if found.runs == 1 else f"the last {counted(found.runs, 'run')}"
    st.caption(f"Time: about {duration(seconds)}, by {by} of this kind on this computer.")
