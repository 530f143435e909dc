"""A run on its page: where it stands, how it ended, what it measured, and what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from timnet import config, processes
from timnet.counting import counted, duration, verb
from timnet.plots import losses
from timnet.training import run_names, run_results, runs, worker
from timnet.ui import chart, notices, tables
from timnet.ui.fine_tune import initialisation, pretrain_results

STATES = {
    "queued": "waiting",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "cancelled": "stopped",
    "lost": "lost",
}
PATIENCE = 5
"""Looks without a gain after which a run that is asked to stop early stops."""
_TABLE: dict[str, Any] = {
    "label": "Label",
    "metric": "Metric",
    "value": st.column_config.NumberColumn("Value", format="%.3f"),
    "low": st.column_config.NumberColumn("95 % low", format="%.3f"),
    "high": st.column_config.NumberColumn("95 % high", format="%.3f"),
    "n": "",
    "positives": "Positive",
}


_GROUPS: dict[str, Any] = {
    "kind": "By",
    "group": "Group",
    **{name: _TABLE[name] for name in ("label", "value", "low", "high")},
    "images": "X-rays",
    "positives": "Positive",
    "note": "Note",
}


def progress(state: runs.State) -> None:
    """Show where a run stands, as it stands now."""
    last, folder = state.last, state.folder
    log = runs.events(folder)
    device = log["device"].dropna() if "device" in log else pd.Series(dtype=str)
    if state.active:
        st.progress(*_done(state.name, last, state.stopping))
        if state.name == "queued":
            st.caption(_waits_for(state))
        epoch = f"{last['epoch']} of {last['epochs']}" if "epoch" in last else "–"
        facts = {
            "Epoch": epoch,
            "Loss": f"{last['loss']:.4f}" if "loss" in last else "–",
            **_validated(log),
            "Time left": duration(last.get("eta_seconds")),
            "Started": time.strftime("%H:%M", time.localtime(state.created)),
        }
        with st.container(horizontal=True, gap="large"):
            for name, value in facts.items():
                st.metric(name, value, width="content")
        if len(device):
            held = log["memory_bytes"].dropna() if "memory_bytes" in log else pd.Series(dtype=float)
            memory = f", at most {held.iloc[-1] / 1e9:.1f} GB of memory so far" if len(held) else ""
            st.caption(f"Training on {notices.plain(str(device.iloc[-1]))}{memory}")
        st.button(
            "Stop",
            key="ft_stop",
            icon=":material/stop_circle:",
            disabled=state.stopping,
            help="Stops after the step at hand. You can resume it later where it stopped.",
            on_click=worker.cancel,
            args=(folder,),
        )
    if "loss" in log:
        chart.show(losses.loss_curve(log), "ft_loss", "Training loss by training step")
    pretrain_results.follow(log)


def started(root: Path) -> None:
    """Show below Start how far the chosen run is while it is active: its numbers may be out of view."""
    folder = root / st.session_state.get("ft_run", "")
    if not (folder / runs.CONFIG).is_file() or not runs.state(folder).active:
        return

    @st.fragment(run_every=1.0)
    def follow() -> None:
        state = runs.state(folder)
        st.progress(*_done(state.name, state.last, state.stopping))
        if state.name == "queued":
            st.caption(_waits_for(state))
        st.caption(f"{notices.plain(folder.name)}: more at the top of this page, where it can be stopped.")

    follow()


def _validated(log: pd.DataFrame) -> dict[str, str]:
    """Return the area under the curve at the last look at validation films; nothing before the first."""
    areas = log["validation_auroc"].dropna() if "validation_auroc" in log else pd.Series(dtype=float)
    return {"Validation auROC": f"{areas.iloc[-1]:.3f}"} if len(areas) else {}


def end(state: runs.State) -> None:
    """Show what came of a run that has ended."""
    if state.name == "done":
        result = run_results.result(state.folder)
        if "test" in result:
            st.success(
                f"Done: trained on {counted(result['films'], 'X-ray')} of "
                f"{counted(result['patients'], 'patient')}, tested on "
                f"{counted(result['films_test'], 'X-ray')} never trained on.{_stopped_early(result)}",
                icon=":material/check_circle:",
            )
            if result.get("start_keys", {}).get("matched"):
                initialisation.show(result["start_keys"], f"ft_start_{state.folder.name}")
        else:
            st.success(pretrain_results.summary(result), icon=":material/check_circle:")
            results(result["held_out"], key="ft_result", counted="Pairs")
            by_group(result)
            if "retrieval" in result:
                pretrain_results.retrieval(result["retrieval"], key="ft_retrieval")
    elif state.name == "cancelled":
        st.info("This run was stopped on request.", icon=":material/stop_circle:")
    else:
        st.error(f"This run {'failed' if state.name == 'failed' else 'was lost'}. The reason:")
        st.text(state.reason or "not known")
        with st.expander("End of its log", icon=":material/article:"):
            st.text(processes.tail(state.folder / runs.LOG, 30) or "empty")
    if state.name != "done":
        go_on(state)


def _stopped_early(result: Mapping[str, Any]) -> str:
    """Return which epoch's weights a run that could stop early kept; nothing of one that could not."""
    best = result.get("early_stopping")
    if not best:
        return ""
    held = f", {best['held_back']} of them held back from those drawn" if best["held_back"] else ""
    used = "" if held else " Label efficiency counts them as labelled images."
    return (
        f" It kept the weights of epoch {best['epoch']} (of at most {best['epochs']}), where its loss on "
        f"{counted(best['films'], 'validation image')}{held} was lowest.{used}"
    )


