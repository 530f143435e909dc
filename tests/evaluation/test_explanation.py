"""What a match rests on, or what to check: every branch, on invented numbers."""

import pytest

from timnet.evaluation.explanation import FITS, explain
from timnet.reports import edits

TEXT = "There is an effusion on the left. The heart is enlarged. A nodule lies in the right lung."
MADE = edits.every(TEXT)[0]
SENTENCES = [each.before for each in MADE if each.kind == "remove"]
SIDE = "Check the side: with left and right exchanged in"


def explained(match: float, after: dict[str, float], singly: float = 0.1) -> str:
    """Explain a match of TEXT where the named edits give these probabilities, the others the same."""
    told = explain(
        match,
        [(sentence, singly) for sentence in SENTENCES],
        [(edit, after.get(edit.name, match)) for edit in MADE],
    )
    assert (told.edit is None) or told.edit.name in after
    return told.sentence


def test_the_text_has_every_kind_of_edit() -> None:
    names = {edit.name for edit in MADE}
    assert names == {
        *(f"{kind} {number}" for kind in ("remove", "negate") for number in (1, 2, 3)),
        *("swap 1", "swap 3", "swap"),
    }


@pytest.mark.parametrize(
    ("match", "after", "sentence"),
    [
        (0.9, {"remove 2": 0.3, "remove 1": 0.8}, "The match rests on sentence 2."),
        (0.5, {"remove 3": 0.4}, "The match rests on sentence 3."),
        (0.9, {"remove 1": 0.95}, "The match rests on no single sentence."),
        (0.9, {"swap 1": 0.99}, "The match rests on no single sentence."),
        # A sentence whose removal lowers a mismatch does not explain it.
        (
            0.047,
            {"remove 2": 0.024, "swap 1": 0.956},
            f"{SIDE} sentence 1 the match rises from 0.05 to 0.96.",
        ),
        (
            0.051,
            {"remove 1": 0.927, "swap 1": 0.875, "swap": 0.586},
            f"{SIDE} sentence 1 the match rises from 0.05 to 0.88.",
        ),
        (
            0.1,
            {"remove 1": 0.6, "swap 1": 0.4},
            "Check sentence 1: without it the match rises from 0.10 to 0.60.",
        ),
        (0.1, {"swap": 0.9, "swap 1": 0.6}, f"{SIDE} the whole text the match rises from 0.10 to 0.90."),
        (0.2, {"remove 3": 0.7}, "Check sentence 3: without it the match rises from 0.20 to 0.70."),
        (0.2, {"negate 2": 0.8}, "Check sentence 2: with its opposite the match rises from 0.20 to 0.80."),
        (0.1, {"remove 1": 0.3}, "Check sentence 1: without it the match rises from 0.10 to 0.30."),
        (0.45, {"remove 1": 0.52}, "Check sentence 1: without it the match rises from 0.45 to 0.52."),
        (0.1, {"remove 1": 0.12}, "No sentence fits."),
        (0.1, {"remove 1": 0.05}, "No sentence fits."),
        (0.4999, {"remove 1": 0.5001}, "No sentence fits."),
    ],
)
def test_the_explanation_is_the_largest_fall_of_a_match_or_what_mends_a_mismatch(
    match: float, after: dict[str, float], sentence: str
) -> None:
    assert explained(match, after) == sentence


def test_where_a_sentence_fits_by_itself_it_is_not_said_that_none_does() -> None:
    assert explained(0.1, {}, singly=0.8) == "No single change makes the text fit."


def test_a_text_of_one_sentence_rests_on_it() -> None:
    assert explain(0.7, [("An effusion.", 0.7)], []).sentence == "The match rests on sentence 1."
    assert explain(0.3, [("An effusion.", 0.3)], []).sentence == "No sentence fits."


@pytest.mark.parametrize("match", [0.0, FITS, 1.0, float("nan")])
def test_a_text_without_sentences_or_edits_is_explained_too(match: float) -> None:
    told = explain(match, [], [])
    assert told.sentence.endswith(".")
    assert told.edit is None


@pytest.mark.parametrize("match", [0.0, 0.2, FITS - 1e-9, FITS, 0.8, 1.0])
def test_no_mismatch_is_said_to_rest_on_a_sentence_and_no_match_is_to_be_checked(match: float) -> None:
    for edit in MADE:
        for after in (0.0, 0.3, 0.6, 1.0):
            words = explained(match, {edit.name: after})
            assert words.startswith("The match rests on ") is (match >= FITS)
