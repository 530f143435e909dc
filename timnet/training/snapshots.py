"""Snapshots of a training: all it needs to go on as if it had never stopped, on disk while it trains.

Owns `snapshots/` in a run's folder: one safetensors file a snapshot (tensors in their own layout, plain
values as JSON in its header) and beside it a manifest with its sha256, each written whole, the newest three
kept. Refuses what is truncated, flipped or without its manifest and takes the one before; never a pickle, and
never a snapshot of other settings or other films.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydantic_core
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from timnet import config, files, settings_file
from timnet.errors import TimnetError
from timnet.training.runs import SNAPSHOTS
from timnet.training.state import Parts, Place

KEPT = 3
"""Snapshots that stay, so that a damaged one has others before it."""
SECONDS = 120.0
"""Time between two snapshots within an epoch, unless TIMNET_SNAPSHOT_SECONDS says another; 0: every step."""
EPOCH_SECONDS = 10.0
"""Least time between two snapshots at the ends of epochs: those of a tiny run take no time."""
SHARE = 0.02
"""Most of the training's time that snapshots may take."""

_DATA, _MANIFEST = ".safetensors", ".json"

_log = logging.getLogger(__name__)


class SnapshotError(TimnetError):
    """A snapshot that cannot be written, read or used here; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a snapshot belongs to: it is of use only where settings and films are the same."""

    settings: str
    """sha256 of the run's settings."""
    films: str
    """sha256 of what is trained on (`fingerprint`)."""
    seed: int
    """Of order, negatives and augmentation: with an epoch it says all that the epoch draws."""
    precision: str
    code: str
    """sha256 of this package's code, and the version of PyTorch."""


@dataclass(frozen=True)
class Snapshot:
    """A snapshot as it was read, whole."""

    name: str
    origin: Origin
    place: Place
    state: dict[str, Any]


class Snapshots:
    """The snapshots of one run while it trains: says where to go on, and writes a new one when it is due."""

    def __init__(self, run: Path, origin: Origin, found: Snapshot | None = None, writes: bool = True) -> None:
        """Keep snapshots for a run, which goes on from `found` where that is given; `writes` is false in all
        processes of a run but its first.

        Raises:
            SnapshotError: it was made with other settings or films.
            ConfigError: TIMNET_SNAPSHOT_SECONDS is no number of seconds.
        """
        self._run, self._folder, self._origin = run, run / SNAPSHOTS, origin
        self._seconds = _seconds()
        self._found, self._writes = found, writes
        self._last = found.place if found else None
        self._cost, self._written = 0.0, time.monotonic()
        if found:
            _check(found, origin, run)
        # What is newer than the one that was good is damaged, or was left half written.
        keep = {path for path in self._names() if found and path.name <= found.name}
        for path in self._folder.glob("*") if writes and self._folder.is_dir() else ():
            if path.with_suffix(_DATA) not in keep:
                path.unlink()

    def restore(self, parts: Parts) -> Place:
        """Put the parts where the run stopped and return that place; the very start where it is new."""
        if self._found is None:
            return Place()
        place = self._found.place
        try:
            parts.load(self._found.state)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise SnapshotError(
                f"{self._run.name}: snapshot {self._found.name} does not fit its network ({reason}); "
                "start the run anew"
            ) from None
        self._found = None
        return place

    def due(self, epoch_end: bool = False) -> bool:
        """Say whether it is time for another one; a slow disk is asked less often."""
        least = min(self._seconds, EPOCH_SECONDS) if epoch_end else self._seconds
        # Asked for every step, the time they take does not count.
        least = max(least, self._cost / SHARE) if self._seconds else 0.0
        return time.monotonic() - self._written >= least

    def write(self, parts: Parts, place: Place) -> float:
        """Write a snapshot, unless the last one was taken here, and return the seconds it took.

        Raises:
            SnapshotError: the disk is full or read-only; the snapshots before it are as they were.
        """
        if place == self._last or not self._writes:
            return 0.0
        start = time.monotonic()
        tensors: dict[str, Tensor] = {}
        plain = _flat(
            {"origin": asdict(self._origin), "place": asdict(place), "state": parts.state()}, tensors
        )
        data = save(tensors, {"plain": json.dumps(plain)})
        manifest = {
            "format": 1, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "step": place.step
        }  # fmt: skip
        path = self._folder / f"epoch{place.epoch:05}-step{place.step:012}{_DATA}"
        try:
            self._folder.mkdir(exist_ok=True)
            files.write_whole(path, data)
            files.write_whole(path.with_suffix(_MANIFEST), (json.dumps(manifest) + "\n").encode())
        except OSError as error:
            raise SnapshotError(
                f"{self._run.name}: the snapshot of step {place.step} cannot be written: "
                f"{error.strerror or error}"
            ) from error
        for old in self._names()[:-KEPT]:
            old.unlink()
            old.with_suffix(_MANIFEST).unlink(missing_ok=True)
        self._last, self._written = place, time.monotonic()
        self._cost = self._written - start
        return self._cost

    def _names(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_DATA}"))


