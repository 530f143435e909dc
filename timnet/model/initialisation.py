"""What a trunk starts from: base (random), imagenet, a checkpoint, an image encoder's folder, or a file.

A checkpoint, a folder or hub id, and a file of torchxrayvision bring their own network. A file's tensors are
found under whatever prefix fits best. Refuses pickles that hold more than tensors, and
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
from timnet.errors import TimnetError, reason
from timnet.model import encoder_folders, weights
from timnet.model.branches import GREY_MEAN, GREY_STD, LITE, XRV, Trunk, backbones, seeded
from timnet.model.image_encoders import EncoderTrunk, Network
from timnet.model.timnet import TIMNet

_STEM, _STEM_MEAN = "_conv_stem.weight", "_bn0.running_mean"
"""Names of EfficientNet-Lite's releases."""
_XRV_STEM, _XRV_NETWORK = "features.conv0.weight", "densenet121"
"""The first layer of torchxrayvision's DenseNet, of one grey channel, and the network."""


@dataclass(frozen=True)
class Matched:
    """Which keys of a trunk an initialisation filled."""

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def network_of(source: str, backbone: str, normalisation: str) -> Network:
    """Return the network that a start brings; where it brings none, that of `backbone`.

    Raises:
        CheckpointError: a checkpoint, file or hub id that cannot be read.
        ModelError: no such network, or a folder of none.
    """
    if source in ("base", "imagenet"):
        return _named(backbone, normalisation)
    if (folder := checkpoints.checkpoint_folder(source)) is not None:
        spec = checkpoints.describe(folder)
        return Network(spec.backbone, spec.normalisation, spec.image_encoder)
    if not Path(source).expanduser().is_file():
        if (folder := checkpoints.encoder_folder(source)) is not None:
            return _foreign(source, folder)
    elif _is_xrv(_external(Path(source).expanduser())):
        return Network(_XRV_NETWORK, XRV)
    return _named(backbone, normalisation)


def _named(backbone: str, normalisation: str) -> Network:
    """Return the network of a backbone's name, or of the folder or hub id that it is."""
    if "/" in backbone and (folder := checkpoints.encoder_folder(backbone)) is not None:
        return _foreign(backbone, folder)
    if backbone in backbones():
        return Network(backbone, normalisation)
    return Network(backbone, checkpoints.OWN, encoder_folders.of_name(backbone))


def _foreign(source: str, folder: Path) -> Network:
    # A hub's folder has the name of a commit.
    name = source if source != str(folder) and not Path(source).expanduser().is_dir() else folder.name
    return Network(name[-200:], checkpoints.OWN, encoder_folders.of_folder(folder))


def check(source: str, backbone: str, normalisation: str, side: int) -> None:
    """Refuse a start that cannot be used, before anything is written: errors as of `network_of`.

    An image encoder of another library is loaded, and sees one black film at the side.
    """
    network = network_of(source, backbone, normalisation)
    with seeded(0):
        trunk = weights.build_trunk(network).eval()
    if network.image_encoder is None:
        return
    initialise(trunk, source, network.backbone)
    try:
        with torch.inference_mode():
            trunk(torch.zeros(1, 1, side, side))
    except TimnetError:
        raise
    except Exception as error:
        # The libraries refuse a side in words of their own.
        raise CheckpointError(
            f"{network.backbone}: expected a side that it can read, as its own {network.image_encoder.side}, "
            f"got {side} ({reason(error)})"
        ) from None


def initialise(trunk: Trunk, source: str, backbone: str) -> Matched:
    """Fill a trunk's weights from an initialisation.

    Args:
        source: `base` keeps the random weights; `imagenet` takes torchvision's; else a checkpoint folder
            (also by its name under checkpoints/), an image encoder's folder or hub id, or a file with a state
            dict (.safetensors, .pt, .pth).

    Raises:
        CheckpointError: not to be had, damaged, or none of its keys fits the trunk.
    """
    target = trunk.network if isinstance(trunk, EncoderTrunk) else trunk
    wanted = target.state_dict()
    if source == "base":
        return Matched((), tuple(wanted), ())
    if source == "imagenet":
        state = _imagenet(backbone)
    elif (folder := checkpoints.checkpoint_folder(source)) is not None:
        spec = checkpoints.describe(folder)
        if spec.backbone != backbone:
            raise CheckpointError(f"{folder.name}: expected a {backbone}, got a {spec.backbone}")
        state = weights.tensors(folder)
    elif (path := Path(source).expanduser()).is_file():
        state = _external(path)
    elif isinstance(trunk, EncoderTrunk) and (folder := checkpoints.encoder_folder(source)) is not None:
        state = encoder_folders.load(folder, trunk.encoder)
    else:
        state = _external(path)
    if _is_xrv(state):
        # Three equal slices that add up to the one.
        state = {**state, _XRV_STEM: state[_XRV_STEM].expand(-1, 3, -1, -1) / 3}
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
    target.load_state_dict(found, strict=False)
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
    for name in (
        "backbone",
        "width",
        "normalisation",
        "text_encoder_sha256",
        "text_width",
        "head",
        "image_encoder",
    ):
        if getattr(other, name) != getattr(spec, name):
            raise CheckpointError(
                f"{folder.name}: start: expected {name} {getattr(spec, name)}, got {getattr(other, name)}"
            )
    timnet.load_state_dict(found.state_dict())


def _imagenet(backbone: str) -> Mapping[str, Tensor]:
    from torchvision.models import get_model_weights

    if backbone not in backbones():
        raise CheckpointError(
            f"imagenet: expected a network of torchvision, got {backbone}; a folder or hub id as the start "
            "brings its own weights"
        )
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
            f"({type(error).__name__}); of a whole network that you trust, such as torchxrayvision's, make "
            "one where its library is: torch.save(torch.load(FILE, weights_only=False).state_dict(), 'x.pt')"
        ) from None
    for name in ("state_dict", "model", "teacher"):
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path.name}: expected a state dict of tensors, got {type(state).__name__}")
    return state


def _is_xrv(state: Mapping[str, Tensor]) -> bool:
    """Say whether a state dict is that of torchxrayvision's DenseNet: torchvision's, of one channel."""
    return _XRV_STEM in state and state[_XRV_STEM].shape[1:2] == (1,)


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
