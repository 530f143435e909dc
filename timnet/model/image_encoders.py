"""Image encoders of other libraries behind the interface of a trunk: Hugging Face's and timm's.

Owns what a folder of theirs (config.json, model.safetensors, preprocessor_config.json) says of a network and
how it sees X-rays, and building it anew from that alone. Weights are read from safetensors only, code of a
folder is never run, and of its config only sizes and switches are taken. Either library is imported where
such a network is asked for. Refuses folders of other networks, and without the weights of a layer.

Shapes: B batch, S side, C channels, h w grid.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from safetensors.torch import load_file
from torch import Tensor, nn

from timnet import files
from timnet.checkpoints import ENCODER_CONFIG, OWN, ImageEncoder
from timnet.model.branches import ModelError, Trunk, backbones, halves, seeded
from timnet.model.recompute import again

_IMAGENET, _HALF = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), ([0.5] * 3, [0.5] * 3)
_CLIP = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
_KINDS = {
    "dinov2": ("Dinov2Model", _IMAGENET),
    "dinov2_with_registers": ("Dinov2WithRegistersModel", _IMAGENET),
    "vit": ("ViTModel", _HALF),
    "clip_vision_model": ("CLIPVisionModel", _CLIP),
    "siglip_vision_model": ("SiglipVisionModel", _HALF),
}
"""Hugging Face's class by its model_type; mean and deviation where a folder says none."""
_WHOLE = {"clip": "clip_vision_model", "siglip": "siglip_vision_model"}
"""Models of image and text, of which the vision half is taken."""
_MOST = {
    "hidden_size": 8192, "num_hidden_layers": 96, "num_attention_heads": 512, "intermediate_size": 65_536,
    "mlp_ratio": 64, "image_size": 2048, "patch_size": 512, "num_channels": 16, "num_register_tokens": 256,
    "layer_norm_eps": 1, "layerscale_value": 100, "initializer_range": 1, "qkv_bias": 1, "use_swiglu_ffn": 1,
    "use_mask_token": 1,
}  # fmt: skip
"""What is taken of a config.json, and the most that each may be: no dropout, no code, no other kernels."""
_CONTAINERS = ("blocks", "stages", "layers", "layer")
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


@dataclass(frozen=True)
class Network:
    """What a trunk is, as in a checkpoint's description: `weights.build_trunk` makes it."""

    backbone: str
    normalisation: str
    image_encoder: ImageEncoder | None = None


class EncoderTrunk(Trunk):
    """An image encoder of another library as a trunk: X-rays in, the grid of its last features out.

    One grey channel becomes as many as the network takes, normalised as its own library does. Tokens that
    stand for no patch (class, registers) are dropped; positions are interpolated where the side is another.
    """

    def __init__(self, encoder: ImageEncoder) -> None:
        """Build the network with random weights; ModelError where the description is of none."""
        nn.Module.__init__(self)
        self.normalisation, self.encoder, self._recompute = OWN, encoder, False
        self.network: Any = _built(encoder)
        hugging = encoder.library == "transformers"
        self.channels = int(self.network.config.hidden_size if hugging else self.network.num_features)
        for name in ("mean", "std"):
            value = torch.tensor(getattr(encoder, name), dtype=torch.float32)[None, :, None, None]
            self.register_buffer(name, value, persistent=False)

    @property
    def recompute(self) -> bool:  # type: ignore[override]
        """Whether the blocks are computed again for their gradients."""
        return self._recompute

    @recompute.setter
    def recompute(self, wanted: bool) -> None:
        for stage in self.stages() if wanted and not self._recompute else ():
            if not list(stage.children()):
                # A layer alone may work in place on what is to be computed again.
                continue
            stage.forward = functools.partial(_again, stage, stage.forward)  # type: ignore[method-assign]
        self._recompute = wanted

    def stages(self) -> list[nn.Module]:
        """Return the blocks in their order, or the layers of a network that names no blocks."""
        return list((self._container() or ("", self.network))[1].children())

    def _container(self) -> tuple[str, nn.Module] | None:
        """Return what holds the blocks and its name, the outermost of such names."""
        named = [each for each in self.network.named_modules() if each[0].split(".")[-1] in _CONTAINERS]
        return min(named, key=lambda each: each[0].count("."), default=None)

    def early(self) -> list[nn.Module]:
        """Return what `last-layers` freezes: all before the last block that halves the grid, or before the
        last quarter of the blocks where none does."""
        stages, before = self.stages(), []
        if held := self._container():
            names = [name for name, _ in self.network.named_children()]
            before = list(self.network.children())[: names.index(held[0].split(".")[0])]
        halving = [i for i, stage in enumerate(stages) if any(map(halves, stage.modules()))]
        last = max(halving) if halving else len(stages) - math.ceil(len(stages) / 4)
        # Of timm's patch networks, tokens and positions are parameters of the network itself.
        return [nn.ParameterList(self.network.parameters(recurse=False)), *before, *stages[:last]]

    def forward(self, x_B1SS: Tensor) -> Tensor:
        """Return the last features, (B, channels, h, w), of films in [0, 1]."""
        side, patch = x_B1SS.shape[-1], self.encoder.config.get("patch_size", 1)
        if side % patch and side != self.encoder.side:
            raise ModelError(f"side: expected a multiple of its patches' {patch} pixels, got {side}")
        x = self.normalised(x_B1SS)
        if self.encoder.library == "timm":
            features = self.network.forward_features(x)
            if features.ndim == 4:
                nhwc = getattr(self.network, "output_fmt", "NCHW") == "NHWC"
                return features.permute(0, 3, 1, 2) if nhwc else features
            first = self.network.num_prefix_tokens
        else:
            kind = self.network.config.model_type
            options = {} if "dinov2" in kind else {"interpolate_pos_encoding": True}
            features = self.network(pixel_values=x, **options).last_hidden_state
            first = ("siglip" not in kind) + getattr(self.network.config, "num_register_tokens", 0)
        rows = math.isqrt(features.shape[1] - first)
        return features[:, first:].transpose(1, 2).unflatten(2, (rows, rows))

    def normalised(self, x_B1SS: Tensor) -> Tensor:
        """Return films in as many channels as the network takes, on the scale it was trained with."""
        return (x_B1SS - self.get_buffer("mean")) / self.get_buffer("std")


