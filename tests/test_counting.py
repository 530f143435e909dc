"""Counts in sentences."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from timnet import cards, config, performance
from timnet.counting import counted, duration, verb
from timnet.evaluation import model_card
from timnet.training import run_results

ROOT = Path(__file__).parents[1]
SENTENCES = sorted(path for name in ("timnet", "pages") for path in (ROOT / name).rglob("*.py"))
NOUNS = (
    "annotations|batches|cases|characters|checkpoints|classes|classifiers|cohorts|columns|days|draws|edits|"
    "entries|epochs|files|films|findings|folders|frames|hours|images|labels|layers|lines|minutes|names|"
    "networks|pairs|parts|patients|pieces|points|processes|prompts|queries|reports|rows|runs|seconds|seeds|"
    "sentences|shares|splits|steps|studies|tables|texts|times|tokens|truths|uploads|values|vectors|views|"
    "windows|words|X-rays"
)
COUNTS = re.compile(rf"\s(?:[a-z][\w-]* ){{0,3}}?({NOUNS})\b")
NO_COUNTS = {
    "aspect times",
    "before_HW.size steps",
    "csv.field_size_limit() characters",
    "film.rows rows",
    "film.columns columns",
    "name X-rays",
    "backbone names",
    "compared labels",
}
"""What stands before a noun and is never one of it: measures of an image, a setting, names and words."""


def printed(value: ast.FormattedValue) -> str:
    """Return the code of what is printed; empty where it is a share, a constant or counted already."""
    code = ast.unparse(value.value)
    form = ast.unparse(value.format_spec) if value.format_spec else ""
    named = re.sub(r"\W|\d", "", code.rpartition(".")[2])
    return "" if "%" in form or named.isupper() or code.startswith(("counted(", "verb(")) else code


def plurals(path: Path) -> Iterator[str]:
    """Yield the counts of a module that stand before a plural whatever they are."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        pieces = node.values if isinstance(node, ast.JoinedStr) else []
        for value, after in itertools.pairwise(pieces):
            if isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant):
                noun, code = COUNTS.match(str(after.value)), printed(value)
                if noun and code and f"{code} {noun[1]}" not in NO_COUNTS:
                    yield f"{path.name}, line {node.lineno}: {code} {noun[1]}"


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (0, "film", "0 films"),
        (1, "film", "1 film"),
        (2, "film", "2 films"),
        (1024, "study", "1,024 studies"),
        (1, "study", "1 study"),
        (3, "day", "3 days"),
        (2.0, "day", "2 days"),
        (10**400, "day", f"{10**400:,} days"),
        (1, "labelled training film", "1 labelled training film"),
    ],
)
def test_a_noun_has_its_plural_but_for_one(number: float, noun: str, said: str) -> None:
    assert counted(number, noun) == said
    assert verb(number) == ("is" if number == 1 else "are")


def test_a_plural_of_its_own_is_taken() -> None:
    assert counted(2, "film or report", "films and reports") == "2 films and reports"


def test_no_sentence_has_a_plural_that_one_would_belie() -> None:
    assert [each for path in SENTENCES for each in plurals(path)] == []


def test_one_epoch_step_and_image_are_singular_in_settings_and_cards() -> None:
    one = config.Finetune(cohort="c", task="t", epochs=1, least_steps=1)
    assert "224 px, 1 epoch or 1 step, batch" in run_results._recipe(one)
    result = cards.Result(
        dataset="Ours", real=True, external=True, value=0.8, low=0.5, high=0.9, images=1, command="evaluate"
    )
    source = cards.Source(dataset="Theirs", real=True, images=1, patients=1)
    card = cards.Card(format=1, summary="Small.", trained_on=(source,), results=(result,))
    assert "(Ours, 1 X-ray): auROC" in performance.trust(card)
    assert "; 1 X-ray; evaluate" in model_card._worth(card, "").items[1][1]
    assert "1 image, 1 patient" in model_card._source(source)[1]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "–"), (89.4, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (36_000, "10.0 h")],
)
def test_a_duration_has_the_unit_in_which_it_is_short(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words
