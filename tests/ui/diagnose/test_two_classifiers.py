"""Two classifiers on one film: labels aligned, differences right, blanks where one was not asked."""

from __future__ import annotations

import dataclasses
import io
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from timnet import config
from timnet.checkpoints import ClassifierSpec, describe
from timnet.films.read import read_film
from timnet.model import weights
from timnet.reader import Reader
from timnet.ui.diagnose import two_classifiers


def test_labels_are_aligned_whatever_their_spelling_and_a_difference_is_second_minus_first() -> None:
    table = two_classifiers.aligned(
        {"Pleural Effusion": 0.25, "Edema": 0.5, "Mass": 0.125},
        {"nodule": 1.0, "pleural_effusion": 0.75, "EDEMA": 0.25},
    )
    assert table["label"].tolist() == ["Pleural Effusion", "Edema", "Mass", "nodule"]
    assert table["Difference"].tolist()[:2] == [0.5, -0.25]
    assert table["second"].tolist()[0] == 0.75
    assert math.isnan(table["second"][2]) and math.isnan(table["first"][3])
    assert table["Difference"].isna().tolist() == [False, False, True, True]


def test_no_label_is_lost_where_two_are_spelled_alike() -> None:
    table = two_classifiers.aligned({"a b": 0.5}, {"a_b": 0.25, "a b": 0.75})
    assert table["label"].tolist() == ["a b", "a_b"]
    assert table["second"].tolist() == [0.75, 0.25]


@pytest.fixture
def page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cohort_folder: Path, networks: Path
) -> tuple[AppTest, Path]:
    shutil.copytree(networks / "classifier", tmp_path / "classifier")
    spec = describe(networks / "classifier")
    assert isinstance(spec, ClassifierSpec)
    other = dataclasses.replace(spec, labels=("edema", "Mass"), side=96)
    weights.save_checkpoint(tmp_path / "other", weights.build_classifier(other, seed=1), other)
    monkeypatch.setenv("TIMNET_HOME", str(cohort_folder.parent))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=60).run()
    return app.switch_page("pages/diagnose.py").run(), tmp_path


def test_the_page_shows_both_readers_numbers_and_both_maps(page: tuple[AppTest, Path]) -> None:
    app, checkpoints = page
    file = io.BytesIO()
    pixels = np.random.default_rng(21).integers(0, 255, (60, 48), dtype=np.uint8)
    Image.fromarray(pixels).save(file, format="PNG")
    app.selectbox(key="diagnose_network").set_value("classifier").run()
    app.selectbox(key="diagnose_beside").set_value("other")
    app.file_uploader(key="diagnose_upload").upload("film.png", file.getvalue(), "").run()
    assert not app.exception and not app.error
    film = read_film(file.getvalue())
    first, second = (
        Reader.load(checkpoints / name).read(film).probabilities for name in ("classifier", "other")
    )
    table = app.dataframe[0].value.set_index("label")
    assert table.index.tolist() == ["Effusion", "Edema", "Mass"]
    assert table["classifier"].tolist()[:2] == [first["Effusion"], first["Edema"]]
    assert table["other"]["Edema"] == second["edema"]
    assert table["other"]["Mass"] == second["Mass"]
    assert table["Difference"]["Edema"] == second["edema"] - first["Edema"]
    for label in ("Effusion", "Edema"):
        app.selectbox(key="diagnose_both_map").set_value(label).run()
        assert not app.exception and len(app.get("bidi_component")) == 1