def _again(stage: nn.Module, run: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    return again(stage, functools.partial(run, **options), *inputs)


def of_folder(folder: Path) -> ImageEncoder:
    """Return what a folder in the layout of transformers or timm says of its network.

    Raises:
        ModelError: no config.json, or one of a network that is none of these.
    """
    try:
        told = files.read(folder / ENCODER_CONFIG, _CONFIG, ModelError)
    except FileNotFoundError:
        raise ModelError(
            f"{folder.name}: expected an image encoder's {ENCODER_CONFIG} and model.safetensors, found no "
            f"{ENCODER_CONFIG}"
        ) from None
    if told.architecture:
        return _of_timm(told.architecture, told.model_args, told.pretrained_cfg, folder.name)
    kind = _WHOLE.get(told.model_type, told.model_type)
    if kind not in _KINDS:
        raise ModelError(
            f"{folder.name}: expected an image encoder ({', '.join([*_KINDS, *_WHOLE])}, or one of timm), "
            f"got {told.model_type[:60]!r}"
        )
    shape = _checked(told.vision_config if kind != told.model_type else dict(told), folder.name)
    config = _hugging(kind, shape)[1]
    mean, std = _seen(folder, *_KINDS[kind][1])
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
        if _timm().is_model(name):
            return _of_timm(name, {}, {}, name)
    except ModuleNotFoundError:
        pass
    raise ModelError(
        f"backbone: expected one of {', '.join(backbones())}, an image encoder's folder (with a / in it) or "
        f"hub id, or a network of timm (pip install timm), got {name[:60]!r}"
    )


def load(folder: Path, encoder: ImageEncoder) -> dict[str, Tensor]:
    """Return the weights of a folder's network by the names that `EncoderTrunk.network` has.

    Raises:
        ModelError: no safetensors, damaged, or a layer is missing.
    """
    if not list(folder.glob("*.safetensors")):
        others = ", ".join(sorted(path.name for path in folder.iterdir())[:4])
        raise ModelError(
            f"{folder.name}: expected weights in model.safetensors, found {others}; others are not read"
        )
    with _refusing(f"{folder.name}: its weights cannot be read"):
        if encoder.library == "timm":
            state, missing = load_file(folder / "model.safetensors"), set()
        else:
            made, config, options = _hugging(encoder.config["model_type"], encoder.config)
            with seeded(0), _quiet():
                network, told = made.from_pretrained(
                    folder, config=config, local_files_only=True, trust_remote_code=False,
                    use_safetensors=True, dtype=torch.float32, attn_implementation="sdpa",
                    output_loading_info=True, **options,
                )  # fmt: skip
            state, missing = network.state_dict(), {key for key in told["missing_keys"] if "mask" not in key}
    wanted = _built(encoder).state_dict()
    lacks = [
        key for key in wanted if key in missing or getattr(state.get(key), "shape", 0) != wanted[key].shape
    ]
    if lacks:
        raise ModelError(
            f"{folder.name}: expected the weights of every layer that {ENCODER_CONFIG} names, "
            f"{lacks[0][:80]} is missing or of another shape"
        )
    return {key: state[key] for key in wanted}


def _built(encoder: ImageEncoder) -> nn.Module:
    """Return the network of a description with random weights, none of which is dropped at random."""
    config = encoder.config
    with _refusing("image encoder: its network cannot be built"):
        if encoder.library == "timm":
            return _of_architecture(**config)
        kind = config["model_type"]
        made, shape, options = _hugging(kind, _checked(config, "image encoder"))
        network: nn.Module = made(shape, **options)
    if kind == "clip_vision_model":
        # Only its pooled vector goes through it.
        network.post_layernorm = nn.Identity()
    for name, value in network.named_parameters():
        # Never used: where several processes train, gradients of all that is trained are waited for.
        value.requires_grad_("mask_token" not in name)
    return network


def _hugging(kind: str, shape: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Return a class of transformers, its config, and what else it is made with."""
    import transformers

    made = getattr(transformers, _KINDS[kind][0])
    given = {key: value for key, value in shape.items() if key != "model_type"}
    if kind == "siglip_vision_model":
        given["vision_use_head"] = False
    return made, made.config_class(**given), {"add_pooling_layer": False} if kind == "vit" else {}


def _of_timm(name: str, arguments: dict[str, Any], seen: dict[str, Any], source: str) -> ImageEncoder:
    with _refusing(f"{source}: expected a network of timm"), seeded(0):
        seen = {**_of_architecture(name, arguments).pretrained_cfg, **seen}  # type: ignore[dict-item]
        channels, *sides = seen["input_size"]
        given = arguments.get("img_size") or sides
        return ImageEncoder(
            library="timm",
            config={"architecture": name, "model_args": arguments},
            mean=_spread(seen["mean"], channels),
            std=_spread(seen["std"], channels),
            side=max(given) if isinstance(given, list) else given,
        )


def _of_architecture(architecture: str, model_args: dict[str, Any]) -> nn.Module:
    timm = _timm()
    files_named = {"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"}
    if not timm.is_model(architecture) or files_named & set(model_args):
        raise ValueError(f"got {architecture[:60]!r} with {', '.join(model_args)[:80] or 'no arguments'}")
    given = {**model_args, "num_classes": 0, "global_pool": ""}
    try:
        network: nn.Module = timm.create_model(architecture, dynamic_img_size=True, **given)
    except TypeError:
        # Networks of convolutions take any side as they are.
        network = timm.create_model(architecture, **given)
    for part in network.modules():
        # What is dropped at random is drawn outside the run's own generators, which a resumed run repeats.
        for rate in {"p", "drop_prob"} & set(vars(part)):
            setattr(part, rate, 0.0)
    return network


def _timm() -> Any:
    import timm

    return timm


def _checked(told: dict[str, Any], source: str) -> dict[str, Any]:
    """Return sizes and switches of a config, none out of bounds."""
    shape = {key: told[key] for key in _MOST if told.get(key) is not None}
    for key, value in shape.items():
        if not isinstance(value, int | float) or not 0 <= value <= _MOST[key]:
            raise ModelError(f"{source}: {key}: expected 0 to {_MOST[key]}, got {ascii(value)[:60]}")
    return shape | ({"hidden_act": str(told["hidden_act"])} if told.get("hidden_act") else {})


def _seen(folder: Path, mean: list[float], std: list[float]) -> tuple[list[float], list[float]]:
    """Return the mean and deviation that a folder's images are normalised by, as greys in [0, 1]."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            told = files.read(folder / name, _PREPROCESSOR, ModelError)
            with _refusing(f"{folder.name}/{name}: expected image_mean and image_std"):
                told = told.get("image_processor", told)
                scale = 255.0 * (told.get("rescale_factor", 1 / 255) if told.get("do_rescale", True) else 1)
                plain = not told.get("do_normalize", True)
                mean = [0.0] if plain else told.get("image_mean") or mean
                std = [1.0] if plain else told.get("image_std") or std
                return [each / scale for each in mean], [each / scale for each in std]
    return mean, std


def _spread(values: list[float], channels: int) -> tuple[float, ...]:
    """Return one value a channel: those given, or their mean for another number of channels."""
    return tuple(values) if len(values) == channels else (sum(values) / len(values),) * channels


@contextmanager
def _refusing(sentence: str) -> Iterator[None]:
    """Turn what the libraries raise at a damaged or hostile folder, many error types, into one sentence."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
        if isinstance(error, ModuleNotFoundError):
            reason = f"it needs {error.name}: pip install {error.name}"
        raise ModelError(f"{sentence} ({reason})") from None


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
