"""Settings: every number of the paper, files that come back equal, and refusals that name the field."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import shutil
from typing import Annotated

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest
from typing_extensions import Doc
from wrong_values import wrong_values

from timnet import config, settings_file
from timnet.checkpoints import checkpoint_folder
from timnet.cli import parsing
from timnet.config import ConfigError, Finetune, Pretrain, declared, places
from timnet.config.declared import Before, Limits, Shown
from timnet.training import run_names

names = st.text(min_size=1).filter(lambda text: text.strip())


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    cohort=names,
    task=names,
    fraction=st.floats(0.0001, 1),
    seed=st.integers(0, 2**31),
    side=st.integers(32, 1024),
    augment=st.booleans(),
)
def test_settings_come_back_equal_from_their_file(cohort, task, fraction, seed, side, augment):
    settings = Finetune(cohort=cohort, task=task, fraction=fraction, seed=seed, side=side, augment=augment)
    assert settings_file.from_json(settings_file.to_json(settings)) == settings


def test_pretraining_settings_come_back_equal_from_their_file():
    settings = Pretrain(cohorts=("a", "b"), repeats=(1, 8), held_out=("test",), text_mode="full")
    assert settings_file.from_json(settings_file.to_json(settings)) == settings


def test_the_paper_preset_holds_the_numbers_of_sections_3c_and_4b():
    paper = Pretrain(cohorts=("mimic",), **settings_file.numbers(Pretrain, "paper"))
    assert (paper.backbone, paper.image_weights) == ("resnet18", "imagenet")
    assert (paper.text_encoder, paper.text_mode) == ("bert-base-uncased", "full")
    assert (paper.epochs, paper.tokens, paper.padding) == (50, 256, "literal")
    assert (paper.side, paper.width, paper.learning_rate, paper.objective) == (500, 512, 1e-4, "pairs")
    assert paper.held_out == ("val", "test")
    downstream = Finetune(cohort="mimic", task="abnormal", **settings_file.numbers(Finetune, "paper"))
    assert (downstream.epochs, downstream.batch, downstream.learning_rate) == (100, 16, 1e-4)
    assert (downstream.side, downstream.width, downstream.augment, downstream.drop_last) == (
        500,
        512,
        False,
        False,
    )


def test_the_small_preset_is_the_defaults():
    assert settings_file.numbers(Pretrain, "small") == {} == settings_file.numbers(Finetune, "small")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fraction", 0.0),
        ("fraction", 1.5),
        ("side", 31),
        ("side", 1025),
        ("epochs", 0),
        ("least_steps", -1),
        ("batch", 1),
        ("learning_rate", 0.0),
        ("learning_rate", 1.0),
        ("task", " "),
        ("width", 7),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(ConfigError, match=f"^{field}: expected .*, got "):
        Finetune(**{"cohort": "c", "task": "t", field: value})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        '{"command": "delete"}',
        '{"cohort": "c"}',
        '{"command": "finetune", "cohort": "c", "task": "t", "shell": "rm"}',
        '{"command": "finetune", "cohort": "c", "task": "t", "fraction": 7}',
        '{"command": "finetune", "cohort": "c", "task": "t", "fraction": "a"}',
        '{"command": "pretrain", "cohorts": []}',
    ],
)
def test_a_file_that_holds_no_settings_is_refused_in_one_sentence(text):
    with pytest.raises(ConfigError) as refused:
        settings_file.from_json(text, "run/config.json")
    assert str(refused.value).startswith("run/config.json: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "settings", [Pretrain(cohorts=("a", "b"), repeats=(1, 2)), Finetune(cohort="a", task="t")]
)
def test_every_wrong_value_in_the_settings_of_a_run_is_refused_in_one_sentence_or_is_of_its_type(settings):
    told = json.loads(settings_file.to_json(settings))
    told |= {name: value for name, value in dataclasses.asdict(settings).items() if value is not None}
    for text in wrong_values(told):
        try:
            read = dataclasses.asdict(settings_file.from_json(text, "run/config.json"))
        except ConfigError as error:
            assert str(error).startswith("run/config.json: ") and "\n" not in str(error)
            assert len(str(error)) < 300
        else:
            given = json.loads(text)
            for name in given.keys() & read.keys():
                came, kept = given[name], read[name]
                assert came == (list(kept) if isinstance(kept, tuple) else kept)
                assert isinstance(came, bool) == isinstance(kept, bool) == isinstance(told[name], bool)


def test_every_field_survives_json():
    settings = Pretrain(
        cohorts=("a",), evaluate_every=3, text_layers=4, h_cls="linear", negatives="mined", chunk=4,
        recompute=True, erase=True, probe="Opacity", mirrored=True,
        grow_from=64, trunk_rate=0.5, crop_text=True, start="c",
    )  # fmt: skip
    stored = json.loads(settings_file.to_json(settings))
    assert set(stored) == {field.name for field in dataclasses.fields(settings)} | {"command"}


def test_a_field_that_came_later_leaves_older_runs_their_names():
    """Folders and snapshots carry the hash of this text: runs under way would be lost."""
    known = [each for shape in (Pretrain, Finetune) for each in declared.settings(shape).values()]
    younger = [(each, each.mark(declared.Before)) for each in known]
    differs = {each.name for each, before in younger if before and each.default != before.value}
    # Runs that are older than the choice of views took all of them.
    assert differs == {"views"}
    text = settings_file.to_json(Pretrain(cohorts=("a",), views="all", tokens=128))
    # Of the text before any field came later.
    assert hashlib.sha256(text.encode()).hexdigest().startswith("3a9f2c51981deb96")
    assert settings_file.from_json(text) == Pretrain(cohorts=("a",), views="all", tokens=128)
    assert settings_file.from_json(settings_file.to_json(Pretrain(cohorts=("a",)))) == Pretrain(
        cohorts=("a",)
    )
    # Of a fine-tuning before it could train anything but every layer.
    text = settings_file.to_json(Finetune(cohort="a", task="t", views="all"))
    assert hashlib.sha256(text.encode()).hexdigest().startswith("392b07c8e3c1e092")
    probe = Finetune(cohort="a", task="t", mode="probe")
    assert settings_file.from_json(settings_file.to_json(probe)) == probe


def test_cohorts_and_checkpoints_live_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path / "runs"))
    assert config.home() == tmp_path / "home"
    assert config.checkpoints() == tmp_path / "runs"
    monkeypatch.delenv("TIMNET_HOME")
    monkeypatch.delenv("TIMNET_CHECKPOINTS")
    assert config.home() == config.REPOSITORY / "data"
    assert config.checkpoints() == config.REPOSITORY / "checkpoints"


def test_an_installed_timnet_keeps_cohorts_and_runs_among_the_users_data(monkeypatch, tmp_path):
    monkeypatch.delenv("TIMNET_HOME", raising=False)
    monkeypatch.delenv("TIMNET_CHECKPOINTS", raising=False)
    monkeypatch.setattr(places, "_INSTALLED", True)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert (config.home(), config.checkpoints()) == (
        tmp_path / "timnet" / "data",
        tmp_path / "timnet" / "checkpoints",
    )
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config.home() == tmp_path / ".local" / "share" / "timnet" / "data"


def test_a_shipped_checkpoint_is_found_wherever_runs_are_but_a_run_of_its_name_comes_first(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    shipped = config.BUNDLE / "checkpoints" / config.SHIPPED
    assert checkpoint_folder(config.SHIPPED) == shipped
    shutil.copytree(shipped, tmp_path / config.SHIPPED)
    assert checkpoint_folder(config.SHIPPED) == tmp_path / config.SHIPPED


@pytest.mark.parametrize("repeats", [(1,), (1, 2, 3), (1, 0), (1, 1001)])
def test_repeats_are_one_number_a_cohort_in_bounds(repeats):
    with pytest.raises(ConfigError, match=r"^repeats: expected .*, got "):
        Pretrain(cohorts=("a", "b"), repeats=repeats)
    assert Pretrain(cohorts=("a", "b"), repeats=(1, 16)).repeats == (1, 16)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithOneMore(Pretrain):
    """Settings with one more, declared on one line."""

    warmth: Annotated[int, Doc("How warm."), Limits(1, 9), Shown("Steps", "Warmth"), Before(2)] = 3


def test_a_setting_is_added_by_its_declaration_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings_file._COMMANDS, "pretrain", WithOneMore)
    # The command line: option, help, range.
    asked, *_ = parsing.training(WithOneMore, ["a", "--warmth", "4"])
    assert asked.warmth == 4
    with pytest.raises(SystemExit), contextlib.redirect_stdout(io.StringIO()) as told:
        parsing.training(WithOneMore, ["--help"])
    assert "--warmth INT" in told.getvalue() and "How warm. (default: 3)" in told.getvalue()
    with pytest.raises(ConfigError, match="warmth: expected 1 to 9, got 10"):
        parsing.training(WithOneMore, ["a", "--warmth", "10"])
    # The file and the name of the folder: a run that is older than the setting keeps both.
    settings_file._adapter.cache_clear()
    text = settings_file.to_json(asked)
    assert json.loads(text)["warmth"] == 4 and settings_file.from_json(text) == asked
    older = WithOneMore(cohorts=("a",), warmth=2)
    assert settings_file.to_json(older) == settings_file.to_json(Pretrain(cohorts=("a",)))
    assert run_names.folder_name(older) != run_names.folder_name(asked)
    settings_file._adapter.cache_clear()


def test_the_form_asks_for_a_setting_as_it_is_declared() -> None:
    def page() -> None:
        import streamlit as st
        from test_config import WithOneMore

        from timnet.ui.fine_tune import settings_form

        first = settings_form.preset(WithOneMore, "paper")
        names = {"start": [""], "image_weights": ["base", "imagenet"]}
        told = settings_form.ask(WithOneMore, "Steps", first, lambda name: f"k_{name}", names)
        st.json({name: told[name] for name in ("warmth", "batch", "augment", "image_weights", "erase")})

    app = AppTest.from_function(page, default_timeout=30).run()
    assert not app.exception
    warmth = app.number_input(key="k_warmth")
    assert (warmth.label, warmth.help, warmth.min, warmth.max) == ("Warmth", "How warm.", 1, 9)
    assert json.loads(app.json[0].value) == {
        "warmth": 3, "batch": 16, "augment": False, "image_weights": "imagenet", "erase": False,
    }  # fmt: skip
    schedule = app.selectbox(key="k_schedule").help
    assert schedule.startswith("**Rises at first, falls to 0 at the end**: the step"), "the page's words"
    assert app.toggle(key="k_erase").disabled, "it means nothing without augmentation"
    warmth.set_value(5)
    app.toggle(key="k_augment").set_value(True).run()
    app.toggle(key="k_erase").set_value(True).run()
    assert json.loads(app.json[0].value)["erase"] and json.loads(app.json[0].value)["warmth"] == 5
    app.toggle(key="k_augment").set_value(False).run()
    assert not json.loads(app.json[0].value)["erase"]
