"""How well a pre-training matches held-out films and reports, while it runs and when it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from timnet.counting import counted
from timnet.plots import losses
from timnet.training.events import EVALUATION
from timnet.ui import chart, notices, tables

MANY = "up to 20 mismatched reports a film"
AREA = "auROC"
_RETRIEVAL: dict[str, Any] = {
    "label": "Looked for",
    "metric": "Among the first",
    "value": st.column_config.NumberColumn("Found", format="%.3f"),
    "low": st.column_config.NumberColumn("95 % low", format="%.3f"),
    "high": st.column_config.NumberColumn("95 % high", format="%.3f"),
    "chance": st.column_config.NumberColumn("By chance", format="%.3f"),
    "n": "Asked for",
    "candidates": st.column_config.NumberColumn("Looked through", format="%.0f"),
}
_FIRST = {"R@1": "1", "R@5": "5", "R@10": "10"}


def follow(log: pd.DataFrame) -> None:
    """Show how well held-out pairs were matched so far; nothing before they were first looked at."""
    if EVALUATION not in set(log.get("event", ())):
        return
    looks = log[log["event"] == EVALUATION]
    rows = [{**_area(look["held_out"]), "epoch": look["epoch"]} for _, look in looks.iterrows()]
    chart.show(
        losses.matching_curve(pd.DataFrame(rows)),
        "ft_matching",
        "How well true reports are words from mismatched ones, by epoch",
    )
    last = looks.iloc[-1]
    words = (
        f"After epoch {int(last['epoch'])}, on held-out X-rays ({notices.plain(last['split'])}) that the "
        "network does not learn from: how often an X-ray's own report scores above another's. 0.5 is chance."
    )
    low, high = rows[-1]["low"], rows[-1]["high"]
    if low is not None and high is not None and low <= 0.5 <= high:
        words += " The interval holds 0.5: it may be no better than chance so far."
    if pd.notna(last.get("masked")):
        words += f" {last['masked']:.1%} of the mismatched pairs may fit after all and are not learned from."
    if "several_windows" in log:
        words += "".join(f" {_long(share)}" for share in log["several_windows"].dropna().tail(1))
    words += _probed(last.get("probe"))
    st.caption(words)
    retrieval(last["retrieval"], key="ft_follow_retrieval")


def retrieval(rows: Sequence[Mapping[str, Any]], key: str) -> None:
    """Show how often the right report or film is among the first found, beside chance."""
    table = pd.DataFrame(rows)
    table["metric"] = table["metric"].map(_FIRST)
    tables.show(
        table,
        key,
        "How often the right report or X-ray is among the first found, with chance",
        column_config=_RETRIEVAL,
        column_order=list(_RETRIEVAL),
    )


def _long(share: float) -> str:
    return (
        f"{share:.1%} of the reports are longer than one window of the text encoder and are read in several."
    )


def summary(result: Mapping[str, Any]) -> str:
    """Return what a finished pre-training learned from and was measured on, in a sentence or two."""
    words = (
        f"Done: learned from {counted(result['pairs_train'], 'X-ray')} with reports of "
        f"{counted(result['patients_train'], 'patient')}, measured on "
        f"{counted(result['pairs_held_out'], 'X-ray')} of "
        f"{counted(result['patients_held_out'], 'other patient')}."
    )
    if result.get("several_windows"):
        words += f" {_long(result['several_windows'])}"
    elif "truncated" in result:
        words += f" {result['truncated']:.1%} of the reports were longer than 128 tokens and were cut there."
    best = result.get("best")
    if best:
        area = _area(best["test"])
        words += (
            " The network kept is that of the last epoch. The one that did best on the split val alone, that "
            f"of epoch {best['epoch']}, was kept in best/ of the run's folder; on the split test its {AREA} "
            f"is {_number(area['value'])} ({_number(area['low'])} to {_number(area['high'])})."
        )
    return words


def _probed(rows: Any) -> str:
    """Return what a linear probe read off the image branch, as a sentence; nothing where there is none."""
    areas = [row for row in rows if row["metric"] == AREA] if isinstance(rows, list) else []
    if not areas:
        return ""
    # Of several labels, their mean is told.
    area = next((row for row in areas if row["label"] == "macro"), areas[0])
    what = "the labels, on average" if area["label"] == "macro" else notices.plain(str(area["label"]))
    return (
        f" With few labels, a linear probe of the image branch tells {what} with an {AREA} of "
        f"{_number(area['value'])} ({_number(area['low'])} to {_number(area['high'])})."
    )


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _area(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    return next(
        {name: row[name] for name in ("value", "low", "high")}
        for row in rows
        if (row["label"], row["metric"]) == (MANY, AREA)
    )
