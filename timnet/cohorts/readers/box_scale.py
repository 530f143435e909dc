"""Boxes in a table's cells, and boxes drawn on films of one size, carried to the size of a copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from timnet.cohorts.paths import read_inside
from timnet.cohorts.readers.cells import RowError
from timnet.cohorts.records import Box, PathError
from timnet.films import sandbox
from timnet.films.film import MAX_BYTES, FilmError


def numbers(cells: Mapping[str, str], columns: Sequence[str]) -> list[float]:
    """Return the numbers of some cells; RowError where one is none."""
    try:
        return [float(cells[column]) for column in columns]
    except ValueError:
        raise RowError("box is not four numbers") from None


def on_film(
    root: Path, path: str, boxes: Sequence[Box], side: int, outside: Sequence[Path]
) -> tuple[Box, ...]:
    """Return boxes in the film's own pixels; none for a film that cannot be read, which the import names.

    Args:
        root: folder of the export.
        path: of the film, inside it.
        boxes: in pixels of `side` x `side`.
        side: in pixels.
        outside: see `records.Rules`.
    """
    if not boxes:
        return ()
    try:
        folders = [each.resolve() for each in outside]
        data = read_inside(root.resolve(), path, MAX_BYTES, folders)
        film = sandbox.read_untrusted(data, name=path, reuse=True)
    except (PathError, FilmError):
        return ()
    across, down = film.columns / side, film.rows / side
    return tuple(
        Box(box.label, box.left * across, box.top * down, box.width * across, box.height * down)
        for box in boxes
    )
