"""The form that starts a fine-tuning: cohort, task, initial weights, share of the labels, Start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from timnet import config
from timnet.cohorts import tasks
from timnet.cohorts.store import Cohort
from timnet.counting import counted, verb
from timnet.evaluation.label_efficiency.curve import FRACTIONS
from timnet.training import worker
from timnet.ui import cache, notices
from timnet.ui.fine_tune import (
    copy_settings,
    initialisation,
    preview_films,
    preview_probe,
    run,
    settings_form,
)

POLICIES: dict[tasks.Policy, str] = {
    "ignore": "leave them out",
    "zeros": "count them as absent",
    "ones": "count them as present",
    "per-label": "by label, as is usual for CheXpert",
}


def form(names: list[str], root: Path) -> config.Finetune:
    """Ask for a task and a share of its labels, and start the run; return what was asked for."""
    # Cohorts with labels first: the others cannot teach a task.
    names = sorted(names, key=lambda each: not cache.cohort(each).summary().labels)
    left, right = st.columns(2)
    # In the address, as the run is: a reloaded tab comes back to both.
    name = left.selectbox("Cohort", names, key="ft_cohort", persist_state="session", bind="query-params")
    cohort = cache.cohort(name)
    learnable = cache.available_tasks(cohort)
    if not learnable:
        notices.refused(f"{name} has no label with both positive and negative X-rays: nothing to learn from.")
    task = right.selectbox("Task", learnable, key="ft_task", persist_state="session", bind="query-params")
    start = initialisation.ask(config.Finetune.backbone)
    shares, start_here = st.container(), st.container()
    policy, numbers = _training(cohort, task)
    with shares:
        fraction, share = _share(cohort, task, policy, int(numbers["seed"]))
    chosen = {"cohort": name, "task": task, "uncertain": policy, "fraction": fraction}
    settings = config.Finetune(**{**numbers, **chosen, "initialisation": start or "base"})
    preview_films.some(cohort, share, task)
    if start is None:
        st.info("Next: name the file of weights.", icon=":material/arrow_upward:")
        return settings
    preview_probe.show(cohort, settings)
    preview_films.time(settings, share, root)
    with start_here:
        if st.button("Start", key="ft_start", type="primary", icon=":material/play_arrow:", width="stretch"):
            st.session_state["ft_run"] = worker.submit(settings, root).name
        run.started(root)
    return settings


def _training(cohort: Cohort, task: str) -> tuple[tasks.Policy, dict[str, Any]]:
    """Ask for what uncertain labels count as, and for the settings that are declared with a heading."""
    policy: tasks.Policy = "ignore"
    with st.expander("Training settings", icon=":material/tune:"):
        doubtful = cache.uncertain(cohort, task)
        if doubtful:
            policy = st.selectbox(
                f"Labels marked uncertain ({counted(doubtful, 'training X-ray')})",
                list(POLICIES),
                format_func=lambda each: POLICIES[each],
                key="ft_uncertain",
                persist_state="session",
                help="In training only: the test uses known labels alone.",
            )
        paper = st.toggle("Settings of the paper (slow without a GPU)", key="ft_paper")
        numbers = settings_form.preset(config.Finetune, "paper" if paper else "small")
        for heading in settings_form.headings(config.Finetune):
            numbers = settings_form.ask(
                config.Finetune, heading, numbers, lambda name: copy_settings.key(name, paper), {}
            )
        if not paper:
            numbers |= run.cautions()
    return policy, numbers


def _share(cohort: Cohort, task: str, policy: tasks.Policy, seed: int) -> tuple[float, tasks.Share]:
    """Ask for the share of the labels, and say which X-rays it takes."""
    sizes = cache.sizes(cohort, task, policy)
    fraction = st.pills(
        "Share of the labels (number of X-rays)",
        FRACTIONS,
        default=0.1,
        required=True,
        format_func=lambda part: f"{part * 100:g} % · {sizes[part]:,}",
        wrap=True,
        key="ft_fraction",
        persist_state="session",
    )
    share = cache.share(cohort, task, fraction, seed, policy)
    st.text(
        f"{share.films:,} of {counted(share.films_train, 'labelled training X-ray')}, of "
        f"{counted(share.patients, 'patient')}, {verb(share.films)} used; positive: "
        + ", ".join(f"{label} {count:,}" for label, count in share.positives.items())
        + f". Tested on {counted(share.films_test, 'other X-ray')}."
    )
    return fraction, share
