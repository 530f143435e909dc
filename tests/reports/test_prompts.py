"""Prompts that come with timnet, and which rows of an edited table can be asked."""

import re
from pathlib import Path

import pytest

from timnet.reports import prompts


def test_the_shipped_prompts_can_be_asked() -> None:
    found = prompts.shipped()
    assert len({each.finding for each in found}) == len(found) > 5


def test_the_normal_texts_deny_what_they_name_and_find_nothing() -> None:
    found = prompts.normal()
    assert len(set(found)) == len(found) > 1
    assert not any(re.search(r"there is|there are|enlarged|left|right", text.lower()) for text in found)


@pytest.mark.parametrize("told", ["", "normal = []", "normal = ['']", "normal = 'x'", "normal = [1]", "x ="])
def test_a_list_without_normal_texts_is_refused(told: str, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(told)
    with pytest.raises(prompts.PromptError, match=r"p\.toml"):
        prompts.normal(tmp_path / "p.toml")


def test_empty_rows_are_left_out_and_spaces_are_joined() -> None:
    found = prompts.checked([(None, None, None), (" a  b ", "yes", "no"), ("", float("nan"), "")])
    assert found == (prompts.Prompt("a b", "yes", "no"),)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("a", "yes", None), "row 1.*missing"),
        (("a", "same", "same"), "row 1.*same twice"),
        (("a", "x" * 401, "no"), "row 1.*400 characters"),
    ],
)
def test_a_row_that_cannot_be_asked_is_named(row: tuple[str, str, str], reason: str) -> None:
    with pytest.raises(prompts.PromptError, match=reason):
        prompts.checked([row])
