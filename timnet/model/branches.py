"""The two branches of TIMNet: h_i for films and h_t for findings.

Owns the paper's Sec. III-A and III-C up to the joint space, eq. (1) and (2). Each branch is
backbone -> 1x1 convolution + batch norm + ReLU -> global average pooling -> fully connected layer.
The image branch ends its convolutions in one grid, from which every map is taken.
Refuses unknown backbones.

Shapes: B batch, S side, C channels of the 1x1 convolution, h w grid, D joint width, T tokens, H BERT's width.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from timnet.errors import TimnetError
from timnet.model.recompute import again

JOINT = 512
"""Width of the joint space (Sec. III-C)."""

GREY_MEAN, GREY_STD = 0.449, 0.226
"""ImageNet's channel statistics averaged to one grey channel."""

FILM, IMAGENET, XRV = "film", "imagenet", "torchxrayvision"
"""Normalisations: each film by its own mean and deviation, so that exposure and windowing do not count, every
film by ImageNet's, or greys from -1024 to 1024 as torchxrayvision's networks see them."""


class ModelError(TimnetError):
    """A network that cannot be built; the message names what was asked for and what there is."""


class Trunk(nn.Module):
    """Convolutional layers of a torchvision network or an EfficientNet-Lite, fed with one grey channel.

    Parameter names and shapes are torchvision's, so that its weights load unchanged. A grey film repeated
    over three channels meets the sum of the first layer's three slices: one channel gives the same numbers
    with a third of that layer's work.
    """

    def __init__(self, backbone: str, normalisation: str = FILM) -> None:
        super().__init__()
        if normalisation not in (FILM, IMAGENET, XRV):
            raise ModelError(f"normalisation: expected {FILM} or {IMAGENET}, got {normalisation!r}")
        self.normalisation = normalisation
        self.recompute = False
        network = build_backbone(backbone)
        # Every family ends in linear layers, and has none before them.
        self.channels: int = next(
            each for each in network.modules() if isinstance(each, nn.Linear)
        ).in_features
        if hasattr(network, "features"):
            self.features = network.features
        else:
            for name, layer in network.named_children():
                if name not in ("avgpool", "fc"):
                    self.add_module(name, layer)
        # torchvision's DenseNet has its last ReLU outside its layers.
        self.rectified = backbone.startswith("densenet")
        name, stem = next((name, each) for name, each in self.named_modules() if isinstance(each, nn.Conv2d))
        self.set_submodule(name, _GreyConv(stem))
        for name, layer in list(self.named_modules()):
            if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels:
                self.set_submodule(name, _DepthwiseConv(layer))

    def stages(self) -> list[nn.Module]:
        """Return the layers in their order, a residual stage or a block each."""
        return list((self.features if hasattr(self, "features") else self).children())

    def early(self) -> list[nn.Module]:
        """Return the stages before the last one that halves the grid: those that `last-layers` freezes."""
        stages = self.stages()
        last = max(i for i, stage in enumerate(stages) if any(map(halves, stage.modules())))
        return stages[:last]

    def forward(self, x_B1SS: Tensor) -> Tensor:
        """Return the last convolutional features, (B, channels, S/32, S/32), of films in [0, 1]."""
        x = self.normalised(x_B1SS)
        for stage in self.stages():
            x = again(stage, stage, x) if self.recompute and len(list(stage.children())) else stage(x)
        return F.relu(x) if self.rectified else x

    def normalised(self, x_B1SS: Tensor) -> Tensor:
        """Return films of about zero mean and unit deviation."""
        if self.normalisation == IMAGENET:
            return (x_B1SS - GREY_MEAN) / GREY_STD
        if self.normalisation == XRV:
            return (2 * x_B1SS - 1) * 1024
        deviation, mean = torch.std_mean(x_B1SS, (1, 2, 3), keepdim=True)
        # A film of one grey has no deviation to divide by.
        return (x_B1SS - mean) / deviation.clamp(min=1e-3)


class ImageBranch(nn.Module):
    """h_i of eq. (2): film -> grid and vector of the joint space."""

    def __init__(
        self,
        backbone: str = "resnet18",
        width: int = 512,
        joint: int = JOINT,
        normalisation: str = FILM,
        trunk: Trunk | None = None,
    ) -> None:
        super().__init__()
        self.trunk = trunk or Trunk(backbone, normalisation)
        # Batch norm follows and subtracts any bias.
        self.conv = nn.Conv2d(self.trunk.channels, width, kernel_size=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width, joint)

    def grid(self, x_B1SS: Tensor) -> Tensor:
        """Return the last grid before pooling, (B, C, h, w), non-negative: the tap of every map."""
        return F.relu(self.bn(self.conv(self.trunk(x_B1SS))))

    def forward(self, x_B1SS: Tensor) -> tuple[Tensor, Tensor]:
        """Return the grid (B, C, h, w) and the film's vector v_i (B, D)."""
        grid_BChw = self.grid(x_B1SS)
        return grid_BChw, self.fc(grid_BChw.mean((2, 3)))


