"""Networks beyond ResNet: torchvision's numbers, weights by name or by order, and every use of a trunk."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from perturbing import perturbed
from torch import nn
from torchvision.models import get_model

from timnet import config
from timnet.checkpoints import CheckpointError, ClassifierSpec
from timnet.cohorts import store
from timnet.evaluation.maps import cam
from timnet.model import branches, initialisation, onnx_export, weights
from timnet.model.branches import GREY_MEAN, GREY_STD, Trunk
from timnet.reader import Reader
from timnet.training import grids, loop, worker
from timnet.training.recipes import finetune

FAMILIES = ["resnet18", "densenet121", "efficientnet_b0", "mobilenet_v2", "mobilenet_v3_small"]
LITE = "efficientnet_lite0"


def films(side=64):
    return torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("backbone", [*FAMILIES, "mobilenet_v3_large"])
def test_one_grey_channel_gives_torchvisions_numbers_with_its_published_names(backbone, tmp_path):
    torch.manual_seed(0)
    reference = get_model(backbone, weights=None).eval()
    perturbed(reference)
    state = reference.state_dict()
    if backbone == "densenet121":  # the published file has the names of an older torchvision
        state = {key.replace(".norm1", ".norm.1").replace(".conv2", ".conv.2"): x for key, x in state.items()}
    torch.save(state, tmp_path / "weights.pth")
    trunk = Trunk(backbone, "imagenet").eval()
    told = initialisation.initialise(trunk, str(tmp_path / "weights.pth"), backbone)
    assert told.missing == ()
    pooled = []
    last = next(each for each in reference.modules() if isinstance(each, nn.Linear))
    last.register_forward_pre_hook(lambda _, inputs: pooled.append(inputs[0]))
    with torch.inference_mode():
        grid = trunk(films())
        reference(((films() - GREY_MEAN) / GREY_STD).expand(-1, 3, -1, -1))
    assert grid.shape == (2, trunk.channels, 2, 2)
    # Sums of 121 random layers in another order: a wrong tensor would be off by as much as itself.
    torch.testing.assert_close(grid.mean((2, 3)), pooled[0], rtol=1e-3, atol=1e-5)


def released(backbone=LITE):
    """Return random weights of an EfficientNet-Lite as the release names and orders them."""
    network = branches.build_backbone(backbone).eval()
    perturbed(network)
    names = [f"tensor{i}" for i in range(len(network.state_dict()))]
    names[0], names[3] = "_conv_stem.weight", "_bn0.running_mean"
    return network, dict(zip(names, network.state_dict().values(), strict=True))


def test_the_lite_networks_have_the_size_that_was_published():
    """4.7, 5.4 and 6.1 million: github.com/tensorflow/tpu, models/official/efficientnet/lite."""
    for name, million in (
        ("efficientnet_lite0", 4.65),
        ("efficientnet_lite1", 5.42),
        ("efficientnet_lite2", 6.09),
    ):
        network = branches.build_backbone(name)
        assert sum(each.numel() for each in network.parameters()) / 1e6 == pytest.approx(million, abs=0.01)
        assert not any(isinstance(each, nn.SiLU) for each in network.modules())


def test_weights_of_the_lite_release_are_taken_by_order_and_see_films_on_its_scale(tmp_path):
    network, state = released()
    torch.save(state, tmp_path / "lite.pth")
    trunk = Trunk(LITE, "imagenet").eval()
    told = initialisation.initialise(trunk, str(tmp_path / "lite.pth"), LITE)
    assert told.missing == ()
    assert len(told.unexpected) == 2
    with torch.inference_mode():
        # The release was trained on (grey - 127) / 128; a constant border would differ, the inside does not.
        expected = network.features[0](((255 * films() - 127) / 128).expand(-1, 3, -1, -1))
        found = trunk.features[0](trunk.normalised(films()))
    torch.testing.assert_close(found[..., 1:, 1:], expected[..., 1:, 1:], rtol=1e-3, atol=1e-3)


def test_weights_of_another_shape_are_never_taken_by_order(tmp_path):
    _, state = released()
    state["tensor9"] = state["tensor9"].repeat(2)
    torch.save(state, tmp_path / "lite.pth")
    with pytest.raises(CheckpointError, match=r"none of its \d+ keys fits a efficientnet_lite0"):
        initialisation.initialise(Trunk(LITE), str(tmp_path / "lite.pth"), LITE)


@pytest.mark.parametrize("backbone", [*FAMILIES, LITE])
def test_the_last_layers_are_those_from_the_last_halving_of_the_grid_on(backbone):
    trunk = Trunk(backbone).eval()
    x = films()
    with torch.inference_mode():
        for stage in trunk.early():
            x = stage(x)
    assert x.shape[-1] == 64 // 16
    assert 0 < len(trunk.early()) < len(trunk.stages())


@pytest.mark.parametrize("backbone", [*FAMILIES, LITE])
def test_recomputed_layers_give_the_same_gradients(backbone):
    torch.manual_seed(0)
    trunk = Trunk(backbone).train()
    gradients = []
    for recompute in (False, True):
        trunk.recompute = recompute
        trunk.zero_grad()
        trunk(films()).square().mean().backward()
        gradients.append([each.grad.clone() for each in trunk.parameters()])
    for kept, again in zip(*gradients, strict=True):
        torch.testing.assert_close(again, kept)


@pytest.mark.parametrize("backbone", ["densenet121", "efficientnet_b0", "mobilenet_v2", LITE])
def test_a_classifier_is_trained_resumed_compared_read_and_mapped(
    backbone, cohort_folder, tmp_path, monkeypatch
):
    """The last layers alone, on few films: stopped after its first step, the run ends as one at one go."""
    monkeypatch.setenv("TIMNET_SNAPSHOT_SECONDS", "0")
    shared = config.Finetune(
        cohort=str(cohort_folder), task="Opacity", backbone=backbone, mode="last-layers", side=32, width=8,
        epochs=2, batch=8, fraction=0.2, precision="fp32", looks=0,
    )  # fmt: skip

    def stopping(event):
        if event["event"] == "step":
            worker.cancel(tmp_path / "stopped")

    monkeypatch.setattr(loop, "TELL_SECONDS", 0)
    worker.prepare(shared, tmp_path / "whole")
    assert worker.work(tmp_path / "whole", finetune.train).name == "done"
    worker.prepare(shared, tmp_path / "stopped")
    assert worker.work(tmp_path / "stopped", finetune.train, stopping).name == "cancelled"
    worker.prepare(shared, tmp_path / "stopped")
    assert worker.work(tmp_path / "stopped", finetune.train).name == "done"
    whole, resumed = (weights.tensors(tmp_path / name) for name in ("whole", "stopped"))
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())

    network, spec = weights.load_classifier(tmp_path / "whole")
    assert spec.backbone == backbone
    with torch.inference_mode():
        grid = network.grid(films()).clone()
    logits, maps = cam.evidence(grid, network.head)
    pooled = grid.mean((2, 3)).requires_grad_()
    (gradient,) = torch.autograd.grad(network.head(pooled).sum(), pooled)
    torch.testing.assert_close(maps.mean((2, 3))[:, 0], (gradient * pooled).sum(1))
    torch.testing.assert_close(logits, network(films()))
    cohort = store.Cohort.open(cohort_folder)
    assert Reader.load(tmp_path / "whole").read(cohort.read_film(0)).maps["Opacity"].shape == (1, 1)
    grid_of = grids.Grid(replace(shared, mode="probe"), ("base",), (0.2,), 1)
    assert not grids.complete(grid_of.settings(), tmp_path / "grid", finetune.train)


@pytest.mark.whole
@pytest.mark.parametrize("backbone", ["densenet121", "efficientnet_b0", "mobilenet_v3_small", LITE])
def test_a_classifier_is_exported(backbone, tmp_path):
    pytest.importorskip("onnxruntime")
    spec = ClassifierSpec(backbone=backbone, side=64, width=8, normalisation="film", task="t", labels=("t",))
    network = weights.build_classifier(spec, 0).eval()
    perturbed(network)
    weights.save_checkpoint(tmp_path / "net", network, spec)
    assert max(onnx_export.export(tmp_path / "net", tmp_path / "onnx").values()) <= onnx_export.TOLERANCE
