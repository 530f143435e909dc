"""The files of an export's films: opened where they may lie, in whatever form their names are written.

Owns that a path, with all its links, ends in the export's folder or one that the import allows besides; what
leaves them is refused. A name is found in any of its Unicode forms (UAX 15), as macOS decomposes what tables
compose, and in another case, where one file alone has it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from timnet.cohorts.records import LEAVES, FileState, PathError, film_path


def read_inside(root: Path, path: str, limit: int, outside: Sequence[Path] = ()) -> bytes:
    """Return the bytes of a film inside the folder `root` or one of `outside` (absolute, resolved).

    Raises:
        PathError: the path leaves the folders, also by a symlink, or is no file of at most `limit` bytes.
    """
    return read_with_state(root, path, limit, outside)[0]


def read_with_state(
    root: Path, path: str, limit: int, outside: Sequence[Path] = ()
) -> tuple[bytes, FileState]:
    """Return the bytes of a film, as `read_inside`, and the size and time of change they were read at."""
    with _opened_inside(root, path, outside) as (descriptor, state):
        if state.bytes > limit:
            raise PathError(f"film is larger than {limit // 2**20} MiB")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(), state


def state_inside(root: Path, path: str, outside: Sequence[Path] = ()) -> FileState:
    """Return the size and time of change of a film inside the folders; PathError as for `read_inside`."""
    with _opened_inside(root, path, outside) as (_, state):
        return state


@contextmanager
def _opened_inside(root: Path, path: str, outside: Sequence[Path]) -> Iterator[tuple[int, FileState]]:
    relative = film_path(path, bool(outside))
    try:
        try:
            descriptor = _descriptor(root, relative, outside)
        except (FileNotFoundError, NotADirectoryError):
            descriptor = _descriptor(root, _respelled(root, relative), outside)
    except (FileNotFoundError, NotADirectoryError):
        raise PathError("film is missing") from None
    except (OSError, RuntimeError, UnicodeError):
        raise PathError("film cannot be opened") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise PathError("film is not a file")
        yield descriptor, FileState(status.st_size, status.st_mtime_ns)
    except OSError:
        raise PathError("film cannot be read") from None
    finally:
        os.close(descriptor)


def _descriptor(root: Path, relative: str, outside: Sequence[Path]) -> int:
    resolved = (root / relative).resolve()
    if not any(resolved.is_relative_to(folder) for folder in (root, *outside)):
        raise PathError(LEAVES)
    # Opened by its resolved name without following links: a link put there meanwhile is refused too.
    return os.open(resolved, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _respelled(root: Path, relative: str) -> str:
    """Return a path in the spelling of the disk; FileNotFoundError where no single file has such a name."""
    place = root
    for part in PurePosixPath(relative).parts:
        if part not in ("/", "..") and not os.path.lexists(place / part):
            alike = _names(str(place), place.stat().st_mtime_ns).get(_any_form(part), ())
            canonical = [each for each in alike if normalize("NFC", each) == normalize("NFC", part)]
            compatible = [each for each in alike if normalize("NFKC", each) == normalize("NFKC", part)]
            alike = canonical or compatible or alike
            if len(alike) != 1:
                raise FileNotFoundError(part)
            part = alike[0]
        place = place / part
    return str(place)


@lru_cache(maxsize=16)
def _names(folder: str, modified_ns: int) -> dict[str, list[str]]:
    """Return the names in a folder by what their forms have in common; read anew when the folder changes."""
    names: dict[str, list[str]] = {}
    for path in Path(folder).iterdir():
        names.setdefault(_any_form(path.name), []).append(path.name)
    return names


def _any_form(name: str) -> str:
    return normalize("NFKC", normalize("NFKC", name).casefold())