class TextBranch(nn.Module):
    """h_t of eq. (1) behind BERT: token states -> vector of the joint space.

    The convolution comes before pooling, so a frozen encoder is cached as token states, not as one vector.
    Batch norm and pooling see the tokens that the mask keeps and no others: padding changes nothing. The
    paper's literal zero padding is the same code under a mask of ones.
    """

    def __init__(
        self,
        states: int,
        width: int = 512,
        joint: int = JOINT,
        encoder: nn.Module | None = None,
        window: int = 512,
    ) -> None:
        """Take the width H of the token states, and the tokens that `encoder` reads at a time."""
        super().__init__()
        self.window = window
        self.conv = nn.Linear(states, width, bias=False)
        self.bn = nn.BatchNorm1d(width)
        self.fc = nn.Linear(width, joint)
        self.encoder = encoder

    def project(self, states_BTH: Tensor, mask_BT: Tensor) -> Tensor:
        """Return v_t (B, D) of token states (B, T, H); mask (B, T) is 1 where a token counts."""
        keep_BT = mask_BT.bool()
        kept = F.relu(self.bn(self.conv(states_BTH[keep_BT])))
        tokens_BTC = kept.new_zeros(*keep_BT.shape, kept.shape[-1]).masked_scatter(
            keep_BT.unsqueeze(-1), kept
        )
        return self.fc(tokens_BTC.sum(1) / keep_BT.sum(1, keepdim=True).clamp(min=1))

    def forward(self, tokens_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Return v_t (B, D) of what the branch's own encoder takes: token ids (B, T), or states below it."""
        if self.encoder is None:
            raise ModelError(
                "text branch: a frozen encoder lives outside, give its token states to project()"
            )
        states_BTH = self.encoder(tokens_BT, mask_BT).last_hidden_state
        return self.project(states_BTH, mask_BT)


class _Given(nn.Conv2d):
    """A convolution that was made already, under another class."""

    def __init__(self, conv: nn.Conv2d) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(conv.__dict__)


class _GreyConv(_Given):
    """A three-channel convolution of one grey channel: its slices are summed as for three equal channels."""

    def forward(self, x_B1SS: Tensor) -> Tensor:
        return self._conv_forward(x_B1SS, self.weight.sum(1, keepdim=True), self.bias)


class _DepthwiseConv(_Given):
    """A depthwise convolution that a CPU computes in fp32 under bf16, whose gradients are slow there."""

    def forward(self, x_BChw: Tensor) -> Tensor:
        if x_BChw.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x_BChw)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x_BChw.float())


def halves(layer: nn.Module) -> bool:
    """Say whether a layer halves the grid by its stride."""
    return getattr(layer, "stride", 1) in (2, (2, 2))


LITE = {"efficientnet_lite0": (1.0, 1.0), "efficientnet_lite1": (1.0, 1.1), "efficientnet_lite2": (1.1, 1.2)}
"""EfficientNet-Lite by name: multipliers of width and depth."""


def backbones() -> list[str]:
    """Return the names of the networks that a trunk can be."""
    from torchvision import models

    families = ["*resne[tx]*", "densenet*", "efficientnet_b*", "mobilenet*"]
    return [*models.list_models(module=models, include=families), *LITE]


def build_backbone(backbone: str) -> Any:
    """Return a network of torchvision's layers with random weights; ModelError for an unknown name."""
    from torchvision.models import get_model

    if backbone not in backbones():
        raise ModelError(f"backbone: expected one of {', '.join(backbones())}, got {backbone!r}")
    if backbone in LITE:
        return _lite(*LITE[backbone])
    # What a network drops at random is drawn outside the run's own generators, which a resumed run repeats.
    still = {"stochastic_depth_prob": 0.0} if backbone.startswith("efficientnet") else {}
    return get_model(backbone, weights=None, **still)


def _lite(width: float, depth: float) -> nn.Module:
    """Return an EfficientNet-Lite: an EfficientNet without squeeze-and-excitation, with ReLU6.

    Its stem, its head and the depth of the first and last stage are never scaled.
    Source: github.com/tensorflow/tpu, models/official/efficientnet/lite.
    """
    from torchvision.models.efficientnet import EfficientNet, MBConv, MBConvConfig

    block = functools.partial(MBConv, se_layer=lambda *_, **__: nn.Identity())
    # expansion, kernel, stride, channels in and out, layers
    plan = [
        (1, 3, 1, 32, 16, 1), (6, 3, 2, 16, 24, 2), (6, 5, 2, 24, 40, 2), (6, 3, 2, 40, 80, 3),
        (6, 5, 1, 80, 112, 3), (6, 5, 2, 112, 192, 4), (6, 3, 1, 192, 320, 1),
    ]  # fmt: skip
    settings = [
        MBConvConfig(*stage, width_mult=width, depth_mult=1.0 if i in (0, 6) else depth, block=block)
        for i, stage in enumerate(plan)
    ]
    settings[0].input_channels = 32
    network = EfficientNet(
        settings, dropout=0.0, stochastic_depth_prob=0.0,
        norm_layer=functools.partial(nn.BatchNorm2d, eps=1e-3), last_channel=1280,
    )  # fmt: skip
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.SiLU):
            network.set_submodule(name, nn.ReLU6(inplace=True))
    return network


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let new layers draw their weights from the seed; generators outside are left as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
