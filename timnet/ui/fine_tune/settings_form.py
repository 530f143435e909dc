"""A form made of what is declared of settings (`config.declared.Shown`): one widget a setting.

Owns which widget a type gets, and that a setting that means nothing beside another is greyed out and keeps
its first value. First values are the preset's, so that a form that nobody touched changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from typing import Any, get_args

import streamlit as st

from timnet import config, settings_file
from timnet.config import declared
from timnet.config.declared import Declared, Limits, Shown
from timnet.plots import look

Offered = Mapping[str, Sequence[str]]
"""What a setting that holds a name may be, where its type does not say."""


def ask(
    shape: type, heading: str, first: Mapping[str, Any], key: Callable[[str], str], offered: Offered
) -> dict[str, Any]:
    """Show the settings of one heading and return all settings that are known by now.

    Args:
        shape: `config.Pretrain` or `config.Finetune`.
        heading: of the settings to ask for, as declared.
        first: first values of these settings, and the values of those that they depend on.
        key: a widget's key by its setting.
        offered: names to choose from.
    """
    known, beside = dict(first), None
    for each in declared.settings(shape).values():
        shown = each.mark(Shown)
        if shown is None or shown.heading != heading:
            continue
        # Numbers are short: two of them stand beside each other.
        number = each.type in (int, float)
        beside = (beside or iter(st.columns(2))) if number else None
        box = next(beside, None) if beside else st
        if box is None:
            beside = iter(st.columns(2))
            box = next(beside)
        known[each.name] = _one(box, each, shown, known, key(each.name), offered)
    return known


def preset(shape: type[config.Run], name: str) -> dict[str, Any]:
    """Return the first values of all settings under a preset, but of those that must be given."""
    known = declared.settings(shape)
    given = {name: each.default for name, each in known.items() if each.default is not MISSING}
    return {**given, **settings_file.numbers(shape, name)}


def headings(shape: type) -> list[str]:
    """Return the headings under which settings are asked for, in their order."""
    marks = (mark for each in declared.settings(shape).values() for mark in each.marks)
    return list(dict.fromkeys(mark.heading for mark in marks if isinstance(mark, Shown)))


def _one(box: Any, each: Declared, shown: Shown, known: Mapping[str, Any], key: str, offered: Offered) -> Any:
    """Show one setting's widget and return its value."""
    first = known[each.name]
    disabled = shown.only is not None and known[shown.only[0]] not in shown.only[1]
    given = {"key": key, "help": _help(each, shown), "disabled": disabled, "persist_state": "session"}
    if each.type is bool:
        value = box.toggle(shown.label, first, **given)
    elif each.type in (int, float):
        value = _number(box, each, first, shown.label, given)
    else:
        words = {**look.NAMES, "": "none", **dict(shown.words)}
        values = list(offered[each.name]) if each.type is str else list(get_args(each.type))
        at = values.index(first) if first in values else 0
        value = box.selectbox(shown.label, values, at, lambda name: words.get(name, name), **given)
    return first if disabled else value


def _help(each: Declared, shown: Shown) -> str:
    """Return a setting's help with the page's words in place of the names that the terminal knows."""
    text = each.help
    for value, words in shown.words:
        text = text.replace(f"`{value}`", f"**{words}**")
    return text


def _number(box: Any, each: Declared, first: float, label: str, given: Mapping[str, Any]) -> float:
    limits = each.mark(Limits) or Limits(0, 2**31 - 1)
    least = each.type(0 if limits.zero else limits.least)
    if each.type is int:
        return int(box.number_input(label, least, int(limits.most), first, **given))
    step = 10.0 ** math.floor(math.log10(first) - 1)
    return float(box.number_input(label, least, float(limits.most), first, step, "%g", **given))
