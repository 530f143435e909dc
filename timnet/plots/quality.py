"""Charts of one label's appraisal on test films: ROC, precision and recall, reliability."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from timnet.plots.look import ACCENT, KNOWN, LEGEND, MARGIN

if TYPE_CHECKING:
    from timnet.evaluation.appraisal import Appraisal, Decision


def receiver(appraisal: Appraisal) -> go.Figure:
    """Draw the ROC curve of test films, with the thresholds of its decisions."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": KNOWN["base"], "dash": "dot"}, hoverinfo="skip"
    )
    curve = appraisal.roc
    _curve(
        figure,
        curve["false"],
        curve["true"],
        curve["threshold"],
        "1 - specificity %{x:.1%}, sensitivity %{y:.1%}",
    )
    _decisions(figure, appraisal, lambda made: (1 - made.specificity.value, made.sensitivity.value))
    return _square(figure, "1 - specificity", "Sensitivity")


def precision_recall(appraisal: Appraisal) -> go.Figure:
    """Draw the precision-recall curve of test films; the dotted line is what guessing would give."""
    figure = go.Figure()
    if appraisal.films:
        figure.add_hline(y=appraisal.positives / appraisal.films, line_dash="dot", line_color=KNOWN["base"])
    curve = appraisal.precision_recall
    _curve(
        figure, curve["recall"], curve["precision"], curve["threshold"], "recall %{x:.1%}, precision %{y:.1%}"
    )
    _decisions(figure, appraisal, lambda made: (made.sensitivity.value, made.positive_value.value))
    return _square(figure, "Recall (sensitivity)", "Precision (PPV)")


def reliability(appraisal: Appraisal) -> go.Figure:
    """Draw the share found positive against the probability said; on the dotted line both are the same."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": KNOWN["base"], "dash": "dot"},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    shown = {"as shown": (appraisal.said, ACCENT)}
    if appraisal.raw:
        shown["before calibration"] = (appraisal.raw, KNOWN["imagenet"])
    if appraisal.cooled:
        shown["corrected by its temperature"] = (appraisal.cooled, KNOWN["imagenet"])
    for name, (measured, colour) in shown.items():
        table = measured.table
        figure.add_scatter(
            x=table["said"].tolist(),
            y=table["found"].tolist(),
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 2},
            marker={"size": 8},
            customdata=table["n"].tolist(),
            hovertemplate="predicted %{x:.1%}, observed %{y:.1%}, X-rays: %{customdata:,}"
            "<extra>%{fullData.name}</extra>",
        )
    _square(figure, "Mean predicted probability", "Observed share positive")
    figure.update_layout(showlegend=True, legend=LEGEND, margin={**MARGIN, "t": 32})
    return figure


def _curve(figure: go.Figure, x: pd.Series, y: pd.Series, thresholds: pd.Series, message: str) -> None:
    figure.add_scatter(
        x=x.tolist(),
        y=y.tolist(),
        mode="lines",
        line={"color": ACCENT, "width": 2.5},
        customdata=thresholds.tolist(),
        hovertemplate=f"{message}<br>positive at %{{customdata:.3f}} or above<extra></extra>",
    )


def _decisions(
    figure: go.Figure, appraisal: Appraisal, place: Callable[[Decision], tuple[float, float]]
) -> None:
    made = {"positive at 0.5 or above": (appraisal.half, "circle-open")}
    if appraisal.chosen:
        made[f"positive at {appraisal.chosen.threshold:.3g} or above"] = (appraisal.chosen, "circle")
    for name, (decision, symbol) in made.items():
        x, y = place(decision)
        figure.add_scatter(
            x=[x],
            y=[y],
            mode="markers+text",
            text=[name],
            textposition="middle left" if x > 0.6 else "middle right",
            marker={"size": 11, "symbol": symbol, "color": KNOWN["imagenet"], "line": {"width": 2}},
            hovertemplate=f"{name}<extra></extra>",
        )


def _square(figure: go.Figure, x: str, y: str) -> go.Figure:
    figure.update_layout(height=380, margin=MARGIN, showlegend=False)
    figure.update_xaxes(range=[-0.02, 1.02], title=x, tickformat=".0%")
    figure.update_yaxes(range=[-0.02, 1.02], title=y, tickformat=".0%")
    return figure
