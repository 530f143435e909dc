"""The paper's published points beside a curve of one's own: asked for, dotted, and with their source.

Owns the words that keep the two apart. The points never enter a table, a mean, a difference or a forecast.
"""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from timnet.counting import counted
from timnet.evaluation.label_efficiency import published
from timnet.plots import curves

NONE = "nothing"


def beside(figure: go.Figure, metric: str, place: DeltaGenerator) -> None:
    """Ask, at a place of the page, whether to draw the paper's points of a metric into a figure; do so."""
    there = published.figures(metric)
    if not there:
        return
    chosen = place.selectbox(
        "Show the published curve",
        [NONE, *there],
        format_func=lambda each: f"{each}: {published.FIGURES[each]}" if each != NONE else "nothing",
        key="eff_paper",
        width=360,
        help="Liang et al., Contrastive Cross-Modal Pre-Training, IEEE JBHI 26(4), 2022.",
    )
    if chosen == NONE:
        return
    points = published.points(chosen, metric)
    curves.published(figure, points, chosen)
    st.caption(
        f"Grey and dotted: {counted(len(points), 'value')} of {metric} that the text on {chosen} of Liang et "
        "al., IEEE JBHI 26(4), 2022 states together with a share of the labels; the rest of its curves is "
        "drawn there but not given in numbers. They come from other training settings and without draws or "
        "intervals, and enter none of the tables below."
    )
