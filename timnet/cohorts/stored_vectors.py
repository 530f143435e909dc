"""Vectors that any program has made of images, in a .npz or Parquet file, joined to the films of a cohort.

Owns the file's two columns, names and vectors, and how a name means a film: by its path, file name, sha256 or
study, whichever fits most of a file's names. Films without a vector get zeros, which no vector is; what did
not join is a table. Refuses vectors that are ragged, not finite or all zeros, names that stand twice, two
names of one film, and files of which nothing joins. Never reads a pickle.

Shapes: M vectors of a file, N films of a cohort, C numbers a vector.
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from timnet import files
from timnet.cohorts import schema
from timnet.cohorts.records import CohortError
from timnet.cohorts.store import Cohort
from timnet.counting import counted

NAMES = ("image", "path", "name", "file", "film", "sha256", "study")
VECTORS = ("vector", "embedding", "feature")
"""What the two columns may be called, also in the plural; without such a name, the only one of its kind."""
LARGEST = float(np.finfo(np.float16).max)
SUFFIXES = (".npz", ".parquet")


@dataclass(frozen=True)
class Joined:
    """A cohort's films with the vectors of a file."""

    vectors_NC: NDArray[np.float32]
    by: str
    """How names mean films, in words."""
    left_over: pd.DataFrame
    """Columns name, why: what did not join."""


def is_stored(source: str) -> bool:
    """Say whether a start is a file of vectors, by its name."""
    return Path(source).suffix.lower() in SUFFIXES


