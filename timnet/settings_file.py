"""Settings as files and command lines: a run's JSON, older files, and the words of a terminal."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from typing import Any

import pydantic_core
from pydantic import TypeAdapter, ValidationError

from timnet import files
from timnet.config import STRICT, ConfigError, Finetune, Pretrain, Run, declared
from timnet.config.declared import Before, Paper

_COMMANDS: dict[str, type[Pretrain] | type[Finetune]] = {"pretrain": Pretrain, "finetune": Finetune}


def numbers(settings: type[Run], preset: str) -> dict[str, Any]:
    """Return the fields in which a preset differs from the defaults; none for `small`."""
    return _marked(settings, Paper) if preset == "paper" else {}


def command(settings: Run) -> str:
    """Return the command-line word of the settings."""
    return "pretrain" if isinstance(settings, Pretrain) else "finetune"


def to_json(settings: Run) -> str:
    """Write the settings as the text of a run's config.json: sorted keys, one trailing newline."""
    older = _older(type(settings))
    values = {name: value for name, value in asdict(settings).items() if older.get(name) != value}
    return json.dumps({"command": command(settings), **values}, indent=2, sort_keys=True) + "\n"


def from_json(text: str, source: str = "config.json") -> Run:
    """Read settings back.

    Raises:
        ConfigError: not JSON, an unknown command or field, or a value outside its range.
    """
    try:
        fields = pydantic_core.from_json(text, allow_inf_nan=False)
        command = fields.pop("command")
        # As JSON, whose lists may stand for tuples.
        return _adapter(command).validate_json(json.dumps({**_older(_COMMANDS[command]), **fields}))
    except ValidationError as error:
        raise ConfigError(f"{source}: {files.sentence(error)}") from None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{source}: expected the settings of {' or '.join(_COMMANDS)}, got {ascii(error)[:60]}"
        ) from None


def _older(shape: type[Run]) -> dict[str, Any]:
    """Return the settings younger than runs that can still go on, with the values that those runs had.

    These are not written, so that a run keeps its name and its snapshots.
    """
    return _marked(shape, Before)


def _marked(shape: type[Run], kind: type[Paper] | type[Before]) -> dict[str, Any]:
    """Return the values that settings have in one kind of declaration, by name."""
    known = declared.settings(shape).items()
    return {name: mark.value for name, each in known for mark in each.marks if isinstance(mark, kind)}


@cache
def _adapter(command: str) -> TypeAdapter[Run]:
    # Made once: pages read the settings of every checkpoint at every look.
    shape: Any = _COMMANDS[command]
    shape.__pydantic_config__ = STRICT
    return TypeAdapter(shape)
