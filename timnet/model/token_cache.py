"""Token states of a frozen text encoder, on disk under TIMNET_HOME: a text is encoded once, whoever asks.

Owns `.token-states/<encoder>-<tokens>-<padding>/`: parts of a few hundred texts each, fp16 and ragged, opened
as memory maps. A part names its texts by their sha256 and holds no word of them; its own name is the sha256
of its bytes, and it appears whole or not at all. Refuses what is damaged or of another encoder: that is
removed, told in the log and encoded anew. What was encoded before a kill is gone on with.

Shapes: T tokens, H BERT's width.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from timnet import config, files
from timnet.counting import counted
from timnet.errors import TimnetError
from timnet.model.encoders import TextEncoder, TokenStates

FOLDER = ".token-states"
"""Below TIMNET_HOME; no cohort's name begins with a dot."""
PART = 512
"""Texts of a part, a multiple of the encoder's batch: what a kill may cost."""
SPARE = 2**28
"""Bytes that stay free on the disk."""

_RULE = "states 2"
"""Raise it when texts are encoded in another way: parts of another rule are encoded anew."""
_SUFFIX = ".safetensors"
_TWO_BYTES = 2

_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
Found = dict[str, Tensor]


class StatesError(TimnetError):
    """Token states that cannot be kept; the message says where, what was expected and what came."""


@dataclass(frozen=True)
class Kind:
    """What states are of use to each other: those of one encoder, length and padding."""

    encoder: TextEncoder
    tokens: int
    """Tokens that the encoder reads at a time."""
    literal: bool = False
    """As in `TextEncoder.tokenize`."""
    upper: int = 0
    """Layers of the encoder that are trained: the states are those below them."""

    @cached_property
    def facts(self) -> dict[str, str]:
        """What a part's header holds of it."""
        return {
            "rule": _RULE,
            "encoder": self.encoder.content(),
            "tokens": str(self.tokens),
            "padding": "literal" if self.literal else "masked",
            "upper": str(self.upper),
        }

    @property
    def folder(self) -> Path:
        """Where they are kept."""
        facts, below = self.facts, f"-below-{self.upper}" if self.upper else ""
        return config.home() / FOLDER / f"{facts['encoder'][:16]}-{self.tokens}-{facts['padding']}{below}"


def cached(kind: Kind, texts: Sequence[str], progress: Progress | None = None) -> TokenStates:
    """Return the token states of texts, those that were not encoded before being encoded and kept.

    Args:
        kind: of the states wanted.
        texts: in the order wanted; equal ones share their states.
        progress: called with texts done and texts in all while there is something to encode.

    Raises:
        StatesError: too little room, or the disk does not take what is written.
    """
    folder = kind.folder
    names = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts]
    by_name = dict(zip(names, texts, strict=True))
    found: Found = {}
    parts: set[Path] = set()
    try:
        _open(kind, found, parts)
        if by_name.keys() - found.keys():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _locked(folder, progress, len(by_name)):
                # Another process may have encoded them while this one waited.
                _open(kind, found, parts)
                _encode(
                    kind,
                    {name: by_name[name] for name in by_name.keys() - found.keys()},
                    len(by_name),
                    progress,
                )
                _open(kind, found, parts)
    except OSError as error:
        raise StatesError(f"token states: {folder} cannot be written: {error.strerror or error}") from error
    return TokenStates(tuple(found[name] for name in names))


def _open(kind: Kind, found: Found, parts: set[Path]) -> None:
    """Add the states of every part not opened before; a part that cannot be trusted is removed."""
    for path in sorted(kind.folder.glob(f"[!.]*{_SUFFIX}")):
        if path in parts:
            continue
        try:
            found.update(_read(path, kind.facts))
            parts.add(path)
        except FileNotFoundError:
            continue
        except StatesError as error:
            _log.warning("%s; its texts are encoded anew", error)
            path.unlink(missing_ok=True)


def _read(path: Path, facts: Mapping[str, str]) -> Found:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != path.stem:
        raise StatesError(
            f"token states: {path.name[:12]} is damaged: expected sha256 {path.stem[:12]}, got {digest[:12]}"
        )
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("kind") != json.dumps(facts):
                raise StatesError(f"token states: {path.name[:12]} is of another encoder or version")
            # The tensor is the file itself, mapped: nothing of it is in memory before it is asked for.
            states_RH, lengths, names = (file.get_tensor(key) for key in ("states", "lengths", "texts"))
    except SafetensorError as error:
        raise StatesError(f"token states: {path.name[:12]} cannot be read ({error})") from None
    ends = [0, *lengths.cumsum(0).tolist()]
    rows = [states_RH[start:end] for start, end in pairwise(ends)]
    return dict(zip((bytes(name).hex() for name in names.numpy()), rows, strict=True))


def _encode(kind: Kind, missing: Mapping[str, str], total: int, progress: Progress | None) -> None:
    """Encode texts part by part, shortest first, each part on disk before the next is begun."""
    for left in kind.folder.glob(f".*{_SUFFIX}.*"):
        left.unlink()
    if not missing:
        return
    lengths = kind.encoder.lengths(list(missing.values()), kind.tokens, kind.literal)
    _check_room(kind.folder, sum(lengths) * kind.encoder.width * _TWO_BYTES, len(missing))
    # In one order whatever was encoded before a kill: a run that goes on makes the parts that were left.
    order = [name for _, name in sorted(zip(lengths, missing, strict=True))]
    before = total - len(missing)
    for start in range(0, len(order), PART):
        names, done = order[start : start + PART], before + start

        def report(of_part: int, _: int, done: int = done) -> None:
            if progress:
                progress(done + of_part, total)

        part = [missing[name] for name in names]
        states = kind.encoder.states(part, kind.tokens, kind.literal, report, upper=kind.upper).states
        data = save(
            {
                "states": torch.cat(states),
                "lengths": torch.tensor([len(state) for state in states]),
                "texts": torch.tensor([list(bytes.fromhex(name)) for name in names], dtype=torch.uint8),
            },
            {"kind": json.dumps(kind.facts)},
        )
        files.write_whole(kind.folder / f"{hashlib.sha256(data).hexdigest()}{_SUFFIX}", data)


def _check_room(folder: Path, wanted: int, num_texts: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < wanted + SPARE:
        raise StatesError(
            f"token states: expected {(wanted + SPARE) / 1e9:.1f} GB free for "
            f"{counted(num_texts, 'report')} in {folder.parent}, found {free / 1e9:.1f} GB"
        )


@contextmanager
def _locked(folder: Path, progress: Progress | None, total: int) -> Iterator[None]:
    """Hold the folder's lock; who waits for it can be stopped by what `progress` raises."""
    lock = FileLock(folder / ".lock")
    while True:
        try:
            held = lock.acquire(timeout=1)
            break
        except Timeout:
            if progress:
                progress(0, total)
    with held:
        yield
