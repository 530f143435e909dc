"""A table on a page: without row numbers, with a key, and words for who cannot see it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st


def show(table: pd.DataFrame, key: str, alt: str, place: Any = st, **options: Any) -> Any:
    """Show a table in a part of the page, with options of `st.dataframe`; return what is selected."""
    return place.dataframe(table, hide_index=True, key=key, alt=alt, **options)
