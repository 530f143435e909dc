"""Pseudonyms: HMAC-SHA256 under a key that lies apart from the cohorts, for its owner's eyes only."""

from __future__ import annotations

import hashlib
import hmac
import stat
from pathlib import Path

import pytest

from timnet.cohorts.importing import pseudonyms
from timnet.cohorts.records import CohortError

KEY = b"sixteen letters at least"


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TIMNET_KEY", raising=False)
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


def test_a_pseudonym_is_the_start_of_the_keyed_hash() -> None:
    expected = hmac.new(KEY, b"patient\x004711", hashlib.sha256).hexdigest()[:16]
    assert pseudonyms.pseudonym(KEY, "patient", " 4711 ") == expected
    assert pseudonyms.pseudonym(KEY, "study", "4711") != expected
    assert pseudonyms.pseudonym(KEY + b"!", "patient", "4711") != expected


def test_the_key_is_made_once_and_only_its_owner_can_read_it(configuration: Path) -> None:
    key = pseudonyms.read_key()
    assert len(key) == 64
    assert pseudonyms.read_key() == key
    path = configuration / "timnet" / "key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["key"]


def test_a_key_that_others_can_read_is_refused(configuration: Path) -> None:
    pseudonyms.read_key()
    (configuration / "timnet" / "key").chmod(0o644)
    with pytest.raises(CohortError, match="readable by its owner only"):
        pseudonyms.read_key()


def test_the_environment_gives_the_key_and_no_file_is_made(
    configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_KEY", KEY.decode())
    assert pseudonyms.read_key() == KEY
    assert not configuration.exists()


@pytest.mark.parametrize("short", ["", "short"])
def test_a_key_that_could_be_tried_out_is_refused(
    short: str, configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_KEY", short)
    with pytest.raises(CohortError, match="expected at least 16 characters in TIMNET_KEY") as caught:
        pseudonyms.read_key()
    assert "short" not in str(caught.value)


def test_a_key_among_the_cohorts_is_refused(configuration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(configuration))
    with pytest.raises(CohortError, match="outside that of the cohorts"):
        pseudonyms.read_key()
    assert not configuration.exists()


def test_a_key_that_cannot_be_written_is_one_sentence(configuration: Path) -> None:
    configuration.write_text("a file where the folder belongs")
    with pytest.raises(CohortError, match="cannot be used: "):
        pseudonyms.read_key()
