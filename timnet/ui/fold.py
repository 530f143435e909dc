"""A part of a page that is worked out once the reader opens it."""

from __future__ import annotations

from typing import Any

import streamlit as st


def opened(label: str, icon: str, key: str) -> Any:
    """Show a folded part and return it, None while it is closed."""
    box = st.expander(label, icon=f":material/{icon}:", key=key, on_change="rerun")
    return box if box.open else None
