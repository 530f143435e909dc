"""Reports that a match is ranked among: their vectors alone are kept, and the rank is that of the logits."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from timnet import config
from timnet.__main__ import main
from timnet.checkpoints import OTHER_REPORTS, CheckpointError
from timnet.cohorts.store import Cohort
from timnet.evaluation import other_reports
from timnet.model import weights
from timnet.reader import Reader

TEXT = "There is an opacity in the left lung."


@pytest.fixture
def network(networks: Path, cohort_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A matching network with the held-out reports of the synthetic cohort beside its weights."""
    monkeypatch.setenv("TIMNET_HOME", str(cohort_folder.parent))
    monkeypatch.setattr(other_reports, "FEWEST", 2)
    shutil.copytree(networks / "timnet", tmp_path / "timnet")
    other_reports.keep(tmp_path / "timnet", ("synthetic",), "a hospital")
    return tmp_path / "timnet"


@pytest.fixture
def film_file(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "film.png")
    return tmp_path / "film.png"


def test_the_rank_is_the_share_of_held_out_reports_that_fit_the_film_less_well(
    network: Path, cohort_folder: Path, film_file: Path
) -> None:
    cohort = Cohort.open(cohort_folder)
    films = cohort.films()
    held = films[films["split"].isin(["val", "test"]) & (films["findings"].str.strip() != "")]
    texts = sorted(set(held["findings"]))
    reader = Reader.load(network)
    reading = reader.read(film_file, TEXT)
    singly = np.array([reader.read(film_file, text).match for text in texts])
    assert reading.rank is not None and reading.match is not None
    expected = (singly < reading.match).mean() + 0.5 * (singly == reading.match).mean()
    assert reading.rank.reports == len(texts)
    assert reading.rank.share == pytest.approx(expected, abs=1 / len(texts))
    assert reading.as_dict()["rank_among_other_reports"]["share"] == reading.rank.share
    assert f"{reading.rank.share:.0%} of {counted_reports(texts)}" in reading.rank.sentence


def counted_reports(texts: list[str]) -> str:
    return f"{len(texts)} reports of other patients (a hospital)"


def test_vectors_alone_are_kept_and_no_text(network: Path, cohort_folder: Path) -> None:
    content = (network / OTHER_REPORTS).read_bytes()
    for text in set(Cohort.open(cohort_folder).films()["findings"]) - {""}:
        assert text.encode() not in content
    with safe_open(network / OTHER_REPORTS, "pt") as file:
        assert list(file.keys()) == ["vectors"]
        assert set(file.metadata()) == {"weights_sha256", "source"}


def test_a_network_without_any_ranks_nothing(networks: Path, film_file: Path) -> None:
    assert Reader.load(networks / "timnet").read(film_file, TEXT).rank is None


def test_vectors_of_other_weights_are_refused_and_go_with_new_weights(network: Path) -> None:
    kept = (network / OTHER_REPORTS).read_bytes()
    timnet, spec, encoder = weights.load_timnet(network)
    with torch.no_grad():
        timnet.image.fc.bias += 1
    own = encoder if spec.text_encoder_sha256 is None else None
    weights.save_checkpoint(network, timnet, replace(spec), own)
    assert not (network / OTHER_REPORTS).exists()
    (network / OTHER_REPORTS).write_bytes(kept)
    with pytest.raises(CheckpointError, match=r"other_reports\.safetensors is of other weights"):
        other_reports.of(network)
    (network / OTHER_REPORTS).write_bytes(kept[:100])
    with pytest.raises(CheckpointError, match="cannot be read"):
        other_reports.of(network)


def test_the_command_keeps_them_and_a_classifier_has_none(
    networks: Path,
    cohort_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    film_file: Path,
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(cohort_folder.parent))
    monkeypatch.setattr(other_reports, "FEWEST", 2)
    shutil.copytree(networks / "timnet", tmp_path / "timnet")
    with pytest.raises(CheckpointError, match="expected a matching network, got a classifier"):
        other_reports.keep(networks / "classifier", ("synthetic",), "a hospital")
    monkeypatch.setattr(other_reports, "FEWEST", 10**6)
    with pytest.raises(ValueError, match="expected 1000000 or more held-out reports"):
        other_reports.keep(tmp_path / "timnet", ("synthetic",), "a hospital")
    monkeypatch.setattr(other_reports, "FEWEST", 2)
    monkeypatch.setattr("timnet.evaluation.calibration.fit.line", lambda *_: (1.0, 0.0))
    words = ["calibrate", str(tmp_path / "timnet"), "synthetic", "--other-reports", "a hospital", "--json"]
    assert main(words) == 0
    assert "a hospital" in json.loads(capsys.readouterr().out)["other_reports"]
    assert (
        main(
            [
                "match",
                str(film_file),
                "--findings",
                TEXT,
                "--anyway",
                "--checkpoint",
                str(tmp_path / "timnet"),
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "This report fits better than" in out and config.RESEARCH_USE in out
