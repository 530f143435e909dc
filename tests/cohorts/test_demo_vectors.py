"""Vectors that come with timnet: those that the network gives, and none of other weights or films."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from timnet import config
from timnet.cohorts import demo_vectors, vectors
from timnet.cohorts.readers import demo
from timnet.cohorts.store import Cohort
from timnet.reader import Reader


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMNET_HOME", str(home))
        demo.run(config.DEMO, "demo")
    return Cohort.open(home / "demo")


def test_they_are_what_the_network_gives_of_the_demo(cohort: Cohort) -> None:
    checkpoint = config.checkpoints() / config.SHIPPED
    demo_vectors.take(cohort)
    found = vectors.load(vectors.place(cohort, checkpoint))
    assert len(found.films_ND) == len(cohort) and len(found.reports_MD) == len(vectors.reports(cohort))
    reader, rows = Reader.load(checkpoint), [0, len(cohort) // 2, len(cohort) - 1]
    pixels_BSS = torch.from_numpy(np.stack([cohort.pixels(reader.spec.side)[row] for row in rows]))
    with torch.inference_mode():
        films_BD = reader.matcher.timnet.image(pixels_BSS.unsqueeze(1).float() / 255)[1]
    assert np.allclose(found.films_ND[rows], films_BD, atol=0.02, rtol=0.02)
    texts = vectors.reports(cohort)["findings"]
    reports_BD = reader.matcher.text_vectors([texts.iloc[0], texts.iloc[-1]])
    assert np.allclose(found.reports_MD[[0, -1]], reports_BD, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("fault", ["other weights", "cut short", "no network"])
def test_of_other_weights_or_damaged_none_is_taken(
    fault: str, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source,) = demo_vectors.FOLDER.glob("*.safetensors")
    monkeypatch.setattr(demo_vectors, "FOLDER", tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    other = shutil.copytree(config.checkpoints() / "open-i", tmp_path / "networks" / config.SHIPPED)
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path / "networks"))
    content = source.read_bytes()
    (tmp_path / "kept" / source.name).write_bytes(content[:999] if fault == "cut short" else content)
    if fault == "no network":
        shutil.rmtree(other)
        (tmp_path / "networks" / config.SHIPPED).mkdir()
    demo_vectors.take(cohort)
    assert not [place for place in cohort.folder.glob("vectors/*") if place.name.startswith("open-i")]
    if fault != "no network":
        assert vectors.state(vectors.place(cohort, other)).name == "none"
