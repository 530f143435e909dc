"""The sentences of a report, each with its own match as a bar and a number; a click asks for its map.

Whatever a sentence says is shown as the text it is; browser/sentences.js sets it by textContent alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

_BROWSER = Path(__file__).parent / "browser"
_SENTENCES = st.components.v2.component(
    "timnet_sentences",
    html='<ol class="sentences" aria-label="Sentences of the report, each with its own match"></ol>',
    css=(_BROWSER / "sentences.css").read_text(encoding="utf-8"),
    js=(_BROWSER / "sentences.js").read_text(encoding="utf-8"),
)


def show(sentences: Sequence[tuple[str, float]], key: str) -> int | None:
    """Show sentences with their match probabilities; return the place of the one chosen, if any."""
    rows = [{"text": text, "probability": round(probability, 4)} for text, probability in sentences]
    chosen = _SENTENCES(
        data={"rows": rows}, key=key, default={"chosen": -1}, on_chosen_change=lambda: None
    ).chosen
    return int(chosen) if chosen is not None and 0 <= chosen < len(rows) else None
