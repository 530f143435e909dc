"""What a checkpoint is, without torch: its files, its description, and where those of a name lie."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from timnet import config, files
from timnet.errors import TimnetError, reason

WEIGHTS, DESCRIPTION, OWN_ENCODER = "model.safetensors", "model.json", "text-encoder"
ENCODER_CONFIG = "config.json"
"""What an image encoder of another library is, in its folder."""
LAYERS, LINEAR = "layers", "linear"
"""Heads of a classifier: the paper's layers, or the one linear layer of a probe."""
OWN = "own"
"""Normalisation of an image encoder of another library."""
CALIBRATION = "calibration.json"
"""What the numbers of these weights mean (`evaluation.calibration.record`), where that was fitted."""
OTHER_REPORTS = "other_reports.safetensors"
"""Vectors of other patients' reports by these weights (`evaluation.other_reports`), where they are kept."""


class CheckpointError(TimnetError):
    """Weights that cannot be used; the message says what, where, what was expected and what came."""


Size = Annotated[int, Field(ge=1, le=8192)]
Label = Annotated[str, Field(min_length=1, max_length=200)]
Side = Annotated[int, Field(ge=16, le=2048)]
Name = Annotated[str, Field(max_length=200)]
Scale = Annotated[float, Field(gt=0, le=1e6)]


@dataclass(frozen=True, kw_only=True)
class ImageEncoder:
    """An image encoder of another library: all it takes to build it anew without its folder."""

    library: Literal["transformers", "timm"]
    config: dict[str, Any]
    """The library's own, as far as it tells sizes and switches."""
    mean: Annotated[tuple[float, ...], Field(min_length=1, max_length=16)]
    """By which greys in [0, 1] are normalised, one a channel."""
    std: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1, max_length=16)]
    side: Side
    """That it was trained at, in pixels."""


@dataclass(frozen=True, kw_only=True)
class TimnetSpec:
    """What a TIMNet checkpoint is."""

    backbone: Name
    side: Side
    tokens: Size
    """Tokens that the text encoder reads at a time; longer texts are read in several windows."""
    padding: Literal["masked", "literal"]
    width: Size
    normalisation: Name
    text_encoder: Name
    """Where the text encoder came from: a folder's name or a hub id."""
    text_encoder_sha256: Name | None
    """Content of a frozen encoder (`encoders.fingerprint`); None where the checkpoint holds its own."""
    text_width: Size
    head: Name = "difference"
    """How the two vectors are compared (`timnet.HEADS`)."""
    longest_text: Annotated[int, Field(ge=1)] | None = None
    """Tokens of the longest text that it was trained on; None: `tokens`, longer ones were cut."""
    map_scale: Scale = 1.0
    """Evidence, in logits, at which a map is painted at full strength."""
    image_encoder: ImageEncoder | None = None
    """What `backbone` names, where it is one of another library."""
    kind: Literal["timnet"] = "timnet"


@dataclass(frozen=True, kw_only=True)
class ClassifierSpec:
    """What a classifier checkpoint is."""

    backbone: Name
    side: Side
    width: Size
    normalisation: Name
    task: str
    labels: Annotated[tuple[Label, ...], Field(min_length=1, max_length=8192)]
    head: Name = LAYERS
    """LAYERS, or LINEAR for a probe, which has no use for `width`."""
    map_scale: Scale = 1.0
    """Evidence, in logits, at which a map is painted at full strength."""
    image_encoder: ImageEncoder | None = None
    """What `backbone` names, where it is one of another library."""
    kind: Literal["classifier"] = "classifier"

    def __post_init__(self) -> None:
        if len(set(self.labels)) < len(self.labels):
            twice = next(label for label in self.labels if self.labels.count(label) > 1)
            raise ValueError(f"labels: expected each once, got {twice!a} twice")


Spec = TimnetSpec | ClassifierSpec


class _Head(BaseModel):
    """What every description holds beside the fields of its kind."""

    model_config = ConfigDict(extra="allow", strict=True)
    format: files.Format
    weights_sha256: str


_HEAD = TypeAdapter(_Head)
files.strict(ImageEncoder)
_SPECS: dict[str, TypeAdapter[Any]] = {
    "timnet": files.strict(TimnetSpec),
    "classifier": files.strict(ClassifierSpec),
}


def is_checkpoint(folder: Path) -> bool:
    """Say whether a folder holds a finished checkpoint."""
    return (folder / DESCRIPTION).is_file() and (folder / WEIGHTS).is_file()


def describe(folder: Path) -> Spec:
    """Read what a checkpoint is, without its weights.

    Raises:
        CheckpointError: no checkpoint there, or a description that is not one of ours.
    """
    return _spec(_description(folder), folder)


def weights_sha256(folder: Path) -> str:
    """Return the sha256 that a checkpoint's weights must have: what loading them proves.

    Raises:
        CheckpointError: no checkpoint there, or a description that is not one of ours.
    """
    return str(_description(folder).get("weights_sha256"))


def checkpoint_folder(source: str) -> Path | None:
    """Return the checkpoint folder that a name or path means, or None."""
    for folder in config.checkpoint_places(source):
        if is_checkpoint(folder):
            return folder
    return None


def named(source: str) -> Path:
    """Return the checkpoint folder that a name or path means.

    Raises:
        CheckpointError: there is none.
    """
    folder = checkpoint_folder(source)
    if folder is None:
        raise CheckpointError(f"{Path(source).name}: no checkpoint of that name or path")
    return folder


def encoder_folder(source: str) -> Path | None:
    """Return the folder of an image encoder that a path or hub id (OWNER/NAME) means; None of neither.

    A hub id that is not on this machine yet is fetched: settings and safetensors, never code or pickles.

    Raises:
        CheckpointError: the hub id is out of reach.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    # A path that is misspelt is never asked for elsewhere.
    hub = re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", source) and not folder.parent.is_dir()
    if not hub or folder.suffix in (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".npz", ".parquet"):
        return None
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(source, allow_patterns=["*config.json", "*.safetensors*"]))
    except Exception as error:
        raise CheckpointError(
            f"{source}: expected a folder, a file, or a hub id within reach ({reason(error)})"
        ) from None


def encoder_sha256(folder: Path) -> str:
    """Return the sha256 over settings and weights of an image encoder's folder."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*config.json"), *folder.glob("*.safetensors")]):
        with path.open("rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _description(folder: Path) -> dict[str, Any]:
    try:
        return files.read(folder / DESCRIPTION, _HEAD, CheckpointError).model_dump()
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder.name}: expected a checkpoint folder, found no {DESCRIPTION} in it"
        ) from None


def _spec(description: dict[str, Any], folder: Path) -> Spec:
    kind = str(description.get("kind"))
    if kind not in _SPECS:
        raise CheckpointError(f"{folder.name}: expected a timnet or classifier, got {kind[:60]!r}")
    values = {key: value for key, value in description.items() if key not in ("format", "weights_sha256")}
    try:
        # As JSON, whose lists may stand for tuples.
        return _SPECS[kind].validate_json(json.dumps(values))
    except ValidationError as error:
        raise CheckpointError(f"{folder.name}/{DESCRIPTION}: {files.sentence(error)}") from None
