"""Features of all films of a cohort under one trunk: which trunk that is, where they lie, how far they are.

Owns the folder `features/SIDE-FILMS-TRUNK` of a cohort: the fingerprint of its films, and that of the trunk
by where its weights come from. Labels are no part of it: after one more no film is read again. What fills it
is `training.features`; the file and its process are those of `vectors`. Refuses starts that are none.

Shapes: N films in the order of the pixel cache, C channels of the trunk.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydantic_core
from numpy.typing import NDArray

from timnet import checkpoints, config
from timnet.cohorts import pixels, stored_vectors, vectors
from timnet.cohorts.records import CohortError
from timnet.cohorts.store import Cohort

_RULE = "features 1"
"""Raise it when films are turned into features in another way: they are then read anew."""


@dataclass(frozen=True)
class Start:
    """What a trunk starts from, as far as its features depend on it."""

    source: str
    """As of `config.Finetune.initialisation`."""
    content: str
    """What the source holds, in words or as a sha256."""
    backbone: str
    normalisation: str
    seed: int
    """Of weights that the source does not give; 0 where it gives all."""

    @property
    def key(self) -> str:
        """Return 16 hexadecimal digits that name the trunk."""
        items = [_RULE, self.content, self.backbone, self.normalisation, self.seed]
        return hashlib.sha256(json.dumps(items).encode()).hexdigest()[:16]


def start_of(settings: config.Finetune) -> Start:
    """Return the start of a fine-tuning.

    Raises:
        CohortError: no start of that name or path.
        CheckpointError: a hub id out of reach.
    """
    source, backbone, normalisation = settings.initialisation, settings.backbone, settings.normalisation
    if source == "base":
        return Start(source, "base, normalised by films", backbone, normalisation, settings.seed)
    if source == "imagenet":
        return Start(source, source, backbone, normalisation, 0)
    path = Path(source).expanduser()
    for folder in config.checkpoint_places(source):
        if (folder / "model.json").is_file():
            try:
                content = pydantic_core.from_json((folder / "model.json").read_bytes())
                weights, own, normal = (
                    str(content[name]) for name in ("weights_sha256", "backbone", "normalisation")
                )
            except (OSError, ValueError, KeyError, TypeError):
                raise CohortError(f"{folder.name}: its description cannot be read") from None
            # A checkpoint comes with its own network.
            return Start(source, weights, own, normal, 0)
    if not path.is_file() and (other := checkpoints.encoder_folder(source)) is not None:
        return Start(source, checkpoints.encoder_sha256(other), backbone, checkpoints.OWN, 0)
    if not path.is_file():
        raise CohortError(
            f"{path.name}: expected base, imagenet, a checkpoint folder or a state-dict file, found none"
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    # A state dict may hold a part of the trunk; the rest is drawn.
    seed = 0 if stored_vectors.is_stored(source) else settings.seed
    return Start(source, digest, backbone, normalisation, seed)


def place(cohort: Cohort, settings: config.Finetune) -> Path:
    """Return the folder of a cohort's features under the start of a fine-tuning; errors as for `start_of`."""
    name = f"{settings.side}-{cohort.fingerprint}-{start_of(settings).key}"
    return cohort.folder / pixels.FEATURES / name


def load(folder: Path) -> NDArray[np.float16]:
    """Open complete features (N, C), memory-mapped; CohortError where they are not."""
    return vectors.load(folder).films_ND


def prepare(cohort: Cohort, settings: config.Finetune) -> None:
    """Start a process that reads a cohort's films with the start of a fine-tuning; return at once."""
    vectors.launch(place(cohort, settings), words(cohort, settings))


def words(cohort: Cohort, settings: config.Finetune) -> list[str]:
    """Return the words after `python -m timnet` that read a cohort's films with a start."""
    return [
        "features",
        str(cohort.folder),
        # Joined by `=`: a name that begins with a dash is a name still.
        f"--initialisation={settings.initialisation}",
        f"--side={settings.side}",
        f"--backbone={settings.backbone}",
        f"--normalisation={settings.normalisation}",
        f"--seed={settings.seed}",
    ]
