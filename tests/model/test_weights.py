"""Weights: checkpoints come back with the same logits, or are refused with a reason."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
import torch
from perturbing import perturbed
from safetensors.torch import load_file, save
from wrong_values import wrong_values

from timnet import checkpoints, config
from timnet.checkpoints import CheckpointError, ClassifierSpec, TimnetSpec
from timnet.errors import TimnetError
from timnet.model import encoders, weights

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
        ({"format": 9}, "format: expected 1, got 9"),
        ({"colour": "red"}, "colour: unknown field"),
        ({"format": True}, "format: "),
        ({"map_scale": 1e300}, "map_scale: "),
        ({"labels": ["Edema", "Edema"]}, "labels: expected each once, got 'Edema' twice"),
        ({"labels": ["Edema", ""]}, r"labels\.1: "),
    ],
)
def test_a_description_that_does_not_fit_is_refused(classifier_folder, change, sentence):
    path = classifier_folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=sentence):
        weights.load_classifier(classifier_folder)


@pytest.mark.parametrize("kind", ["classifier", "timnet"])
def test_every_wrong_value_in_a_description_is_refused_in_one_sentence_or_harmless(tmp_path, networks, kind):
    folder, path = tmp_path / kind, tmp_path / kind / "model.json"
    folder.mkdir()
    (folder / "model.safetensors").symlink_to(networks / kind / "model.safetensors")
    refused = read = 0
    for text in wrong_values(json.loads((networks / kind / "model.json").read_text())):
        path.write_text(text)
        try:
            spec = checkpoints.describe(folder)
            if "weights_sha256" in text and spec != checkpoints.describe(networks / kind):
                read += 1
                (weights.load_timnet if kind == "timnet" else weights.load_classifier)(folder)
        except TimnetError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 600
    assert refused > 150 and read < 40


def rewritten(folder, change):
    """Write a checkpoint's weights anew with the sha256 that its description must then have."""
    state = load_file(folder / "model.safetensors")
    change(state)
    data = save(state)
    (folder / "model.safetensors").write_bytes(data)
    told = json.loads((folder / "model.json").read_text())
    told["weights_sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "model.json").write_text(json.dumps(told))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused_by_the_file_they_are_in(classifier_folder, wrong):
    rewritten(classifier_folder, lambda state: state["out.bias"].fill_(wrong))
    with pytest.raises(
        CheckpointError, match=r"model/model\.safetensors: expected finite weights.*out\.bias"
    ):
        weights.load_classifier(classifier_folder)


def test_a_checkpoint_of_the_other_kind_is_refused(classifier_folder):
    with pytest.raises(CheckpointError, match="expected a TIMNet checkpoint, got a classifier"):
        weights.load_timnet(classifier_folder)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"found no model\.json"):
        checkpoints.describe(tmp_path)


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
