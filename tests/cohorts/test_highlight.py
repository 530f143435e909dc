"""Which words a search has found in a text: by its own rules, with nothing lost and nothing made markup."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timnet.cohorts import highlight, schema
from timnet.cohorts.records import CohortError

TEXT = "Small pleural effusions. No pneumothorax; the effusion is left-sided."


def _found(text: str, query: str) -> list[str]:
    (pieces,) = highlight.found([text], query)
    assert "".join(part for part, _ in pieces) == text
    return [part for part, is_found in pieces if is_found]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("effusion", ["effusions", "effusion"]),
        ("pneumo*", ["pneumothorax"]),
        ('"pleural effusion"', ["pleural effusions"]),
        ("small OR left", ["Small", "left"]),
        ("effusion NOT fracture", ["effusions", "effusion"]),
        ("effusion -fracture", ["effusions", "effusion"]),
        ("NOT fracture", []),
        ("NOT effusion", []),
        ("fracture", []),
        ("effusion AND fracture", []),
        ("", []),
    ],
)
def test_words_are_marked_as_they_were_searched(query: str, words: list[str]) -> None:
    assert _found(TEXT, query) == words


def test_words_in_different_sections_are_found_together() -> None:
    findings, impression = highlight.found(["Large heart.", "No oedema."], "heart oedema")
    assert ("heart", True) in findings and ("oedema", True) in impression


def test_accents_are_read_as_the_index_reads_them() -> None:
    assert _found("Œdème, épanchement pleural", "epanchement") == ["épanchement"]


def test_the_index_of_a_cohort_cuts_words_the_same_way() -> None:
    assert f"tokenize='{highlight.TOKENIZER}'" in schema.SCHEMA


def test_an_unreadable_query_is_refused() -> None:
    with pytest.raises(CohortError, match="search"):
        highlight.found([TEXT], '"open')


@given(st.text(st.characters(exclude_characters="\0\x01\x02", exclude_categories=["Cs"]), max_size=200))
def test_no_character_of_a_text_is_lost(text: str) -> None:
    _found(text, "a OR the OR effusion")
