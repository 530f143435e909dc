"""Initialisations: they fill the trunk under any prefix, or are refused with a reason; no pickle runs."""

from __future__ import annotations

import argparse
import os
import pickle

import pytest
import torch
from perturbing import perturbed
from safetensors.torch import save_file
from torchvision.models import densenet121, resnet18

from timnet.checkpoints import CheckpointError, ClassifierSpec
from timnet.model import initialisation, weights
from timnet.model.branches import Trunk


def test_base_keeps_the_random_weights():
    trunk = Trunk("resnet18")
    before = {key: value.clone() for key, value in trunk.state_dict().items()}
    assert initialisation.initialise(trunk, "base", "resnet18").matched == ()
    assert all(torch.equal(value, before[key]) for key, value in trunk.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "module.", "encoder_q.", "image.trunk."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_torchvision_shaped_state_dict_fills_the_trunk_under_any_prefix(tmp_path, prefix, suffix):
    reference = perturbed(resnet18(weights=None))
    state = {prefix + key: value.contiguous() for key, value in reference.state_dict().items()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": state, "epoch": 3}, path)
    else:
        save_file(state, path)
    trunk = Trunk("resnet18")
    told = initialisation.initialise(trunk, str(path), "resnet18")
    assert set(told.matched) == set(trunk.state_dict())
    assert told.missing == ()
    assert {key.removeprefix(prefix) for key in told.unexpected} == {"fc.weight", "fc.bias"}
    for key, value in trunk.state_dict().items():
        assert torch.equal(value, reference.state_dict()[key])


def test_a_release_like_that_of_c2l_fills_the_trunk_with_its_settings_beside_it(tmp_path):
    """As C2L's training writes it: DataParallel, a projection, a queue, settings, optimiser."""
    reference = perturbed(resnet18(weights=None))
    state = {f"encoder.module.{key}": value for key, value in reference.state_dict().items()}
    held = {
        "opt": argparse.Namespace(model="resnet18", moco=True, learning_rate=0.03),
        "model": state,
        "contrast": {"memory": torch.zeros(8, 128)},
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.03, "params": [0]}]},
        "epoch": 120,
        "model_ema": {key: value * 0 for key, value in state.items()},
    }
    torch.save(held, tmp_path / "ckpt_epoch_120.pth")
    trunk = Trunk("resnet18")
    told = initialisation.initialise(trunk, str(tmp_path / "ckpt_epoch_120.pth"), "resnet18")
    assert told.missing == () and set(told.matched) == set(trunk.state_dict())
    assert set(told.unexpected) == {"encoder.module.fc.weight", "encoder.module.fc.bias"}
    assert all(torch.equal(value, reference.state_dict()[key]) for key, value in trunk.state_dict().items())


def test_a_timnet_checkpoint_fills_the_trunk_of_a_classifier(networks):
    timnet, _, _ = weights.load_timnet(networks / "timnet")
    trunk = Trunk("resnet18")
    told = initialisation.initialise(trunk, str(networks / "timnet"), "resnet18")
    assert len(told.matched) == len(trunk.state_dict())
    for key, value in trunk.state_dict().items():
        assert torch.equal(value, timnet.image.trunk.state_dict()[key])


def test_a_checkpoint_with_another_backbone_is_refused(networks):
    with pytest.raises(CheckpointError, match="expected a resnet34, got a resnet18"):
        initialisation.initialise(Trunk("resnet34"), str(networks / "classifier"), "resnet34")


def test_weights_of_which_nothing_fits_are_refused(tmp_path):
    save_file({"conv1.weight": torch.zeros(3, 3), "head": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="none of its 2 keys fits a resnet18"):
        initialisation.initialise(Trunk("resnet18"), str(tmp_path / "w.safetensors"), "resnet18")


class Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".safetensors"])
def test_a_malicious_pickle_is_refused_and_never_runs(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(pickle.dumps({"conv1.weight": Canary(tmp_path / "ran")}))
    with pytest.raises(CheckpointError):
        initialisation.initialise(Trunk("resnet18"), str(path), "resnet18")
    assert not (tmp_path / "ran").exists()


def test_a_pickled_network_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match="state dict of plain tensors"):
        initialisation.initialise(Trunk("resnet18"), str(tmp_path / "net.pt"), "resnet18")


