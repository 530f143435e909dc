"""Charts: a table goes in, a plotly figure comes out. No Streamlit, no torch, no reading of files.

Colour tells one thing: the initialisation. Words that come from data are shown as they are, never as markup.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import pandas as pd
import plotly.graph_objects as go

from timnet.cohorts.facets import LabelCount
from timnet.evaluation.efficiency import FRACTIONS

if TYPE_CHECKING:
    from timnet.evaluation.appraisal import Appraisal, Decision

ACCENT = "#4fc3d9"
PAPER = "#8a8f98"
KNOWN = {"base": "#9fb1be", "imagenet": "#f2a65a"}
OTHERS = (ACCENT, "#b79cf2", "#8fd18b", "#f28aa5", "#d9cf6b", "#7f9cf0")
NAMES = {"base": "random start", "imagenet": "ImageNet photographs"}
_MARGIN = {"l": 8, "r": 8, "t": 8, "b": 8}
_LEGEND = {"orientation": "h", "y": 1.08, "x": 0}
Axis = Literal["log", "linear", "films"]
_TITLE = "Share of the labelled training films"
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
    "films": {"type": "log", "title": "Labelled training films"},
}


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
        figure.data[0].name = "on films that it learns from"
        figure.add_scatter(
            x=looks["step"].tolist(),
            y=looks["validation_loss"].tolist(),
            name="on validation films",
            mode="lines+markers",
            line={"color": KNOWN["base"], "width": 2, "dash": "dot"},
            marker={"size": 6},
            customdata=looks["epoch"].tolist(),
            hovertemplate="epoch %{customdata}<br>loss %{y:.4f}<extra></extra>",
        )
    figure.update_layout(
        height=260,
        margin=_MARGIN,
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
        error_y=_error_bars(drawn.rename(columns={"value": "mean"})),
        mode="lines+markers",
        line={"color": ACCENT, "width": 2},
        marker={"size": 7},
        hovertemplate="epoch %{x}<br>auROC %{y:.3f}<extra></extra>",
    )
    figure.add_hline(y=0.5, line_dash="dot", line_color=KNOWN["base"])
    figure.update_layout(height=240, margin=_MARGIN, xaxis_title="Epoch", yaxis_title="Matching, auROC")
    # Of few epochs, ticks between whole ones would round to the same number twice.
    few = len(drawn) and drawn["epoch"].max() <= 8
    figure.update_xaxes(rangemode="tozero", tickformat=",d", dtick=1 if few else None)
    figure.update_yaxes(range=[min(0.4, *drawn["low"].fillna(0.4)) if len(drawn) else 0.4, 1.0])
    return figure


def probabilities(values: Mapping[str, float]) -> go.Figure:
    """Draw one bar a label, the first on top, on the full scale from 0 to 1."""
    figure = go.Figure(
        go.Bar(
            x=list(values.values()),
            y=[_literal(label) for label in values],
            orientation="h",
            marker_color=ACCENT,
            text=[f"{value:.3f}" for value in values.values()],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )
    )
    figure.add_vline(x=0.5, line_dash="dot", line_color=KNOWN["base"])
    figure.update_layout(height=90 + 34 * len(values), margin={**_MARGIN, "r": 48}, bargap=0.35)
    figure.update_xaxes(range=[0, 1], title="Probability")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def standing(others: Sequence[float], own: float) -> go.Figure:
    """Draw how probabilities are spread from 0 to 1, and where one's own stands."""
    figure = go.Figure(
        go.Histogram(
            x=list(others),
            xbins={"start": 0, "end": 1, "size": 0.05},
            marker_color=KNOWN["base"],
            hovertemplate="%{y} reports at %{x}<extra></extra>",
        )
    )
    figure.add_vline(
        x=own, line_color=ACCENT, line_width=3, annotation_text=f"this text: {own:.3f}",
        annotation_position="top right" if own < 0.7 else "top left",
    )  # fmt: skip
    figure.update_layout(height=230, margin={**_MARGIN, "t": 28}, bargap=0.08, showlegend=False)
    figure.update_xaxes(range=[0, 1], title="Match probability with this film")
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
        figure.add_bar(
            x=values,
            y=[_literal(label) for label in table["label"]],
            name=_literal(name),
            orientation="h",
            marker_color=colour,
            text=["" if value is None else f"{value:.3f}" for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.3f}<extra>%{fullData.name}</extra>",
        )
    figure.add_vline(x=0.5, line_dash="dot", line_color=KNOWN["base"])
    figure.update_layout(
        height=120 + 46 * len(table),
        margin={**_MARGIN, "r": 48},
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
        go.Bar(
            x=[count.present / known[label] if known[label] else None for label, count in labels.items()],
            y=[_literal(label) for label in labels],
            orientation="h",
            marker_color=ACCENT,
            text=[f"{count.present:,} of {known[label]:,}" for label, count in labels.items()],
            textposition="outside",
            cliponaxis=False,
            customdata=[[count.absent, count.uncertain, count.unknown] for count in labels.values()],
            hovertemplate="%{y}: %{x:.1%} present<br>absent %{customdata[0]:,}, "
            "uncertain %{customdata[1]:,}, not known %{customdata[2]:,}<extra></extra>",
        )
    )
    figure.update_layout(height=70 + 28 * len(labels), margin={**_MARGIN, "r": 110}, bargap=0.35)
    figure.update_xaxes(range=[0, 1], tickformat=".0%", title="Present, of known")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def numbers(counts: Mapping[str, int]) -> go.Figure:
    """Draw one bar a name, with its number."""
    figure = go.Figure(
        go.Bar(
            x=list(counts.values()),
            y=[_literal(name) for name in counts],
            orientation="h",
            marker_color=ACCENT,
            text=[f"{number:,}" for number in counts.values()],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:,}<extra></extra>",
        )
    )
    figure.update_layout(height=24 + 26 * len(counts), margin={**_MARGIN, "r": 70, "t": 0}, bargap=0.35)
    figure.update_xaxes(visible=False)
    # Names such as "2" would be read as numbers.
    figure.update_yaxes(autorange="reversed", automargin=True, type="category")
    return figure


