"""Zero-shot prompts: a finding as a sentence that says yes and one that says no; and normal reports.

Owns the lists that come with timnet (assets/prompts.toml) and what a prompt must hold: a name and two
different sentences of at most LONGEST characters. Refuses more than MOST. No number is made here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timnet import config
from timnet.errors import TimnetError

FILE = config.ASSETS / "prompts.toml"
MOST, LONGEST = 40, 400


class PromptError(TimnetError):
    """Prompts that cannot be asked; the message says which one and why."""


@dataclass(frozen=True)
class Prompt:
    """A finding as two sentences."""

    finding: str
    positive: str
    negative: str


def normal(path: Path = FILE) -> tuple[str, ...]:
    """Return the normal texts of a TOML file, at least one.

    Raises:
        PromptError: the file cannot be read, or holds none.
    """
    try:
        texts = tomllib.loads(path.read_text(encoding="utf-8"))["normal"]
    except (OSError, ValueError, KeyError) as error:
        raise PromptError(f"{path.name}: expected a list of normal texts ({type(error).__name__})") from None
    listed = isinstance(texts, list) and texts
    if not listed or not all(isinstance(text, str) and text.strip() for text in texts):
        raise PromptError(f"{path.name}: normal: expected one text or more, none of them empty")
    return tuple(texts)


def shipped(path: Path = FILE) -> tuple[Prompt, ...]:
    """Return the prompts of a TOML file.

    Raises:
        PromptError: the file cannot be read, or a prompt of it cannot be asked.
    """
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["prompt"]
    except (OSError, ValueError, KeyError) as error:
        raise PromptError(f"{path.name}: expected [[prompt]] tables ({type(error).__name__})") from None
    return checked((row.get("finding"), row.get("positive"), row.get("negative")) for row in rows)


def checked(rows: Iterable[tuple[Any, Any, Any]]) -> tuple[Prompt, ...]:
    """Return prompts out of rows of a table; rows without any word are left out.

    Raises:
        PromptError: a row without one of its three texts, one that is too long, or too many rows.
    """
    prompts = []
    for number, row in enumerate(rows, 1):
        texts = [" ".join(text.split()) if isinstance(text, str) else "" for text in row]
        if not any(texts):
            continue
        if not all(texts):
            raise PromptError(f"prompts: row {number}: expected a finding and two sentences, got one missing")
        if max(map(len, texts)) > LONGEST:
            raise PromptError(f"prompts: row {number}: expected at most {LONGEST} characters in a cell")
        if texts[1] == texts[2]:
            raise PromptError(f"prompts: row {number}: expected two different sentences, got the same twice")
        prompts.append(Prompt(*texts))
    if len(prompts) > MOST:
        raise PromptError(f"prompts: expected at most {MOST}, got {len(prompts)}")
    return tuple(prompts)