def test_an_unknown_initialisation_is_refused_by_name():
    with pytest.raises(CheckpointError, match="moco-v9: expected base, imagenet, a checkpoint folder or"):
        initialisation.initialise(Trunk("resnet18"), "moco-v9", "resnet18")


def test_imagenet_is_read_from_torchvisions_own_cache(tmp_path, monkeypatch):
    """Real loading code on a local file: the hub's folder holds the weights under their published name."""
    from torchvision.models import get_model_weights

    published = get_model_weights("resnet18").DEFAULT
    (tmp_path / "checkpoints").mkdir()
    reference = perturbed(resnet18(weights=None))
    name = published.url.rsplit("/", 1)[-1]
    torch.save(reference.state_dict(), tmp_path / "checkpoints" / name)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    trunk = Trunk("resnet18")
    assert len(initialisation.initialise(trunk, "imagenet", "resnet18").matched) == len(trunk.state_dict())
    assert torch.equal(trunk.conv1.weight, reference.conv1.weight)


def test_imagenet_out_of_reach_says_where_to_put_the_file(tmp_path, monkeypatch):
    import urllib.error

    def offline(*arguments, **options):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(
        CheckpointError, match=r"imagenet: .*put resnet18-f37072fd\.pth into .*or start from base"
    ):
        initialisation.initialise(Trunk("resnet18"), "imagenet", "resnet18")


def torchxrayvision(labels=18):
    """Return a network of the layout of torchxrayvision's DenseNet and its forward pass up to the pooling.

    torchxrayvision 1.5.7, models.py: torchvision's densenet121 of one channel, greys by datasets.normalize.
    """
    network = densenet121(weights=None, num_classes=labels)
    network.features.conv0 = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    network.register_buffer("op_threshs", torch.full((labels,), torch.nan))
    perturbed(network)
    network.features.norm0.running_var.fill_(3e5)

    def pooled(greys_B1SS):
        return network.features((2 * greys_B1SS - 1) * 1024).relu().mean((2, 3))

    return network, pooled


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchxrayvisions_densenet_brings_its_network_and_its_greys(tmp_path, suffix):
    network, pooled = torchxrayvision()
    state = network.state_dict()
    path = tmp_path / f"xrv{suffix}"
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    made = initialisation.network_of(str(path), "resnet18", "film")
    assert (made.backbone, made.normalisation) == ("densenet121", "torchxrayvision")
    trunk = weights.build_trunk(made).eval()
    told = initialisation.initialise(trunk, str(path), made.backbone)
    assert told.missing == ()
    assert set(told.unexpected) == {"classifier.weight", "classifier.bias", "op_threshs"}
    films = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(trunk(films).mean((2, 3)), pooled(films), rtol=1e-3, atol=1e-4)


def test_a_classifier_from_torchxrayvision_keeps_variances_beyond_half_precision(tmp_path):
    network, _ = torchxrayvision()
    torch.save(network.state_dict(), tmp_path / "xrv.pt")
    made = initialisation.network_of(str(tmp_path / "xrv.pt"), "resnet18", "film")
    spec = ClassifierSpec(
        backbone=made.backbone, side=64, width=8, normalisation=made.normalisation, task="t", labels=("t",)
    )
    classifier = weights.build_classifier(spec, 0)
    initialisation.initialise(classifier.trunk, str(tmp_path / "xrv.pt"), made.backbone)
    weights.save_checkpoint(tmp_path / "net", classifier, spec)
    again, _ = weights.load_classifier(tmp_path / "net")
    assert again.trunk.normalisation == "torchxrayvision"
    assert torch.equal(again.trunk.features.norm0.running_var, network.features.norm0.running_var)
    assert (tmp_path / "net" / "model.safetensors").stat().st_size < 2.2 * sum(
        value.numel() for value in classifier.state_dict().values()
    )


def test_a_pickled_network_is_refused_with_what_makes_a_state_dict_of_it(tmp_path):
    torch.save(torchxrayvision()[0], tmp_path / "nih-densenet121-best.pt")
    with pytest.raises(
        CheckpointError, match=r"make one where its library is: torch\.save\(torch\.load"
    ) as told:
        initialisation.network_of(str(tmp_path / "nih-densenet121-best.pt"), "resnet18", "film")
    assert "state_dict()" in str(told.value)