def go_on(state: runs.State) -> None:
    """Offer to let a run that did not end well go on, where it can, and to start it anew."""
    with st.container(horizontal=True):
        goes_on = state.resumable and st.button(
            "Resume",
            key="ft_resume",
            type="primary",
            icon=":material/resume:",
            help="Goes on where its last snapshot was taken; the result is that of a run never stopped.",
        )
        anew = st.button("Start anew", key="ft_anew", icon=":material/restart_alt:")
    if goes_on or anew:
        worker.restart(state.folder, fresh=anew)
        st.rerun()


def keeping(state: runs.State, into_form: Callable[[config.Finetune], None]) -> None:
    """Show a run's note and its command, and offer to copy its settings into the form or to delete it."""
    folder = state.folder
    with st.expander("Note, copy, command, delete", icon=":material/edit_note:"):
        note = st.text_area(
            "Note", runs.note(folder), max_chars=runs.NOTE_LENGTH, key=f"ft_note_{folder.name}"
        )
        if st.button("Keep the note", key="ft_keep_note", icon=":material/save:"):
            worker.annotate(folder, note)
            st.toast("The note is kept.")
        if isinstance(state.settings, config.Finetune):
            st.button(
                "Put its settings into the form",
                key="ft_clone",
                icon=":material/content_copy:",
                help="Change what you like and start it as another run; this one stays.",
                on_click=into_form,
                args=(state.settings,),
            )
        st.caption("The same run from a terminal, in the folder of this app:")
        st.code(run_names.command_line(state), language="bash", wrap_lines=True)
        sure = st.checkbox(
            "Delete this run with its checkpoint, for good",
            key=f"ft_sure_{folder.name}",
            disabled=state.active,
        )
        if st.button("Delete", key="ft_delete", icon=":material/delete:", disabled=not sure or state.active):
            worker.delete(folder)
            st.rerun()


def results(rows: list[dict[str, Any]], key: str, counted: str = "Test X-rays") -> None:
    """Show test metrics with their intervals; `counted` says what they are of."""
    table = pd.DataFrame(rows)
    tables.show(
        table,
        key,
        "Test metrics with their 95 % intervals",
        column_config=_TABLE | {"n": counted},
        column_order=[name for name in _TABLE if name in table] if table["label"].nunique() > 1 else None,
        placeholder="undefined",
    )


def by_group(result: Mapping[str, Any]) -> None:
    """Show a run's auROC by sex, age and view, with the largest gap; say so where it was not measured."""
    # Only a result needs it, and it is slow to import.
    from timnet.evaluation import subgroups

    rows = result.get("subgroups") or []
    if not rows:
        st.caption("By sex, age and view: not measured by the version that made this run.")
        return
    st.markdown(notices.plain(subgroups.largest_gap(rows)))
    tables.show(
        pd.DataFrame(rows),
        "ft_subgroups",
        "auROC by sex, age and view, with 95 % intervals and the number of images",
        column_config=_GROUPS,
        column_order=list(_GROUPS),
        placeholder="",
    )


def _waits_for(state: runs.State) -> str:
    """Return which run works now, how long it still takes, and how many others wait; "" where none works."""
    others = [each for each in runs.all_runs(state.folder.parent) if each.folder != state.folder]
    working = [each for each in others if each.name == "running"]
    if not working:
        return ""
    first = working[0]
    left = first.last.get("eta_seconds")
    time_left = "time left not known yet" if left is None else f"{duration(left)} left"
    waiting = sum(each.name == "queued" for each in others)
    more = f" {counted(waiting, 'other run')} {verb(waiting, 'waits', 'wait')} too." if waiting else ""
    return f"Behind {notices.plain(first.folder.name)} ({time_left}).{more}"


def _done(name: str, last: Mapping[str, Any], stopping: bool) -> tuple[float, str]:
    """Return the share done, in 0..1, and the words for it."""
    done, total = last.get("step", last.get("done")), last.get("steps", last.get("total"))
    part = min(max(done / total, 0.0), 1.0) if done is not None and total else 0.0
    if stopping:
        return part, "Stopping after the step at hand …"
    if name == "queued":
        return 0.0, "Waiting for its turn: one run at a time …"
    if "phase" in last:
        return part, f"{str(last['phase']).capitalize()} …"
    return (part, f"Training, step {done:,} of {total:,}") if total else (0.0, "Starting …")


def cautions() -> dict[str, Any]:
    """Ask for what keeps a training from learning too long or one kind alone; return its settings."""
    early = st.checkbox(
        "Early stopping",
        key="ft_patience",
        help="Checks validation images up to 20 times. Stops after five checks without a lower loss, with "
        "the weights of the best check. Uses the validation split, whose images then count as labelled on "
        "Label efficiency; without one, 20 % of the training images are held out. Never uses test images.",
    )
    rare = st.checkbox(
        "Balance classes",
        key="ft_class_weights",
        help="The rarer class gets the same total weight as the other one. Predicted probabilities then "
        "assume 50 % prevalence.",
    )
    return {"patience": PATIENCE if early else 0, "class_weights": "balanced" if rare else "none"}
