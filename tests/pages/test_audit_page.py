"""The page Audit without a browser: a scored cohort read, judged, filtered, linked; text stays text."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pandas as pd
import pytest
from driving import HOSTILE, open_at, texts
from streamlit.testing.v1 import AppTest

from timnet import config
from timnet.cohorts import audits, verdicts
from timnet.cohorts.audits import Kept
from timnet.cohorts.readers import csv_table
from timnet.cohorts.store import Cohort
from timnet.ui import frame
from timnet.ui.audit import judging, listing

WHY = ("side", "sentence", "report", "")
STUDIES = 8


def scored(folder: Path, network: Path, studies: int = STUDIES) -> pd.DataFrame:
    """Leave a list of the first studies of a cohort as the scoring does, with reasons of three of four."""
    cohort = Cohort.open(folder)
    films = cohort.films().head(studies)
    table = pd.DataFrame(
        {
            "study": films["study"],
            "patient": films["patient"],
            "split": films["split"],
            "film": films["film"],
            "report": range(studies),
            "logit": [float(place) for place in range(studies)],
            "among_reports": [place / studies for place in range(studies)],
            "among_films": [place / studies for place in range(studies)],
            "probability": [0.1] * studies,
            "misfit": [1 - place / studies for place in range(studies)],
        }
    )
    left_out = pd.DataFrame([{"study": "x9", "film": -1, "split": "test", "reason": "lateral view"}])
    place = audits.place(cohort, network)
    with audits.holding(place):
        audits.keep(place, Kept(table, left_out))
    rows = zip(films["film"], films["study"], range(studies), strict=True)
    audits.note(
        place,
        audits.REASONS,
        [
            {"film": int(film), "study": study, "why": WHY[at % 4], "told": f"Check sentence {at + 1}."}
            for film, study, at in rows
            if WHY[at % 4]
        ],
    )
    return table


@pytest.fixture
def table(
    monkeypatch: pytest.MonkeyPatch, cohort_folder: Path, networks: Path, tmp_path: Path
) -> pd.DataFrame:
    """The list of a copy of the synthetic cohort, which is the app's only one."""
    shutil.copytree(cohort_folder, tmp_path / "synthetic")
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(networks))
    return scored(tmp_path / "synthetic", networks / "timnet")


def opened(**asked: str) -> AppTest:
    """Return the page as a new visitor's browser shows it at an address."""
    app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=60).run()
    for name, value in asked.items():
        app.query_params[name] = value
    return shown(app.switch_page("pages/audit.py").run())


def shown(app: AppTest) -> AppTest:
    assert not app.exception and not app.error, [*app.exception, *app.error]
    return app


def rows(app: AppTest) -> pd.DataFrame:
    (found,) = [each.value for each in app.dataframe if "Misfit" in each.value.columns]
    return found


def press(app: AppTest, letter: str, film: int) -> AppTest:
    return shown(app.button(key=f"audit_{letter}_{film}").click().run())


def study(app: AppTest) -> str:
    """Return the study that the address names."""
    return str(app.query_params["study"])


def test_a_list_is_shown_worst_first_with_the_study_that_fits_least(table: pd.DataFrame) -> None:
    app = opened()
    assert rows(app)["Study"].tolist() == table["study"].tolist()
    assert rows(app)["#"].tolist() == list(range(1, STUDIES + 1))
    assert all(picture.startswith("data:image/jpeg") for picture in rows(app)["X-ray"])
    assert study(app) == table["study"][0]
    assert "Check sentence 1" in " ".join(each.value for each in app.markdown).replace("\\", "")