def receiver(appraisal: Appraisal) -> go.Figure:
    """Draw the ROC curve of test films, with the thresholds of its decisions."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": KNOWN["base"], "dash": "dot"}, hoverinfo="skip"
    )
    curve = appraisal.roc
    _curve(figure, curve["false"], curve["true"], curve["threshold"], "%{x:.1%} false alarms, %{y:.1%} found")
    _decisions(figure, appraisal, lambda made: (1 - made.specificity.value, made.sensitivity.value))
    return _square(figure, "False alarms (1 - specificity)", "Found (sensitivity)")


def precision_recall(appraisal: Appraisal) -> go.Figure:
    """Draw the precision-recall curve of test films; the dotted line is what guessing would give."""
    figure = go.Figure()
    if appraisal.films:
        figure.add_hline(y=appraisal.positives / appraisal.films, line_dash="dot", line_color=KNOWN["base"])
    curve = appraisal.precision_recall
    _curve(figure, curve["recall"], curve["precision"], curve["threshold"], "%{x:.1%} found, %{y:.1%} right")
    _decisions(figure, appraisal, lambda made: (made.sensitivity.value, made.positive_value.value))
    return _square(figure, "Found (recall)", "Right when it says yes (precision)")


def reliability(appraisal: Appraisal) -> go.Figure:
    """Draw the share found positive against the probability said; on the dotted line both are the same."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": KNOWN["base"], "dash": "dot"},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    shown = {"as the network says it": (appraisal.said, ACCENT)}
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
            hovertemplate="said %{x:.1%}, found %{y:.1%} of %{customdata:,} films"
            "<extra>%{fullData.name}</extra>",
        )
    _square(figure, "Mean probability said", "Share found positive")
    figure.update_layout(showlegend=True, legend=_LEGEND, margin={**_MARGIN, "t": 32})
    return figure


def _curve(figure: go.Figure, x: pd.Series, y: pd.Series, thresholds: pd.Series, told: str) -> None:
    figure.add_scatter(
        x=x.tolist(),
        y=y.tolist(),
        mode="lines",
        line={"color": ACCENT, "width": 2.5},
        customdata=thresholds.tolist(),
        hovertemplate=f"{told}<br>yes from %{{customdata:.3f}} on<extra></extra>",
    )


def _decisions(
    figure: go.Figure, appraisal: Appraisal, place: Callable[[Decision], tuple[float, float]]
) -> None:
    made = {"yes from 0.5 on": (appraisal.half, "circle-open")}
    if appraisal.chosen:
        made[f"yes from {appraisal.chosen.threshold:.3g} on"] = (appraisal.chosen, "circle")
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
    figure.update_layout(height=380, margin=_MARGIN, showlegend=False)
    figure.update_xaxes(range=[-0.02, 1.02], title=x, tickformat=".0%")
    figure.update_yaxes(range=[-0.02, 1.02], title=y, tickformat=".0%")
    return figure


