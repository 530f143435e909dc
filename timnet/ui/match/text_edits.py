"""What changes a match: the findings with one sentence left out, denied, or its sides swapped, a row an edit.

Owns the words around the edits of `reports.edits` and the two maps beside each other. Sentences come from a
report: they stand in tables and in literal text alone.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from timnet.counting import counted, verb
from timnet.reports import edits, report_text
from timnet.reports.edits import Edit, Refusal
from timnet.ui import panels, tables

if TYPE_CHECKING:
    from timnet.reading import Reading

KINDS = {"remove": "Left out", "negate": "Says the opposite", "swap": "Left and right swapped"}
WHOLE = "Whole text"
_ASKED = {"negate": "The opposite", "swap": "Left and right"}
_COLUMNS = {
    "Sentence": st.column_config.TextColumn("Sentence", width="medium"),
    "Edit": st.column_config.TextColumn("Edit", width=150),
    "Reads": st.column_config.TextColumn("It then reads", width="medium"),
    "Probability": st.column_config.ProgressColumn(
        "Match probability then", min_value=0, max_value=1, format="%.3f", width=150
    ),
    "Change": st.column_config.NumberColumn("Change", format="%+.3f", width=80),
}


PAIR = "match_pair"
"""Key of the session: the edit whose map is shown beside that of the text as given, by its name."""


def show(reading: Reading, findings: str) -> None:
    """Show what each edit of the findings does to the match, the strongest first."""
    refused = edits.every(report_text.findings(findings))[1]
    if reading.edits:
        _table(reading, f"{reading.checkpoint} {reading.film.key} {findings}")
    else:
        st.caption("This text has no sentence that could be left out, denied or swapped.")
    _refusals(refused)


def headline(reading: Reading) -> None:
    """Show what an explained match rests on, or what to check; a click shows the two maps."""
    found = reading.explanation
    assert found is not None
    if found.edit is None:
        st.markdown(f"**{found.sentence}**")
        return
    name = found.edit.name

    def turn() -> None:
        st.session_state[PAIR] = None if st.session_state.get(PAIR) == name else name

    st.button(
        f"**{found.sentence}**",
        key="match_headline",
        type="tertiary",
        on_click=turn,
        help="Show the map of the text as given beside that of the edited text, or stop it",
    )
    st.text(found.edit.before)


def paired(reading: Reading) -> Edit | None:
    """Return the edit whose map is to be shown beside that of the text as given."""
    return next((edit for edit, _ in reading.edits if edit.name == st.session_state.get(PAIR)), None)


def table(reading: Reading) -> pd.DataFrame:
    """Return one row an edit, the strongest change first; the index is the edit's place in the reading."""
    assert reading.match is not None
    whole = reading.match
    rows = [
        {
            "Sentence": WHOLE if edit.sentence is None else f"{edit.sentence + 1}. {edit.before}",
            "Edit": KINDS[edit.kind],
            "Reads": edit.after or "–",
            "Probability": probability,
            "Change": probability - whole,
        }
        for edit, probability in reading.edits
    ]
    return pd.DataFrame(rows).sort_values("Change", key=abs, ascending=False, kind="stable")


def _table(reading: Reading, about: str) -> None:
    assert reading.match is not None
    changed = table(reading)
    # Another text or film has other rows: what was chosen among these says nothing of those.
    key = hashlib.sha256(about.encode()).hexdigest()[:12]
    rows = tables.show(
        changed,
        f"match_changes_{key}",
        "Edits of the findings, the match probability of each edited text, and the change",
        on_select="rerun",
        selection_mode="single-row",
        column_config=_COLUMNS,
    ).selection.rows
    st.caption(
        f"The text as given has {reading.match:.3f}. Each row changes one thing and leaves the rest as it "
        "is; the strongest change is on top. Where a true sentence says the opposite, the probability should "
        "fall: if it does not, that sentence hardly counts for this network, or is not understood by it. "
        "**Choose a row, at its left edge, to see its map.**"
    )
    if rows and rows[0] < len(changed):
        edit = reading.edits[int(changed.index[rows[0]])][0]
        st.text(f"{KINDS[edit.kind]}: {edit.before}" + (f"\nnow: {edit.after}" if edit.after else ""))
        panels.pair(st.container(), reading, edit, "match_changes_viewer")


def _refusals(refused: list[Refusal]) -> None:
    if not refused:
        return
    number = len(refused)
    with st.expander(
        f"{counted(number, 'edit')} {verb(number, 'was', 'were')} not tried (why?)", icon=":material/info:"
    ):
        rows = [
            {
                "Sentence": WHOLE if each.sentence is None else f"{each.sentence + 1}. {each.before}",
                "Edit": _ASKED[each.kind],
                "Why not": each.reason,
            }
            for each in refused
        ]
        tables.show(
            pd.DataFrame(rows),
            "match_refusals",
            "Edits that would not be the sentence's exact opposite or mirror image, with the reason",
        )
