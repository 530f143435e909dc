"""Sentences of a report, or labels, each with its number as a bar; a click asks for its map.

Whatever a row says is shown as the text it is; browser/scored.js sets it by textContent alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import streamlit as st

_BROWSER = Path(__file__).parent / "browser"
_LIST = st.components.v2.component(
    "timnet_scored",
    html='<ol class="scored"></ol>',
    css=(_BROWSER / "scored.css").read_text(encoding="utf-8"),
    js=(_BROWSER / "scored.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Row:
    """A row of the list."""

    text: str
    probability: float
    word: str = ""
    """What the number means; it stands under the text."""
    mark: float | None = None
    """A place on the bar, 0 to 1: an operating point."""
    is_high: bool | None = None
    """Whether the bar has the colour of a high number; by default from 0.5 on."""


def show(
    rows: Sequence[Row],
    key: str,
    name: str,
    chosen: int | None,
    choose: Callable[[int | None], None],
    numbered: bool = True,
) -> None:
    """Show rows, one of them chosen; `choose` gets the place of the row that is clicked, None when it was on.

    Args:
        key: of the widget; other rows need another one.
        name: of the list, for a screen reader.
        numbered: whether the rows have numbers.
    """

    def clicked() -> None:
        place = st.session_state[key].get("chosen")
        choose(int(place) if place is not None and 0 <= place < len(rows) else None)

    _LIST(
        data={
            "rows": [asdict(row) for row in rows],
            "chosen": -1 if chosen is None else chosen,
            "name": name,
            "numbered": numbered,
        },
        key=key,
        default={"chosen": -1},
        on_chosen_change=clicked,
    )
