"""Token states on disk: encoded once, whoever asks; never trusted when damaged; gone on with after a kill."""

from __future__ import annotations

import logging
import os
import shutil
import stat
from collections import namedtuple

import pytest
import torch

from timnet.model import encoders
from timnet.model import token_cache as states

TEXTS = ["No effusion.", "Large right pleural effusion with a tube 1.8 cm above the carina.", "Clear."]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def encoder(tiny_bert):
    return encoders.load(str(tiny_bert))


@pytest.fixture
def encoded(monkeypatch):
    """The texts that an encoder was asked for, in batches as they came."""
    asked: list[list[str]] = []
    real = encoders.TextEncoder.states

    def states(self, texts, *given, **named):
        asked.append(list(texts))
        return real(self, texts, *given, **named)

    monkeypatch.setattr(encoders.TextEncoder, "states", states)
    return asked


def parts(home):
    return sorted((home / states.FOLDER).rglob("[!.]*.safetensors"))


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.states, other.states, strict=True))


@pytest.mark.parametrize("literal", [False, True])
def test_states_from_the_disk_are_those_of_the_encoder(home, encoder, literal):
    expected = encoder.states(TEXTS, 16, literal)
    kind = states.Kind(encoder, 16, literal)
    for _ in range(2):
        found = states.cached(kind, TEXTS)
        assert [state.shape for state in found.states] == [state.shape for state in expected.states]
        assert same(found, expected)
        assert all(
            torch.equal(a, b) for a, b in zip(found.batch([2, 0]), expected.batch([2, 0]), strict=True)
        )
    assert found.states[0].dtype == torch.float16


def test_a_text_is_encoded_once_however_often_and_by_whomever_it_is_asked_for(home, encoder, encoded):
    kind = states.Kind(encoder, 16)
    first = states.cached(kind, [*TEXTS[:2], TEXTS[0]])
    assert sorted(encoded.pop()) == sorted(TEXTS[:2])
    assert torch.equal(first.states[0], first.states[2])
    second = states.cached(kind, TEXTS[::-1])
    assert encoded.pop() == [TEXTS[2]]
    assert torch.equal(second.states[2], first.states[0])
    assert not encoded


def test_states_of_another_encoder_length_or_padding_are_not_taken(
    home, encoder, encoded, tiny_bert, tmp_path
):
    other = tmp_path / "other"
    shutil.copytree(tiny_bert, other)
    config = (other / "config.json").read_text()
    (other / "config.json").write_text(config + "\n")
    kinds = [
        states.Kind(encoder, 16),
        states.Kind(encoder, 12),
        states.Kind(encoder, 16, literal=True),
        states.Kind(encoder, 16, upper=1),
        states.Kind(encoders.load(str(other)), 16),
    ]
    for kind in kinds:
        states.cached(kind, TEXTS)
    assert len(encoded) == len(kinds) == len({kind.folder for kind in kinds})


@pytest.mark.parametrize("damage", ["a flipped bit", "cut short", "emptied", "another's part"])
def test_what_is_damaged_is_told_of_and_encoded_anew(home, encoder, encoded, caplog, damage):
    kind = states.Kind(encoder, 16)
    expected = states.cached(kind, TEXTS)
    expected = encoders.TokenStates(tuple(state.clone() for state in expected.states))
    (path,) = parts(home)
    data = bytearray(path.read_bytes())
    path.unlink()
    if damage == "another's part":
        states.cached(states.Kind(encoder, 12), TEXTS)
        (strange,) = parts(home)
        shutil.copy(strange, path.with_name(strange.name))
    elif damage == "a flipped bit":
        data[-1] ^= 1
        path.write_bytes(data)
    else:
        path.write_bytes(data[:-7] if damage == "cut short" else b"")
    encoded.clear()
    with caplog.at_level(logging.WARNING):
        assert same(states.cached(kind, TEXTS), expected)
    assert len(encoded) == 1
    assert "token states" in caplog.text and "encoded anew" in caplog.text
    caplog.clear()
    states.cached(kind, TEXTS)
    assert len(encoded) == 1 and not caplog.text


def test_a_part_of_another_version_is_encoded_anew(home, encoder, encoded, monkeypatch):
    states.cached(states.Kind(encoder, 16), TEXTS)
    monkeypatch.setattr(states, "_RULE", "another rule")
    states.cached(states.Kind(encoder, 16), TEXTS)
    assert len(encoded) == 2
    assert len(parts(home)) == 1


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def test_a_build_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    home, encoder, encoded, monkeypatch, tmp_path
):
    monkeypatch.setattr(states, "PART", 4)
    texts = [f"Opacity {'left ' * (i % 7)}{i}." for i in range(11)]
    kind = states.Kind(encoder, 16)
    whole = encoders.TokenStates(tuple(state.clone() for state in states.cached(kind, texts).states))
    names = [path.name for path in parts(home)]
    shutil.rmtree(home)

    def kill(done, total):
        if done > 5:
            raise Killed

    with pytest.raises(Killed):
        states.cached(kind, texts, kill)
    assert len(parts(home)) == 1
    # What a kill in the middle of a write leaves.
    (parts(home)[0].parent / f".{'0' * 64}.safetensors.1").write_bytes(b"half")
    encoded.clear()
    told = []
    assert same(states.cached(kind, texts, lambda done, total: told.append((done, total))), whole)
    assert sum(map(len, encoded)) == 7
    assert told[0] == (8, 11) and told[-1] == (11, 11)
    assert [path.name for path in parts(home)] == names
    assert not list((home / states.FOLDER).rglob(".*.safetensors.*"))


def test_no_word_of_a_report_is_on_the_disk_and_only_its_owner_may_look(home, encoder):
    states.cached(states.Kind(encoder, 16), TEXTS)
    (path,) = parts(home)
    data = path.read_bytes()
    assert not any(word in data.lower() for word in (b"effusion", b"carina", b"clear"))
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0


def test_too_little_room_is_said_before_anything_is_encoded(home, encoder, encoded, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(1, 1, states.SPARE))
    with pytest.raises(
        states.StatesError, match=r"^token states: expected .* GB free for 3 reports .* found"
    ):
        states.cached(states.Kind(encoder, 16), TEXTS)
    assert not encoded


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named_in_one_sentence(home, encoder):
    home.mkdir(mode=0o500)
    with pytest.raises(states.StatesError, match="cannot be written"):
        states.cached(states.Kind(encoder, 16), TEXTS)


def test_a_full_disk_is_told_of_and_leaves_nothing_half_written(home, encoder, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(states.files, "write_whole", full)
    with pytest.raises(states.StatesError, match=r"cannot be written: No space left on device$"):
        states.cached(states.Kind(encoder, 16), TEXTS)
    assert not parts(home)


def test_an_encoder_from_a_hub_is_known_by_its_weights_and_tokenizer(encoder):
    def from_hub(bert):
        return encoders.TextEncoder("some/hub-id", None, encoder.tokenizer, bert)

    before = from_hub(encoder.bert).content()
    assert from_hub(encoder.bert).content() == before
    with torch.no_grad():
        next(encoder.bert.parameters())[0, 0] += 1
    assert from_hub(encoder.bert).content() != before
