"""The demo films: read with their truth, imported at the first look, marked as simulated wherever shown."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from timnet import config
from timnet.cohorts import store
from timnet.cohorts.readers import demo
from timnet.cohorts.records import CohortError
from timnet.ui import demo as shown


@pytest.fixture
def app(demo_root, networks, tmp_path, monkeypatch):
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(networks))
    monkeypatch.setenv("TIMNET_DEMO", str(demo_root))

    def opened(page):
        started = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=60).run()
        return started.switch_page(f"pages/{page}.py").run()

    return opened


def test_a_simulated_folder_becomes_a_cohort_that_says_so(demo_root, tmp_path, monkeypatch):
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    summary = demo.run(demo_root, "made")
    cohort = store.Cohort.open(store.find("made"))
    assert summary.studies == summary.films == 8 and not summary.skipped
    assert cohort.source == demo.SOURCE and any("simulated" in note for note in summary.notes)
    assert list(cohort.labels().columns) == ["pleural_effusion", "support_devices", "no_finding"]
    assert cohort.labels()["pleural_effusion"].tolist() == [1, 0] * 4
    assert cohort.study("s00000").age == 50


def test_the_truth_is_where_the_run_lengths_say(demo_root):
    truth = demo.truth(demo_root)
    placed = truth["films/s00002.jpg"].findings[0]
    expected = np.zeros((60, 50), bool)
    expected[12:16, 5:10] = True
    assert np.array_equal(placed.mask(), expected)
    assert placed.box == (5, 12, 10, 16) and placed.facts["side"] == "right"
    assert truth["films/s00001.jpg"].findings == ()


@pytest.mark.parametrize("missing", ["studies.csv", "truth.jsonl.gz"])
def test_a_folder_without_its_files_is_refused(demo_root, tmp_path, missing):
    shutil.copytree(demo_root, tmp_path / "part")
    (tmp_path / "part" / missing).unlink()
    with pytest.raises(CohortError, match=missing):
        demo.truth(tmp_path / "part")


@pytest.mark.parametrize("content", [b"no", b"\x1f\x8b\x08"])
def test_a_damaged_truth_is_refused_in_a_sentence(demo_root, tmp_path, content):
    shutil.copytree(demo_root, tmp_path / "part")
    (tmp_path / "part" / "truth.jsonl.gz").write_bytes(content)
    with pytest.raises(CohortError, match=r"truth.jsonl.gz: expected the truth"):
        demo.truth(tmp_path / "part")


def test_the_first_look_makes_the_cohort_and_shows_it_as_simulated(app):
    page = app("explore")
    assert not page.exception
    assert page.selectbox(key="cohort").value == "demo"
    assert "demo" in store.available()
    assert any("Simulated X-ray" in element.value for element in page.markdown)
    page.toggle(key="explore_truth").set_value(True).run()
    assert not page.exception
    assert any("right pleural effusion" in element.value for element in page.caption)


def test_an_example_is_chosen_by_what_it_shows_and_is_read(app):
    page = app("match")
    assert not page.exception
    pills = page.pills(key="match_demo")
    assert pills.options == ["Pleural effusion", "No finding"]
    pills.set_value("Pleural effusion").run()
    assert not page.exception
    cohort = store.Cohort.open(store.find("demo"))
    row = page.session_state["match_film"]
    assert cohort.labels()["pleural_effusion"][row] == 1 and cohort.films()["split"][row] == "test"
    assert any("Simulated X-ray" in element.value for element in page.markdown)
    assert page.metric[0].label == "Match probability"


def test_damaged_demo_films_leave_the_app_working(app, demo_root, tmp_path, monkeypatch):
    shutil.copytree(demo_root, tmp_path / "part")
    (tmp_path / "part" / "truth.jsonl.gz").unlink()
    monkeypatch.setenv("TIMNET_DEMO", str(tmp_path / "part"))
    page = app("match")
    assert not page.exception
    assert any("demo X-rays could not be prepared" in element.value for element in page.warning)


def test_a_demo_can_be_switched_off(app, monkeypatch):
    monkeypatch.setenv("TIMNET_DEMO", "none")
    page = app("explore")
    assert not page.exception and not store.available()
    assert config.demo() is None


def test_examples_show_one_thing_each(demo_root, tmp_path, monkeypatch):
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    demo.run(demo_root, "made")
    cohort = store.Cohort.open(store.find("made"))
    found = shown.examples.__wrapped__(cohort)
    assert found == {"Pleural effusion": 4, "No finding": 5}


def test_an_example_has_no_tubes_where_a_film_without_them_shows_the_same():
    films = pd.DataFrame({"split": ["train", *["test"] * 4], "view": ["PA", "AP", "PA", "LATERAL", "AP"]})
    labels = pd.DataFrame({
        "pleural_effusion": [1, 1, 1, 1, 0], "mass": [0, 0, 0, 0, 1], "support_devices": [0, 1, 0, 0, 1],
        "no_finding": 0,
    })  # fmt: skip
    cohort = SimpleNamespace(films=lambda: films, labels=lambda: labels)
    assert shown.examples.__wrapped__(cohort) == {"Pleural effusion": 2, "Mass": 4}
