"""The best explanation of a match probability in one sentence: what it rests on, or what to check.

Pure: from the numbers of `Reader.read` and `Reader.edited`. A match from 0.5 on rests on the sentence whose
removal costs most. A lower one is explained by sides that make the text fit when exchanged; else by the edit
with the largest rise: the sides exchanged, a sentence replaced by its opposite, or left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from timnet.reports.edits import Edit

FITS = 0.5
"""Match probability from which a text fits."""
RISE = 0.1
"""Smallest rise that is worth a check, where the edited text does not fit either."""


@dataclass(frozen=True)
class Explanation:
    """One sentence about a match, and the edit that it rests on, if any."""

    sentence: str
    edit: Edit | None = None


def explain(
    match: float, sentences: Sequence[tuple[str, float]], edits: Sequence[tuple[Edit, float]]
) -> Explanation:
    """Return the best explanation of a match.

    Args:
        match: probability of the whole text.
        sentences: each sentence with its own match probability.
        edits: each edit with the match probability of the edited text.
    """
    if match >= FITS:
        return _rests_on(match, sentences, edits)
    # Without the sentence of a wrong side a text fits at least as well as with its sides exchanged, so the
    # larger rise alone would name the side of no report.
    edit, after = max(
        edits, key=lambda each: (each[0].kind == "swap" and each[1] >= FITS, each[1]), default=(None, 0.0)
    )
    # A rise that two decimals do not show is none.
    if edit is not None and after - match >= (0.01 if after >= FITS else RISE):
        return Explanation(f"{_check(edit)} the match rises from {match:.2f} to {after:.2f}.", edit)
    if all(probability < FITS for _, probability in sentences):
        return Explanation("No sentence fits.")
    return Explanation("No single change makes the text fit.")


def _rests_on(
    match: float, sentences: Sequence[tuple[str, float]], edits: Sequence[tuple[Edit, float]]
) -> Explanation:
    if len(sentences) == 1:
        return Explanation("The match rests on sentence 1.")
    without = [(edit, after) for edit, after in edits if edit.kind == "remove" and after < match]
    if not without:
        return Explanation("The match rests on no single sentence.")
    edit = min(without, key=lambda each: each[1])[0]
    assert edit.sentence is not None
    return Explanation(f"The match rests on sentence {edit.sentence + 1}.", edit)


def _check(edit: Edit) -> str:
    if edit.sentence is None:
        return "Check the side: with left and right exchanged in the whole text"
    number = edit.sentence + 1
    if edit.kind == "swap":
        return f"Check the side: with left and right exchanged in sentence {number}"
    change = "without it" if edit.kind == "remove" else "with its opposite"
    return f"Check sentence {number}: {change}"
