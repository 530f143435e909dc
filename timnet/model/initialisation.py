"""What a trunk starts from: base (random), imagenet, a checkpoint folder, or a file from elsewhere.

A file's tensors are found under whatever prefix fits best. Refuses pickles that hold more than tensors, and
weights of which nothing fits; what was filled and what was not is told.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from timnet import checkpoints
from timnet.checkpoints import CheckpointError, TimnetSpec
from timnet.model import weights
from timnet.model.branches import GREY_MEAN, GREY_STD, LITE, Trunk
from timnet.model.timnet import TIMNet

_STEM, _STEM_MEAN = "_conv_stem.weight", "_bn0.running_mean"
"""Names of EfficientNet-Lite's releases."""


@dataclass(frozen=True)
class Matched:
    """Which keys of a trunk an initialisation filled."""

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def initialise(trunk: Trunk, source: str, backbone: str) -> Matched:
    """Fill a trunk's weights from an initialisation.

    Args:
        source: `base` keeps the random weights; `imagenet` takes torchvision's; else a checkpoint folder
            (also by its name under checkpoints/) or a file with a state dict (.safetensors, .pt, .pth).

    Raises:
        CheckpointError: not to be had, damaged, or none of its keys fits the trunk.
    """
    wanted = trunk.state_dict()
    if source == "base":
        return Matched((), tuple(wanted), ())
    if source == "imagenet":
        state = _imagenet(backbone)
    elif (folder := checkpoints.checkpoint_folder(source)) is not None:
        spec = checkpoints.describe(folder)
        if spec.backbone != backbone:
            raise CheckpointError(f"{folder.name}: expected a {backbone}, got a {spec.backbone}")
        state = weights.tensors(folder)
    else:
        state = _external(Path(source).expanduser())
    if backbone.startswith("densenet"):
        # torchvision's files are older than its names: denselayer1.norm.1 is denselayer1.norm1.
        state = {re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)", r"\1\2", key): x for key, x in state.items()}
    if backbone in LITE and _STEM in state and _STEM_MEAN in state:
        state = _rescaled(state)
    found = _best_prefix(state, wanted) or _in_order(state, wanted)
    weights.finite(found, Path(source).name)
    if not found:
        raise CheckpointError(
            f"{Path(source).name}: none of its {len(state)} keys fits a {backbone}; "
            f"expected names like {next(iter(wanted))}, got {', '.join(list(state)[:3])}"
        )
    trunk.load_state_dict(found, strict=False)
    taken = {id(value) for value in found.values()}
    return Matched(
        tuple(found),
        tuple(key for key in wanted if key not in found),
        tuple(key for key, value in state.items() if id(value) not in taken),
    )


def continue_from(timnet: TIMNet, spec: TimnetSpec, source: str) -> None:
    """Fill a TIMNet with the weights of a checkpoint of its own shape.

    Raises:
        CheckpointError: not to be had, damaged, or of another shape, head or text encoder.
    """
    folder = checkpoints.checkpoint_folder(source)
    if folder is None:
        raise CheckpointError(f"start: expected a TIMNet checkpoint, found none at {source}")
    found, other, _ = weights.load_timnet(folder)
    for name in ("backbone", "width", "normalisation", "text_encoder_sha256", "text_width", "head"):
        if getattr(other, name) != getattr(spec, name):
            raise CheckpointError(
                f"{folder.name}: start: expected {name} {getattr(spec, name)}, got {getattr(other, name)}"
            )
    timnet.load_state_dict(found.state_dict())


def _imagenet(backbone: str) -> Mapping[str, Tensor]:
    from torchvision.models import get_model_weights

    published = get_model_weights(backbone).DEFAULT
    try:
        return published.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        name = published.url.rsplit("/", 1)[-1]
        where = Path(torch.hub.get_dir()) / "checkpoints"
        raise CheckpointError(
            f"imagenet: torchvision's weights for {backbone} are not on this machine and cannot be fetched "
            f"({error}); put {name} into {where}, or start from base"
        ) from None


def _external(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(
            f"{path.name}: expected base, imagenet, a checkpoint folder or a state-dict file, found none"
        )
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            # C2L's release and others of its time keep their settings beside the weights: plain values.
            with torch.serialization.safe_globals([argparse.Namespace]):
                state = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise CheckpointError(f"{path.name}: not a readable safetensors file ({error})") from None
    except Exception as error:
        # The unpickler meets hostile and damaged files with many error types; all of them mean a refusal.
        raise CheckpointError(
            f"{path.name}: expected a state dict of plain tensors; anything else in it is refused "
            f"({type(error).__name__})"
        ) from None
    for name in ("state_dict", "model", "teacher"):
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path.name}: expected a state dict of tensors, got {type(state).__name__}")
    return state


def _best_prefix(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the trunk's tensors under the prefix (module., image.trunk. ...) with the most fitting keys."""
    first = next(iter(wanted))
    prefixes = {key.removesuffix(first) for key in state if key.endswith(first)}
    best: dict[str, Tensor] = {}
    for prefix in sorted(prefixes):
        found = {
            key: weights.full(state[prefix + key])
            for key, value in wanted.items()
            if prefix + key in state and state[prefix + key].shape == value.shape
        }
        if len(found) > len(best):
            best = found
    return best


def _in_order(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the trunk's tensors by their order where all shapes agree: one network under other names."""
    given = list(state.values())[: len(wanted)]
    if [value.shape for value in given] != [value.shape for value in wanted.values()]:
        return {}
    return dict(zip(wanted, map(weights.full, given), strict=True))


def _rescaled(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a released EfficientNet-Lite, which saw (grey - 127) / 128, for films normalised as ImageNet's.

    The first layer and the mean of its batch norm take up scale and shift: away from the border, where
    padding counts, the numbers are the same.
    """
    stem = state[_STEM]
    mean = state[_STEM_MEAN] - (255 * GREY_MEAN - 127) / 128 * stem.sum((1, 2, 3))
    return {**state, _STEM: stem * (255 * GREY_STD / 128), _STEM_MEAN: mean}
