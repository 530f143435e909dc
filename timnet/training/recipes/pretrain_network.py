"""The TIMNet of a pre-training before its first step: what its branches are, and what they start from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from timnet import config
from timnet.checkpoints import TimnetSpec
from timnet.model import encoders, initialisation, weights
from timnet.model.branches import FILM, IMAGENET
from timnet.model.encoders import TextEncoder
from timnet.model.image_encoders import Network
from timnet.model.initialisation import Matched
from timnet.model.timnet import TIMNet
from timnet.training import batches, distributed, objectives


@dataclass(frozen=True)
class Built:
    """A network that is ready to be trained."""

    timnet: TIMNet
    spec: TimnetSpec
    own_encoder: TextEncoder | None
    """The text encoder where the checkpoint has to hold it."""
    matched: Matched
    """Which of the image trunk's weights its start filled."""


def build(settings: config.Pretrain, encoder: TextEncoder, on: torch.device) -> Built:
    """Build the network of a pre-training on a device.

    Raises:
        ValueError: its start cannot be used, or is of another shape.
    """
    trained = _trained(encoder, settings)
    # A frozen encoder that has no folder here to be found in again is kept like a trained one.
    own_encoder = encoder if trained is not None or encoder.sha256 is None else None
    made = initialisation.network_of(settings.image_weights, settings.backbone, settings.normalisation)
    if made.normalisation in (FILM, IMAGENET):
        # A checkpoint of such a network must be of the backbone that is asked for.
        made = Network(settings.backbone, settings.normalisation)
    spec = TimnetSpec(
        backbone=made.backbone,
        side=settings.side,
        tokens=settings.tokens,
        padding=settings.padding,
        width=settings.width,
        normalisation=made.normalisation,
        image_encoder=made.image_encoder,
        text_encoder=settings.text_encoder,
        text_encoder_sha256=None if own_encoder else encoder.sha256,
        text_width=encoder.width,
        head=objectives.head(settings.objective, settings.h_cls),
    )
    timnet = weights.build_timnet(spec, settings.seed, trained)
    matched = initialisation.initialise(timnet.image.trunk, settings.image_weights, made.backbone)
    if settings.start:
        initialisation.continue_from(timnet, spec, settings.start)
    timnet.image.trunk.recompute = settings.recompute
    if settings.recompute and trained is not None:
        encoders.recompute(trained)
    batches.channels_last(distributed.shared_norms(timnet, on), on)
    return Built(timnet, spec, own_encoder, matched)


def _trained(encoder: TextEncoder, settings: config.Pretrain) -> nn.Module | None:
    """Return the layers of the text encoder that are trained; None where it is frozen."""
    if settings.text_mode == "partial":
        return encoders.Upper(encoder.bert, settings.text_layers)
    return encoder.bert if settings.text_mode == "full" else None