def known(features_NC: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which films (N,) have a vector."""
    return np.asarray(np.asarray(features_NC).any(1), bool)


def join(cohort: Cohort, path: Path) -> Joined:
    """Join a file's vectors to a cohort's films.

    Raises:
        CohortError: the file cannot be read or used, or none of it joins.
    """
    names, vectors_MC = read(path)
    table = cohort.films()
    with schema.connect(cohort.folder) as connection:
        digests = [row[0] for row in connection.execute("SELECT sha256 FROM films ORDER BY film")]
    last, ours = [PurePosixPath(name).name for name in names], list(map(PurePosixPath, table["path"]))
    tried = {
        "path": (names, table["path"].tolist()),
        "file name": (last, [each.name for each in ours]),
        "file name without its ending": (last, [each.stem for each in ours]),
        "sha256": ([name.lower() for name in names], digests),
        "study": (names, table["study"].tolist()),
    }
    best = max(tried, key=lambda kind: len(set(tried[kind][0]) & _once(tried[kind][1])))
    keys, of_films = tried[best]
    clear, row_of = _once(of_films), {key: row for row, key in enumerate(of_films)}
    rows_M = np.array([row_of[key] if key in clear else -1 for key in keys])
    joins_M = rows_M >= 0
    if not joins_M.any():
        raise CohortError(
            f"{path.name}: expected names that are paths, file names, sha256 or studies of {cohort.name}'s "
            f"X-rays, none of {len(names)} is one, the first is {names[0][:80]!r}"
        )
    row, times = Counter(rows_M[joins_M].tolist()).most_common(1)[0]
    if times > 1:
        raise CohortError(f"{path.name}: expected one vector an X-ray, {table['path'][row]} has {times}")
    vectors_NC = np.zeros((len(table), vectors_MC.shape[1]), np.float32)
    vectors_NC[rows_M[joins_M]] = vectors_MC[joins_M]
    left_over = [
        (names[i], f"several X-rays of that {best}" if keys[i] in row_of else "no such X-ray")
        for i in np.flatnonzero(~joins_M)
    ] + [(each, "no vector") for each in table["path"][~known(vectors_NC)]]
    return Joined(vectors_NC, best, pd.DataFrame(left_over, columns=["name", "why"]))


def read(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    """Return the names and the vectors (M, C) of a file; CohortError where they cannot be used."""
    try:
        names, vectors = _npz(path) if path.suffix.lower() == ".npz" else _parquet(path)
    except (OSError, ValueError, TypeError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise CohortError(
            f"{path.name}: expected names, and vectors that are all of one length ({reason})"
        ) from None
    if vectors.ndim != 2 or not vectors.size or len(names) != len(vectors):
        raise CohortError(
            f"{path.name}: expected a name and a vector an X-ray, got {counted(len(names), 'name')} and "
            f"{vectors.shape}"
        )
    finite = (np.abs(vectors) <= LARGEST).all(1)
    for good, what in ((finite, f"finite numbers up to {LARGEST:g}"), (vectors.any(1), "vectors beside 0")):
        if not good.all():
            first = names[int(good.argmin())][:80]
            raise CohortError(f"{path.name}: expected {what}, got another for {first!r}")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise CohortError(
            f"{path.name}: expected every name once, {name[:80]!r} stands there {counted(times, 'time')}"
        )
    return names, vectors.astype(np.float32)


def write(path: Path, cohort: Cohort, vectors_NC: NDArray[np.floating]) -> None:
    """Write a cohort's vectors with the paths of its films, as `read` takes them.

    Raises:
        CohortError: a file of another kind.
        OSError: the disk does not take it.
    """
    if not is_stored(str(path)):
        raise CohortError(
            f"out: expected a file that ends in {' or '.join(SUFFIXES)}, got {path.name[:80]!r}"
        )
    there, data = known(vectors_NC), io.BytesIO()
    paths, chosen = cohort.films()["path"][there].to_numpy(str), np.asarray(vectors_NC, np.float32)[there]
    if path.suffix.lower() == ".npz":
        np.savez(data, image=paths, vector=chosen)
    else:
        pd.DataFrame({"image": paths, "vector": list(chosen)}).to_parquet(data, index=False)
    files.write_whole(path, data.getvalue())


def nearest(vectors_NC: NDArray[np.floating], row: int, number: int = 10) -> pd.Series[float]:
    """Return the cosines of the films most like one by their rows, the most like first.

    Raises:
        CohortError: the film has no vector.
    """
    vectors_NC = np.asarray(vectors_NC, float)
    if not vectors_NC[row].any():
        raise CohortError("like: expected a study whose X-ray has a vector, this one has none")
    others = np.flatnonzero(known(vectors_NC) & (np.arange(len(vectors_NC)) != row))
    lengths = np.linalg.norm(vectors_NC[others], axis=1) * np.linalg.norm(vectors_NC[row])
    return pd.Series(vectors_NC[others] @ vectors_NC[row] / lengths, others).nlargest(number)


def _once(keys: list[str]) -> set[str]:
    return {key for key, times in Counter(keys).items() if times == 1}


def _npz(path: Path) -> tuple[list[str], NDArray[Any]]:
    # From memory: of a damaged file numpy leaves one open.
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as held:
        arrays = {key: held[key] for key in held.files}
    names = _chosen(NAMES, {key: each for key, each in arrays.items() if each.dtype.kind in "US"})
    vectors = _chosen(VECTORS, {key: each for key, each in arrays.items() if each.dtype.kind in "fiu"})
    return [str(name) for name in names.ravel().astype(str)], vectors


def _parquet(path: Path) -> tuple[list[str], NDArray[Any]]:
    import pyarrow
    from pyarrow import compute, parquet

    table = parquet.read_table(path)
    columns = {name: table[name] for name in table.column_names}
    lists = {key: each for key, each in columns.items() if pyarrow.types.is_nested(each.type)}
    names = _chosen(NAMES, {key: each for key, each in columns.items() if key not in lists}).to_pylist()
    column = _chosen(VECTORS, lists)
    lengths = set(compute.list_value_length(column).to_pylist())
    if None in names or len(lengths) != 1 or None in lengths:
        raise ValueError(f"got lengths {', '.join(map(str, list(lengths)[:4]))}")
    numbers = column.combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(float)
    return list(map(str, names)), numbers.reshape(len(names), -1)


def _chosen(wanted: tuple[str, ...], given: dict[str, Any]) -> Any:
    """Return the column of a known name, or the only one."""
    lower = {key.lower().removesuffix("s"): each for key, each in given.items()}
    for name in wanted:
        if name in lower:
            return lower[name]
    if len(given) != 1:
        raise ValueError(f"expected a column {wanted[0]}, got {', '.join(given)[:80] or 'none'}")
    return next(iter(given.values()))