def efficiency(points: pd.DataFrame, curve: pd.DataFrame, metric: str, axis: Axis = "log") -> go.Figure:
    """Draw a metric against the share of labels, or against their number.

    Args:
        points: one row a run: initialisation, fraction, films, seed, value.
        curve: as of `evaluation.efficiency.curve`, of the same runs and one metric.
        metric: its name, for the axis.
        axis: shares on a log or a linear axis, or numbers of films on a log one.
    """
    figure = go.Figure()
    palette = colours(curve["initialisation"])
    _means(figure, curve, palette, "mean %{y:.3f} of", axis)
    for name, drawn in points.dropna(subset=["value"]).groupby("initialisation", sort=False):
        figure.add_scatter(
            x=_places(drawn, axis),
            y=drawn["value"].tolist(),
            mode="markers",
            name=_literal(f"{NAMES.get(str(name), str(name))}, each draw"),
            showlegend=False,
            marker={"color": palette[str(name)], "size": 6, "symbol": "circle-open", "opacity": 0.8},
            customdata=_told(drawn, "seed"),
            hovertemplate="%{customdata[0]:.3g} % of labels, %{customdata[1]} films<br>%{y:.3f}, "
            "seed %{customdata[2]}"
            "<extra>%{fullData.name}</extra>",
        )
    figure.update_layout(height=440, margin=_MARGIN, legend=_LEGEND)
    figure.update_xaxes(**_AXES[axis])
    shown = pd.concat([points["value"], curve["low"], curve["high"]]).dropna()
    figure.update_yaxes(title=_literal(metric), range=[shown.min() - 0.05, 1.02])
    return figure


def differences(table: pd.DataFrame, metric: str, first: str) -> go.Figure:
    """Draw how much better each start is than the first, at each share of labels.

    Args:
        table: as of `evaluation.savings.differences`.
        metric: its name; first: that of the start compared with, both for the axis.
    """
    figure = go.Figure()
    _means(figure, table, colours(table["initialisation"]), "%{y:+.3f} over")
    figure.add_hline(y=0, line_dash="dot", line_color=KNOWN["base"])
    figure.update_layout(height=320, margin=_MARGIN, legend=_LEGEND, showlegend=True)
    figure.update_xaxes(**_SHARES)
    figure.update_yaxes(title=_literal(f"{metric} minus that of {first}"))
    return figure


def published(figure: go.Figure, points: pd.DataFrame, figure_name: str) -> None:
    """Add a paper's own points to a curve: grey and dotted, so that none is taken for a run of ours.

    Args:
        points: start, fraction, value, as of `evaluation.published.points`.
        figure_name: where they stand, for the legend.
    """
    symbols = ("circle-open", "square-open", "diamond-open", "triangle-up-open")
    for symbol, (start, line) in zip(symbols, points.groupby("start", sort=False), strict=False):
        line = line.sort_values("fraction")
        figure.add_scatter(
            x=(line["fraction"] * 100).tolist(),
            y=line["value"].tolist(),
            mode="lines+markers",
            name=_literal(f"paper, {figure_name}: {start}"),
            line={"color": PAPER, "width": 1.5, "dash": "dot"},
            marker={"size": 10, "symbol": symbol, "color": PAPER, "line": {"width": 1.5}},
            hovertemplate="%{x:g} % of labels<br>%{y:.4f}, one number without interval"
            "<extra>%{fullData.name}</extra>",
        )
    lowest = float(points["value"].min()) if len(points) else 1.0
    low, high = figure.layout.yaxis.range
    figure.update_yaxes(range=[min(low, lowest - 0.05), high])


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


def _means(
    figure: go.Figure, table: pd.DataFrame, palette: Mapping[str, str], told: str, axis: Axis = "log"
) -> None:
    """Add a line an initialisation: means over draws with their intervals; `told` stands before "draws"."""
    for name, line in table.sort_values("fraction").groupby("initialisation", sort=False):
        figure.add_scatter(
            x=_places(line, axis),
            y=line["mean"].tolist(),
            error_y=_error_bars(line),
            mode="lines+markers",
            name=_literal(NAMES.get(str(name), str(name))),
            line={"color": palette[str(name)], "width": 2.5},
            marker={"size": 9},
            customdata=_told(line, "draws"),
            hovertemplate="%{customdata[0]:.3g} % of labels, %{customdata[1]} films<br>"
            f"{told} %{{customdata[2]}} draws"
            "<extra>%{fullData.name}</extra>",
        )


def _places(table: pd.DataFrame, axis: Axis) -> list[float]:
    """Return where rows stand on an axis."""
    return (table["films"] if axis == "films" else table["fraction"] * 100).tolist()


def _told(table: pd.DataFrame, last: str) -> list[list[float]]:
    """Return what is told of each row: its share in per cent, its films, and one column more."""
    return table.assign(share=table["fraction"] * 100)[["share", "films", last]].to_numpy().tolist()


def _error_bars(line: pd.DataFrame) -> dict[str, object]:
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


def _literal(text: str) -> str:
    """Return a text that plotly, which reads a little HTML, shows as it is."""
    return html.escape(text, quote=False)
