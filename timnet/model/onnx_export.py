"""Networks for other software: a checkpoint's graphs as ONNX files, checked against the network itself.

A classifier becomes `classifier.onnx`; a TIMNet `image.onnx`, `match.onnx` and `text.onnx`, the last behind
the token states of its BERT, which stays outside. Normalisation stays inside: films go in as [0, 1],
letterboxed to the side that the file's metadata names. Refuses what differs from the network by more than
TOLERANCE.

Shapes: B films, N films, M texts, S side, T tokens, H BERT's width, D joint width, L labels.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from timnet import checkpoints, config, files
from timnet.checkpoints import ClassifierSpec
from timnet.errors import TimnetError
from timnet.model import weights
from timnet.model.timnet import TIMNet

TOLERANCE = 1e-4
"""Largest difference of an output from the network's own, beside outputs of about 1; relative above."""
_FILMS = "float32 (batch, 1, side, side), grey in [0, 1], bone bright, letterboxed on black"


class ExchangeError(TimnetError):
    """A checkpoint that cannot be exported; the message says which and why."""


@dataclass(frozen=True)
class Graph:
    """One file: a module, what goes in and what comes out."""

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    """Examples; their named axes may be of any length."""
    axes: Mapping[str, Mapping[int, str]]
    outputs: Sequence[str]


class _Match(nn.Module):
    """Every film's vector with every text's: (N, D), (M, D) -> logits (N, M)."""

    def __init__(self, timnet: TIMNet) -> None:
        super().__init__()
        self.timnet = timnet

    def forward(self, v_image_ND: Tensor, v_text_MD: Tensor) -> Tensor:
        return self.timnet.match(v_image_ND.unsqueeze(1), v_text_MD.unsqueeze(0))


class _Text(nn.Module):
    """`TextBranch.project` without picking tokens by a mask, which a fixed graph cannot: in evaluation batch
    norm treats each token alone, so that tokens left out may be computed and then weighed by 0."""

    def __init__(self, timnet: TIMNet) -> None:
        super().__init__()
        self.branch = timnet.text

    def forward(self, states_BTH: Tensor, mask_BT: Tensor) -> Tensor:
        branch = self.branch
        tokens_BCT = F.relu(branch.bn(branch.conv(states_BTH).transpose(1, 2)))
        kept_BC = (tokens_BCT * mask_BT.unsqueeze(1)).sum(2)
        return branch.fc(kept_BC / mask_BT.sum(1, keepdim=True).clamp(min=1))


def export(folder: Path, out: Path) -> dict[str, float]:
    """Write a checkpoint's graphs into a folder.

    Returns:
        File name -> largest difference of onnxruntime's outputs from the network's own.

    Raises:
        CheckpointError: no checkpoint there, or a damaged one.
        ExchangeError: the packages are not installed, or a graph cannot be made or differs from the network.
        OSError: the disk is full or read-only.
    """
    _require_packages()
    spec = checkpoints.describe(folder)
    facts = {
        "checkpoint": folder.name,
        "weights_sha256": checkpoints.weights_sha256(folder),
        "films": _FILMS,
        "research_use": config.RESEARCH_USE,
        **{
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in asdict(spec).items()
        },
    }
    out.mkdir(parents=True, exist_ok=True)
    differences = {}
    for graph in graphs(folder):
        data = _onnx(graph, facts, folder.name)
        differences[f"{graph.name}.onnx"] = _difference(graph, data, folder.name)
        files.write_whole(out / f"{graph.name}.onnx", data)
    return differences


def graphs(folder: Path) -> list[Graph]:
    """Return the graphs that a checkpoint holds, each with an example of its inputs.

    Raises:
        CheckpointError: no checkpoint there, or a damaged one.
    """
    spec = checkpoints.describe(folder)
    draw = torch.Generator().manual_seed(0)
    # Two of each: an axis of one would be taken for fixed.
    films = {"film": torch.rand(2, 1, spec.side, spec.side, generator=draw)}
    batch = {"film": {0: "batch"}}
    if isinstance(spec, ClassifierSpec):
        return [Graph("classifier", weights.load_classifier(folder)[0], films, batch, ["logits"])]
    timnet = weights.load_timnet(folder)[0]
    states = torch.randn(2, 5, spec.text_width, generator=draw)
    vectors = torch.randn(5, timnet.image.fc.out_features, generator=draw)
    return [
        Graph("image", timnet.image, films, batch, ["grid", "vector"]),
        Graph(
            "text",
            _Text(timnet),
            {"states": states, "mask": torch.tensor([[1.0, 1, 1, 1, 1], [1, 1, 0, 0, 0]])},
            {"states": {0: "batch", 1: "tokens"}, "mask": {0: "batch", 1: "tokens"}},
            ["vector"],
        ),
        Graph(
            "match",
            _Match(timnet),
            {"image": vectors[:2], "text": vectors[2:]},
            {"image": {0: "films"}, "text": {0: "texts"}},
            ["logits"],
        ),
    ]


def _onnx(graph: Graph, facts: Mapping[str, str], checkpoint: str) -> bytes:
    sizes = {name for axes in graph.axes.values() for name in axes.values()}
    free = {name: torch.export.Dim(name, min=1) for name in sizes}
    shapes = tuple({axis: free[name] for axis, name in graph.axes[entry].items()} for entry in graph.inputs)
    try:
        with warnings.catch_warnings():
            # Two inputs with one axis, such as states and their mask, are meant.
            warnings.filterwarnings("ignore", message="# The axis name")
            made = torch.onnx.export(
                graph.module.eval(),
                tuple(graph.inputs.values()),
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_shapes=shapes,
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        # torch's own message is a page with colours; the class of its cause says what was met.
        cause = type(error.__cause__ or error).__name__
        raise ExchangeError(
            f"{checkpoint}: its {graph.name} graph cannot be written as ONNX ({cause})"
        ) from None
    assert made is not None
    made.model.metadata_props.update(facts)
    return made.model_proto.SerializeToString()


def _difference(graph: Graph, data: bytes, checkpoint: str) -> float:
    """Return how far onnxruntime's outputs lie from the network's own, on other inputs than the examples."""
    import onnxruntime

    # More of each than in the examples, by which the free axes are proven too.
    inputs = {name: torch.cat([value, value.flip(0) * 0.5, value]) for name, value in graph.inputs.items()}
    if "mask" in inputs:
        inputs["mask"] = inputs["mask"].ceil()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    found: list[NDArray[Any]] = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    with torch.no_grad():
        expected = graph.module(*inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    worst = max(
        float((np.abs(one - other.numpy()) / np.maximum(np.abs(other.numpy()), 1)).max())
        for one, other in zip(found, expected, strict=True)
    )
    if not worst <= TOLERANCE:
        raise ExchangeError(
            f"{checkpoint}: expected its {graph.name} graph to give the network's numbers to {TOLERANCE:g}, "
            f"they differ by {worst:.2g}"
        )
    return worst


def _require_packages() -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(name)
        except ModuleNotFoundError:
            raise ExchangeError(
                f"export: needs the package {name}, install it with: pip install -r requirements-onnx.txt"
            ) from None
