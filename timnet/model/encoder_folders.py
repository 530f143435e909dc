"""Image encoders of other libraries in folders: config.json, model.safetensors, preprocessor_config.json.

Owns what a folder says of a network and how it sees X-rays, and its weights by the names that ours has.
Weights are read from safetensors only, and code of a folder is never run. Refuses folders of other networks,
and without the weights of a layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from safetensors.torch import load_file
from torch import Tensor

from timnet import files
from timnet.checkpoints import ENCODER_CONFIG, ImageEncoder
from timnet.model.branches import ModelError, backbones, seeded
from timnet.model.image_encoders import (
    KINDS,
    built,
    checked,
    hugging,
    of_architecture,
    refusing,
    timm_library,
)

_WHOLE = {"clip": "clip_vision_model", "siglip": "siglip_vision_model"}
"""Models of image and text, of which the vision half is taken."""
_IMAGENET, _HALF = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), ([0.5] * 3, [0.5] * 3)
_CLIP = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
_GREYS = {"vit": _HALF, "clip_vision_model": _CLIP, "siglip_vision_model": _HALF}
"""Mean and deviation where a folder says none; ImageNet's for others."""
_Size = Annotated[int, Field(ge=0, le=8192)]


class _Config(BaseModel):
    """A config.json of either library: transformers names a model_type, timm an architecture."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)
    model_type: str = ""
    vision_config: dict[str, Any] = {}
    architecture: str = ""
    model_args: dict[str, bool | _Size | Annotated[float, Field(le=100)] | str | list[_Size] | None] = {}
    pretrained_cfg: dict[str, Any] = {}


_CONFIG, _PREPROCESSOR = TypeAdapter(_Config), TypeAdapter(dict[str, Any])


def of_folder(folder: Path) -> ImageEncoder:
    """Return what a folder in the layout of transformers or timm says of its network.

    Raises:
        ModelError: no config.json, or one of a network that is none of these.
    """
    try:
        described = files.read(folder / ENCODER_CONFIG, _CONFIG, ModelError)
    except FileNotFoundError:
        raise ModelError(
            f"{folder.name}: expected an image encoder's {ENCODER_CONFIG} and model.safetensors, found no "
            f"{ENCODER_CONFIG}"
        ) from None
    if described.architecture:
        return _of_timm(described.architecture, described.model_args, described.pretrained_cfg, folder.name)
    kind = _WHOLE.get(described.model_type, described.model_type)
    if kind not in KINDS:
        raise ModelError(
            f"{folder.name}: expected an image encoder ({', '.join([*KINDS, *_WHOLE])}, or one of timm), "
            f"got {described.model_type[:60]!r}"
        )
    shape = checked(described.vision_config if kind != described.model_type else dict(described), folder.name)
    config = hugging(kind, shape)[1]
    mean, std = _seen(folder, *_GREYS.get(kind, _IMAGENET))
    return ImageEncoder(
        library="transformers",
        config={**shape, "model_type": kind, "patch_size": config.patch_size},
        mean=_spread(mean, config.num_channels),
        std=_spread(std, config.num_channels),
        side=config.image_size,
    )


def of_name(name: str) -> ImageEncoder:
    """Return the network that timm has under a name; ModelError where that is not known."""
    try:
        if timm_library().is_model(name):
            return _of_timm(name, {}, {}, name)
    except ModuleNotFoundError:
        pass
    raise ModelError(
        f"backbone: expected one of {', '.join(backbones())}, or a folder, hub id (with a / in it) or name "
        f"of timm (pip install timm), got {name[:60]!r}"
    )


def load(folder: Path, encoder: ImageEncoder) -> dict[str, Tensor]:
    """Return the weights of a folder's network by the names that `EncoderTrunk.network` has.

    Raises:
        ModelError: no safetensors, damaged, or a layer is missing.
    """
    if not list(folder.glob("*.safetensors")):
        others = ", ".join(sorted(path.name for path in folder.iterdir())[:4])
        raise ModelError(
            f"{folder.name}: expected weights in model.safetensors, found {others}; pickles are not read"
        )
    with refusing(f"{folder.name}: its weights cannot be read"):
        if encoder.library == "timm":
            state, missing = load_file(folder / "model.safetensors"), set()
        else:
            made, config, options = hugging(encoder.config["model_type"], encoder.config)
            with seeded(0), _quiet():
                network, loaded = made.from_pretrained(
                    folder, config=config, local_files_only=True, trust_remote_code=False,
                    use_safetensors=True, dtype=torch.float32, attn_implementation="sdpa",
                    output_loading_info=True, **options,
                )  # fmt: skip
            state, missing = (
                network.state_dict(),
                {key for key in loaded["missing_keys"] if "mask" not in key},
            )
    wanted = built(encoder).state_dict()
    lacks = [
        key for key in wanted if key in missing or getattr(state.get(key), "shape", 0) != wanted[key].shape
    ]
    if lacks:
        raise ModelError(
            f"{folder.name}: expected the weights of every layer that {ENCODER_CONFIG} names, "
            f"{lacks[0][:80]} is missing or of another shape"
        )
    return {key: state[key] for key in wanted}


def _of_timm(name: str, arguments: dict[str, Any], seen: dict[str, Any], source: str) -> ImageEncoder:
    with refusing(f"{source}: expected a network of timm"), seeded(0):
        seen = {**of_architecture(name, arguments).pretrained_cfg, **seen}  # type: ignore[dict-item]
        channels, *sides = seen["input_size"]
        given = arguments.get("img_size") or sides
        return ImageEncoder(
            library="timm",
            config={"architecture": name, "model_args": arguments},
            mean=_spread(seen["mean"], channels),
            std=_spread(seen["std"], channels),
            side=max(given) if isinstance(given, list) else given,
        )


def _seen(folder: Path, mean: list[float], std: list[float]) -> tuple[list[float], list[float]]:
    """Return the mean and deviation that a folder's images are normalised by, as greys in [0, 1]."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            seen = files.read(folder / name, _PREPROCESSOR, ModelError)
            with refusing(f"{folder.name}/{name}: expected image_mean and image_std"):
                seen = seen.get("image_processor", seen)
                scale = 255.0 * (seen.get("rescale_factor", 1 / 255) if seen.get("do_rescale", True) else 1)
                plain = not seen.get("do_normalize", True)
                mean = [0.0] if plain else seen.get("image_mean") or mean
                std = [1.0] if plain else seen.get("image_std") or std
                return [each / scale for each in mean], [each / scale for each in std]
    return mean, std


def _spread(values: list[float], channels: int) -> tuple[float, ...]:
    """Return one value a channel: those given, or their mean for another number of channels."""
    return tuple(values) if len(values) == channels else (sum(values) / len(values),) * channels


@contextmanager
def _quiet() -> Iterator[None]:
    """Let transformers say nothing of tensors that are not used, such as those of a text half."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
