"""Counts in sentences."""

import pytest

from timnet.counting import counted, verb


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (0, "film", "0 films"),
        (1, "film", "1 film"),
        (2, "film", "2 films"),
        (1024, "study", "1,024 studies"),
        (1, "study", "1 study"),
        (3, "day", "3 days"),
        (1, "labelled training film", "1 labelled training film"),
    ],
)
def test_a_noun_has_its_plural_but_for_one(number: int, noun: str, said: str) -> None:
    assert counted(number, noun) == said
    assert verb(number) == ("is" if number == 1 else "are")


def test_a_plural_of_its_own_is_taken() -> None:
    assert counted(2, "film or report", "films and reports") == "2 films and reports"
