"""A run's settings put back into the form, to be changed and started as another run.

Owns which settings the form can hold; those it cannot are named, never dropped in silence.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import streamlit as st

from timnet import config, settings_file
from timnet.cohorts import store
from timnet.evaluation.label_efficiency.curve import FRACTIONS
from timnet.plots import look
from timnet.ui import cache, checkpoints, notices
from timnet.ui.fine_tune import initialisation, run

_HELD = {
    "cohort",
    "task",
    "uncertain",
    "initialisation",
    "mode",
    "fraction",
    "seed",
    "preset",
    "patience",
    "class_weights",
}
_NUMBERS = ("side", "epochs", "batch")


def key(name: str, paper: bool) -> str:
    """Return the key of a setting's widget: one a preset where presets differ."""
    return f"ft_{name}_{'paper' if paper else 'small'}" if name in _NUMBERS else f"ft_{name}"


def into_form(asked: config.Finetune) -> None:
    """Put settings into the form of the page; call it before the form is drawn."""
    state, left = st.session_state, []
    known = {*look.NAMES, *(network.name for network in checkpoints.listed("timnet"))}
    filed = "/" in asked.initialisation or "." in asked.initialisation
    if filed:
        state["ft_weights"] = asked.initialisation
    start, cohort = Path(asked.initialisation).name, Path(asked.cohort).name
    there = cohort in store.available()
    of = cache.cohort(cohort) if there else None
    learnable = cache.available_tasks(str(of.folder), of.identity, of) if of else []
    wanted = {
        "learn": ("labels", True),
        "cohort": (cohort, there),
        "task": (asked.task, asked.task in learnable),
        "uncertain": (asked.uncertain, True),
        "initialisation": (start if start in known else initialisation.FILE, start in known or filed),
        "mode": (asked.mode, True),
        "fraction": (asked.fraction, asked.fraction in FRACTIONS),
        "seed": (asked.seed, True),
        "paper": (asked.preset == "paper", True),
        "patience": (asked.patience > 0, asked.patience in (0, run.PATIENCE)),
        "class_weights": (asked.class_weights == "balanced", True),
    }
    for name, (value, holds) in wanted.items():
        if holds:
            state[f"ft_{name}"] = value
        else:
            left.append(name)
    for name in _NUMBERS:
        state[key(name, asked.preset == "paper")] = getattr(asked, name)
    usual = settings_file.numbers(config.Finetune, asked.preset)
    for each in fields(asked):
        held = each.name in _HELD or each.name in _NUMBERS
        if not held and getattr(asked, each.name) != usual.get(each.name, each.default):
            left.append(each.name)
    if left:
        st.toast(
            "The form holds these settings, but for "
            + notices.plain(", ".join(left))
            + ": take the run's command for those.",
            icon=":material/info:",
        )
