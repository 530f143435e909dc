"""Findings asked of one film by sentences that the reader can edit: scores of the match head, not calibrated.

Owns the table of prompts on Match and what is said of its scores. Sentences stay text in cells of a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from timnet.films.film import Film
from timnet.reports import prompts
from timnet.ui import cache, notices, tables
from timnet.ui.checkpoints import Checkpoint

if TYPE_CHECKING:
    from timnet.reports.prompts import Prompt


def show(network: Checkpoint, film: Film) -> None:
    """Offer prompts for editing, and show what the match head makes of each."""
    st.caption(
        "Each finding is wanted by two sentences, one for and one against. Edit them, add or delete rows. "
        "The score is the share of the sentence for, of the two: sigmoid of the difference of their "
        "match logits. **It is not calibrated and no probability of the finding**; this network was "
        "never trained to answer single findings, and a score moves with the words."
    )
    table = pd.DataFrame([vars(each) for each in prompts.shipped()])
    edited = st.data_editor(
        table,
        key="match_prompts",
        num_rows="dynamic",
        hide_index=True,
        column_config={
            name: st.column_config.TextColumn(words, max_chars=prompts.LONGEST)
            for name, words in (
                ("finding", "Finding"),
                ("positive", "Sentence for"),
                ("negative", "Sentence against"),
            )
        },
    )
    try:
        wanted = prompts.checked(edited[list(table.columns)].itertuples(index=False, name=None))
    except prompts.PromptError as error:
        st.error(notices.plain(str(error)), icon=":material/error:")
        return
    if wanted:
        _scores(wanted, cache.prompted(network, film, wanted))


def _scores(wanted: tuple[Prompt, ...], scores: list[float]) -> None:
    found = pd.DataFrame({"finding": [each.finding for each in wanted], "score": scores})
    tables.show(
        found.sort_values("score", ascending=False),
        "match_prompt_scores",
        "Each finding with its score between the sentence for and the sentence against it",
        column_config={
            "finding": "Finding",
            "score": st.column_config.ProgressColumn(
                "Score (not calibrated)", min_value=0, max_value=1, format="%.3f"
            ),
        },
    )
