"""Settings files with one value wrong: each field in turn, by type, range and NaN."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

WRONG: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 10**400, "x", "", "x" * 10_000, "\x00", [], ["x"], [1], {}, {"a": 1}, [[]],
    float("nan"), float("inf"),
)  # fmt: skip


def wrong_values(told: Any) -> Iterator[str]:
    """Yield the texts of a JSON value with one of its places, itself among them, replaced or left out."""
    for path in places(told):
        for wrong in WRONG:
            yield _replaced(told, path, wrong)
        if path and isinstance(path[-1], str):
            yield _replaced(told, path, None, gone=True)
    yield "[" * 100_000
    yield ""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every place in a JSON value, of the whole as well."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, item in inside for each in places(item, (*path, key)))]


def _replaced(told: Any, path: tuple[Any, ...], wrong: Any, gone: bool = False) -> str:
    if not path:
        return json.dumps(wrong)
    changed = copy.deepcopy(told)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    if gone:
        del inner[path[-1]]
    else:
        inner[path[-1]] = wrong
    return json.dumps(changed)
