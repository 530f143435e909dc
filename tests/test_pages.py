"""The pages, driven without a browser: first states, results, refusals, and text that stays text."""

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
import torch
from filelock import FileLock
from PIL import Image
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score
from streamlit.testing.v1 import AppTest
from torchvision.models import resnet18

from timnet import arguments, config
from timnet.__main__ import main
from timnet.cohorts import edits, strangers, tasks, vectors
from timnet.cohorts.films import read_film
from timnet.cohorts.store import Cohort
from timnet.evaluation import appraisal, draws, embedding, gradients, mistakes, predictions
from timnet.evaluation.certainty import MATCH
from timnet.evaluation.predictions import Predictions
from timnet.model import weights
from timnet.reader import Reader
from timnet.reading import Reading
from timnet.training import curve, events, runs, worker
from timnet.ui import changes, notices, panels, sentences, similar, spreadsheet, standing, viewer

PAGES = ("match", "diagnose", "explore", "fine_tune", "efficiency", "card")
TEXT = "There is an opacity in the left lung."
HOSTILE = (
    '<img src="http://evil.example/a.png" onerror="alert(1)"> ![x](http://evil.example/b.png) '
    "<script>alert(2)</script> :red[red] $x^2$ a nodule of ~1.5 cm~ **bold** `code`"
)
Open = Callable[[str], AppTest]


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, cohort_folder: Path, networks: Path) -> Open:
    """Opens a page of the app with the synthetic cohort and the tiny networks."""
    monkeypatch.setenv("TIMNET_HOME", str(cohort_folder.parent))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(networks))
    return _open


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[list[str]]]:
    """Commands of the workers that would have been started; none is. Runs go to an empty folder."""
    started: list[list[str]] = []

    def start(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        started.append(command)
        return Started(command, 0)

    class Started(subprocess.CompletedProcess[bytes]):
        def wait(self) -> int:
            return 0

    monkeypatch.setattr(worker.subprocess, "Popen", start)
    yield started


def _open(page: str) -> AppTest:
    app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=60).run()
    return app.switch_page(f"pages/{page}.py").run()


def _png(seed: int = 0) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (60, 48), dtype=np.uint8)
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def _texts(app: AppTest) -> str:
    return "\n".join(element.value for element in app.text)


def _framed(app: AppTest) -> bool:
    return any(config.RESEARCH_USE in str(element.value) for element in app.markdown)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_with_nothing_there_and_says_what_to_do(
    page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path / "checkpoints"))
    app = _open(page)
    assert not app.exception and not app.error
    assert app.info and _framed(app)
    if page in ("explore", "fine_tune"):
        assert "python -m timnet import mendeley FOLDER --name mendeley" in app.code[0].value
        assert str(tmp_path / "home") in _texts(app)
    else:
        assert app.get("page_link")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_with_a_cohort_and_networks(page: str, open_page: Open) -> None:
    app = open_page(page)
    assert not app.exception and not app.error
    assert _framed(app)


def test_the_app_opens_without_what_no_first_page_needs() -> None:
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; "
        "app = AppTest.from_file('app.py', default_timeout=60).run(); "
        "assert not app.exception; "
        "heavy = {'torch', 'scipy', 'pydicom', 'sklearn', 'transformers'} & set(sys.modules); "
        "sys.exit(' '.join(heavy) or 0)"
    )
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=config.REPOSITORY, check=False)
    assert ended.returncode == 0


