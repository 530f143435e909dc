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

_NUMBERS = ("side", "epochs", "batch")


def key(name: str, paper: bool) -> str:
    """Return the key of a setting's widget: one a preset where presets differ."""
    return f"ft_{name}_{'paper' if paper else 'small'}" if name in _NUMBERS else f"ft_{name}"


def into_form(settings: config.Finetune) -> None:
    """Put settings into the form of the page; call it before the form is drawn."""
    state, left = st.session_state, []
    known = {*look.NAMES, *(network.name for network in checkpoints.listed("timnet"))}
    filed = "/" in settings.initialisation or "." in settings.initialisation
    if filed:
        state["ft_weights"] = settings.initialisation
    start, cohort = Path(settings.initialisation).name, Path(settings.cohort).name
    there = cohort in store.available()
    of = cache.cohort(cohort) if there else None
    learnable = cache.available_tasks(of) if of else []
    wanted = {
        "learn": ("labels", True),
        "cohort": (cohort, there),
        "task": (settings.task, settings.task in learnable),
        "uncertain": (settings.uncertain, True),
        "initialisation": (start if start in known else initialisation.FILE, start in known or filed),
        "mode": (settings.mode, True),
        "fraction": (settings.fraction, settings.fraction in FRACTIONS),
        "seed": (settings.seed, True),
        "paper": (settings.preset == "paper", True),
        "patience": (settings.patience > 0, settings.patience in (0, run.PATIENCE)),
        "class_weights": (settings.class_weights == "balanced", True),
    }
    for name, (value, holds) in wanted.items():
        if holds:
            state[f"ft_{name}"] = value
        else:
            left.append(name)
    for name in _NUMBERS:
        state[key(name, settings.preset == "paper")] = getattr(settings, name)
    usual = settings_file.numbers(config.Finetune, settings.preset)
    for each in fields(settings):
        if each.name not in {*wanted, *_NUMBERS, "preset"} and getattr(settings, each.name) != usual.get(
            each.name, each.default
        ):
            left.append(each.name)
    if left:
        st.toast(
            "The form holds these settings, but for "
            + notices.plain(", ".join(left))
            + ": take the run's command for those.",
            icon=":material/info:",
        )
