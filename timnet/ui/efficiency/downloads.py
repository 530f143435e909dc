"""What the efficiency page lets one take along: its table, every run behind it, the curve as a picture.

Owns the forms: CSV without formulas, Parquet as the command line writes it, and a figure on white that the
browser itself turns into a PNG or an SVG. Nothing is drawn or kept on the server.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from timnet import spreadsheet
from timnet.plots import look
from timnet.training.grid_table import COLUMNS

STEM = "timnet-label-efficiency"
FORMATS = ("PNG", "SVG")
SCALE = 3
"""Pixels of a PNG for each one on the page: enough for print."""


def tables(shown: pd.DataFrame, every: pd.DataFrame) -> None:
    """Offer the table that is shown, and one row for every run, label and metric behind it.

    Args:
        shown: means with their intervals, of one label.
        every: as of `runs.points`, of runs that were trained in the same way.
    """
    tidy = every[list(COLUMNS)].sort_values(["fraction", "initialisation", "seed"], kind="stable")
    settings = {name: ", ".join(map(str, every[name].unique())) for name in ("task", "recipe")}

    def written(table: pd.DataFrame) -> bytes:
        return spreadsheet.safe_csv(spreadsheet.traced(table, every["cohort"].iloc[0], settings))

    parts = (
        ("Table (CSV)", "eff_csv", f"{STEM}.csv", "text/csv", written, shown),
        ("Table (Parquet)", "eff_parquet", f"{STEM}.parquet", _PARQUET, spreadsheet.parquet, shown),
        ("Every run (CSV)", "eff_runs_csv", f"{STEM}-runs.csv", "text/csv", written, tidy),
        ("Every run (Parquet)", "eff_runs", f"{STEM}-runs.parquet", _PARQUET, spreadsheet.parquet, tidy),
    )
    with st.container(horizontal=True):
        for label, key, name, kind, form, table in parts:
            st.download_button(
                label,
                partial(form, table),
                name,
                kind,
                key=key,
                on_click="ignore",
                icon=":material/download:",
            )


def picture(figure: go.Figure, alt: str) -> None:
    """Offer a figure, on white as papers and slides need it, as a PNG or an SVG."""
    expander = st.expander(
        "Picture for a paper", icon=":material/image:", key="eff_picture", on_change="rerun"
    )
    with expander:
        if not expander.open:
            return
        form = st.segmented_control("Save as", FORMATS, default=FORMATS[0], required=True, key="eff_format")
        st.caption("Press the camera in the figure's upper right corner: the browser saves it.")
        st.plotly_chart(
            look.printed(figure),
            key=f"eff_printed_{form}",
            theme=None,
            alt=alt,
            config={
                "displayModeBar": True,
                "displaylogo": False,
                "modeBarButtons": [["toImage"]],
                "toImageButtonOptions": {
                    "format": str(form).lower(),
                    "filename": STEM,
                    "width": 900,
                    "height": 500,
                    "scale": SCALE if form == "PNG" else 1,
                },
            },
        )


_PARQUET = "application/vnd.apache.parquet"
