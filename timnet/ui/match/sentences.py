"""Sentence by sentence: each one's own match probability, and its map at a click.

Owns the table and what a click on it means for the chosen map. Sentences come from a report: they stand in
the table alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

if TYPE_CHECKING:
    from timnet.reading import Reading

WHOLE = "match"
"""The map of the whole text, by its name in a Reading."""
_COLUMNS = {
    "sentence": st.column_config.TextColumn("Sentence", width="large"),
    "probability": st.column_config.ProgressColumn(
        "Its own match probability", min_value=0, max_value=1, format="%.3f"
    ),
}


def show(reading: Reading, key: str) -> None:
    """Show every sentence with its probability; a chosen one becomes the map of KEY_map."""
    st.subheader("Sentence by sentence")
    table = pd.DataFrame(reading.sentences, columns=list(_COLUMNS))
    # Another text or film has other sentences: what was chosen among these says nothing of those.
    about = hashlib.sha256(repr((reading.film.sha256, table["sentence"].tolist())).encode()).hexdigest()
    widget = f"{key}_sentences_{about[:12]}"

    def choose() -> None:
        st.session_state[f"{key}_map"] = chosen(reading, st.session_state[widget].selection.cells)

    st.dataframe(
        table,
        hide_index=True,
        key=widget,
        on_select=choose,
        selection_mode="single-cell",
        alt="Each sentence of the findings with its own match probability",
        column_config=_COLUMNS,
    )
    if reading.long_text:
        st.warning(reading.long_text, icon=":material/notes:")
    st.caption(
        "Each sentence is matched alone; the whole is not their average. **Click a sentence to see its map "
        "below.** The list of maps has that of the whole text, too."
    )


def chosen(reading: Reading, cells: Sequence[tuple[int, str]]) -> str:
    """Return the map that a choice of cells asks for: a sentence's, or the whole text's."""
    # A single sentence is the whole text and has no map of its own.
    sentence = reading.sentences[cells[0][0]][0] if cells else WHOLE
    return sentence if sentence in reading.maps else WHOLE
