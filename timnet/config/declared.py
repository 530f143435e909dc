"""What is declared of a setting beside its type and default, and read by form, command line and files.

A setting is one annotated field of `pretrain.Pretrain` or `finetune.Finetune`: `Doc` is its help, on the page
and in the terminal; `Limits` its range; `Shown` how the page asks for it; `Paper` its value in the preset
`paper`; `Before` the value that older runs, whose files do not name it, were trained with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from typing_extensions import Doc

from timnet.errors import TimnetError

Kind = TypeVar("Kind")


class ConfigError(TimnetError):
    """A setting that cannot be used; the message names it, what was expected and what came."""


@dataclass(frozen=True)
class Limits:
    """The range of a number, both ends within."""

    least: float
    most: float
    unit: str = ""
    zero: bool = False
    """Whether 0 is a value, too."""
    said: str = ""
    """The range in words, where the numbers alone would read badly."""

    def words(self) -> str:
        """Return the range in words."""
        if self.said:
            return self.said
        text = f"{self.least:g} to {self.most:.12g}{f' {self.unit}' if self.unit else ''}"
        return f"0, or {text}" if self.zero and self.least > 0 else text

    def holds(self, value: float) -> bool:
        """Say whether a number is within the range."""
        return self.least <= value <= self.most or (self.zero and value == 0)


@dataclass(frozen=True)
class Shown:
    """How the page asks for a setting: under which heading, by which label, its values in which words."""

    heading: str
    label: str
    words: tuple[tuple[str, str], ...] = ()
    """Each value of a choice, and the words for it."""
    only: tuple[str, tuple[object, ...]] | None = None
    """The setting it depends on, and the values of that under which it means something."""


@dataclass(frozen=True)
class Paper:
    """The value in the preset `paper`."""

    value: Any


@dataclass(frozen=True)
class Before:
    """The value of runs that are older than the setting and can still go on."""

    value: Any


@dataclass(frozen=True)
class Declared:
    """One setting as it is declared."""

    name: str
    default: Any
    """`dataclasses.MISSING` where it must be given."""
    type: Any
    marks: tuple[Any, ...]

    def mark(self, kind: type[Kind]) -> Kind | None:
        """Return what is declared of one kind, None where nothing is."""
        return next((mark for mark in self.marks if isinstance(mark, kind)), None)

    @property
    def help(self) -> str:
        """Return what the setting does, in words."""
        doc = self.mark(Doc)
        return doc.documentation if doc else ""


_declared: dict[type, Mapping[str, Declared]] = {}


def settings(shape: type) -> Mapping[str, Declared]:
    """Return the settings of a dataclass by name, in their order."""
    if shape not in _declared:
        hints = get_type_hints(shape, include_extras=True)
        _declared[shape] = {each.name: _of(each, hints[each.name]) for each in dataclasses.fields(shape)}
    return _declared[shape]


def word(shape: type, name: str, value: str) -> str:
    """Return the page's words for a value of a setting: itself where it has none."""
    shown = settings(shape)[name].mark(Shown)
    return dict(shown.words).get(value, value) if shown else value


def _of(field: dataclasses.Field[Any], hint: Any) -> Declared:
    marks = getattr(hint, "__metadata__", ())
    return Declared(field.name, field.default, hint.__origin__ if marks else hint, marks)


def check(chosen: Any) -> None:
    """Refuse a number outside its declared range.

    Raises:
        ConfigError: one is; the message names the setting.
    """
    for name, each in settings(type(chosen)).items():
        limits = each.mark(Limits)
        if limits is not None:
            value = getattr(chosen, name)
            for one in value if isinstance(value, tuple) else (value,):
                require(limits.holds(one), name, limits.words(), value)


def bring_weights(chosen: Any, name: str) -> None:
    """Let a backbone that is a folder or hub id start from its own weights, never from random ones.

    `name`: the setting that holds the start.
    """
    if "/" in chosen.backbone and getattr(chosen, name) == "base":
        object.__setattr__(chosen, name, chosen.backbone)


def require(holds: bool, field: str, expected: str, came: object) -> None:
    """Raise ConfigError for a setting unless a condition holds."""
    if not holds:
        raise ConfigError(f"{field}: expected {expected}, got {repr(came)[:60]}")
