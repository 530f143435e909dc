"""Weights: checkpoints come back with the same logits, or are refused with a reason."""

from __future__ import annotations

import json
import os

import pytest
import torch
from perturbing import perturbed
from safetensors.torch import load_file

from timnet import config
from timnet.model import encoders, weights
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