def test_every_verdict_has_a_key_of_its_own_and_is_kept_with_reader_and_network(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    assert sorted(judging.KEYS) == sorted(verdicts.VERDICTS)
    assert len({*judging.KEYS.values(), judging.UNDO}) == len(verdicts.VERDICTS) + 1
    app = opened()
    app.text_input(key="audit_reader").set_value("Dr. A").run()
    for film, letter in zip(table["film"], judging.KEYS.values(), strict=False):
        press(app, letter, film)
    kept = verdicts.standing(tmp_path / "synthetic")
    assert kept["verdict"].tolist() == list(judging.KEYS)
    assert kept["study"].tolist() == table["study"].tolist()[: len(judging.KEYS)]
    assert set(kept["reader"]) == {"Dr. A"} and set(kept["network"]) == {"timnet"}


def test_a_verdict_goes_on_to_the_next_open_study_and_undo_comes_back(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    verdicts.add(tmp_path / "synthetic", table["study"][1], verdicts.FITS, "another", "timnet")
    app = opened()
    press(app, "w", table["film"][0])
    assert study(app) == table["study"][2]  # the second has a verdict already
    assert rows(app)["Study"].tolist() == table["study"].tolist()[2:]
    assert "2 read, 1 confirmed: precision so far 0.50" in " ".join(each.value for each in app.markdown)
    shown(app.button(key="audit_undo").click().run())
    assert study(app) == table["study"][0]
    assert table["study"][0] in rows(app)["Study"].tolist()
    app.button(key="audit_undo").click().run()
    assert "no verdict by reader" in app.error[0].value.replace("\\", "")  # the other reader's stays
    assert list(verdicts.latest(tmp_path / "synthetic")) == [table["study"][1]]


def test_a_key_pressed_twice_says_nothing_of_the_next_study(table: pd.DataFrame, tmp_path: Path) -> None:
    app = opened()
    first = app.button(key=f"audit_w_{table['film'][0]}")
    press(app, "w", table["film"][0])
    first.click().run()
    assert list(verdicts.latest(tmp_path / "synthetic")) == [table["study"][0]]


def test_the_list_is_filtered_by_reason_verdict_split_and_name(table: pd.DataFrame, tmp_path: Path) -> None:
    verdicts.add(tmp_path / "synthetic", table["study"][0], verdicts.WRONG_SIDE, "a", "timnet")
    app = opened()
    shown(app.segmented_control(key="audit_verdict").set_value(listing.ALL).run())
    shown(app.selectbox(key="audit_kind").select("side").run())
    assert rows(app)["Study"].tolist() == [table["study"][0], table["study"][4]]
    assert rows(app)["Verdict"].tolist() == [verdicts.WRONG_SIDE, ""]
    shown(app.segmented_control(key="audit_verdict").set_value(listing.DONE).run())
    assert rows(app)["Study"].tolist() == [table["study"][0]]
    app.segmented_control(key="audit_verdict").set_value(listing.ALL)
    app.selectbox(key="audit_kind").select(listing.ALL)
    shown(app.text_input(key="audit_words").set_value(table["study"][3].upper()).run())
    assert rows(app)["Study"].tolist() == [table["study"][3]] and rows(app)["#"].tolist() == [4]
    app.text_input(key="audit_words").set_value("")
    split = table["split"][0]
    shown(app.selectbox(key="audit_split").select(split).run())
    assert rows(app)["Study"].tolist() == table["study"][table["split"] == split].tolist()


def test_a_link_and_a_reload_come_back_to_the_study(table: pd.DataFrame) -> None:
    app = opened(cohort="synthetic", network="timnet", study=table["study"][5])
    assert study(app) == table["study"][5]
    press(app, "s", table["film"][5])
    again = opened(**dict(app.query_params))
    assert study(again) == study(app) == table["study"][6]


@pytest.mark.parametrize("name", ["cohort", "network", "study"])
def test_a_link_to_what_is_not_here_says_so(table: pd.DataFrame, name: str) -> None:
    app = opened(**{name: HOSTILE})
    assert f"There is no {name}" in app.info[0].value
    assert "\\<script\\>" in app.info[0].value
    assert study(app) == table["study"][0]


def test_an_archive_comes_to_the_browser_a_page_at_a_time(
    monkeypatch: pytest.MonkeyPatch, cohort_folder: Path, networks: Path, tmp_path: Path
) -> None:
    shutil.copytree(cohort_folder, tmp_path / "synthetic")
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(networks))
    table = scored(tmp_path / "synthetic", networks / "timnet", studies=120)
    app = opened(study=table["study"][110])
    assert rows(app)["#"].tolist() == list(range(101, 121))  # the page of the chosen study
    (pages,) = app.pagination
    shown(pages.set_value(1).run())
    assert rows(app)["#"].tolist() == list(range(1, listing.PAGE + 1))
    assert study(app) == table["study"][110]  # looking further changes nothing of what is open


def test_names_and_reports_that_would_be_pages_stay_text(
    monkeypatch: pytest.MonkeyPatch, csv_root: Path, networks: Path, tmp_path: Path
) -> None:
    shutil.copy(csv_root / "films" / "000.png", tmp_path / "film.png")
    named = HOSTILE.replace("http://", "")
    cells = {"path": "film.png", "report": HOSTILE, "study": named, "patient": named}
    pd.DataFrame([cells]).to_csv(tmp_path / "films.csv", index=False)
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(networks))
    csv_table.run(tmp_path, "hostile")
    table = scored(tmp_path / "home" / "hostile", networks / "timnet", studies=1)
    app = opened()
    assert table["study"][0] in texts(app)
    shown_as_markdown = [each.value for each in (*app.markdown, *app.caption, *app.info)]
    assert not [text for text in shown_as_markdown if "<script" in text or "evil.example" in text]
    assert {each.proto.body for each in app.get("html")} <= {frame.DARK_ON_PRIMARY}


def test_what_is_taken_along_says_where_it_comes_from(table: pd.DataFrame, tmp_path: Path) -> None:
    app = opened()
    press(app, "m", table["film"][0])
    (told,) = [each for each in app.download_button if each.key == "audit_csv"]
    assert told.label == "Verdicts (CSV)"
    written = pd.read_csv(io.BytesIO(verdicts.to_csv(tmp_path / "synthetic")))
    assert written["verdict"].tolist() == [verdicts.MISSED]


def test_a_cohort_that_is_not_scored_says_what_the_button_does(
    monkeypatch: pytest.MonkeyPatch, cohort_folder: Path, networks: Path
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(cohort_folder.parent))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(networks))
    app = open_at("audit")
    assert app.button(key="audit_start").label == "Score 120 studies"
    assert "Nothing is scored yet" in app.info[0].value
