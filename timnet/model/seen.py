"""A film as a network sees it: letterboxed, through the trunk once, its last grid kept for every question.

Shapes: B films, S the network's side, C channels, h w the last grid.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from timnet.films import frontal_check
from timnet.films.film import Film
from timnet.films.letterbox import Letterbox
from timnet.films.read import read_film
from timnet.model.branches import ImageBranch
from timnet.model.classifier import Classifier, Probe

Source = str | Path | bytes | NDArray[Any] | Film
"""What a film may be given as: a path, the bytes of a file, rows of greys, or a Film."""


@dataclass(frozen=True)
class Seen:
    """A film after one forward of a checkpoint's trunk: every further question about it starts here."""

    film: Film
    grid_1Chw: Tensor
    doubt: str
    """Why it may be no frontal chest film (`films.frontal_check`); empty where it looks like one."""


@torch.no_grad()
def grids(network: ImageBranch | Classifier | Probe, squares: Sequence[NDArray[np.float32]]) -> Tensor:
    """Return the last grids (B, C, h, w) of squares (S, S) in [0, 1]."""
    device = next(network.parameters()).device
    return network.grid(torch.from_numpy(np.stack(squares)[:, None]).to(device))


def see(
    network: ImageBranch | Classifier | Probe, side: int, films: Iterable[Source], batch: int
) -> Iterator[list[Seen]]:
    """Take films through the trunk, `batch` at a time; FilmError where one is no film."""
    with ThreadPoolExecutor() as pool:
        waiting = iter(films)
        while part := list(itertools.islice(waiting, batch)):
            read = list(pool.map(film_of, part))
            grids_BChw = grids(network, list(pool.map(_square, read, itertools.repeat(side))))
            doubts = pool.map(frontal_check.doubt, read)
            yield list(map(Seen, read, grids_BChw.split(1), doubts))


def film_of(source: Source) -> Film:
    """Return the film of whatever a caller has of it."""
    if isinstance(source, np.ndarray):
        return Film.from_array(source)
    if isinstance(source, Film):
        return source
    return read_film(Path(source) if isinstance(source, str) else source)


def _square(film: Film, side: int) -> NDArray[np.float32]:
    square = Letterbox.of(film, side).apply(film.pixels)
    # Training saw films through uint8 rows of the pixel cache.
    return np.rint(square * 255).astype(np.float32) / 255
