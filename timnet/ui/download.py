"""A file that a page offers to take along."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

_KINDS = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
}


def offer(
    label: str, content: bytes | str | Callable[[], bytes], name: str, key: str, about: str | None = None
) -> None:
    """Show a button that downloads a file; what is a function is made when the button is pressed.

    Args:
        name: of the file; its ending, one of `_KINDS`, says what it is.
        about: help beside the button.
    """
    ending = Path(name).suffix
    st.download_button(
        label,
        content,
        name,
        _KINDS[ending],
        key=key,
        on_click="ignore",
        icon=":material/picture_as_pdf:" if ending == ".pdf" else ":material/download:",
        help=about,
    )
