"""Settings as files and command lines: a run's JSON, older files, and the words of a terminal."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict
from functools import cache
from typing import Any

import pydantic_core
from pydantic import TypeAdapter, ValidationError

from timnet import files
from timnet.config import STRICT, ConfigError, Finetune, Pretrain, Run

_COMMANDS: dict[str, type[Pretrain] | type[Finetune]] = {"pretrain": Pretrain, "finetune": Finetune}


_ADDED = {
    "views": "all",
    "grow_from": 0,
    "start": "",
    "trunk_rate": 1.0,
    "crop_text": False,
    "evaluate_every": 5,
    "text_layers": 3,
    "h_cls": "mlp",
    "negatives": "drawn",
    "mirrored": False,
    "chunk": 0,
    "recompute": False,
    "erase": False,
    "probe": "",
    "mode": "full",
    "shuffled_labels": False,
    "least_steps": 0,
    "class_weights": "none",
    "looks": 20,
    "patience": 0,
}
"""Fields younger than runs that can still go on, with the values that those runs had: these are not written,
so that a run keeps its name and its snapshots."""
_ADDED_TO: dict[type, dict[str, object]] = {Finetune: {"schedule": "constant"}}
"""The same for one kind of settings alone."""


_PAPER: dict[type, dict[str, Any]] = {
    Pretrain: {
        "preset": "paper",
        "views": "all",
        "image_weights": "imagenet",
        "text_encoder": "bert-base-uncased",
        "text_mode": "full",
        "objective": "pairs",
        "padding": "literal",
        "side": 500,
        "tokens": 256,
        "epochs": 50,
        "batch": 16,
        "augment": False,
        "normalisation": "imagenet",
    },
    Finetune: {
        "preset": "paper",
        "views": "all",
        "side": 500,
        "epochs": 100,
        "batch": 16,
        "augment": False,
        "normalisation": "imagenet",
        "drop_last": False,
        "looks": 0,
    },
}


def numbers(settings: type[Run], preset: str) -> dict[str, Any]:
    """Return the fields in which a preset differs from the defaults; none for `small`."""
    return dict(_PAPER[settings]) if preset == "paper" else {}


def command(settings: Run) -> str:
    """Return the command-line word of the settings."""
    return "pretrain" if isinstance(settings, Pretrain) else "finetune"


def to_json(settings: Run) -> str:
    """Write the settings as the text of a run's config.json: sorted keys, one trailing newline."""
    older = _older(type(settings))
    told = {name: value for name, value in asdict(settings).items() if older.get(name) != value}
    return json.dumps({"command": command(settings), **told}, indent=2, sort_keys=True) + "\n"


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


def _older(shape: type[Run]) -> dict[str, object]:
    """Return the younger fields of settings, with what they were before they came."""
    known = {field.name for field in dataclasses.fields(shape)}
    return {name: value for name, value in _ADDED.items() if name in known} | _ADDED_TO.get(shape, {})


@cache
def _adapter(command: str) -> TypeAdapter[Run]:
    # Made once: pages read the settings of every checkpoint at every look.
    return TypeAdapter(_strict(_COMMANDS[command]))


def _strict(settings: type) -> type:
    settings.__pydantic_config__ = STRICT  # type: ignore[attr-defined]
    return settings
