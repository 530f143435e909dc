"""The form of a pre-training and what it leaves, without a browser."""

import json
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
from driving import Open, open_at
from streamlit.testing.v1 import AppTest

from timnet import config, settings_file
from timnet.cohorts.readers import csv_table
from timnet.training import events, run_names, runs
from timnet.ui.fine_tune import pretrain_results


def test_a_pre_training_is_the_one_of_the_command_line_and_says_what_it_takes(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    app = open_page("fine_tune")
    app.button_group(key="ft_learn").set_value("reports").run()
    assert not app.exception and not app.error
    said = " ".join(element.value for element in app.text)
    assert "X-rays with reports to learn from" in said and "not known yet" in said and "Disk: up to" in said
    app.number_input(key="pt_epochs_small").set_value(3)
    app.number_input(key="pt_side_small").set_value(32).run()
    for _ in range(2):
        app.button(key="pt_start").click().run()
        assert not app.exception and not app.error
    settings = config.Pretrain(cohorts=("synthetic",), epochs=3, side=32)
    (folder,) = [path.parent for path in tmp_path.glob("*/config.json")]
    assert folder.name == run_names.folder_name(settings)
    assert (folder / "config.json").read_bytes() == settings_file.to_json(settings).encode()
    assert len(workers) == 1 and app.selectbox(key="ft_run").value == folder.name


def test_a_cohort_without_reports_is_not_the_default_and_cannot_be_started_from(
    cohort_folder: Path, csv_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    home = tmp_path / "home"
    shutil.copytree(cohort_folder, home / "synthetic")
    monkeypatch.setenv("TIMNET_HOME", str(home))
    # Before the other one by its name, and with labels.
    csv_table.run(csv_root, "bare", text="", labels=["Opacity"])
    app = open_at("fine_tune")
    app.button_group(key="ft_learn").set_value("reports").run()
    assert app.multiselect(key="pt_cohorts").value == ["synthetic"]
    assert not app.button(key="pt_start").disabled
    app.multiselect(key="pt_cohorts").set_value(["bare"]).run()
    assert not app.exception and app.button(key="pt_start").disabled
    assert any("Too few reports" in info.value for info in app.info)


def test_a_reloaded_tab_comes_back_to_the_pre_training_and_its_cohorts(
    cohort_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("a", "b", "c"):
        shutil.copytree(cohort_folder, tmp_path / name)
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path / "runs"))
    app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=60).run()
    app.query_params["ft_learn"] = "Pre-train on reports"
    app.query_params["pt_cohorts"] = ["c", "b"]
    app.switch_page("pages/fine_tune.py").run()
    assert not app.exception and not app.error
    assert app.button_group(key="ft_learn").value == "reports"
    assert app.multiselect(key="pt_cohorts").value == ["c", "b"]


