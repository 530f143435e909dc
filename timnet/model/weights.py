"""Weights on disk: what a checkpoint is, how it is written and read back.

A checkpoint is a folder with `model.safetensors` and `model.json`: what the network is, and the sha256 of its
weights. It is written atomically, weights first. Refuses pickles, flipped bits, unknown keys and networks of
another shape; nothing is patched in silence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from timnet import config, files
from timnet.checkpoints import (
    CALIBRATION,
    DESCRIPTION,
    LAYERS,
    LINEAR,
    OTHER_REPORTS,
    OWN_ENCODER,
    WEIGHTS,
    CheckpointError,
    ClassifierSpec,
    Spec,
    TimnetSpec,
    _description,
    describe,
)
from timnet.model import encoders, image_encoders, plain_bert
from timnet.model.branches import ImageBranch, TextBranch, Trunk, seeded
from timnet.model.classifier import Classifier, Probe
from timnet.model.timnet import TIMNet


def build_trunk(network: image_encoders.Network | Spec) -> Trunk:
    """Return a trunk with random weights; ModelError where its description is of none."""
    if network.image_encoder is not None:
        return image_encoders.EncoderTrunk(network.image_encoder)
    return Trunk(network.backbone, network.normalisation)


def build_timnet(spec: TimnetSpec, seed: int, bert: nn.Module | None = None) -> TIMNet:
    """Return a new TIMNet; `bert` is held inside where it is trained."""
    with seeded(seed):
        image = ImageBranch(width=spec.width, trunk=build_trunk(spec))
        text = TextBranch(spec.text_width, spec.width, encoder=bert, window=spec.tokens)
        return TIMNet(image, text, head=spec.head)


def build_classifier(spec: ClassifierSpec, seed: int) -> Classifier | Probe:
    """Return a new classifier; CheckpointError for a head that is none."""
    if spec.head not in (LAYERS, LINEAR):
        raise CheckpointError(f"head: expected {LAYERS} or {LINEAR}, got {spec.head!r}")
    with seeded(seed):
        trunk = build_trunk(spec)
        if spec.head == LINEAR:
            return Probe(trunk, len(spec.labels))
        return Classifier(trunk, len(spec.labels), spec.width)


def save_checkpoint(
    folder: Path, module: nn.Module, spec: Spec, encoder: encoders.TextEncoder | None = None
) -> None:
    """Write a checkpoint: weights in fp16 where that holds them, then the description with their sha256.

    A trained text encoder is written beside them, with its tokenizer; a calibration of other weights that
    lies there is removed.

    Raises:
        OSError: the disk is full or read-only; the checkpoint that stood there before is still whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if encoder is not None:
        target = folder / OWN_ENCODER
        encoder.bert.save_pretrained(target)  # type: ignore[operator]
        encoder.tokenizer.save_pretrained(target)
    weights = save(
        {
            key: _stored(value).cpu().contiguous()
            for key, value in module.state_dict().items()
            if not key.startswith("text.encoder.")
        }
    )
    description = {"format": 1, "weights_sha256": hashlib.sha256(weights).hexdigest(), **asdict(spec)}
    for of_other_weights in (CALIBRATION, OTHER_REPORTS):
        (folder / of_other_weights).unlink(missing_ok=True)
    files.write_whole(folder / WEIGHTS, weights)
    files.write_whole(
        folder / DESCRIPTION, (json.dumps(description, indent=2, sort_keys=True) + "\n").encode()
    )


def load_timnet(folder: Path) -> tuple[TIMNet, TimnetSpec, encoders.TextEncoder]:
    """Load a TIMNet with the text encoder that it was trained with.

    Raises:
        CheckpointError: damaged, of another kind, or its text encoder is not on this machine.
    """
    spec = describe(folder)
    if not isinstance(spec, TimnetSpec):
        raise CheckpointError(f"{folder.name}: expected a TIMNet checkpoint, got a {spec.kind}")
    encoder = _encoder_of(folder, spec)
    module = build_timnet(spec, seed=0)
    _fill(module, folder)
    return module.eval(), spec, encoder


def load_classifier(folder: Path) -> tuple[Classifier | Probe, ClassifierSpec]:
    """Load a classifier.

    Raises:
        CheckpointError: damaged or of another kind.
    """
    spec = describe(folder)
    if not isinstance(spec, ClassifierSpec):
        raise CheckpointError(f"{folder.name}: expected a classifier checkpoint, got a {spec.kind} one")
    module = build_classifier(spec, seed=0)
    _fill(module, folder)
    return module.eval(), spec


def tensors(folder: Path) -> dict[str, Tensor]:
    """Return a checkpoint's weights by name, floating ones as fp32.

    Raises:
        CheckpointError: no checkpoint there, or weights that are damaged or another's.
    """
    description = _description(folder)
    path = folder / WEIGHTS
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != description.get("weights_sha256"):
            raise CheckpointError(
                f"{folder.name}: {WEIGHTS} is damaged or not its own: expected sha256 "
                f"{str(description.get('weights_sha256'))[:12]}, got {digest[:12]}"
            )
        state = {key: full(value) for key, value in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder.name}: {WEIGHTS} cannot be read ({error})") from None
    finite(state, f"{folder.name}/{WEIGHTS}")
    return state


def finite(state: Mapping[str, Tensor], source: str) -> None:
    """Refuse weights that hold NaN or infinity: whatever they say would be no number.

    Raises:
        CheckpointError: names the file, how many tensors are meant, and the first.
    """
    bad = [key for key, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if bad:
        raise CheckpointError(
            f"{source}: expected finite weights, got NaN or infinity in {len(bad)} of {len(state)} tensors, "
            f"first in {ascii(bad[0])[1:-1][:80]}"
        )


def _stored(value: Tensor) -> Tensor:
    """Return a floating tensor as fp16, unless that cannot hold it: variances of greys up to 1024."""
    half = value.half() if value.is_floating_point() else value
    return half if bool((half.isfinite() | ~value.isfinite()).all()) else value.float()


def full(value: Tensor) -> Tensor:
    """Return a floating tensor as fp32, any other as it is."""
    return value.float() if value.is_floating_point() else value


def _fill(module: nn.Module, folder: Path) -> None:
    state = tensors(folder)
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{folder.name}: weights and description do not fit ({reason})") from None


def _encoder_of(folder: Path, spec: TimnetSpec) -> encoders.TextEncoder:
    if spec.text_encoder_sha256 is None:
        if not (folder / OWN_ENCODER).is_dir():
            raise CheckpointError(f"{folder.name}: expected its text encoder in {OWN_ENCODER}/, found none")
        own = encoders.load(str(folder / OWN_ENCODER))
        finite(own.bert.state_dict(), f"{folder.name}/{OWN_ENCODER}")
        return own
    for candidate in (encoders.local_folder(spec.text_encoder), config.TEXT_ENCODER):
        if candidate is not None and encoders.fingerprint(candidate) == spec.text_encoder_sha256:
            return plain_bert.load(candidate)
    raise CheckpointError(
        f"{folder.name}: its text encoder {spec.text_encoder} with content {spec.text_encoder_sha256[:12]} "
        "is not on this machine; put its folder where it was, or pre-train with another"
    )
