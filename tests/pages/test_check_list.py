"""Explore's check without a browser: what was found is listed, filtered, taken away, and opens its study."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from driving import HOSTILE
from streamlit.testing.v1 import AppTest

from timnet import config
from timnet.cohorts import audits, checks
from timnet.cohorts.checks import Kept
from timnet.cohorts.store import Cohort
from timnet.ui import filters
from timnet.ui.explore import check


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, cohort_folder: Path, networks: Path, tmp_path: Path) -> Path:
    """Where the check of a copy of the synthetic cohort, the app's only one, is kept."""
    shutil.copytree(cohort_folder, tmp_path / "synthetic")
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(networks))
    return checks.place(Cohort.open(tmp_path / "synthetic"), networks / "timnet")


def keep(place: Path) -> pd.DataFrame:
    """Leave a check with two kinds of fault."""
    films = Cohort.open(place.parents[1]).films().iloc[[3, 40, 77]].reset_index(drop=True)
    table = films[["study", "patient", "split", "film"]].assign(
        kind=[checks.LEAK, checks.LABEL, checks.LABEL],
        label=["", "Opacity", "Opacity"],
        other="",
        score=[0.99, 0.95, 0.9],
        reason=["the same image", HOSTILE, "said present"],
    )
    unchecked = pd.DataFrame({"kind": [checks.VIEW], "reason": ["the detector is off"]})
    with audits.holding(place):
        checks.keep(place, Kept(table, unchecked))
    return table


def opened() -> AppTest:
    app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=60).run()
    app.session_state["check_open"] = True
    return shown(app.switch_page("pages/explore.py").run())


def shown(app: AppTest) -> AppTest:
    assert not app.exception and not app.error, [*app.exception, *app.error]
    return app


def rows(app: AppTest) -> pd.DataFrame:
    (found,) = [each.value for each in app.dataframe if "Reason" in each.value.columns]
    return found


def test_a_check_is_started_as_a_process_of_its_own(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(checks, "start", lambda *asked: started.append(asked))
    app = opened()
    shown(app.button(key="check_start").click().run())
    ((cohort, network),) = started
    assert (cohort.name, network.name) == ("synthetic", "timnet")


def test_what_was_found_is_listed_filtered_and_taken_away(place: Path) -> None:
    table = keep(place)
    app = opened()
    assert rows(app)["Study"].tolist() == table["study"].tolist()
    assert rows(app)["Kind"].tolist() == [checks.KINDS[kind] for kind in table["kind"]]
    assert any("the detector is off" in each.value for each in app.caption)
    shown(app.button_group(key="check_kinds").set_value([checks.LABEL]).run())
    assert rows(app)["Study"].tolist() == table["study"].tolist()[1:]
    assert any(each.proto.label == "List (CSV)" for each in app.get("download_button"))


def test_a_study_of_the_list_is_opened_whatever_the_filters(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A row cannot be clicked without a browser: the button calls what the click does.
    monkeypatch.setattr(checks, "start", lambda cohort, network: check.open_study(cohort, "study077"))
    app = opened()
    shown(app.selectbox(key="label").set_value("Opacity").run())
    shown(app.button(key="check_start").click().run())
    assert app.selectbox(key="label").value == filters.ANY
    assert app.session_state["explore_open"] == "study077"
    assert app.query_params["film"] in ("77", ["77"])
