"""The form of a fine-tuning and a run at work, without a browser."""

import json
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import image_encoders
import pytest
import torch
from driving import HOSTILE, Open, finished, stopped, texts
from filelock import FileLock
from safetensors.torch import save_file
from streamlit.testing.v1 import AppTest
from torchvision.models import resnet18

from timnet import config, settings_file
from timnet.training import events, run_names, runs, worker
from timnet.ui import notices
from timnet.ui.fine_tune import all_runs


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
    assert folder.name == run_names.folder_name(settings)
    assert (folder / "config.json").read_bytes() == settings_file.to_json(settings).encode()
    assert len(workers) == 1
    assert app.selectbox(key="ft_run").value == folder.name == app.query_params["run"]
    assert app.button(key="ft_stop")


def test_a_reloaded_tab_comes_back_to_its_cohort_and_task(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cohort_folder: Path
) -> None:
    for name in ("a", "b"):
        shutil.copytree(cohort_folder, tmp_path / name)
    open_page("fine_tune")
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=60).run()
    app.query_params.update(ft_cohort="b", ft_task="Opacity")
    app.switch_page("pages/fine_tune.py").run()
    assert not app.exception and not app.error
    assert app.selectbox(key="ft_cohort").value == "b" and app.selectbox(key="ft_task").value == "Opacity"


def test_a_task_begins_from_the_shipped_network_and_a_started_run_is_followed_where_it_was_started(
    open_page: Open,
    workers: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    networks: Path,
) -> None:
    shutil.copytree(networks / "timnet", tmp_path / config.SHIPPED)
    shutil.copytree(networks / "timnet", tmp_path / "newer")
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    app = open_page("fine_tune")
    assert app.selectbox(key="ft_initialisation").value == config.SHIPPED
    app.button(key="ft_start").click().run()
    assert not app.exception and not app.error and len(workers) == 1
    started = app.selectbox(key="ft_run").value
    # Once at the top of the page and once below the button, which may be all that is in view.
    assert len(app.get("progress")) == 2
    assert any(notices.plain(started) in caption.value for caption in app.caption)


def test_looks_at_validation_films_are_told_while_it_runs_and_which_was_kept_when_it_is_done(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    finished(tmp_path, 0, 0.8)
    (folder,) = (path.parent for path in tmp_path.glob("*/config.json"))
    told = json.loads((folder / runs.RESULT).read_text())
    kept = {"epoch": 4, "epochs": 9, "validation_loss": 0.4, "films": 12, "held_back": 12}
    (folder / runs.RESULT).write_text(json.dumps({**told, "early_stopping": kept}))
    step = {"event": "step", "step": 1, "steps": 9, "epoch": 1, "epochs": 9, "loss": 0.7, "eta_seconds": 5.0}
    look = {"event": "validation", "step": 1, "epoch": 1, "validation_loss": 0.6, "validation_auroc": 0.8125}
    (folder / events.EVENTS).write_text(json.dumps(step) + "\n" + json.dumps(look) + "\n")
    app = open_page("fine_tune")
    assert "weights of epoch 4 (of at most 9)" in app.success[0].value
    assert "12 validation images, 12 of them held back" in app.success[0].value
    drawn = json.loads(app.get("plotly_chart")[0].proto.spec)["data"]
    assert [line["name"] for line in drawn] == ["on training X-rays", "on validation X-rays"]

    (folder / runs.DONE).unlink()
    with FileLock(folder / runs.LOCK):
        app = open_page("fine_tune")
        assert {each.label: each.value for each in app.metric}["Validation auROC"] == "0.812"


def test_a_waiting_run_says_behind_which_and_how_long_that_still_takes(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    for seed in range(3):
        finished(tmp_path, seed, 0.8)
    first, *waiting = sorted(path.parent for path in tmp_path.glob("*/config.json"))
    for folder in (first, *waiting):
        (folder / runs.DONE).unlink()
        (folder / runs.BEGUN).touch()
        (folder / events.EVENTS).write_text('{"event": "queued"}\n')
    step = {
        "event": "step",
        "step": 1,
        "steps": 9,
        "epoch": 1,
        "epochs": 9,
        "loss": 0.7,
        "eta_seconds": 240.0,
    }
    (first / events.EVENTS).write_text('{"event": "started"}\n' + json.dumps(step) + "\n")
    with ExitStack() as held:
        for folder in (first, *waiting):
            held.enter_context(FileLock(folder / runs.LOCK))
        app = open_page("fine_tune")
        app.selectbox(key="ft_run").select(waiting[0].name).run()
        told = [caption.value for caption in app.caption if caption.value.startswith("Behind")]
        assert set(told) == {f"Behind {notices.plain(first.name)} (4 min left). 1 other run waits too."}
        app.selectbox(key="ft_run").select(first.name).run()
        assert not [caption for caption in app.caption if caption.value.startswith("Behind")]


def test_a_click_on_a_row_of_all_runs_opens_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"ft_history": SimpleNamespace(selection=SimpleNamespace(rows=[1]))}
    monkeypatch.setattr(all_runs.st, "session_state", state)
    all_runs._open(["a", "b"])
    assert state["ft_run"] == "b"
    state["ft_history"].selection.rows = []
    all_runs._open(["a", "b"])
    assert state["ft_run"] == "b", "taking the mark away leaves the run that is shown"


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
    assert "expected a file or folder inside" in app.error[0].value
    app.text_input(key="ft_weights").set_value(str(tmp_path / "none.safetensors")).run()
    assert "none of its 1 keys fits a resnet18" in app.error[0].value
    app.text_input(key="ft_weights").set_value(str(tmp_path / "w.safetensors")).run()
    assert not app.exception and not app.error
    assert any("119 of 120 tensors of the image network were taken" in each.value for each in app.caption)
    assert any("; 2 of theirs are not used" in each.value for each in app.caption)
    app.button(key="ft_start").click().run()
    (folder,) = (path.parent for path in (tmp_path / "runs").glob("*/config.json"))
    started = runs.settings(folder)
    assert isinstance(started, config.Finetune) and len(workers) == 1
    assert started.initialisation == str(tmp_path / "w.safetensors")


def test_an_image_encoders_folder_and_a_file_of_vectors_are_starts_too(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path / "runs"))
    monkeypatch.setenv("TIMNET_IMPORTS", str(tmp_path))
    image_encoders.saved("dinov2", tmp_path / "rad-dino")
    (tmp_path / "vectors.npz").touch()
    app = open_page("fine_tune")
    app.selectbox(key="ft_initialisation").select("file").run()
    for name, told in (
        ("rad-dino", "All 79 tensors of the image network were taken"),
        ("vectors.npz", "A linear probe is fitted to these vectors"),
    ):
        app.text_input(key="ft_weights").set_value(str(tmp_path / name)).run()
        assert not app.exception and not app.error
        assert any(told in each.value for each in app.caption)
        app.button(key="ft_start").click().run()
        started = {runs.settings(path.parent) for path in (tmp_path / "runs").glob("*/config.json")}
        assert str(tmp_path / name) in {getattr(each, "initialisation", "") for each in started}


