"""A figure on a page, without plotly's bar of buttons."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import streamlit as st


def show(figure: go.Figure, key: str, alt: str, place: Any = st) -> None:
    """Show a figure with its alternative text, in a part of the page."""
    place.plotly_chart(figure, key=key, alt=alt, config={"displayModeBar": False})
