"""Files on disk: JSON read against declared types and without NaN, files written whole, or for one owner.

Whatever a file holds, reading it gives a checked value or one sentence that names file, field, what was
expected and what came: checkpoints are exchanged, so their files are untrusted input.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic_core
from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError

from timnet.errors import TimnetError

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
"""Pydantic settings of every file here: no unknown field, no conversion of types, no NaN or infinity."""
LARGEST = 2**26
"""Bytes above which a settings file is refused unread."""

Value = TypeVar("Value")


def _first(version: int) -> int:
    if version != 1:
        raise ValueError(f"expected 1, got {repr(version)[:60]}")
    return version


Format = Annotated[int, AfterValidator(_first)]
"""Of the version of a file; a Literal would take True for 1."""


_LOCK = threading.Lock()
_umasks: list[int] = []


@contextmanager
def private() -> Iterator[None]:
    """Create files for their owner alone until the block ends: 0600, folders 0700, whatever the umask.

    Everything that may hold reports, films or predictions is written in such a block. The umask belongs to
    the process: of several blocks at once the last to end restores it.
    """
    with _LOCK:
        _umasks.append(os.umask(0o077))
    try:
        yield
    finally:
        with _LOCK:
            before = _umasks.pop()
            if not _umasks:
                os.umask(before)


def read(path: Path, shape: TypeAdapter[Value], error: type[TimnetError]) -> Value:
    """Read a JSON file against a declared type.

    Args:
        path: file in a checkpoint's or run's folder; messages name both.
        shape: what is expected; build it once, at import.
        error: class of the error that is raised.

    Raises:
        FileNotFoundError: no such file.
        TimnetError: of class `error`: unreadable, too large, not JSON, or a value of another type.
    """
    name = f"{path.parent.name}/{path.name}"
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise error(f"{name}: expected at most {LARGEST:,} bytes, got {size:,}")
        data = path.read_bytes()
        # Fields that no type covers hold no NaN either, and nothing is nested out of bounds.
        pydantic_core.from_json(data, allow_inf_nan=False)
        return shape.validate_json(data)
    except FileNotFoundError:
        raise
    except OSError as cause:
        raise error(f"{name}: cannot be read ({cause.strerror or type(cause).__name__})") from None
    except ValidationError as cause:
        raise error(f"{name}: {sentence(cause)}") from None
    except ValueError as cause:
        raise error(f"{name}: expected JSON without NaN or infinity ({cause})") from None


def strict(shape: type[Value]) -> TypeAdapter[Value]:
    """Return the adapter of a dataclass that takes its own fields alone, of exactly their types; costly."""
    shape.__pydantic_config__ = STRICT  # type: ignore[attr-defined]
    return TypeAdapter(shape)


def sentence(invalid: ValidationError) -> str:
    """Return the first fault that pydantic found as one sentence, its value cut short."""
    first = invalid.errors(include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    came = ascii(first["input"])
    shown = came if len(came) <= 60 else f"{came[:60]}..."
    words = first["msg"].replace("Input should be", "expected").removeprefix("Value error, ")
    plain = {"missing": "expected a value, got none", "extra_forbidden": "unknown field"}
    plain["unexpected_keyword_argument"] = plain["extra_forbidden"]
    own = first["type"] == "value_error"
    message = plain.get(first["type"]) or (words if own else f"{words}, got {shown}")
    return f"{field}: {message}" if field else message


def to_json(value: Any, source: str, error: type[TimnetError] = TimnetError, **layout: Any) -> str:
    """Return a value as JSON text.

    Raises:
        TimnetError: of class `error`, where a number is not finite: JSON has none such.
    """
    try:
        return json.dumps(value, allow_nan=False, **layout)
    except ValueError:
        raise error(f"{source}: expected finite numbers, got NaN or infinity") from None


def write_whole(path: Path, data: bytes) -> None:
    """Write bytes so that a reader sees the old file or the new one, also after a power cut.

    Raises:
        OSError: the disk is full or read-only; the file that stood there before is still whole.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Put a file, or a folder's entries, on the disk, so that they outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(path: Path) -> None:
    """Remove what a process that was killed in `write_whole` of this file left in its folder."""
    for temporary in path.parent.glob(f".{path.name}.*"):
        temporary.unlink(missing_ok=True)
