"""Weights: checkpoints come back with the same logits or are refused, initialisations fill the trunk."""

from __future__ import annotations

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision.models import resnet18

from timnet import config
from timnet.model import encoders, weights
from timnet.model.branches import Trunk
from timnet.model.weights import CheckpointError, ClassifierSpec, TimnetSpec

CLASSIFIER = ClassifierSpec(
    backbone="resnet18",
    side=64,
    width=16,
    normalisation="film",
    task="findings",
    labels=("Effusion", "Edema"),
    map_scale=2.5,
)


def timnet_spec(**changes) -> TimnetSpec:
    values = {
        "backbone": "resnet18",
        "side": 64,
        "tokens": 32,
        "padding": "masked",
        "width": 16,
        "normalisation": "film",
        "text_encoder": "assets/text-encoder",
        "text_encoder_sha256": encoders.fingerprint(config.TEXT_ENCODER),
        "text_width": 384,
    }
    return TimnetSpec(**{**values, **changes})


def perturbed(module):
    """Move every weight off its start and onto an fp16 grid, so that equality means something."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand(value.shape, generator=generator) * 0.01)
                value.copy_(value.half().float())
    return module.eval()


@pytest.fixture
def classifier_folder(tmp_path):
    module = perturbed(weights.build_classifier(CLASSIFIER, seed=0))
    weights.save_checkpoint(tmp_path / "model", module, CLASSIFIER)
    return tmp_path / "model"


def test_a_classifier_comes_back_with_identical_logits(classifier_folder):
    films = torch.rand(2, 1, 64, 64)
    expected = perturbed(weights.build_classifier(CLASSIFIER, seed=0))(films)
    loaded, spec = weights.load_classifier(classifier_folder)
    assert spec == CLASSIFIER
    assert torch.equal(loaded(films), expected)


def test_a_timnet_comes_back_with_identical_logits_and_its_encoder(tmp_path):
    spec = timnet_spec()
    module = perturbed(weights.build_timnet(spec, seed=0))
    weights.save_checkpoint(tmp_path / "t", module, spec)
    loaded, found, encoder = weights.load_timnet(tmp_path / "t")
    films, states = torch.rand(1, 1, 64, 64), encoder.states(["No effusion."], 32).batch([0])
    assert found == spec
    assert torch.equal(
        loaded.match(loaded.image(films)[1], loaded.text.project(*states)),
        module.match(module.image(films)[1], module.text.project(*states)),
    )
    assert not (tmp_path / "t" / "text-encoder").exists()


def test_a_trained_encoder_is_kept_inside(tmp_path):
    encoder = encoders.load("assets/text-encoder")
    with torch.no_grad():
        encoder.bert.embeddings.word_embeddings.weight.mul_(1.5)
    spec = timnet_spec(text_encoder_sha256=None)
    module = weights.build_timnet(spec, 0, encoder.bert)
    weights.save_checkpoint(tmp_path / "t", module, spec, encoder)
    loaded, _, inside = weights.load_timnet(tmp_path / "t")
    assert loaded.text.encoder is None
    assert torch.equal(
        inside.bert.embeddings.word_embeddings.weight, encoder.bert.embeddings.word_embeddings.weight
    )


def test_a_checkpoint_whose_encoder_is_another_is_refused(tmp_path):
    spec = timnet_spec(text_encoder_sha256="0" * 64)
    weights.save_checkpoint(tmp_path / "t", weights.build_timnet(spec, 0), spec)
    with pytest.raises(CheckpointError, match="text encoder assets/text-encoder with content 000000000000"):
        weights.load_timnet(tmp_path / "t")


def test_a_flipped_bit_is_refused(classifier_folder):
    path = classifier_folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        weights.load_classifier(classifier_folder)


@pytest.mark.parametrize("left", [0, 10, 1000])
def test_a_truncated_file_is_refused(classifier_folder, left):
    path = classifier_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(CheckpointError, match="damaged"):
        weights.load_classifier(classifier_folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"labels": ["Effusion"]}, "do not fit"),
        ({"width": 32}, "do not fit"),
        ({"kind": "gan"}, "expected a timnet or classifier, got 'gan'"),
        ({"format": 9}, "format 1"),
        ({"colour": "red"}, "unknown colour"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(classifier_folder, change, sentence):
    path = classifier_folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=sentence):
        weights.load_classifier(classifier_folder)


def test_a_checkpoint_of_the_other_kind_is_refused(classifier_folder):
    with pytest.raises(CheckpointError, match="expected a TIMNet checkpoint, got a classifier"):
        weights.load_timnet(classifier_folder)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"found no model\.json"):
        weights.describe(tmp_path)


def test_a_write_that_fails_leaves_the_checkpoint_before_it_whole(classifier_folder, monkeypatch):
    before = (classifier_folder / "model.safetensors").read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        weights.save_checkpoint(classifier_folder, weights.build_classifier(CLASSIFIER, seed=5), CLASSIFIER)
    monkeypatch.undo()
    assert (classifier_folder / "model.safetensors").read_bytes() == before
    weights.load_classifier(classifier_folder)
    assert sorted(path.name for path in classifier_folder.iterdir()) == ["model.json", "model.safetensors"]


def test_weights_are_stored_in_half_precision(classifier_folder):
    kinds = {value.dtype for value in load_file(classifier_folder / "model.safetensors").values()}
    assert kinds == {torch.float16, torch.int64}


def test_base_keeps_the_random_weights():
    trunk = Trunk("resnet18")
    before = {key: value.clone() for key, value in trunk.state_dict().items()}
    assert weights.initialise(trunk, "base", "resnet18").matched == ()
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
    told = weights.initialise(trunk, str(path), "resnet18")
    assert set(told.matched) == set(trunk.state_dict())
    assert told.missing == ()
    assert {key.removeprefix(prefix) for key in told.unexpected} == {"fc.weight", "fc.bias"}
    for key, value in trunk.state_dict().items():
        assert torch.equal(value, reference.state_dict()[key])


def test_a_timnet_checkpoint_fills_the_trunk_of_a_classifier(tmp_path):
    timnet = perturbed(weights.build_timnet(timnet_spec(), seed=3))
    weights.save_checkpoint(tmp_path / "t", timnet, timnet_spec())
    trunk = Trunk("resnet18")
    told = weights.initialise(trunk, str(tmp_path / "t"), "resnet18")
    assert len(told.matched) == len(trunk.state_dict())
    for key, value in trunk.state_dict().items():
        assert torch.equal(value, timnet.image.trunk.state_dict()[key])


def test_a_checkpoint_with_another_backbone_is_refused(classifier_folder):
    with pytest.raises(CheckpointError, match="expected a resnet34, got a resnet18"):
        weights.initialise(Trunk("resnet34"), str(classifier_folder), "resnet34")


def test_weights_of_which_nothing_fits_are_refused(tmp_path):
    save_file({"conv1.weight": torch.zeros(3, 3), "head": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="none of its 2 keys fits a resnet18"):
        weights.initialise(Trunk("resnet18"), str(tmp_path / "w.safetensors"), "resnet18")


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
        weights.initialise(Trunk("resnet18"), str(path), "resnet18")
    assert not (tmp_path / "ran").exists()


def test_a_pickled_network_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match="state dict of plain tensors"):
        weights.initialise(Trunk("resnet18"), str(tmp_path / "net.pt"), "resnet18")


def test_an_unknown_initialisation_is_refused_by_name():
    with pytest.raises(CheckpointError, match="moco-v9: expected base, imagenet, a checkpoint folder or"):
        weights.initialise(Trunk("resnet18"), "moco-v9", "resnet18")


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
    assert len(weights.initialise(trunk, "imagenet", "resnet18").matched) == len(trunk.state_dict())
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
        weights.initialise(Trunk("resnet18"), "imagenet", "resnet18")
