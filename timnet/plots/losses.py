"""Charts of a training while it goes on: its loss, and how well it tells reports apart."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from timnet.plots.look import ACCENT, KNOWN, MARGIN, error_bars


def loss_curve(events: pd.DataFrame) -> go.Figure:
    """Draw a run's training loss, and its loss on validation films where it looked at some.

    Args:
        events: as of `runs.events`; rows whose `event` is `step` hold `step` and `loss`, those of looks
            `step`, `epoch` and `validation_loss`.
    """
    steps = events[events["event"] == "step"] if "loss" in events else events.iloc[:0]
    figure = go.Figure()
    if len(steps):
        figure.add_scatter(
            x=steps["step"].tolist(),
            y=steps["loss"].tolist(),
            mode="lines+markers" if len(steps) < 40 else "lines",
            line={"color": ACCENT, "width": 2},
            marker={"size": 5},
            customdata=steps["epoch"].tolist(),
            hovertemplate="step %{x}, epoch %{customdata}<br>loss %{y:.4f}<extra></extra>",
        )
    looks = events.dropna(subset=["validation_loss"]) if "validation_loss" in events else events.iloc[:0]
    if len(looks):
        figure.data[0].name = "on training X-rays"
        figure.add_scatter(
            x=looks["step"].tolist(),
            y=looks["validation_loss"].tolist(),
            name="on validation X-rays",
            mode="lines+markers",
            line={"color": KNOWN["base"], "width": 2, "dash": "dot"},
            marker={"size": 6},
            customdata=looks["epoch"].tolist(),
            hovertemplate="epoch %{customdata}<br>loss %{y:.4f}<extra></extra>",
        )
    figure.update_layout(
        height=260,
        margin=MARGIN,
        xaxis_title="Training step",
        yaxis_title="Loss",
        showlegend=bool(len(looks)),
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
    )
    figure.update_yaxes(rangemode="tozero")
    return figure


def matching_curve(looks: pd.DataFrame) -> go.Figure:
    """Draw how well a pre-training tells true reports from mismatched ones, by epoch, with its intervals.

    Args:
        looks: epoch, value (auROC) and its 95 % interval low and high; nothing where undefined.
    """
    figure = go.Figure()
    drawn = looks.dropna(subset=["value"])
    figure.add_scatter(
        x=drawn["epoch"].tolist(),
        y=drawn["value"].tolist(),
        error_y=error_bars(drawn.rename(columns={"value": "mean"})),
        mode="lines+markers",
        line={"color": ACCENT, "width": 2},
        marker={"size": 7},
        hovertemplate="epoch %{x}<br>auROC %{y:.3f}<extra></extra>",
    )
    figure.add_hline(y=0.5, line_dash="dot", line_color=KNOWN["base"])
    figure.update_layout(height=240, margin=MARGIN, xaxis_title="Epoch", yaxis_title="Matching, auROC")
    # Of few epochs, ticks between whole ones would round to the same number twice.
    few = len(drawn) and drawn["epoch"].max() <= 8
    figure.update_xaxes(rangemode="tozero", tickformat=",d", dtick=1 if few else None)
    figure.update_yaxes(range=[min(0.4, *drawn["low"].fillna(0.4)) if len(drawn) else 0.4, 1.0])
    return figure
