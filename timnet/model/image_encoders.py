"""Image encoders of other libraries behind the interface of a trunk: Hugging Face's and timm's.

Owns building a network from its description alone, with random weights, and what a trunk of it does; what a
folder says of one is `encoder_folders`. Of a config only sizes and switches are taken. Either library is
imported where such a network is asked for. Refuses descriptions out of bounds.

Shapes: B batch, S side, C channels, h w grid.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from timnet.checkpoints import OWN, ImageEncoder
from timnet.errors import reason
from timnet.model.branches import ModelError, Trunk, halves
from timnet.model.recompute import again

KINDS = {
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "vit": "ViTModel",
    "clip_vision_model": "CLIPVisionModel",
    "siglip_vision_model": "SiglipVisionModel",
}
"""Hugging Face's class by its model_type."""
_MOST = {
    "hidden_size": 8192, "num_hidden_layers": 96, "num_attention_heads": 512, "intermediate_size": 65_536,
    "mlp_ratio": 64, "image_size": 2048, "patch_size": 512, "num_channels": 16, "num_register_tokens": 256,
    "layer_norm_eps": 1, "layerscale_value": 100, "initializer_range": 1, "qkv_bias": 1, "use_swiglu_ffn": 1,
    "use_mask_token": 1,
}  # fmt: skip
"""What is taken of a config.json, and the most that each may be: no dropout, no code, no other kernels."""
_CONTAINERS = ("blocks", "stages", "layers", "layer")


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

    network: Any

    def __init__(self, encoder: ImageEncoder) -> None:
        """Build the network with random weights; ModelError where the description is of none."""
        nn.Module.__init__(self)
        self.normalisation, self.encoder, self._recompute = OWN, encoder, False
        self.network = built(encoder)
        hugging = encoder.library == "transformers"
        self.channels = int(self.network.config.hidden_size if hugging else self.network.num_features)
        for name in ("mean", "std"):
            value = torch.tensor(getattr(encoder, name), dtype=torch.float32)[None, :, None, None]
            self.register_buffer(name, value, persistent=False)

    @property
    def recompute(self) -> bool:
        """Whether the blocks are computed again for their gradients."""
        return self._recompute

    @recompute.setter
    def recompute(self, wanted: bool) -> None:
        for stage in self.stages() if wanted and not self._recompute else ():
            if not list(stage.children()):
                # A layer alone may work in place on what is to be computed again.
                continue
            stage.forward = functools.partial(_again, stage, stage.forward)
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


def built(encoder: ImageEncoder) -> nn.Module:
    """Return the network of a description with random weights, none of which is dropped at random."""
    config = encoder.config
    with refusing("image encoder: its network cannot be built"):
        if encoder.library == "timm":
            return of_architecture(**config)
        kind = config["model_type"]
        made, shape, options = hugging(kind, checked(config, "image encoder"))
        network: nn.Module = made(shape, **options)
    if kind == "clip_vision_model":
        # Only its pooled vector goes through it.
        network.post_layernorm = nn.Identity()
    for name, value in network.named_parameters():
        # Never used: where several processes train, gradients of all that is trained are waited for.
        value.requires_grad_("mask_token" not in name)
    return network


def hugging(kind: str, shape: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Return a class of transformers, its config, and what else it is made with."""
    import transformers

    made = getattr(transformers, KINDS[kind])
    given = {key: value for key, value in shape.items() if key != "model_type"}
    if kind == "siglip_vision_model":
        given["vision_use_head"] = False
    return made, made.config_class(**given), {"add_pooling_layer": False} if kind == "vit" else {}


def of_architecture(architecture: str, model_args: dict[str, Any]) -> nn.Module:
    timm = timm_library()
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


def timm_library() -> Any:
    import timm

    return timm


def checked(config: dict[str, Any], source: str) -> dict[str, Any]:
    """Return sizes and switches of a config, none out of bounds."""
    shape = {key: config[key] for key in _MOST if config.get(key) is not None}
    for key, value in shape.items():
        if not isinstance(value, int | float) or not 0 <= value <= _MOST[key]:
            raise ModelError(f"{source}: {key}: expected 0 to {_MOST[key]}, got {ascii(value)[:60]}")
    return shape | ({"hidden_act": str(config["hidden_act"])} if config.get("hidden_act") else {})


@contextmanager
def refusing(sentence: str) -> Iterator[None]:
    """Turn what the libraries raise at a damaged or hostile folder, many error types, into one sentence."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        why = reason(error)
        if isinstance(error, ModuleNotFoundError):
            why = f"it needs {error.name}: pip install {error.name}"
        raise ModelError(f"{sentence} ({why})") from None
