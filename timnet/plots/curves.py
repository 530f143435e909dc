"""Data-efficiency curves: a metric against the share of labels, differences, and the paper's own points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pandas as pd
import plotly.graph_objects as go

from timnet.evaluation.label_efficiency.curve import FRACTIONS
from timnet.plots.look import KNOWN, LEGEND, MARGIN, NAMES, PAPER, colours, error_bars, literal

Axis = Literal["log", "linear", "films"]
_TITLE = "Share of the labelled training X-rays"
_SHARES = {
    "type": "log",
    "title": _TITLE,
    "tickvals": [fraction * 100 for fraction in FRACTIONS],
    # 90 stands too close to 100 to be written out.
    "ticktext": ["" if fraction == 0.9 else f"{fraction * 100:g} %" for fraction in FRACTIONS],
    "tickangle": 0,
    "range": [-0.4, 2.1],
}
_AXES: dict[Axis, dict[str, object]] = {
    "log": _SHARES,
    "linear": {"title": _TITLE, "ticksuffix": " %", "range": [0, 103]},
    "films": {"type": "log", "title": "Labelled training X-rays"},
}


DEEPEST = 0.15
"""How far beyond its outermost point a curve's axis follows an interval."""


def efficiency(points: pd.DataFrame, curve: pd.DataFrame, metric: str, axis: Axis = "log") -> go.Figure:
    """Draw a metric against the share of labels, or against their number.

    Args:
        points: one row a run: initialisation, fraction, films, seed, value.
        curve: as of `evaluation.label_efficiency.curve.curve`, of the same runs and one metric.
        metric: its name, for the axis.
        axis: shares on a log or a linear axis, or numbers of films on a log one.
    """
    figure = go.Figure()
    palette = colours(curve["initialisation"])
    _means(figure, curve, palette, "mean %{y:.3f}", axis)
    for name, drawn in points.dropna(subset=["value"]).groupby("initialisation", sort=False):
        figure.add_scatter(
            x=_places(drawn, axis),
            y=drawn["value"].tolist(),
            mode="markers",
            name=literal(f"{NAMES.get(str(name), str(name))}, each seed"),
            showlegend=False,
            marker={"color": palette[str(name)], "size": 6, "symbol": "circle-open", "opacity": 0.8},
            customdata=_told(drawn, "seed"),
            hovertemplate="%{customdata[0]:.3g} % of labels, X-rays: %{customdata[1]}<br>%{y:.3f}, "
            "seed %{customdata[2]}"
            "<extra>%{fullData.name}</extra>",
        )
    figure.update_layout(height=440, margin=MARGIN, legend=LEGEND)
    figure.update_xaxes(**_AXES[axis])
    # The interval of two draws may reach down to nothing: cut off, it leaves the curves their room.
    least = pd.concat([points["value"], curve["mean"]]).min()
    low = max(pd.concat([points["value"], curve["low"]]).min(), least - DEEPEST)
    figure.update_yaxes(title=literal(metric), range=[low - 0.05, 1])
    # No metric exceeds 1: a mark there is drawn whole all the same.
    figure.update_traces(cliponaxis=False)
    return figure


def differences(table: pd.DataFrame, metric: str, first: str) -> go.Figure:
    """Draw how much better each start is than the first, at each share of labels.

    Args:
        table: as of `evaluation.label_efficiency.savings.differences`.
        metric: its name; first: that of the start compared with, both for the axis.
    """
    figure = go.Figure()
    _means(figure, table, colours(table["initialisation"]), "mean %{y:+.3f}")
    figure.add_hline(y=0, line_dash="dot", line_color=KNOWN["base"])
    figure.update_layout(height=320, margin=MARGIN, legend=LEGEND, showlegend=True)
    figure.update_xaxes(**_SHARES)
    # The interval of two draws may reach across everything: cut off, it leaves the differences their room.
    means = [*table["mean"], 0.0]
    low = max(min(*table["low"].dropna(), *means), min(means) - DEEPEST)
    high = min(max(*table["high"].dropna(), *means), max(means) + DEEPEST)
    figure.update_yaxes(title=literal(f"{metric} minus that of {first}"), range=[low - 0.01, high + 0.01])
    return figure


def published(figure: go.Figure, points: pd.DataFrame, figure_name: str) -> None:
    """Add a paper's own points to a curve: grey and dotted, so that none is taken for a run of ours.

    Args:
        points: start, fraction, value, as of `evaluation.label_efficiency.published.points`.
        figure_name: where they stand, for the legend.
    """
    symbols = ("circle-open", "square-open", "diamond-open", "triangle-up-open")
    for symbol, (start, line) in zip(symbols, points.groupby("start", sort=False), strict=False):
        line = line.sort_values("fraction")
        figure.add_scatter(
            x=(line["fraction"] * 100).tolist(),
            y=line["value"].tolist(),
            mode="lines+markers",
            name=literal(f"paper, {figure_name}: {start}"),
            line={"color": PAPER, "width": 1.5, "dash": "dot"},
            marker={"size": 10, "symbol": symbol, "color": PAPER, "line": {"width": 1.5}},
            hovertemplate="%{x:g} % of labels<br>%{y:.4f}, one number without interval"
            "<extra>%{fullData.name}</extra>",
        )
    lowest = float(points["value"].min()) if len(points) else 1.0
    low, high = figure.layout.yaxis.range
    figure.update_yaxes(range=[min(low, lowest - 0.05), high])


def _means(
    figure: go.Figure, table: pd.DataFrame, palette: Mapping[str, str], message: str, axis: Axis = "log"
) -> None:
    """Add a line an initialisation: means over draws with their intervals, single runs as open circles."""
    for name, line in table.sort_values("fraction").groupby("initialisation", sort=False):
        figure.add_scatter(
            x=_places(line, axis),
            y=line["mean"].tolist(),
            error_y=error_bars(line),
            mode="lines+markers",
            name=literal(NAMES.get(str(name), str(name))),
            line={"color": palette[str(name)], "width": 2.5},
            marker={"size": 9, "symbol": ["circle" if n > 1 else "circle-open" for n in line["draws"]]},
            customdata=_told(line, "draws"),
            hovertemplate="%{customdata[0]:.3g} % of labels, X-rays: %{customdata[1]}<br>"
            f"{message}, runs: %{{customdata[2]}}"
            "<extra>%{fullData.name}</extra>",
        )


def _places(table: pd.DataFrame, axis: Axis) -> list[float]:
    """Return where rows stand on an axis."""
    return (table["films"] if axis == "films" else table["fraction"] * 100).tolist()


def _told(table: pd.DataFrame, last: str) -> list[list[float]]:
    """Return what is told of each row: its share in per cent, its films, and one column more."""
    return table.assign(share=table["fraction"] * 100)[["share", "films", last]].to_numpy().tolist()
