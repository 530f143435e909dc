"""How every chart looks: colours, names, margins, and the form that goes into a paper.

Colour tells one thing: the initialisation. Words that come from data are shown as they are, never as markup.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

import pandas as pd
import plotly.graph_objects as go

ACCENT = "#4fc3d9"
PAPER = "#8a8f98"
KNOWN = {"base": "#9fb1be", "imagenet": "#f2a65a"}
OTHERS = (ACCENT, "#b79cf2", "#8fd18b", "#f28aa5", "#d9cf6b", "#7f9cf0")
NAMES = {"base": "random start", "imagenet": "ImageNet photographs"}
MARGIN = {"l": 8, "r": 8, "t": 8, "b": 8}
LEGEND = {"orientation": "h", "y": 1.08, "x": 0}


def printed(figure: go.Figure) -> go.Figure:
    """Return a figure as paper needs it: on white, dark words, its legend below."""
    made = go.Figure(figure)
    made.update_layout(
        template="plotly_white",
        paper_bgcolor="white",
        plot_bgcolor="white",
        font={"color": "black", "size": 14},
        legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0},
        margin={"l": 60, "r": 20, "t": 40, "b": 60},
    )
    return made


def error_bars(line: pd.DataFrame) -> dict[str, object]:
    """Return a curve's intervals. One draw has none: null draws no bar, 0 would draw a certain one."""
    above, below = (
        [None if value != value else value for value in side]
        for side in (line["high"] - line["mean"], line["mean"] - line["low"])
    )
    return {"type": "data", "array": above, "arrayminus": below, "thickness": 1.2, "width": 4}


def colours(initialisations: Iterable[object]) -> dict[str, str]:
    """Return one colour an initialisation; base and imagenet keep theirs whatever stands beside them."""
    others = sorted({str(name) for name in initialisations} - set(KNOWN))
    return KNOWN | {name: OTHERS[i % len(OTHERS)] for i, name in enumerate(others)}


def literal(text: str) -> str:
    """Return a text that plotly, which reads a little HTML, shows as it is."""
    return html.escape(text, quote=False)
