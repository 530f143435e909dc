"""The missing points of a curve: which they are, how long they take, one button to start them.

Owns the question, and how far a grid that was started is. The grid works in a process of its own
(`training.grids`): closing the tab or restarting the server loses nothing.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pandas as pd
import streamlit as st

from timnet import config
from timnet.cohorts.records import CohortError
from timnet.counting import counted, duration, verb
from timnet.evaluation.label_efficiency.curve import FRACTIONS
from timnet.plots import look
from timnet.training import grids, runs, worker
from timnet.training.grids import Grid
from timnet.training.runs import State
from timnet.ui import checkpoints, notices


def ask(points: pd.DataFrame) -> None:
    """Ask which points a curve should have, and offer to start those that are missing.

    Args:
        points: the runs of one curve, which were trained in the same way.
    """
    root = config.checkpoints()
    with st.expander("Missing points", icon=":material/add_chart:"), notices.sentences():
        grid = _grid(points, root)
        if grid is None:
            return
        settings = grid.settings()
        left = grids.missing(settings, root)
        if grids.at_work(grid, root):
            _follow(grid, root, len(settings) - len(left))
            return
        if not left:
            st.success(
                f"{counted(len(settings), 'point')} of {len(settings):,} done: none is missing.",
                icon=":material/check_circle:",
            )
            return
        st.markdown(
            f"**{len(left):,} of {counted(len(settings), 'point')} {verb(len(left))} missing.** "
            f"{_time(left, root)}"
        )
        # Started before the page is drawn: run anew from here, what is chosen above could be forgotten.
        st.button(
            "Start the missing points",
            key="eff_start",
            type="primary",
            icon=":material/play_arrow:",
            help="They are done one after another, small shares first; runs that exist are kept.",
            on_click=grids.start,
            args=(grid, root),
        )
        said = grids.last_words(grid, root)
        if said:
            st.caption("When it was last started, it ended with:")
            st.text(said)
        st.caption("The same from a terminal, in the folder of this app:")
        st.code(shlex.join(["python", "-m", "timnet", *grid.words()]), language="bash", wrap_lines=True)


def _grid(points: pd.DataFrame, root: Path) -> Grid | None:
    """Ask for initial weights, shares and seeds; those that have runs are chosen, all others can be."""
    there = [runs.settings(root / run) for run in points["run"].unique()]
    made = [each for each in there if isinstance(each, config.Finetune)]
    present = {Path(each.initialisation).name: each.initialisation for each in made}
    others = (*look.NAMES, *(network.name for network in checkpoints.listed("timnet")))
    known = present | {name: name for name in others if name not in present}
    left, middle, right = st.columns([3, 4, 2])
    starts = left.multiselect(
        "Initial weights",
        list(known),
        list(present),
        format_func=lambda each: look.NAMES.get(each, each),
        key="eff_starts",
    )
    shares = {each.fraction for each in made}
    fractions = middle.multiselect(
        "Shares of the labels",
        sorted({*FRACTIONS, *shares}),
        sorted(shares),
        format_func=lambda share: f"{share * 100:g} %",
        key="eff_shares",
    )
    draws = right.number_input(
        "Random seeds of each", 1, 100, max(each.seed for each in made) + 1, key="eff_draws"
    )
    if not starts or not fractions:
        st.info("Choose initial weights and a share of the labels.")
        return None
    shared = replace(made[0], initialisation="base", fraction=1.0, seed=0)
    return Grid(shared, tuple(known[each] for each in starts), tuple(fractions), int(draws))


def _time(left: list[config.Finetune], root: Path) -> str:
    """Say how long runs take, or why that is not known."""
    try:
        found = grids.seconds(left, root)
    except CohortError as error:
        return notices.plain(f"{error}.")
    if found is None:
        return "How long that takes is not known: no run of this kind has finished here that says so."
    seconds, number = found
    as_runs = (
        "the last run of this kind" if number == 1 else f"the last {counted(number, 'run')} of this kind"
    )
    return f"They take about **{duration(seconds)}**, at the pace of {as_runs} on this computer."


def _follow(grid: Grid, root: Path, done: int) -> None:
    """Show how far a grid is, until it ends or another of its runs is done."""
    settings = set(grid.settings())

    @st.fragment(run_every=2.0)
    def follow() -> None:
        states = [state for state in runs.all_runs(root) if state.settings in settings]
        now = len({state.settings for state in states if state.name == "done"})
        working: State | None = next((state for state in states if state.name == "running"), None)
        if now != done or not grids.at_work(grid, root):
            st.rerun()
        st.progress(now / len(settings), f"At work: {now:,} of {counted(len(settings), 'point')} done.")
        said = grids.last_words(grid, root)
        st.text(said or "Starting …")
        st.button(
            "Stop",
            key="eff_stop",
            icon=":material/stop_circle:",
            disabled=working is None or working.stopping,
            help="Stops the run at work after its step at hand; later the grid goes on from there.",
            on_click=_stop,
            args=(working,),
        )

    follow()


def _stop(working: State | None) -> None:
    if working is not None:
        worker.cancel(working.folder)