def test_page_command_and_python_give_the_same_match_digit_for_digit(
    open_page: Open, networks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, film = f"{TEXT} The heart is normal.", tmp_path / "IM00001"
    film.write_bytes(_png())
    app = open_page("match")
    app.file_uploader(key="match_upload").upload(film.name, film.read_bytes(), "")
    app.text_area(key="match_findings").set_value(text)
    app.button(key="match_go").click().run()
    expected = Reader.load(networks / "timnet").read(read_film(film), text)
    assert not app.exception and not app.error
    assert app.metric[0].value == f"{expected.match:.3f}"
    singly = app.dataframe[0].value["probability"].tolist()
    assert singly == [probability for _, probability in expected.sentences] and len(singly) == 2
    assert app.get("bidi_component")
    assert any(notices.MAP in caption.value for caption in app.caption)
    main(["match", str(film), "--findings", text, "--checkpoint", "timnet", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["match_probability"] == expected.match and told["sentence_probabilities"] == singly
    assert told | {"seconds": 0} == expected.as_dict() | {"seconds": 0}


def test_a_clicked_sentence_chooses_its_map_and_no_click_the_whole_texts(networks: Path) -> None:
    reader, film = Reader.load(networks / "timnet"), read_film(_png())
    two = reader.read(film, f"{TEXT} The heart is normal.")
    assert [sentences.chosen(two, [(row, "sentence")]) for row in (0, 1)] == [
        text for text, _ in two.sentences
    ]
    assert sentences.chosen(two, []) == MATCH == sentences.WHOLE
    assert sentences.chosen(reader.read(film, TEXT), [(0, "probability")]) == MATCH


def test_choosing_another_map_does_not_ask_the_network_again(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    read = Reader.read
    monkeypatch.setattr(Reader, "read", lambda *asked: (reads.append(1), read(*asked))[1])
    app = open_page("match")
    app.file_uploader(key="match_upload").upload("film.png", _png(1), "image/png")
    app.text_area(key="match_findings").set_value("The lungs are clear. " + TEXT).run()
    app.selectbox(key="match_map").select(TEXT).run()
    assert not app.exception and len(reads) == 1


def test_maps_by_other_methods_are_offered_and_each_is_the_librarys_own(
    open_page: Open, networks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[np.ndarray] = []
    monkeypatch.setattr(viewer, "show", lambda *views, **_: shown.append(views[-1].strength_hw))
    app = open_page("match")
    app.file_uploader(key="match_upload").upload("film.png", _png(1), "image/png")
    app.text_area(key="match_findings").set_value(TEXT).run()
    assert app.selectbox(key="match_method").options == [panels.OVER, panels.OWN, *panels.METHODS]
    assert set(panels.METHODS) == set(gradients.METHODS)
    reader, film = Reader.load(networks / "timnet"), read_film(_png(1))
    own, seen = reader.read(film, TEXT), reader.see(film)
    np.testing.assert_allclose(shown[-1], own.heat(MATCH) / own.map_scale, atol=1e-5)
    assert any("rather than for a normal report" in each.value for each in app.caption)
    app.selectbox(key="match_method").select(panels.OWN).run()
    by_itself = replace(own, maps=own.alone).heat(MATCH)
    np.testing.assert_allclose(shown[-1], by_itself / own.map_scale, atol=1e-5)
    for method in panels.METHODS:
        app.selectbox(key="match_method").select(method).run()
        assert not app.exception and any("pytorch-grad-cam" in each.value for each in app.caption)
        expected = reader.by_library(own, seen, MATCH, method, TEXT).heat(MATCH)
        np.testing.assert_allclose(shown[-1], expected, atol=1e-5)
        assert np.abs(shown[-1] - shown[0]).max() > 0.1


def test_choosing_another_map_does_not_draw_the_other_patients_again(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []
    draw = standing.bars.standing
    monkeypatch.setattr(
        standing.bars, "standing", lambda others, own: (drawn.append(own), draw(others, own))[1]
    )
    monkeypatch.setattr(standing, "SECONDS", 60.0)
    monkeypatch.setattr(standing, "FEWEST", 3)
    app = _own_film(open_page("match"), 7)
    before = len(drawn)
    assert before > 0
    maps = app.selectbox(key="match_map").options
    app.selectbox(key="match_map").select_index(len(maps) - 1).run()
    assert not app.exception and len(drawn) == before
    app.number_input(key="match_film").set_value(8).run()
    assert not app.exception and len(drawn) == before + 1


def test_the_match_page_says_what_each_edit_changes_and_shows_the_chosen_ones_map(
    open_page: Open, networks: Path
) -> None:
    text = "The heart is normal. There is an opacity in the left lung. Both lungs are small."
    app = open_page("match")
    app.file_uploader(key="match_upload").upload("film.png", _png(2), "image/png")
    app.text_area(key="match_findings").set_value(text).run()
    reading = Reader.load(networks / "timnet").edited(read_film(_png(2)), text)
    (table,) = [each for each in app.dataframe if (each.key or "").startswith("match_changes")]
    shown = table.value.sort_index()
    assert not app.exception and not app.error
    assert shown["Probability"].tolist() == [probability for _, probability in reading.edits]
    assert table.value["Change"].abs().is_monotonic_decreasing
    assert table.value["Change"].tolist() == pytest.approx(
        (table.value["Probability"] - reading.match).tolist()
    )
    (refused,) = [each for each in app.dataframe if "Why not" in each.value]
    assert refused.value["Sentence"].tolist() == ["3. Both lungs are small."]
    assert len(app.get("bidi_component")) == 1
    app.session_state[table.key] = {"selection": {"rows": [0]}}
    app.run()
    edit = reading.edits[table.value.index[0]][0]
    assert not app.exception and len(app.get("bidi_component")) == 2
    assert edit.before in _texts(app)


def test_the_sentence_that_carries_the_match_is_the_one_whose_loss_costs_most() -> None:
    told = edits.every("First thing. Second thing. Third thing.")[0]
    probabilities = {"remove 1": 0.5, "remove 2": 0.2, "remove 3": 0.9}
    asked = tuple((edit, probabilities[edit.name]) for edit in told)
    film = read_film(_png())
    reading = Reading("x", "0" * 64, film, 0.6, (), {}, 0.0, 64, 1.0, {}, edits=asked)
    found = changes.carrier(reading)
    assert found and found[0].name == "remove 2" and found[1] == pytest.approx(0.4)
    assert changes.carrier(replace(reading, match=0.1)) is None


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_a_match_stands_among_other_patients_reports_once_they_are_read(
    seconds: float, open_page: Open, monkeypatch: pytest.MonkeyPatch, networks: Path, cohort_folder: Path
) -> None:
    st.cache_resource.clear()
    monkeypatch.setattr(standing, "SECONDS", seconds)
    monkeypatch.setattr(standing, "FEWEST", 3)
    app = open_page("match")
    app.segmented_control(key="match_source").set_value("From a cohort").run()
    app.number_input(key="match_film").set_value(7).run()
    assert not app.exception and not app.error
    assert app.selectbox(key="match_against").value == "synthetic"
    told = [metric for metric in app.metric if metric.label == "Better than"]
    if not seconds:
        assert not told and len(app.get("progress")) == 1
        return
    cohort = Cohort.open(cohort_folder)
    study = cohort.study(cohort.films()["study"][7])
    reader = Reader.load(networks / "timnet")
    seen, own = reader.see(cohort.read_film(7)), reader.read(cohort.read_film(7), study.findings).match
    others = [
        reader.read(seen, report.findings).match
        for report in strangers.draw(cohort, standing.NUMBER + 2)
        if report.patient != study.patient and report.findings != study.findings
    ]
    assert told[0].value == f"{sum(other < own for other in others) / len(others):.0%} of {len(others)}"


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cohort_folder: Path, networks: Path) -> Cohort:
    """A copy of the synthetic cohort, to write vectors beside; the only one that the app knows."""
    shutil.copytree(cohort_folder, tmp_path / "synthetic")
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(networks))
    return Cohort.open(tmp_path / "synthetic")


def _own_film(app: AppTest, film: int) -> AppTest:
    app.segmented_control(key="match_source").set_value("From a cohort").run()
    return app.number_input(key="match_film").set_value(film).run()


def test_a_search_is_prepared_by_a_process_of_its_own(
    searched: Cohort, networks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    class Started:
        def __init__(self, command: list[str], **options: object) -> None:
            started.append(command)

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(vectors.subprocess, "Popen", Started)
    app = _own_film(_open("match"), 7)
    app.button(key="match_prepare").click().run()
    assert not app.exception and not app.error
    assert [command[3:] for command in started] == [
        ["embed", str(searched.folder), "--checkpoint", str(networks / "timnet")]
    ]


def test_similar_cases_are_the_heads_best_and_never_the_films_own_study(
    searched: Cohort, networks: Path
) -> None:
    embedding.build(searched, networks / "timnet")
    app = _own_film(_open("match"), 7)
    assert not app.exception and not app.error
    reader, table = Reader.load(networks / "timnet"), searched.films()
    own = table["study"][7]
    v_text = reader.text_vectors([table["findings"][7]])
    kept = vectors.load(vectors.place(searched, networks / "timnet"))
    logits = reader.timnet.match_all(torch.from_numpy(np.array(kept.films_ND)).float(), v_text)[:, 0]
    best = [row for row in logits.argsort(descending=True).tolist() if table["study"][row] != own]
    shown = [element.value for element in app.markdown if re.fullmatch(r"\*\*\d\.\d{3}\*\*", element.value)]
    expected = [f"**{logits[row].sigmoid():.3f}**" for row in best[: similar.SHOWN]]
    assert len(shown) == 2 * similar.SHOWN and shown[similar.SHOWN :] == expected
    links = [link.proto.query_string for link in app.get("page_link") if link.proto.label.startswith("Study")]
    opened = [int(re.search(r"open=(\d+)", link)[1]) for link in links]
    assert len(opened) == 2 * similar.SHOWN and all(table["study"][film] != own for film in opened)


def test_a_link_to_a_study_opens_it_in_explore_whatever_was_open_before(open_page: Open) -> None:
    app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=60).run()
    app.session_state["explore_open"] = "study014"
    app.query_params.update(cohort="synthetic", page="2", open="16")
    app.switch_page("pages/explore.py").run()
    assert not app.exception and not app.error
    assert app.session_state["explore_open"] == "study016"
    assert "open" not in app.query_params and app.query_params["film"] == "16"


def test_the_example_text_is_marked_as_one(open_page: Open) -> None:
    app = open_page("match")
    app.button(key="match_example").click().run()
    assert app.text_area(key="match_findings").value
    assert any("example text" in caption.value for caption in app.caption)


def test_a_film_of_a_cohort_is_matched_with_its_own_report(open_page: Open) -> None:
    app = open_page("match")
    app.segmented_control(key="match_source").set_value("From a cohort").run()
    app.number_input(key="match_film").set_value(7).run()
    assert not app.exception and not app.error
    assert app.metric[0].label == "Match probability"


def test_explore_hands_a_film_over_to_the_match_page(open_page: Open) -> None:
    app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=60)
    app.query_params.update(match_cohort="synthetic", match_film="7")
    app.run()
    assert not app.exception and not app.error
    assert app.number_input(key="match_film").value == 7


@pytest.mark.parametrize(
    ("page", "name", "data"),
    [
        ("match", "![x](b.png).png", b"\x89PNG\r\n\x1a\nbroken"),
        ("match", "report.pdf", b"%PDF-1.7"),
        ("match", "empty", b""),
        ("diagnose", "IM00001", b"\0" * 128 + b"DICM" + b"\xff" * 64),
    ],
)
def test_a_broken_upload_is_refused_in_one_sentence(
    page: str, name: str, data: bytes, open_page: Open
) -> None:
    app = open_page(page)
    app.file_uploader(key=f"{page}_upload").upload(name, data, "").run()
    assert not app.exception
    (error,) = app.error
    assert error.value.startswith(notices.plain(name))
    assert "![" not in error.value and "Traceback" not in error.value


def test_page_command_and_python_give_the_same_probabilities_digit_for_digit(
    open_page: Open, networks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "film.png"
    film.write_bytes(_png())
    app = open_page("diagnose")
    app.file_uploader(key="diagnose_upload").upload(film.name, film.read_bytes(), "image/png").run()
    expected = Reader.load(networks / "classifier").read(read_film(film)).probabilities
    table = app.dataframe[0].value
    assert not app.exception
    assert dict(zip(table["label"], table["probability"], strict=True)) == dict(expected)
    main(["diagnose", str(film), "--checkpoint", "classifier", "--json"])
    assert json.loads(capsys.readouterr().out)["probabilities"] == dict(expected)


def test_starting_a_run_writes_the_settings_byte_for_byte(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    app = open_page("fine_tune")
    app.selectbox(key="ft_task").select("Opacity")
    app.pills(key="ft_fraction").set_value(0.2)
    app.number_input(key="ft_epochs_small").set_value(3)
    app.number_input(key="ft_side_small").set_value(32).run()
    for _ in range(5):
        app.button(key="ft_start").click().run()
        assert not app.exception and not app.error
    settings = config.Finetune(cohort="synthetic", task="Opacity", fraction=0.2, epochs=3, side=32)
    (folder,) = [path.parent for path in tmp_path.glob("*/config.json")]
    assert folder.name == runs.folder_name(settings)
    assert (folder / "config.json").read_bytes() == config.to_json(settings).encode()
    assert len(workers) == 1
    assert app.selectbox(key="ft_run").value == folder.name == app.query_params["run"]
    assert app.button(key="ft_stop")


def test_looks_at_validation_films_are_told_while_it_runs_and_which_was_kept_when_it_is_done(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    _finished(tmp_path, 0, 0.8)
    (folder,) = (path.parent for path in tmp_path.glob("*/config.json"))
    told = json.loads((folder / runs.RESULT).read_text())
    kept = {"epoch": 4, "epochs": 9, "validation_loss": 0.4, "films": 12, "held_back": 12}
    (folder / runs.RESULT).write_text(json.dumps({**told, "early_stopping": kept}))
    step = {"event": "step", "step": 1, "steps": 9, "epoch": 1, "epochs": 9, "loss": 0.7, "eta_seconds": 5.0}
    look = {"event": "validation", "step": 1, "epoch": 1, "validation_loss": 0.6, "validation_auroc": 0.8125}
    (folder / events.EVENTS).write_text(json.dumps(step) + "\n" + json.dumps(look) + "\n")
    app = open_page("fine_tune")
    assert "weights of epoch 4 (of at most 9)" in app.success[0].value
    assert "12 validation films, 12 of them held back" in app.success[0].value
    drawn = json.loads(app.get("plotly_chart")[0].proto.spec)["data"]
    assert [line["name"] for line in drawn] == ["on films that it learns from", "on validation films"]

    (folder / runs.DONE).unlink()
    with FileLock(folder / runs.LOCK):
        app = open_page("fine_tune")
        assert {each.label: each.value for each in app.metric}["Validation auROC"] == "0.812"


def test_a_file_of_weights_is_compared_tensor_by_tensor_before_a_run_starts_from_it(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path / "runs"))
    monkeypatch.setenv("TIMNET_IMPORTS", str(tmp_path))
    state = resnet18(weights=None).state_dict()
    del state["layer4.1.bn2.weight"]
    save_file(
        {f"module.{key}": value.contiguous() for key, value in state.items()}, tmp_path / "w.safetensors"
    )
    save_file({"a": torch.zeros(2)}, tmp_path / "none.safetensors")
    app = open_page("fine_tune")
    app.selectbox(key="ft_initialisation").select("file").run()
    assert "name the file of weights" in app.info[0].value
    assert "ft_start" not in {button.key for button in app.button}
    app.text_input(key="ft_weights").set_value("/etc/passwd").run()
    assert "expected a file inside" in app.error[0].value
    app.text_input(key="ft_weights").set_value(str(tmp_path / "none.safetensors")).run()
    assert "none of its 1 keys fits a resnet18" in app.error[0].value
    app.text_input(key="ft_weights").set_value(str(tmp_path / "w.safetensors")).run()
    assert not app.exception and not app.error
    assert any("The start fills 119 of the 120 tensors" in each.value for each in app.caption)
    assert any("; 2 of its own are not used" in each.value for each in app.caption)
    app.button(key="ft_start").click().run()
    (folder,) = (path.parent for path in (tmp_path / "runs").glob("*/config.json"))
    started = runs.settings(folder)
    assert isinstance(started, config.Finetune) and len(workers) == 1
    assert started.initialisation == str(tmp_path / "w.safetensors")


def test_a_pre_training_is_the_one_of_the_command_line_and_says_what_it_takes(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    app = open_page("fine_tune")
    app.button_group(key="ft_learn").set_value("reports").run()
    assert not app.exception and not app.error
    said = " ".join(element.value for element in app.text)
    assert "films with reports to learn from" in said and "not known yet" in said and "Disk: up to" in said
    app.number_input(key="pt_epochs_small").set_value(3)
    app.number_input(key="pt_side_small").set_value(32).run()
    for _ in range(2):
        app.button(key="pt_start").click().run()
        assert not app.exception and not app.error
    settings = config.Pretrain(cohorts=("synthetic",), epochs=3, side=32)
    (folder,) = [path.parent for path in tmp_path.glob("*/config.json")]
    assert folder.name == runs.folder_name(settings)
    assert (folder / "config.json").read_bytes() == config.to_json(settings).encode()
    assert len(workers) == 1 and app.selectbox(key="ft_run").value == folder.name


def test_every_finer_setting_of_a_pre_training_is_the_one_of_the_command_line(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    app = open_page("fine_tune")
    app.button_group(key="ft_learn").set_value("reports").run()
    app.selectbox(key="pt_mode_small").select("partial").run()
    chosen = {
        "objective": "pairs", "h_cls": "product", "negatives": "mined", "both_normal": "ignore",
        "schedule": "cosine", "padding": "literal", "chunk": 16, "precision": "fp32",
    }  # fmt: skip
    numbers = {"batch": 48, "learning_rate": 7e-4, "tokens": 64, "text_layers": 2}
    for name, value in chosen.items():
        app.selectbox(key=f"pt_{name}_small").select(value)
    for name, value in numbers.items():
        app.number_input(key=f"pt_{name}_small").set_value(value)
    app.toggle(key="pt_erase_small").set_value(True)
    app.toggle(key="pt_recompute_small").set_value(True)
    app.number_input(key="pt_evaluate_every").set_value(2)
    app.selectbox(key="pt_probe_synthetic").select("Opacity").run()
    app.button(key="pt_start").click().run()
    assert not app.exception and not app.error
    settings = config.Pretrain(
        cohorts=("synthetic",), text_mode="partial", erase=True, recompute=True, evaluate_every=2,
        probe="Opacity", **chosen, **numbers,
    )  # fmt: skip
    (folder,) = [path.parent for path in tmp_path.glob("*/config.json")]
    assert (folder / "config.json").read_bytes() == config.to_json(settings).encode()
    # Every field is asked for, but for these, which are the command line's alone.
    left = {"preset", "backbone", "text_encoder", "width", "held_out", "shuffled", "normalisation"}
    keys = {widget.key for widget in [*app.selectbox, *app.number_input, *app.toggle, *app.multiselect]}
    asked = {str(key).removeprefix("pt_").split("_small")[0].split("_synthetic")[0] for key in keys}
    of_form = {"mode": "text_mode", "paper": "preset"}
    named = {of_form.get(name, name) for name in asked}
    # A single cohort has no repeats to ask for.
    assert {each.name for each in fields(config.Pretrain)} - named - left == {"repeats"}


def test_swapped_reports_are_asked_for_where_the_objective_has_a_place_for_them(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    app = open_page("fine_tune")
    app.button_group(key="ft_learn").set_value("reports").run()
    app.toggle(key="pt_mirrored_small").set_value(True).run()
    app.button(key="pt_start").click().run()
    app.selectbox(key="pt_objective_small").select("infonce").run()
    assert app.toggle(key="pt_mirrored_small").disabled
    app.button(key="pt_start").click().run()
    assert not app.exception and not app.error
    started = [runs.settings(path.parent) for path in tmp_path.glob("*/config.json")]
    assert {(each.objective, each.mirrored) for each in started} == {("all-pairs", True), ("infonce", False)}


def test_a_setting_that_another_leaves_without_meaning_is_greyed_out_and_keeps_its_value(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    app = open_page("fine_tune")
    app.button_group(key="ft_learn").set_value("reports").run()
    app.selectbox(key="pt_h_cls_small").select("linear")
    app.selectbox(key="pt_mode_small").select("partial").run()
    app.number_input(key="pt_text_layers_small").set_value(1)
    app.selectbox(key="pt_mode_small").select("frozen")
    app.toggle(key="pt_erase_small").set_value(True).run()
    app.toggle(key="pt_augment_small").set_value(False)
    app.selectbox(key="pt_objective_small").select("sigmoid").run()
    assert app.selectbox(key="pt_h_cls_small").disabled and app.toggle(key="pt_erase_small").disabled
    assert app.number_input(key="pt_text_layers_small").disabled
    app.button(key="pt_start").click().run()
    settings = config.Pretrain(cohorts=("synthetic",), objective="sigmoid", augment=False)
    (folder,) = [path.parent for path in tmp_path.glob("*/config.json")]
    assert (folder / "config.json").read_bytes() == config.to_json(settings).encode()


def test_a_start_from_the_paper_s_numbers_has_every_one_of_them(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    app = open_page("fine_tune")
    app.button_group(key="ft_learn").set_value("reports").run()
    app.toggle(key="pt_paper").set_value(True).run()
    app.button(key="pt_start").click().run()
    assert not app.exception and not app.error
    settings = config.Pretrain(cohorts=("synthetic",), **config.numbers(config.Pretrain, "paper"))
    (folder,) = [path.parent for path in tmp_path.glob("*/config.json")]
    assert (folder / "config.json").read_bytes() == config.to_json(settings).encode()


def test_a_finished_pre_training_shows_matching_retrieval_and_how_its_best_was_chosen(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    folder = tmp_path / "run"
    folder.mkdir()
    area = {"label": "up to 20 mismatched reports a film", "metric": "auROC", "value": 0.7, "low": 0.6,
            "high": 0.8, "n": 50, "positives": 5}  # fmt: skip
    found = {"label": "report for a film", "metric": "R@5", "value": 0.4, "low": 0.3, "high": 0.5,
             "chance": 0.1, "n": 50, "candidates": 50.0}  # fmt: skip
    look = {"event": "evaluation", "epoch": 5, "step": 9, "split": "val", "masked": 0.25}
    (folder / events.EVENTS).write_text(
        json.dumps({"event": "phase", "phase": "training", "truncated": 0.375}) + "\n"
        + json.dumps({"event": "step", "step": 1, "epoch": 1, "loss": 0.7}) + "\n"
        + json.dumps({**look, "held_out": [area], "retrieval": [found]}) + "\n"
    )  # fmt: skip
    told = {
        "held_out": [area], "retrieval": [found], "pairs_train": 90, "pairs_held_out": 50,
        "patients_train": 80, "patients_held_out": 40, "truncated": 0.125, "masked": 0.25,
        "best": {"epoch": 5, "auROC": 0.75, "split": "val", "pairs": 20, "test": [area]},
    }  # fmt: skip
    (folder / runs.CONFIG).write_text(config.to_json(config.Pretrain(cohorts=("synthetic",))))
    (folder / runs.RESULT).write_text(json.dumps(told))
    (folder / runs.DONE).write_text("{}")
    app = open_page("fine_tune")
    assert not app.exception
    (done,) = [element.value for element in app.success]
    assert "90 films" in done and "12.5% of the reports" in done
    assert "best on the split val alone, that of epoch 5" in done and "0.700 (0.600 to 0.800)" in done
    assert "50 films of 40 other patients" in done
    (looked,) = [element.value for element in app.caption if "25.0% of the mismatched pairs" in element.value]
    assert "37.5% of the reports are longer" in looked
    assert len(app.get("plotly_chart")) == 2
    # A run from before held-out pairs were looked at on the way shows what it has.
    (folder / runs.RESULT).write_text(
        json.dumps({name: told[name] for name in told if name not in ("retrieval", "best", "masked")})
    )
    (folder / events.EVENTS).unlink()
    assert not open_page("fine_tune").exception


def test_each_share_of_the_labels_tells_its_films_and_outlives_another_task(open_page: Open) -> None:
    app = open_page("fine_tune")
    app.selectbox(key="ft_task").select("Opacity")
    box = app.pills(key="ft_fraction").set_value(0.2).run().pills(key="ft_fraction")
    films = int(_texts(app).split(" ", 1)[0])
    assert f"20 % · {films}" in box.options
    app.selectbox(key="ft_task").select("Left opacity").run()
    fewer = int(_texts(app).split(" ", 1)[0])
    box = app.pills(key="ft_fraction")
    assert not app.exception and fewer < films
    assert box.value == 0.2 and f"20 % · {fewer}" in box.options


def test_what_uncertain_labels_count_as_is_asked_only_where_there_are_any(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    app = open_page("fine_tune")
    app.selectbox(key="ft_task").select("Opacity").run()
    assert not any(box.key == "ft_uncertain" for box in app.selectbox)
    app.selectbox(key="ft_task").select("Left opacity").run()
    fewer = int(_texts(app).split(" of ", 1)[1].split(" ")[0])
    app.selectbox(key="ft_uncertain").select("ones").run()
    assert int(_texts(app).split(" of ", 1)[1].split(" ")[0]) > fewer
    app.button(key="ft_start").click().run()
    (folder,) = [path.parent for path in tmp_path.glob("*/config.json")]
    started = runs.settings(folder)
    assert not app.exception and isinstance(started, config.Finetune) and started.uncertain == "ones"


def test_stop_asks_the_run_to_stop(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    folder = worker.submit(config.Finetune(cohort="synthetic", task="Opacity"), tmp_path)
    app = open_page("fine_tune")
    app.button(key="ft_stop").click().run()
    assert not app.exception and (folder / events.CANCEL).exists()


def _finished(root: Path, seed: int, value: float | None, fraction: float = 0.1, start: str = "base") -> None:
    settings = config.Finetune(
        cohort="synthetic", task="Opacity", fraction=fraction, seed=seed, initialisation=start
    )
    folder = root / runs.folder_name(settings)
    folder.mkdir(parents=True)
    row = {"label": "Opacity", "metric": "auROC", "value": value, "low": None, "high": None, "n": 20}
    told = {
        "test": [row | {"positives": 9}],
        "films": round(80 * fraction),
        "patients": 7,
        "films_train": 80,
        "films_test": 20,
    }
    (folder / runs.CONFIG).write_text(config.to_json(settings))
    (folder / runs.RESULT).write_text(json.dumps(told))
    (folder / runs.DONE).write_text("{}")


def test_finished_runs_are_points_of_a_curve(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    for seed, value in enumerate((0.7, 0.8, None)):
        _finished(tmp_path, seed, value)
    app = open_page("efficiency")
    table = app.dataframe[0].value
    assert not app.exception
    assert table["mean"].tolist() == pytest.approx([0.75]) and table["draws"].tolist() == [2]
    assert {button.key for button in app.get("download_button")} >= {"eff_csv", "eff_parquet", "eff_runs"}
    # The paper's points come only when asked for, as one more line, and enter no table.
    drawn = len(json.loads(app.get("plotly_chart")[0].proto.spec)["data"])
    app.selectbox(key="eff_paper").set_value("Fig. 5").run()
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert [each["line"]["dash"] for each in figure["data"][drawn:]] == ["dot", "dot"]
    assert "Liang et al." in " ".join(caption.value for caption in app.caption)
    assert app.dataframe[0].value["mean"].tolist() == pytest.approx([0.75])
    page = open_page("fine_tune")
    assert not page.exception and page.success


def _keep(
    folder: Path, cohort: Cohort, validation: bool = True, label: str = "Opacity", doubt: float = 1.0
) -> Predictions:
    """Leave a run's predictions of a cohort's films, right more often than not."""
    films = cohort.films()
    heldout = np.flatnonzero(films["split"].isin(["test", "val"] if validation else ["test"]))
    truth = tasks.targets(cohort, label).y_NL[heldout].astype(float)
    noise = np.random.default_rng(len(folder.name)).normal(scale=doubt, size=truth.shape)
    kept = Predictions(
        cohort.fingerprint,
        (label,),
        heldout,
        (films["split"] == "val").to_numpy()[heldout],
        truth,
        2 * truth - 1 + noise,
    )
    (folder / predictions.FILE).write_bytes(kept.to_bytes())
    return kept


def test_a_finished_run_is_judged_from_what_it_kept(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cohort_folder: Path, networks: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    _finished(tmp_path, 0, 0.8)
    (folder,) = tmp_path.iterdir()
    kept = _keep(folder, Cohort.open(cohort_folder), doubt=3.0)
    judged = appraisal.of(kept, "Opacity")
    app = open_page("fine_tune")
    assert not app.exception and not app.error
    tabs = [tab.label for tab in app.tabs]
    assert tabs == ["How good", "Yes or no", "Curves", "Can its numbers be trusted?", "Where is it wrong?"]
    said = " ".join(element.value for element in app.markdown)
    assert judged.chosen and f"**Yes from {judged.chosen.threshold:.3g} on.**" in said
    for decision in (judged.chosen, judged.half):
        assert f"finds {decision.hits} and misses **{decision.misses}**" in said
    counts = app.dataframe[2].value
    assert counts["Called positive"].tolist()[:2] == [judged.chosen.hits, judged.chosen.alarms]
    assert f"{judged.area.low:.3f} to {judged.area.high:.3f}" in " ".join(c.value for c in app.caption)
    assert f"temperature {judged.temperature:.2f}" in said
    assert len(app.get("plotly_chart")) >= 3
    # The surest mistakes, each with its film and the map of the run's own network.
    spec = replace(weights.describe(networks / "classifier"), labels=("Opacity",))
    weights.save_checkpoint(folder, weights.build_classifier(spec, seed=0), spec)
    app.session_state["ft_tabs"] = "Where is it wrong?"
    app.run()
    assert not app.exception and not app.error
    missed, alarms = mistakes.surest(kept, "Opacity", judged.chosen.threshold, 4)
    said = " ".join(element.value for element in app.markdown)
    for each, word in [*((film, "present") for film in missed), *((film, "absent") for film in alarms)]:
        assert f"It said **{each.probability:.1%}**; its label says {word}." in said
    assert missed or alarms
    assert len(app.get("imgs")) + len(app.get("image")) == len(missed) + len(alarms)


def test_without_validation_films_the_page_says_so_and_shows_the_usual_threshold(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cohort_folder: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    _finished(tmp_path, 0, 0.8)
    (folder,) = tmp_path.iterdir()
    _keep(folder, Cohort.open(cohort_folder), validation=False)
    app = open_page("fine_tune")
    assert not app.exception and len(app.dataframe[1].value) == 1
    assert sum("no validation films" in info.value for info in app.info) == 2
    (folder / predictions.FILE).write_bytes(b"damaged")
    app = open_page("fine_tune")
    assert not app.exception and "cannot be read" in app.warning[0].value
    assert app.dataframe[0].value["value"].tolist() == [0.8]


def test_two_starts_with_the_same_draws_say_what_is_saved_and_how_many_labels_a_goal_needs(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    shares = (0.05, 0.1, 0.3, 1.0)
    for seed in (0, 1):
        # 0.95 - 0.6 / sqrt(films): 80 films reach 0.883, and 0.9 needs 144.
        for fraction in shares:
            value = 0.95 - 0.6 / round(80 * fraction) ** 0.5
            _finished(tmp_path, seed, value + 0.001 * seed, fraction)
            _finished(tmp_path, seed, 0.9 + 0.001 * seed, fraction, "timnet")
    app = open_page("efficiency")
    assert not app.exception
    said = " ".join(element.value for element in app.markdown)
    assert "**timnet** reaches" in said and "95.0% fewer labels" in said
    assert "**random start**: about **" in said and "timnet**: the curve does not rise" in said
    films = int(said.split("about **")[1].split(" films")[0].replace(",", ""))
    assert 135 < films < 150


def test_intervals_cover_the_test_patients_where_runs_keep_predictions_and_the_page_says_which(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cohort_folder: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    cohort = Cohort.open(cohort_folder)
    for seed in (0, 1, 2):
        _finished(tmp_path, seed, 0.8)
        _finished(tmp_path, seed, 0.8, start="timnet")
    alone = open_page("efficiency")
    assert any("Student's over the draws alone" in caption.value for caption in alone.caption)
    assert set(alone.dataframe[0].value["interval"]) == {"draws"}
    kept = {folder: _keep(folder, cohort, label="Opacity") for folder in tmp_path.iterdir()}
    app = open_page("efficiency")
    assert not app.exception and not app.error
    said = [caption.value for caption in app.caption if "hierarchical bootstrap" in caption.value]
    assert len(said) == 2
    table = app.dataframe[0].value.set_index("initialisation")
    for start, shown in (("base", "random start"), ("timnet", "timnet")):
        runs_of = [kept[folder].part("test") for folder in sorted(kept) if f"-{start}-" in folder.name]
        found = draws.of_runs(runs_of, runs_of[0].patients(cohort), "Opacity", "auROC")
        # Three draws of 0.8 have no spread: all of the interval is the patients'.
        assert table.loc[shown, "low"] == pytest.approx(min(0.8, found.low))
        assert table.loc[shown, "high"] == pytest.approx(max(0.8, found.high))
        assert table.loc[shown, "interval"] == "draws and patients"


def test_the_missing_points_of_a_curve_are_counted_timed_and_started_once(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    for seed, fraction in ((0, 0.1), (1, 0.1), (0, 0.2)):
        _finished(tmp_path, seed, 0.7, fraction)
    app = open_page("efficiency")
    said = " ".join(element.value for element in app.markdown)
    assert not app.exception and "**1 of 4 points are missing.**" in said and "not known" in said
    # A run of the same kind that says how long it took: 2 s a step, 10 s around its 21 steps.
    timed = next(tmp_path.glob("*10pct-s1-*"))
    told: list[dict[str, object]] = [{"event": "started", "seconds": 0}]
    told += [{"event": "step", "step": step, "seconds": 5 + 2 * step} for step in range(1, 22)]
    told += [{"event": "done", "seconds": 50}]
    (timed / events.EVENTS).write_text("".join(json.dumps(event) + "\n" for event in told))
    app = open_page("efficiency")
    said = " ".join(element.value for element in app.markdown)
    # 20 % of 84 films are 17, one whole batch of 16: 100 steps.
    assert "They take about **4 min**, at the pace of the last run" in said
    app.number_input(key="eff_draws").set_value(3).run()
    assert "**3 of 6 points are missing.**" in " ".join(element.value for element in app.markdown)
    app.button(key="eff_start").click().run()
    assert not app.exception and not app.error
    assert app.number_input(key="eff_draws").value == 3
    assert app.run().number_input(key="eff_draws").value == 3
    (command,) = workers
    words = command[command.index("curve") + 1 :]
    grid, *_ = arguments.grid(words)
    assert (grid.fractions, grid.seeds, grid.initialisations) == ((0.1, 0.2), 3, ("base",))
    assert grid.shared == config.Finetune(cohort="synthetic", task="Opacity")
    # Another tab finds it at work, and whoever asks once more starts nothing.
    app = open_page("efficiency")
    app.number_input(key="eff_draws").set_value(3).run()
    assert not any(button.key == "eff_start" for button in app.button) and app.button(key="eff_stop")
    curve.start(grid, tmp_path)
    assert len(workers) == 1


def test_the_reason_of_a_failed_run_is_text(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / runs.CONFIG).write_text(config.to_json(config.Finetune(cohort="synthetic", task="x")))
    (folder / runs.FAILED).write_text(json.dumps({"reason": HOSTILE}))
    app = open_page("fine_tune")
    assert not app.exception
    assert HOSTILE in [element.value for element in app.text]


def _stopped(root: Path, seed: int = 0) -> Path:
    """Leave a run that was stopped and can go on."""
    settings = config.Finetune(cohort="synthetic", task="Opacity", seed=seed)
    folder = root / runs.folder_name(settings)
    (folder / runs.SNAPSHOTS).mkdir(parents=True)
    (folder / runs.SNAPSHOTS / "epoch00000-step000000000001.json").touch()
    (folder / runs.CONFIG).write_text(config.to_json(settings))
    (folder / runs.CANCELLED).write_text("{}")
    return folder


@pytest.mark.parametrize(("button", "kept"), [("ft_resume", True), ("ft_anew", False)])
def test_a_stopped_run_is_resumed_or_started_anew(
    button: str,
    kept: bool,
    open_page: Open,
    workers: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    folder = _stopped(tmp_path)
    app = open_page("fine_tune")
    app.button(key=button).click().run()
    assert not app.exception and not app.error
    assert len(workers) == 1 and workers[0][-1] == str(folder)
    assert (folder / runs.SNAPSHOTS).exists() == kept
    assert app.button(key="ft_stop")


def test_a_lost_run_without_a_snapshot_is_only_started_anew(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    shutil.rmtree(_stopped(tmp_path) / runs.SNAPSHOTS)
    app = open_page("fine_tune")
    assert [button.key for button in app.button if button.key in ("ft_resume", "ft_anew")] == ["ft_anew"]


def test_a_run_has_a_note_shown_as_text_a_command_and_is_deleted_when_sure(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    folder = _stopped(tmp_path)
    app = open_page("fine_tune")
    assert app.code[0].value == runs.command_line(runs.state(folder))
    app.text_area(key=f"ft_note_{folder.name}").set_value(HOSTILE)
    app.button(key="ft_keep_note").click().run()
    assert not app.exception and runs.note(folder) == HOSTILE
    app = open_page("fine_tune")
    assert app.text_area(key=f"ft_note_{folder.name}").value == HOSTILE
    shown = [*app.markdown, *app.caption, *app.error, *app.info]
    assert not any("evil.example" in str(element.value) for element in shown)
    assert app.button(key="ft_delete").disabled
    app.checkbox(key=f"ft_sure_{folder.name}").check().run()
    app.button(key="ft_delete").click().run()
    assert not app.exception and not folder.exists()
    assert any("No run yet" in info.value for info in app.info)


def test_the_history_is_filtered_by_state_and_cohort(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    _finished(tmp_path, 1, 0.7)
    _stopped(tmp_path, seed=2)
    app = open_page("fine_tune")
    assert set(app.dataframe[-1].value["State"]) == {"done", "stopped"}
    app.multiselect(key="ft_filter_state").select("stopped").run()
    assert set(app.dataframe[-1].value["State"]) == {"stopped"}
    app.multiselect(key="ft_filter_cohort").select("synthetic").run()
    assert not app.exception and len(app.dataframe[-1].value) == 1


def test_csv_cells_are_never_formulas_and_numbers_stay_numbers() -> None:
    cells = ["=HYPERLINK(1)", "+1+1", "@SUM(A1)", "-cmd", "\tx", "\rx", "-1.5", "plain"]
    table = pd.DataFrame({"=text": cells, "value": [-0.5] * len(cells)})
    read = pd.read_csv(io.BytesIO(spreadsheet.safe_csv(table)), dtype={"'=text": str})
    assert read["'=text"].tolist()[:4] == ["'=HYPERLINK(1)", "'+1+1", "'@SUM(A1)", "'-cmd"]
    assert read["'=text"].tolist()[-2:] == ["-1.5", "plain"]
    assert read["value"].tolist() == [-0.5] * len(cells)


def test_a_runs_settings_go_back_into_the_form_and_what_it_cannot_hold_is_named(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    asked = config.Finetune(
        cohort="synthetic", task="Left opacity", uncertain="ones", mode="last-layers", fraction=0.2, seed=3,
        side=48, epochs=7, batch=5, learning_rate=0.01, patience=5, class_weights="balanced",
    )  # fmt: skip
    folder = tmp_path / runs.folder_name(asked)
    folder.mkdir()
    (folder / runs.CONFIG).write_text(config.to_json(asked))
    (folder / runs.CANCELLED).write_text("{}")
    app = open_page("fine_tune")
    app.button(key="ft_clone").click().run()
    assert not app.exception and "learning\\_rate" in app.toast[0].value
    app.number_input(key="ft_epochs_small").set_value(9).run()
    app.button(key="ft_start").click().run()
    (started,) = (path.parent for path in tmp_path.glob("*/config.json") if path.parent != folder)
    assert runs.settings(started) == replace(asked, epochs=9, learning_rate=1e-4)


def test_two_finished_runs_stand_side_by_side_with_their_difference(
    open_page: Open, cohort_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    cohort = Cohort.open(cohort_folder)
    kept = []
    for seed, value in enumerate((0.7, 0.8)):
        _finished(tmp_path, seed, value, start=("base", "imagenet")[seed])
    for folder in sorted(path.parent for path in tmp_path.glob("*/config.json")):
        kept.append(_keep(folder, cohort))
    app = open_page("fine_tune")
    names = sorted(path.parent.name for path in tmp_path.glob("*/config.json"))
    app.multiselect(key="ft_compare").set_value(names).run()
    assert not app.exception and not app.error
    asked, reached = (each.value for each in app.dataframe[-2:])
    assert set(asked["Setting"]) == {"initialisation", "seed"}
    assert reached["Difference"].tolist() == pytest.approx([0.1])
    one, other = (each.part(predictions.TEST) for each in kept)
    expected = roc_auc_score(one.truth_NL[:, 0], other.logit_NL[:, 0]) - roc_auc_score(
        one.truth_NL[:, 0], one.logit_NL[:, 0]
    )
    assert f"**{expected:+.3f}**" in " ".join(str(each.value) for each in app.markdown)
