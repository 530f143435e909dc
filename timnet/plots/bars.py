"""Charts of numbers beside one another: two networks' probabilities, counts, and where one stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from timnet.cohorts.facets import LabelCount
from timnet.plots.look import ACCENT, KNOWN, MARGIN, literal


def standing(others: Sequence[float], own: float) -> go.Figure:
    """Draw how probabilities are spread from 0 to 1, and where one's own stands."""
    figure = go.Figure(
        go.Histogram(
            x=list(others),
            xbins={"start": 0, "end": 1, "size": 0.05},
            marker_color=KNOWN["base"],
            hovertemplate="reports at %{x}: %{y}<extra></extra>",
        )
    )
    figure.add_vline(
        x=own, line_color=ACCENT, line_width=3, annotation_text=f"this text: {own:.3f}",
        annotation_position="top right" if own < 0.7 else "top left",
    )  # fmt: skip
    figure.update_layout(height=230, margin={**MARGIN, "t": 28}, bargap=0.08, showlegend=False)
    figure.update_xaxes(range=[0, 1], title="Match probability with this X-ray")
    figure.update_yaxes(title="Reports of others")
    return figure


def compared(table: pd.DataFrame) -> go.Figure:
    """Draw two bars a label, one a network; a label that a network was not asked for has none.

    Args:
        table: its columns are label, then one of probabilities a network, named as the legend names it.
    """
    figure = go.Figure()
    for name, colour in zip(table.columns[1:3], (ACCENT, KNOWN["imagenet"]), strict=True):
        values = [None if pd.isna(value) else value for value in table[name]]
        said = ["" if value is None else f"{value:.3f}" for value in values]
        drawn = _lying(
            table["label"], values, said, hovertemplate="%{y}: %{x:.3f}<extra>%{fullData.name}</extra>"
        )
        figure.add_trace(drawn.update(name=literal(name), marker_color=colour))
    figure.add_vline(x=0.5, line_dash="dot", line_color=KNOWN["base"])
    figure.update_layout(
        height=120 + 46 * len(table),
        margin={**MARGIN, "r": 48},
        bargap=0.3,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
    )
    figure.update_xaxes(range=[0, 1], title="Probability")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def prevalence(labels: Mapping[str, LabelCount]) -> go.Figure:
    """Draw one bar a label: the share of studies in which it is present, of those where it is known."""
    known = {label: count.present + count.absent + count.uncertain for label, count in labels.items()}
    figure = go.Figure(
        _lying(
            labels,
            [count.present / known[label] if known[label] else None for label, count in labels.items()],
            [f"{count.present:,} of {known[label]:,}" for label, count in labels.items()],
            customdata=[[count.absent, count.uncertain, count.unknown] for count in labels.values()],
            hovertemplate="%{y}: %{x:.1%} present<br>absent %{customdata[0]:,}, "
            "uncertain %{customdata[1]:,}, unknown %{customdata[2]:,}<extra></extra>",
        )
    )
    figure.update_layout(height=70 + 28 * len(labels), margin={**MARGIN, "r": 110}, bargap=0.35)
    figure.update_xaxes(range=[0, 1], tickformat=".0%", title="Present, of known")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def numbers(counts: Mapping[str, int]) -> go.Figure:
    """Draw one bar a name, with its number."""
    said = [f"{number:,}" for number in counts.values()]
    figure = go.Figure(
        _lying(counts, list(counts.values()), said, hovertemplate="%{y}: %{x:,}<extra></extra>")
    )
    figure.update_layout(height=24 + 26 * len(counts), margin={**MARGIN, "r": 70, "t": 0}, bargap=0.35)
    figure.update_xaxes(visible=False)
    # Names such as "2" would be read as numbers.
    figure.update_yaxes(autorange="reversed", automargin=True, type="category")
    return figure


def _lying(
    names: Iterable[str], values: Sequence[float | None], said: Sequence[str], **more: object
) -> go.Bar:
    """Return bars that lie, their names as they are and what they say behind their ends."""
    return go.Bar(
        x=values,
        y=[literal(name) for name in names],
        orientation="h",
        marker_color=ACCENT,
        text=said,
        textposition="outside",
        cliponaxis=False,
        **more,
    )
