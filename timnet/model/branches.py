"""The two branches of TIMNet: h_i for films and h_t for findings.

Owns the paper's Sec. III-A and III-C up to the joint space, eq. (1) and (2). Each branch is
backbone -> 1x1 convolution + batch norm + ReLU -> global average pooling -> fully connected layer.
The image branch ends its convolutions in one grid, from which every map is taken.
Refuses backbones that are no ResNet of torchvision.

Shapes: B batch, S side, C channels of the 1x1 convolution, h w grid, D joint width, T tokens, H BERT's width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from timnet.errors import TimnetError
from timnet.model.again import again

JOINT = 512
"""Width of the joint space (Sec. III-C)."""

GREY_MEAN, GREY_STD = 0.449, 0.226
"""ImageNet's channel statistics averaged to one grey channel."""

FILM, IMAGENET = "film", "imagenet"
"""Normalisations: each film by its own mean and deviation, so that exposure and windowing do not count, or
every film by ImageNet's."""


class ModelError(TimnetError):
    """A network that cannot be built; the message names what was asked for and what there is."""


class Trunk(nn.Module):
    """Convolutional layers of a torchvision ResNet, fed with one grey channel.

    Parameter names and shapes are torchvision's, so that its weights load unchanged. A grey film repeated
    over three channels meets the sum of the first layer's three slices: one channel gives the same numbers
    with a third of that layer's work.
    """

    def __init__(self, backbone: str, normalisation: str = FILM) -> None:
        super().__init__()
        if normalisation not in (FILM, IMAGENET):
            raise ModelError(f"normalisation: expected {FILM} or {IMAGENET}, got {normalisation!r}")
        self.normalisation = normalisation
        resnet = _resnet(backbone)
        self.conv1, self.bn1 = resnet.conv1, resnet.bn1
        self.maxpool = resnet.maxpool
        self.layer1, self.layer2 = resnet.layer1, resnet.layer2
        self.layer3, self.layer4 = resnet.layer3, resnet.layer4
        self.channels: int = resnet.fc.in_features
        self.recompute = False

    def forward(self, x_B1SS: Tensor) -> Tensor:
        """Return the last convolutional features, (B, channels, S/32, S/32), of films in [0, 1]."""
        x = self.normalised(x_B1SS)
        weight = self.conv1.weight.sum(1, keepdim=True)
        x = F.conv2d(x, weight, stride=self.conv1.stride, padding=self.conv1.padding)
        x = self.maxpool(F.relu(self.bn1(x), inplace=True))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = again(layer, layer, x) if self.recompute else layer(x)
        return x

    def normalised(self, x_B1SS: Tensor) -> Tensor:
        """Return films of about zero mean and unit deviation."""
        if self.normalisation == IMAGENET:
            return (x_B1SS - GREY_MEAN) / GREY_STD
        deviation, mean = torch.std_mean(x_B1SS, (1, 2, 3), keepdim=True)
        # A film of one grey has no deviation to divide by.
        return (x_B1SS - mean) / deviation.clamp(min=1e-3)


class ImageBranch(nn.Module):
    """h_i of eq. (2): film -> grid and vector of the joint space."""

    def __init__(
        self, backbone: str = "resnet18", width: int = 512, joint: int = JOINT, normalisation: str = FILM
    ) -> None:
        super().__init__()
        self.trunk = Trunk(backbone, normalisation)
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


def backbones() -> list[str]:
    """Return the names of torchvision's ResNets."""
    from torchvision import models

    return models.list_models(module=models, include=["*resnet*", "*resnext*"])


def _resnet(backbone: str) -> Any:
    from torchvision.models import get_model

    if backbone not in backbones():
        raise ModelError(f"backbone: expected one of {', '.join(backbones())}, got {backbone!r}")
    return get_model(backbone, weights=None)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let new layers draw their weights from the seed; generators outside are left as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