def test_every_finer_setting_of_a_pre_training_is_the_one_of_the_command_line(
    open_page: Open,
    workers: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    networks: Path,
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    shutil.copytree(networks / "timnet", tmp_path / "timnet")
    app = open_page("fine_tune")
    app.button_group(key="ft_learn").set_value("reports").run()
    app.selectbox(key="pt_mode_small").select("partial").run()
    chosen = {
        "objective": "pairs", "h_cls": "product", "negatives": "mined", "both_normal": "ignore",
        "schedule": "cosine", "padding": "literal", "precision": "fp32",
        "views": "all", "start": "timnet",
    }  # fmt: skip
    numbers = {
        "chunk": 16,
        "trunk_rate": 0.3,
        "grow_from": 64,
        "batch": 48,
        "learning_rate": 7e-4,
        "tokens": 64,
        "text_layers": 2,
    }
    for name, value in chosen.items():
        app.selectbox(key=f"pt_{name}_small").select(value)
    for name, value in numbers.items():
        app.number_input(key=f"pt_{name}_small").set_value(value)
    app.toggle(key="pt_erase_small").set_value(True)
    app.toggle(key="pt_recompute_small").set_value(True)
    app.number_input(key="pt_evaluate_every_small").set_value(2)
    app.selectbox(key="pt_probe_synthetic").select("Opacity").run()
    app.button(key="pt_start").click().run()
    assert not app.exception and not app.error
    settings = config.Pretrain(
        cohorts=("synthetic",), text_mode="partial", erase=True, recompute=True, evaluate_every=2,
        probe="Opacity", **chosen, **numbers,
    )  # fmt: skip
    (folder,) = [path.parent for path in tmp_path.glob("*/config.json")]
    assert (folder / "config.json").read_bytes() == settings_file.to_json(settings).encode()
    # Every field is asked for, but for these, which are the command line's alone.
    left = {"preset", "backbone", "text_encoder", "width", "held_out", "shuffled", "normalisation"}
    keys = {widget.key for widget in [*app.selectbox, *app.number_input, *app.toggle, *app.multiselect]}
    asked = {str(key).removeprefix("pt_").split("_small")[0].split("_synthetic")[0] for key in keys}
    of_form = {"mode": "text_mode", "paper": "preset"}
    named = {of_form.get(name, name) for name in asked}
    # A single cohort has no repeats to ask for.
    assert {each.name for each in fields(config.Pretrain)} - named - left == {"repeats"}


def test_reports_are_read_in_part_only_where_the_text_network_is_not_trained(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    app = open_page("fine_tune")
    app.button_group(key="ft_learn").set_value("reports").run()
    app.toggle(key="pt_crop_text_small").set_value(True).run()
    app.number_input(key="pt_grow_from_small").set_value(5).run()
    app.button(key="pt_start").click().run()
    (path,) = tmp_path.glob("*/config.json")
    settings = settings_file.from_json(path.read_text())
    assert (settings.crop_text, settings.grow_from) == (True, 32)
    app.number_input(key="pt_grow_from_small").set_value(200)
    app.number_input(key="pt_side_small").set_value(64).run()
    assert "Image size of the first epoch is taken as 64: 32 to 64." in [each.value for each in app.caption]
    app.selectbox(key="pt_mode_small").select("full").run()
    assert not app.exception and app.toggle(key="pt_crop_text_small").disabled


def test_swapped_reports_are_asked_for_where_the_objective_has_a_place_for_them(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    app = open_page("fine_tune")
    app.button_group(key="ft_learn").set_value("reports").run()
    app.toggle(key="pt_mirrored_small").set_value(True).run()
    app.button(key="pt_start").click().run()
    app.selectbox(key="pt_objective_small").select("pairs").run()
    assert app.toggle(key="pt_mirrored_small").disabled
    app.button(key="pt_start").click().run()
    assert not app.exception and not app.error
    started = [runs.settings(path.parent) for path in tmp_path.glob("*/config.json")]
    assert {(each.objective, each.mirrored) for each in started} == {("all-pairs", True), ("pairs", False)}


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
    assert (folder / "config.json").read_bytes() == settings_file.to_json(settings).encode()


def test_a_start_from_the_paper_s_numbers_has_every_one_of_them(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    app = open_page("fine_tune")
    app.button_group(key="ft_learn").set_value("reports").run()
    app.toggle(key="pt_paper").set_value(True).run()
    app.button(key="pt_start").click().run()
    assert not app.exception and not app.error
    settings = config.Pretrain(cohorts=("synthetic",), **settings_file.numbers(config.Pretrain, "paper"))
    (folder,) = [path.parent for path in tmp_path.glob("*/config.json")]
    assert (folder / "config.json").read_bytes() == settings_file.to_json(settings).encode()


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
        json.dumps({"event": "phase", "phase": "training", "several_windows": 0.375}) + "\n"
        + json.dumps({"event": "step", "step": 1, "epoch": 1, "loss": 0.7}) + "\n"
        + json.dumps({**look, "held_out": [area], "retrieval": [found]}) + "\n"
    )  # fmt: skip
    told = {
        "held_out": [area], "retrieval": [found], "pairs_train": 90, "pairs_held_out": 50,
        "patients_train": 80, "patients_held_out": 40, "several_windows": 0.125, "masked": 0.25,
        "best": {"epoch": 5, "auROC": 0.75, "split": "val", "pairs": 20, "test": [area]},
    }  # fmt: skip
    (folder / runs.CONFIG).write_text(settings_file.to_json(config.Pretrain(cohorts=("synthetic",))))
    (folder / runs.RESULT).write_text(json.dumps(told))
    (folder / runs.DONE).write_text("{}")
    app = open_page("fine_tune")
    assert not app.exception
    (done,) = [element.value for element in app.success]
    assert "90 X-rays" in done and "12.5% of the reports" in done
    assert "best on the split val alone, that of epoch 5" in done and "0.700 (0.600 to 0.800)" in done
    assert "50 X-rays of 40 other patients" in done
    (looked,) = [element.value for element in app.caption if "25.0% of the mismatched pairs" in element.value]
    assert "37.5% of the reports are longer" in looked
    assert len(app.get("plotly_chart")) == 2
    # A run from before held-out pairs were looked at on the way shows what it has.
    (folder / runs.RESULT).write_text(
        json.dumps({name: told[name] for name in told if name not in ("retrieval", "best", "masked")})
    )
    (folder / events.EVENTS).unlink()
    assert not open_page("fine_tune").exception


def test_no_share_of_long_reports_is_given_where_there_is_none() -> None:
    told = {"pairs_train": 4, "pairs_held_out": 2, "patients_train": 4, "patients_held_out": 2}
    assert "window" not in pretrain_results.summary({**told, "several_windows": 0.0})
    assert "50.0% of the reports" in pretrain_results.summary({**told, "several_windows": 0.5})
