"""The form that starts a pre-training on reports, with what it will take before the click."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from timnet import config, settings_file
from timnet.cohorts.pairs import LEAST_HELD_OUT, LEAST_TRAIN
from timnet.counting import counted, duration
from timnet.training import estimates, worker
from timnet.ui import cache, notices
from timnet.ui.fine_tune import pretrain_settings, run, settings_form

MODES = {
    "frozen": "Text network as it is (fast)",
    "partial": "Last layers of the text network trained too (slower)",
    "full": "Text network trained too (slow without a GPU)",
}


def form(names: list[str], root: Path) -> None:
    """Ask what to learn from, say what it takes, and start the run."""
    # The most reports first: a cohort without any has nothing to learn from.
    names = sorted(names, key=lambda each: -cache.cohort(each).summary().with_findings)
    cohorts = st.multiselect(
        "Cohorts with reports",
        names,
        default=names[:1],
        key="pt_cohorts",
        persist_state="session",
        # In the address, as those of a fine-tuning are.
        bind="query-params",
        help="X-rays with their reports; no labels needed. Val and test are never used for training.",
    )
    if not cohorts:
        st.info("Choose at least one cohort.", icon=":material/arrow_upward:")
        return
    repeats: tuple[int, ...] = ()
    if len(cohorts) > 1:
        st.caption("How often each cohort is used per epoch: a small one can be repeated.")
        boxes = st.columns(min(len(cohorts), 4))
        repeats = tuple(
            int(boxes[i % len(boxes)].number_input(name, 1, 1000, 1, key=f"pt_repeats_{name}"))
            for i, name in enumerate(cohorts)
        )
    paper = st.toggle("Settings of the paper (slow without a GPU)", key="pt_paper")
    numbers = settings_file.numbers(config.Pretrain, "paper" if paper else "small")
    preset = str(numbers.get("preset", "small"))
    modes = list(MODES)
    mode = st.selectbox(
        "Reports",
        modes,
        index=modes.index(str(numbers.get("text_mode", "frozen"))),
        format_func=lambda each: MODES[each],
        key=f"pt_mode_{preset}",
        help="If the text network is not trained, each report is encoded once and stored.",
    )
    left, middle, right = st.columns(3)
    side = left.number_input(
        "Image size, pixels", 32, 1024, numbers.get("side", 224), key=f"pt_side_{preset}"
    )
    epochs = middle.number_input("Epochs", 1, 10_000, numbers.get("epochs", 40), key=f"pt_epochs_{preset}")
    seed = right.number_input("Random seed", 0, 2**31 - 1, 0, key="pt_seed")
    chosen: dict[str, Any] = {**settings_form.preset(config.Pretrain, preset), "text_mode": mode}
    chosen = pretrain_settings.ask(cohorts, {**chosen, "side": side, "epochs": epochs, "seed": seed})
    chosen |= {"cohorts": tuple(cohorts), "repeats": repeats if any(n > 1 for n in repeats) else ()}
    settings = config.Pretrain(**chosen)
    enough = _estimates(settings, root)
    if st.button(
        "Start",
        key="pt_start",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=not enough,
    ):
        st.session_state["ft_run"] = worker.submit(settings, root).name
    run.started(root)


def _estimates(settings: config.Pretrain, root: Path) -> bool:
    """Say what the run learns from, how long it takes and its disk space; return whether it can start."""
    of = tuple(cache.cohort(name).identity for name in settings.cohorts)
    pairs = _pairs((of, settings.cohorts, settings.repeats, settings.held_out, settings.views), settings)
    st.text(
        f"{counted(pairs.train, 'X-ray')} with reports to learn from, {pairs.held_out:,} held out to measure "
        "on"
        + (
            f"; left out: {counted(pairs.without_text, 'X-ray')} without findings."
            if pairs.without_text
            else "."
        )
    )
    if pairs.train < LEAST_TRAIN or pairs.held_out < LEAST_HELD_OUT:
        st.info(
            f"Too few reports: pre-training needs {LEAST_TRAIN} X-rays with reports to learn from and "
            f"{LEAST_HELD_OUT} held out.",
            icon=":material/block:",
        )
        return False
    time, disk = estimates.time(settings, pairs, root), estimates.disk(settings, pairs, root)
    if time is None:
        st.text(
            "Time: not known yet, as no such run has trained on this computer. You will see an estimate "
            "after the first minute. You can stop and resume at any time."
        )
    else:
        scaled = f", scaled from X-rays of {time.side} pixels" if time.side != settings.side else ""
        st.text(f"Time: about {duration(time.seconds)}, by an earlier run on this computer{scaled}.")
    room = f"Disk: up to {disk.needed / 1e9:.1f} GB while it trains; {disk.free / 1e9:.0f} GB are free."
    if disk.needed > disk.free:
        st.warning(notices.plain(room), icon=":material/hard_drive:")
    else:
        st.text(room)
    return True


@st.cache_data(max_entries=64, show_spinner="Counting …")
def _pairs(key: tuple[object, ...], _settings: config.Pretrain) -> estimates.Pairs:
    return estimates.pairs(_settings)
