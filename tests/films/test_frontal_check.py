"""What is taken for a frontal chest film, and how films that are none are refused and read all the same."""

import importlib.util
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from radiographs import dataset, written
from streamlit.testing.v1 import AppTest

from timnet import config
from timnet.__main__ import main
from timnet.cohorts import store
from timnet.cohorts.records import FilmRecord, StudyRecord
from timnet.films import frontal_check, letterbox, sandbox
from timnet.films.film import INVERTED, LOOKS_INVERTED, Film
from timnet.films.read import read_film
from timnet.ui import film_check, notices


@pytest.fixture(autouse=True)
def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse as the app does."""
    monkeypatch.delenv("TIMNET_REFUSE")


DEMO = config.REPOSITORY / "assets" / "demo"


def demo(view: str) -> list[Path]:
    table = pd.read_csv(DEMO / "studies.csv")
    table = table[(table["split"] == "test") & ((table["view"] == "LATERAL") == (view == "LATERAL"))]
    return [DEMO / path for path in table["path"][:12]]


def film(pixels: np.ndarray, **fields: object) -> Film:
    file = io.BytesIO()
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(file, format="PNG")
    return replace(read_film(file.getvalue()), **fields)  # type: ignore[arg-type]


def test_frontal_films_raise_no_doubt_and_lateral_ones_are_called_lateral() -> None:
    assert [frontal_check.doubt(read_film(path)) for path in demo("frontal")] == [""] * 12
    lateral = [frontal_check.doubt(read_film(path)) for path in demo("LATERAL")]
    assert sum("lateral" in reason for reason in lateral) > 0.7 * len(lateral)
    assert all(lateral)


def test_a_film_is_judged_as_by_the_network_that_was_fitted_and_as_its_mirror_image() -> None:
    spec = importlib.util.spec_from_file_location("fit", config.REPOSITORY / "assets" / "chest" / "fit.py")
    assert spec and spec.loader
    fit = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fit)
    detector = fit.loaded()
    for path in [*demo("frontal")[:4], *demo("LATERAL")[:4]]:
        # At the detector's side already: pressing a film that is not square is not quite symmetric.
        small = frontal_check.standardised(read_film(path).pixels)
        for each in (small, small[:, ::-1]):
            found = fit.judged(detector, torch.from_numpy(each.copy())[None, None])[0].numpy()
            np.testing.assert_allclose(frontal_check.probabilities(read_film(path).pixels), found, atol=1e-5)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_an_import_counts_and_names_films_that_look_inverted(tmp_path: Path, photometric: str) -> None:
    paths = [path for path in demo("frontal") if frontal_check.doubt(read_film(path)) == ""][:4]
    for number, path in enumerate(paths):
        stored = letterbox.to_uint8(read_film(path).pixels)
        is_wrong = number % 2
        stored = 255 - stored if is_wrong != (photometric == "MONOCHROME1") else stored
        made = dataset(stored, 8, PhotometricInterpretation=photometric, WindowCenter=128, WindowWidth=256)
        (tmp_path / f"{number}.dcm").write_bytes(written(made))
    studies = [
        StudyRecord(f"s{number}", f"p{number}", "", (FilmRecord(f"{number}.dcm"),), {}, "train")
        for number in range(len(paths))
    ]
    summary = store.write(tmp_path / "c", source="test", root=tmp_path, records=studies)
    assert summary.films == 4 and f"{LOOKS_INVERTED}: 2, such as 1.dcm, 3.dcm" in summary.notes


def test_noise_gradients_and_checks_are_doubted() -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:120, :100] / 120
    for pixels in (rng.random((120, 100)), rows, columns, (rows * 9 // 1 + columns * 9 // 1) % 2):
        assert "does not look like a frontal chest X-ray" in frontal_check.doubt(film(pixels))


@pytest.mark.parametrize(("part", "doubted"), [("HAND", True), ("CHEST", False), ("PORTABLE", False)])
def test_the_headers_body_part_comes_before_the_pixels(part: str, doubted: bool) -> None:
    read = replace(read_film(demo("frontal")[0]), body_part=part)
    assert (f"names another body part, {part};" in frontal_check.doubt(read)) == doubted


def test_a_stated_lateral_view_is_doubted_whatever_the_pixels_show() -> None:
    assert "lateral view" in frontal_check.doubt(replace(read_film(demo("frontal")[0]), view="LATERAL"))


def test_the_body_part_of_a_header_survives_the_decoding_child() -> None:
    dataset = dcmread(get_testdata_file("CT_small.dcm", download=False))
    dataset.Modality, dataset.BodyPartExamined = "DX", "HAND"
    file = io.BytesIO()
    dataset.save_as(file)
    assert sandbox.read_untrusted(file.getvalue(), name="film").body_part == "HAND"


def test_the_command_line_refuses_in_one_sentence_and_reads_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 80), dtype=np.uint8))
    noise.save(tmp_path / "noise.png")
    words = ["diagnose", str(tmp_path / "noise.png"), "--checkpoint", "demo-findings"]
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "this does not look like a frontal chest X-ray; timnet reads no others" in told.err
    assert main([*words, "--anyway", "--json"]) == 0
    assert "does not look like a frontal chest X-ray" in json.loads(capsys.readouterr().out)["doubt"]


def test_a_site_can_end_refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMNET_REFUSE", "never")
    assert frontal_check.doubt(film(np.random.default_rng(0).random((90, 80)))) == ""


def test_a_page_refuses_with_the_reason_and_reads_at_the_readers_wish(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=300).run()
    app.switch_page("pages/diagnose.py").run()
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 80), dtype=np.uint8)).save(file, "PNG")
    app.file_uploader[0].set_value(("cat.png", file.getvalue(), "image/png")).run()
    assert not app.exception
    reason = "This does not look like a frontal chest X-ray; timnet reads no others"
    assert [each.value for each in app.warning] == [f"{notices.plain(reason)}."]
    assert not app.dataframe
    next(each for each in app.toggle if each.label == film_check.ANYWAY).set_value(True).run()
    assert not app.exception and app.dataframe[0].value["in words"].notna().all()


def test_a_chest_film_with_its_greys_turned_looks_inverted_and_as_it_is_does_not() -> None:
    for path in demo("frontal")[:6]:
        film = read_film(path)
        turned = read_film(path, invert=True)
        np.testing.assert_allclose(turned.pixels, 1 - film.pixels, atol=1e-6)
        assert turned.key != film.key
        if frontal_check.doubt(film) == "":
            assert frontal_check.doubt(turned) == LOOKS_INVERTED


def inverted_png() -> bytes:
    file = io.BytesIO()
    greys = 255 - np.rint(read_film(demo("frontal")[0]).pixels * 255)
    Image.fromarray(greys.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_the_command_line_offers_an_inverted_film_and_reads_it_as_the_upright_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dark.png").write_bytes(inverted_png())
    words = ["diagnose", str(tmp_path / "dark.png"), "--checkpoint", "demo-findings", "--json"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "this X-ray looks inverted (bone dark); --invert reads it inverted" in said
    assert main([*words, "--invert"]) == 0
    turned = json.loads(capsys.readouterr().out)
    assert INVERTED in turned["notes"]
    assert main(["diagnose", str(demo("frontal")[0]), *words[2:]]) == 0
    plain = json.loads(capsys.readouterr().out)
    for label, probability in plain["probabilities"].items():
        assert turned["probabilities"][label] == pytest.approx(probability, abs=1e-3)


def test_a_page_offers_an_inverted_film_and_keeps_it_turned_as_long_as_it_is_wished(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=300).run()
    app.switch_page("pages/diagnose.py").run()
    app.file_uploader[0].set_value(("dark.png", inverted_png(), "image/png")).run()
    question = "This X-ray looks inverted (bone dark). Show it inverted?"
    assert question in [each.value for each in app.warning] and not app.dataframe
    next(each for each in app.toggle if each.label == "Show inverted").set_value(True).run()
    for _ in range(2):
        assert not app.exception and question not in [each.value for each in app.warning]
        assert app.dataframe and any(INVERTED in each.value for each in app.text)
        app.run()
    next(each for each in app.toggle if each.label == "Show inverted").set_value(False).run()
    assert question in [each.value for each in app.warning] and not app.exception
