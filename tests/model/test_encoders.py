"""Text encoders: local folders, fingerprints, token states that padding and company leave alone."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from transformers import BertModel
from wrong_values import wrong_values

from timnet import config
from timnet.model import encoders
from timnet.model.branches import ModelError

TEXTS = ["No effusion.", "Large right pleural effusion with a tube 1.8 cm above the carina.", "Clear."]


def test_the_shipped_encoder_is_a_bert_of_six_layers_and_384(tmp_path):
    encoder = encoders.load("assets/text-encoder")
    assert encoder.width == 384
    words, positions, kinds, norm = 30522 * 384, 512 * 384, 2 * 384, 2 * 384
    attention = 4 * (384 * 384 + 384) + 2 * 384
    feed_forward = (384 * 1536 + 1536) + (1536 * 384 + 384) + 2 * 384
    expected = words + positions + kinds + norm + 6 * (attention + feed_forward)
    assert sum(p.numel() for p in encoder.bert.parameters()) == expected == 22_565_376


def test_the_shipped_encoder_is_the_one_that_checkpoints_name():
    """The folder is never changed: a new fingerprint would orphan every checkpoint made before."""
    notice = (config.TEXT_ENCODER / "NOTICE.md").read_text()
    assert encoders.fingerprint(config.TEXT_ENCODER) in notice


def test_any_bert_folder_can_be_the_encoder(tiny_bert):
    encoder = encoders.load(str(tiny_bert))
    assert encoder.width == 24
    assert encoder.sha256 == encoders.fingerprint(tiny_bert)
    assert next(encoder.bert.parameters()).dtype == torch.float32


def test_one_changed_byte_changes_the_fingerprint(tiny_bert, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_bert, copy)
    assert encoders.fingerprint(copy) == encoders.fingerprint(tiny_bert)
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert encoders.fingerprint(copy) != encoders.fingerprint(tiny_bert)


def test_a_texts_states_are_its_own_whatever_company_it_is_encoded_in(tiny_bert):
    encoder = encoders.load(str(tiny_bert))
    together = encoder.states(TEXTS, tokens=64, batch=3).states
    for text, states in zip(TEXTS, together, strict=True):
        alone = encoder.states([text], tokens=64).states[0]
        # Two fp16 roundings apart at most.
        torch.testing.assert_close(states.float(), alone.float(), atol=2e-2, rtol=2e-3)


def test_states_equal_the_library_models_output(tiny_bert):
    encoder = encoders.load(str(tiny_bert))
    fields = encoder.tokenizer(TEXTS[1], return_tensors="pt")
    reference = BertModel.from_pretrained(tiny_bert, add_pooling_layer=False).eval()
    with torch.inference_mode():
        expected = reference(**fields).last_hidden_state[0]
    torch.testing.assert_close(
        encoder.states([TEXTS[1]], tokens=64).states[0].float(), expected, atol=5e-3, rtol=2e-3
    )


@pytest.mark.parametrize("layers", [1, 2])
def test_the_last_layers_on_the_states_below_them_are_the_whole_encoder(tiny_bert, layers):
    encoder = encoders.load(str(tiny_bert))
    ids, mask = encoder.tokenize(TEXTS, tokens=64)
    with torch.inference_mode():
        whole = encoder.bert(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        upper = encoders.Upper(encoder.bert, layers).eval()
        found = upper(whole.hidden_states[-1 - layers], mask).last_hidden_state
    torch.testing.assert_close(found[mask.bool()], whole.last_hidden_state[mask.bool()], rtol=0, atol=1e-6)
    shared = {id(p) for p in encoder.bert.encoder.layer[-layers:].parameters()}
    assert {id(p) for p in upper.parameters()} == shared
    below = encoder.states(TEXTS, tokens=64, upper=layers)
    for states, row, kept in zip(below.states, whole.hidden_states[-1 - layers], mask.bool(), strict=True):
        torch.testing.assert_close(states.float(), row[kept], atol=5e-3, rtol=2e-3)


@pytest.mark.parametrize("layers", [0, 3])
def test_more_layers_than_an_encoder_has_are_refused(tiny_bert, layers):
    encoder = encoders.load(str(tiny_bert))
    with pytest.raises(
        ModelError, match=rf"^text encoder: expected a BERT of {layers} layers or more, got 2$"
    ):
        encoders.Upper(encoder.bert, layers)
    with pytest.raises(ModelError, match="none where a BERT has them"):
        encoders.Upper(torch.nn.Linear(2, 2), 1)


def test_batches_are_padded_to_their_longest_and_masked(tiny_bert):
    states = encoders.load(str(tiny_bert)).states(TEXTS, tokens=64)
    lengths = [len(state) for state in states.states]
    padded, mask = states.batch([2, 1, 0])
    assert mask.sum(1).tolist() == [lengths[2], lengths[1], lengths[0]]
    assert padded.shape == (3, max(lengths), 24)
    assert (padded[0, lengths[2] :] == 0).all()


def test_literal_padding_fills_up_to_the_longest_allowed_and_counts(tiny_bert):
    encoder = encoders.load(str(tiny_bert))
    tokens, mask = encoder.tokenize(TEXTS, tokens=32, literal=True)
    assert tokens.shape == (3, 32)
    assert (mask == 1).all()
    assert (tokens[2, 4:] == 0).all()


@pytest.mark.parametrize("literal", [False, True])
def test_windows_hold_every_token_once_in_order(tiny_bert, literal):
    encoder = encoders.load(str(tiny_bert))
    text = "The heart is large. " * 30
    plain = encoder.tokenizer(text, add_special_tokens=False)["input_ids"]
    special = set(encoder.tokenizer.all_special_ids)
    (windows,) = encoder.windows([text], tokens=16, literal=literal)
    assert [ids for window in windows for ids in window if ids not in special] == plain
    assert {len(window) for window in windows[: None if literal else -1]} == {16}
    assert encoder.lengths([text, "heart"], tokens=16)[0] == sum(map(len, encoder.windows([text], 16)[0]))


def test_a_text_that_one_window_holds_is_encoded_as_by_the_library_in_one_pass(tiny_bert):
    encoder = encoders.load(str(tiny_bert))
    text = "The heart is large. " * 10
    one = encoder.states([text], tokens=256).states[0]
    fields = encoder.tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        expected = encoder.bert(**fields).last_hidden_state[0]
    torch.testing.assert_close(one, expected.half(), atol=1e-5, rtol=0)


def test_a_longer_text_is_its_windows_encoded_one_by_one(tiny_bert):
    encoder = encoders.load(str(tiny_bert))
    text, other = "The heart is large and the lungs are clear. " * 20, "Clear."
    joined = encoder.states([other, text], tokens=32).states[1]
    (windows,) = encoder.windows([text], tokens=32)
    assert len(windows) > 3
    with torch.inference_mode():
        alone = [encoder.bert(torch.tensor([ids])).last_hidden_state[0] for ids in windows]
    torch.testing.assert_close(joined.float(), torch.cat(alone), atol=5e-3, rtol=2e-3)


def test_every_wrong_value_in_an_encoders_settings_is_refused_by_name_or_harmless(tiny_bert, tmp_path):
    folder = tmp_path / "bert"
    shutil.copytree(tiny_bert, folder)
    told = json.loads((folder / "config.json").read_text())
    told = {name: value for name, value in told.items() if name.split("_")[0] in ("model", "num", "layer")}
    told["hidden_size"] = 24
    told["intermediate_size"] = 48
    for text in wrong_values(told):
        (folder / "config.json").write_text(text)
        try:
            states = encoders.load(str(folder)).states(["Clear lungs."], tokens=32).states[0]
        except ModelError as error:
            assert str(error).startswith(("bert/config.json: ", "text encoder: expected"))
            assert "\n" not in str(error) and len(str(error)) < 600
        else:
            assert states.isfinite().all()


def test_a_layer_without_weights_is_refused_and_not_drawn_at_random(tiny_bert, tmp_path):
    folder = tmp_path / "bert"
    shutil.copytree(tiny_bert, folder)
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | {"num_hidden_layers": 3}))
    with pytest.raises(ModelError, match=r"^text encoder: expected the weights of all layers.*layer\.2\."):
        encoders.load(str(folder))


@pytest.mark.parametrize("what", ["empty folder", "damaged config", "pickle only"])
def test_a_folder_without_a_readable_bert_is_refused_in_one_sentence(what, tiny_bert, tmp_path):
    folder = tmp_path / "bert"
    if what == "empty folder":
        folder.mkdir()
    else:
        shutil.copytree(tiny_bert, folder)
        if what == "damaged config":
            (folder / "config.json").write_text("{")
        else:
            state = BertModel.from_pretrained(tiny_bert, add_pooling_layer=False).state_dict()
            torch.save(state, folder / "pytorch_model.bin")
            (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"^(text encoder|bert/config\.json): expected") as refused:
        encoders.load(str(folder))
    assert "\n" not in str(refused.value)