def newest(run: Path) -> Snapshot | None:
    """Return the newest snapshot of a run that is whole, or None; the log names those that are not."""
    for path in sorted((run / SNAPSHOTS).glob(f"*{_DATA}"), reverse=True):
        try:
            return _read(path)
        except SnapshotError as error:
            _log.warning("%s; the one before it is taken", error)
    return None


def origin(settings: config.Run, films: str, precision: str) -> Origin:
    """Return what the snapshots of a run belong to."""
    return Origin(
        settings=hashlib.sha256(settings_file.to_json(settings).encode()).hexdigest(),
        films=films,
        seed=settings.seed,
        precision=precision,
        code=_code(),
    )


def fingerprint(*parts: np.ndarray | str) -> str:
    """Return the sha256 of what a run is trained on, 64 hexadecimal digits.

    A memory map counts by the name of its file: a pixel cache's holds the fingerprint of its films.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            content = part.encode()
        elif isinstance(part, np.memmap):
            content = Path(str(part.filename)).name.encode()
        else:
            content = np.ascontiguousarray(part).tobytes()
        digest.update(f"{len(content)}\n".encode() + content)
    return digest.hexdigest()


def _read(path: Path) -> Snapshot:
    name = f"{path.parent.parent.name}: snapshot {path.name}"
    try:
        manifest = pydantic_core.from_json(path.with_suffix(_MANIFEST).read_bytes())
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        expected = str(manifest["sha256"])
    except FileNotFoundError:
        raise SnapshotError(f"{name} has no manifest") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"{name} or its manifest cannot be read ({error})") from None
    if digest != expected:
        raise SnapshotError(f"{name} is damaged: expected sha256 {expected[:12]}, got {digest[:12]}")
    try:
        with safe_open(path, framework="pt") as file:
            plain = pydantic_core.from_json(file.metadata()["plain"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        held = _whole(plain, tensors)
        return Snapshot(path.name, Origin(**held["origin"]), Place(**held["place"]), held["state"])
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise SnapshotError(f"{name} is none of this version ({error})") from None


def _check(found: Snapshot, expected: Origin, run: Path) -> None:
    for part in ("settings", "films"):
        if getattr(found.origin, part) != getattr(expected, part):
            settings = "settings" if part == "settings" else "films or labels"
            raise SnapshotError(
                f"{run.name}: its {settings} are no longer those it was stopped with; start the run anew"
            )
    if found.origin.code != expected.code:
        _log.warning("%s: goes on with another version of the code: not bit for bit the same", run.name)


def _flat(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a tree as JSON can hold it, its tensors put aside under numbers."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous()
        # Kernels of the optimiser go through a weight and its moments in the order they lie in memory.
        return {"tensor": name, "stride": list(value.stride())}
    if isinstance(value, dict):
        return {"dict": [[key, _flat(held, tensors)] for key, held in value.items()]}
    if isinstance(value, (list, tuple)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_flat(held, tensors) for held in value]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a snapshot holds tensors and plain values, got {type(value).__name__}")


def _whole(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return the tree that `_flat` was given."""
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        flat = tensors[value["tensor"]]
        return torch.empty_strided(flat.shape, value["stride"], dtype=flat.dtype).copy_(flat)
    if "dict" in value:
        return {key: _whole(held, tensors) for key, held in value["dict"]}
    kind, held = next(iter(value.items()))
    each = [_whole(one, tensors) for one in held]
    return tuple(each) if kind == "tuple" else each


def _code() -> str:
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parent.parent
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\n".encode() + path.read_bytes())
    return f"{digest.hexdigest()[:16]}, torch {torch.__version__}"


def _seconds() -> float:
    message = os.environ.get("TIMNET_SNAPSHOT_SECONDS") or str(SECONDS)
    try:
        seconds = float(message)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise config.ConfigError(f"TIMNET_SNAPSHOT_SECONDS: expected seconds from 0 on, got {message!r}")
    return seconds
