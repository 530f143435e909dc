"""Tiny random image encoders, each saved by its own library in the layout of its hub's folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from perturbing import perturbed
from torch import nn

SHAPE: dict[str, Any] = {
    "hidden_size": 24, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 56, "patch_size": 14,
}  # fmt: skip
HUGGING = [
    "dinov2",
    "dinov2_with_registers",
    "vit",
    "clip_vision_model",
    "clip",
    "siglip_vision_model",
    "siglip",
]
TIMM = ["timm resnet", "timm vit", "timm swin", "timm convnext"]
SEEN = {"image_mean": [0.53, 0.5, 0.47], "image_std": [0.26, 0.25, 0.24]}
"""As of RAD-DINO's folder, but no two channels alike."""


def saved(kind: str, folder: Path) -> nn.Module:
    """Save a network of a kind with its preprocessor; return what its own library loads of that folder."""
    torch.manual_seed(0)
    if kind.startswith("timm"):
        return _timm(kind, folder)
    import transformers
    from transformers import BitImageProcessorPil, CLIPConfig, SiglipConfig

    vision = SHAPE | ({"mlp_ratio": 2} if kind.startswith("dinov2") else {"intermediate_size": 48})
    text = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"vocab_size": 30, "eos_token_id": 2, "bos_token_id": 1, "pad_token_id": 0}
    name = {
        "dinov2": "Dinov2", "dinov2_with_registers": "Dinov2WithRegisters", "vit": "ViT",
        "clip_vision_model": "CLIPVision", "siglip_vision_model": "SiglipVision",
    }.get(kind)  # fmt: skip
    if kind in ("clip", "siglip"):
        whole = CLIPConfig if kind == "clip" else SiglipConfig
        made = transformers.CLIPModel if kind == "clip" else transformers.SiglipModel
        network = made(whole(text_config=text, vision_config=vision))
    else:
        network = getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**vision))
    perturbed(network)
    for parameter in network.parameters():
        # Positions, class and register tokens are zeros or nearly alike when they are drawn.
        torch.nn.init.normal_(parameter, std=0.2)
    network.save_pretrained(folder)
    BitImageProcessorPil(**SEEN).save_pretrained(folder)
    if kind == "clip":
        return transformers.CLIPModel.from_pretrained(folder).vision_model.eval()
    if kind == "siglip":
        return transformers.SiglipModel.from_pretrained(folder).vision_model.eval()
    return type(network).from_pretrained(folder).eval()


def _timm(kind: str, folder: Path) -> nn.Module:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    from timm.models import save_for_hf

    name, options = {
        "timm resnet": ("resnet10t", {}),
        "timm vit": (
            "vit_tiny_patch16_224",
            {"img_size": 64, "embed_dim": 24, "depth": 4, "num_heads": 2, "reg_tokens": 2},
        ),
        "timm swin": (
            "swin_tiny_patch4_window7_224",
            {"embed_dim": 12, "depths": [1, 1, 1, 1], "img_size": 64, "window_size": 2},
        ),
        "timm convnext": ("convnext_atto", {"depths": [1, 1, 2, 1], "dims": [8, 16, 24, 32]}),
    }[kind]
    network = perturbed(timm.create_model(name, num_classes=5, **options))
    seen = {"input_size": (3, 64, 64), "mean": tuple(SEEN["image_mean"]), "std": tuple(SEEN["image_std"])}
    save_for_hf(network, str(folder), data_config=seen, model_args=options, safe_serialization=True)
    return timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
