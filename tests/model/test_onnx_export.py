"""ONNX files: onnxruntime gives the reader's own numbers, for any number of films, words and texts."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from timnet import config
from timnet.__main__ import main
from timnet.checkpoints import DESCRIPTION
from timnet.films.film import Film
from timnet.films.letterbox import Letterbox
from timnet.films.read import read_film
from timnet.model import onnx_export, weights
from timnet.reader import Reader

ort = pytest.importorskip("onnxruntime", reason="requirements-onnx.txt is not installed")
pytest.importorskip("onnxscript", reason="requirements-onnx.txt is not installed")
# An export is compiled: a minute in all.
pytestmark = pytest.mark.whole


def film(seed: int) -> Film:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (90, 70 + seed), dtype=np.uint8)
    Image.fromarray(pixels).save(file, format="PNG")
    return read_film(file.getvalue())


def letterboxed(seeds: range, side: int) -> np.ndarray:
    """Return films as the pixel cache and the reader hand them to a network."""
    read = [film(seed) for seed in seeds]
    squares = [Letterbox(each.rows, each.columns, side).apply(each.pixels) for each in read]
    return np.rint(np.stack(squares)[:, None] * 255).astype(np.float32) / 255


@pytest.fixture(scope="module")
def written(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("onnx")
    for name in ("classifier", "timnet"):
        assert max(onnx_export.export(networks / name, out).values()) <= onnx_export.TOLERANCE
    return out


def session(written: Path, name: str):
    return ort.InferenceSession(written / name, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("number", [1, 2, 5])
def test_the_classifier_gives_torchs_logits_for_any_number_of_films(
    written: Path, networks: Path, number: int
) -> None:
    x = letterboxed(range(number), 64)
    (logits,) = session(written, "classifier.onnx").run(None, {"film": x})
    with torch.no_grad():
        expected = weights.load_classifier(networks / "classifier")[0](torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_a_darker_exposure_of_the_same_film_gives_the_same_logits_as_inside_the_network(
    written: Path,
) -> None:
    x = letterboxed(range(2), 64)
    run = session(written, "classifier.onnx").run
    np.testing.assert_allclose(run(None, {"film": x})[0], run(None, {"film": x * 0.5})[0], atol=1e-3)


def test_the_classifiers_sigmoid_is_the_readers_probability(written: Path, networks: Path) -> None:
    (logits,) = session(written, "classifier.onnx").run(None, {"film": letterboxed(range(1), 64)})
    reading = Reader.load(networks / "classifier").read(film(0))
    found = 1 / (1 + np.exp(-logits[0].astype(np.float64)))
    np.testing.assert_allclose(found, list(reading.probabilities.values()), atol=1e-4)


def test_image_text_and_match_together_give_the_readers_match(written: Path, networks: Path) -> None:
    texts = ["There is an opacity in the left lung.", "No pneumothorax."]
    timnet, spec, encoder = weights.load_timnet(networks / "timnet")
    states, mask = encoder.states(texts, spec.tokens).batch(range(2))
    grid, v_image = session(written, "image.onnx").run(None, {"film": letterboxed(range(3), 64)})
    (v_text,) = session(written, "text.onnx").run(
        None, {"states": states.float().numpy(), "mask": mask.float().numpy()}
    )
    (logits,) = session(written, "match.onnx").run(None, {"image": v_image, "text": v_text})
    assert logits.shape == (3, 2) and grid.shape == (3, 16, 2, 2)
    reader = Reader.load(networks / "timnet")
    expected = [[reader.read(film(seed), text).match for text in texts] for seed in range(3)]
    np.testing.assert_allclose(1 / (1 + np.exp(-logits.astype(np.float64))), expected, atol=1e-4)
    with torch.no_grad():
        np.testing.assert_allclose(v_text, timnet.text.project(states, mask).numpy(), atol=1e-4)


def test_the_files_say_what_they_are(written: Path, networks: Path) -> None:
    told = session(written, "classifier.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(told["labels"]) == ["Effusion", "Edema"] and json.loads(told["side"]) == 64
    description = json.loads((networks / "classifier" / DESCRIPTION).read_text())
    assert told["weights_sha256"] == description["weights_sha256"]
    assert told["research_use"] == config.RESEARCH_USE
    told = session(written, "text.onnx").get_modelmeta().custom_metadata_map
    assert told["text_encoder"] == "assets/text-encoder"


def test_a_graph_that_differs_from_its_network_is_refused_and_not_written(
    networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    match = onnx_export.graphs(networks / "timnet")[-1]
    monkeypatch.setattr(onnx_export, "graphs", lambda folder: [match])
    monkeypatch.setattr(onnx_export, "TOLERANCE", -1.0)
    assert main(["export", str(networks / "timnet"), "--onnx", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("timnet: timnet: expected its match graph to give the network's numbers")
    assert said.count("\n") == 1 and not list(tmp_path.iterdir())


def test_a_network_that_onnx_cannot_express_is_refused_in_one_sentence(
    networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class ByValue(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2 if bool(x.sum() > 0) else x

    graph = onnx_export.Graph(
        "match", ByValue(), {"image": torch.ones(2, 3)}, {"image": {0: "films"}}, ["logits"]
    )
    monkeypatch.setattr(onnx_export, "graphs", lambda folder: [graph])
    assert main(["export", str(networks / "timnet"), "--onnx", str(tmp_path)]) == 2
    # torch may log a line of its own before it gives up.
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("timnet: timnet: its match graph cannot be written as ONNX (")


def test_a_missing_checkpoint_is_refused_by_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["export", "nothing-here", "--onnx", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "timnet: nothing-here: no checkpoint of that name or path\n"


def test_without_its_packages_one_sentence_says_what_to_install(
    networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(["export", str(networks / "classifier"), "--onnx", str(tmp_path / "out")]) == 2
    assert "pip install -r requirements-onnx.txt" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_reading_a_film_needs_none_of_the_packages(networks: Path) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('onnx', 'onnxscript', 'onnxruntime'))); "
        f"from timnet.reader import Reader; Reader.load({str(networks / 'classifier')!r}); "
        "import timnet.model.onnx_export"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=config.REPOSITORY, check=False).returncode == 0
