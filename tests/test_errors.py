"""Every error that timnet raises for a user has one base, and a page shows it as one sentence."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
from streamlit.testing.v1 import AppTest

import timnet
from timnet.errors import LONGEST, TimnetError, one_line

CONTROL_FLOW = {"Cancelled"}
"""Raised to end a run that somebody stopped; no error."""


def error_classes() -> list[type]:
    classes = []
    for module in pkgutil.walk_packages(timnet.__path__, "timnet."):
        if module.name.startswith(("timnet.ui", "timnet.training.grids_ray", "timnet.model.onnx_export")):
            continue
        members = inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
        classes += [each for _, each in members if each.__module__ == module.name]
    return [each for each in classes if issubclass(each, Exception)]


def test_every_error_class_derives_from_the_one_base():
    strays = [each for each in error_classes() if not issubclass(each, TimnetError)]

    assert {each.__name__ for each in strays} <= CONTROL_FLOW


@pytest.mark.parametrize(
    "words", ["x" * 10_000, "x" * LONGEST, "x" * (LONGEST + 1), "a\n b\x1b[2J\x9b\udcff\0c"]
)
def test_a_sentence_is_one_short_printable_line(words: str):
    sentence = one_line(TimnetError(words))

    assert len(sentence) == min(len(" ".join(words.split())), LONGEST)
    assert sentence.isprintable() and sentence[:1] == words[:1]


def page(module: str, name: str) -> None:
    import importlib

    from timnet.films.film import FilmError
    from timnet.ui import notices

    error = getattr(importlib.import_module(module), name)
    with notices.sentences():
        raise error("weights.pt", "damaged") if issubclass(error, FilmError) else error("weights.pt: damaged")


@pytest.mark.parametrize(
    ("module", "name"),
    [(each.__module__, each.__name__) for each in error_classes() if each.__name__ not in CONTROL_FLOW],
)
def test_a_page_shows_any_of_our_errors_as_one_sentence(module, name):
    shown = AppTest.from_function(page, args=(module, name), default_timeout=30).run()

    assert not shown.exception
    assert [each.value.replace("\\", "") for each in shown.error] == ["weights.pt: damaged"]