def test_each_share_of_the_labels_tells_its_films_and_outlives_another_task(open_page: Open) -> None:
    app = open_page("fine_tune")
    app.selectbox(key="ft_task").select("Opacity")
    box = app.pills(key="ft_fraction").set_value(0.2).run().pills(key="ft_fraction")
    films = int(texts(app).split(" ", 1)[0])
    assert f"20 % · {films}" in box.options
    app.selectbox(key="ft_task").select("Left opacity").run()
    fewer = int(texts(app).split(" ", 1)[0])
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
    fewer = int(texts(app).split(" of ", 1)[1].split(" ")[0])
    app.selectbox(key="ft_uncertain").select("ones").run()
    assert int(texts(app).split(" of ", 1)[1].split(" ")[0]) > fewer
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


def test_the_reason_of_a_failed_run_is_text(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / runs.CONFIG).write_text(settings_file.to_json(config.Finetune(cohort="synthetic", task="x")))
    (folder / runs.FAILED).write_text(json.dumps({"reason": HOSTILE}))
    app = open_page("fine_tune")
    assert not app.exception
    assert HOSTILE in [element.value for element in app.text]


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
    folder = stopped(tmp_path)
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
    shutil.rmtree(stopped(tmp_path) / runs.SNAPSHOTS)
    app = open_page("fine_tune")
    assert [button.key for button in app.button if button.key in ("ft_resume", "ft_anew")] == ["ft_anew"]


def test_a_run_has_a_note_shown_as_text_a_command_and_is_deleted_when_sure(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    folder = stopped(tmp_path)
    app = open_page("fine_tune")
    assert app.code[0].value == run_names.command_line(runs.state(folder))
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


def test_a_runs_settings_go_back_into_the_form_and_what_it_cannot_hold_is_named(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    asked = config.Finetune(
        cohort="synthetic", task="Left opacity", uncertain="ones", mode="last-layers", fraction=0.2, seed=3,
        side=48, epochs=7, batch=5, learning_rate=0.01, patience=5, class_weights="balanced",
    )  # fmt: skip
    folder = tmp_path / run_names.folder_name(asked)
    folder.mkdir()
    (folder / runs.CONFIG).write_text(settings_file.to_json(asked))
    (folder / runs.CANCELLED).write_text("{}")
    app = open_page("fine_tune")
    app.button(key="ft_clone").click().run()
    assert not app.exception and "learning\\_rate" in app.toast[0].value
    app.number_input(key="ft_epochs_small").set_value(9).run()
    app.button(key="ft_start").click().run()
    (started,) = (path.parent for path in tmp_path.glob("*/config.json") if path.parent != folder)
    assert runs.settings(started) == replace(asked, epochs=9, learning_rate=1e-4)
