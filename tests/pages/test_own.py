"""A visitor's own X-ray and pasted report: one upload for both pages, as long as the session."""

import shutil
from pathlib import Path

import pytest
import streamlit as st
from driving import TEXT, Open, of_cohort, open_at, png, texts
from streamlit.testing.v1 import AppTest

from timnet.ui import server, uploaded

ELSEWHERE = ("card", "explore", "diagnose", "fine_tune", "efficiency")
NAME = "![x](y) [ZZPHI].png"


def go(app: AppTest, page: str) -> AppTest:
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception and not app.error
    return app


def given(app: AppTest, seed: int = 1, name: str = NAME) -> AppTest:
    return app.file_uploader(key="match_upload").upload(name, png(seed), "image/png").run()


def number(app: AppTest) -> str:
    (found,) = [metric.value for metric in app.metric if metric.label == "Match probability"]
    return found


def probabilities(app: AppTest) -> list[float]:
    return next(each.value for each in app.dataframe if "label" in each.value)["probability"].tolist()


def labels(app: AppTest) -> set[str]:
    return {metric.label for metric in app.metric}


def test_upload_and_report_stay_whatever_page_opens_meanwhile(open_page: Open) -> None:
    app = given(open_page("match"))
    app.text_area(key="match_findings").set_value(TEXT).run()
    before = number(app)
    for page in ELSEWHERE:
        go(app, page)
        go(app, "match")
        assert number(app) == before and app.text_area(key="match_findings").value == TEXT
        assert NAME in [text.value for text in app.text]
        assert not any("ZZPHI" in value for values in app.query_params.items() for value in values)


@pytest.mark.parametrize("page", ["match", "diagnose"])
def test_an_upload_that_the_server_refused_is_said_on_the_page(
    page: str, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "refusal", lambda: "upload: expected at most 200 MB")
    assert [each.value.replace("\\", "") for each in open_page(page).error] == [
        "upload: expected at most 200 MB"
    ]


def test_one_upload_serves_both_pages_and_the_later_one_holds(open_page: Open) -> None:
    app = given(open_page("match"))
    app.text_area(key="match_findings").set_value(TEXT).run()
    first = number(app)
    go(app, "diagnose")
    shown = probabilities(app)
    app.file_uploader(key="diagnose_upload").upload("other.png", png(2), "image/png").run()
    assert probabilities(app) != shown
    go(app, "match")
    assert number(app) != first and "other.png" in texts(app) and NAME not in texts(app)


@pytest.mark.parametrize("way", ["remove", "cross", "new"])
def test_what_the_visitor_removes_is_gone_on_both_pages(open_page: Open, way: str) -> None:
    app = given(open_page("match"))
    app.text_area(key="match_findings").set_value(TEXT).run()
    if way == "cross":
        app.file_uploader(key="match_upload").clear().run()
    else:
        go(app, "diagnose")
        app.button(key="own_new" if way == "new" else "diagnose_upload_remove").click().run()
    assert not app.exception and not app.session_state[uploaded.ONE]
    for page in ("diagnose", "match"):
        go(app, page)
        assert "Match probability" not in labels(app) and NAME not in texts(app)
        assert not any("label" in each.value for each in app.dataframe)
    assert app.text_area(key="match_findings").value == ("" if way == "new" else TEXT)
    if way == "new":
        assert app.button(key="own_new").disabled


def test_new_empties_the_uploader_of_the_open_page_too(open_page: Open) -> None:
    app = given(open_page("match"))
    app.text_area(key="match_findings").set_value(TEXT).run()
    app.button(key="own_new").click().run()
    assert not app.exception and "Match probability" not in labels(app)
    assert not app.file_uploader[0].value and app.text_area(key="match_findings").value == ""


def test_several_uploads_stay_with_what_was_read_of_them_and_more_can_follow(open_page: Open) -> None:
    def names(app: AppTest) -> list[str]:
        return next(each.value for each in app.dataframe if "film" in each.value)["film"].tolist()

    app = open_page("diagnose")
    app.segmented_control(key="diagnose_how").set_value("Several X-rays").run()
    uploader = app.file_uploader(key="diagnose_uploads")
    uploader.set_value([("a.png", png(1), ""), ("b.png", png(2), "")]).run()
    app.button(key="diagnose_read_all").click().run()
    assert names(app) == ["a.png", "b.png"]
    go(app, "match")
    go(app, "diagnose")
    assert names(app) == ["a.png", "b.png"]
    assert "diagnose_read_all" not in {button.key for button in app.button}
    app.file_uploader(key="diagnose_uploads").set_value([("c.png", png(3), "")]).run()
    app.button(key="diagnose_read_all").click().run()
    assert names(app) == ["a.png", "b.png", "c.png"]
    app.button(key="diagnose_uploads_remove").click().run()
    assert names(app) == ["c.png"]


def test_a_refused_upload_can_be_removed_on_another_look(open_page: Open) -> None:
    app = open_page("match")
    app.file_uploader(key="match_upload").upload("a.png", b"no image", "image/png").run()
    assert len(app.error) == 1
    app.switch_page("pages/diagnose.py").run()
    assert len(app.error) == 1
    app.button(key="diagnose_upload_remove").click().run()
    assert not app.exception and not app.error


def test_the_chosen_film_of_a_cohort_stays_too_and_a_link_chooses_another(open_page: Open) -> None:
    app = open_page("match")
    of_cohort(app, 7)
    go(app, "card")
    go(app, "match")
    assert any(each.value.startswith("synthetic, X-ray 7: ") for each in app.text)
    go(app, "explore")
    app.query_params.update(match_cohort="synthetic", match_film="9")
    go(app, "match")
    assert app.number_input(key="match_film").value == 9
    app.number_input(key="match_film").set_value(11).run()
    assert app.number_input(key="match_film").value == 11


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, demo_root: Path, networks: Path) -> AppTest:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIMNET_DEMO", str(demo_root))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(networks))
    return open_at("match")


def test_a_demo_pill_is_lit_while_its_film_is_shown_and_only_then(demo: AppTest) -> None:
    def lit() -> str | None:
        return demo.pills(key="match_demo").value

    example = "Pleural effusion"
    demo.pills(key="match_demo").set_value(example).run()
    film = demo.number_input(key="match_film").value
    assert lit() == example and "Match probability" in labels(demo)
    given(demo)
    assert lit() is None and not any("Simulated" in each.value for each in demo.markdown)
    demo.pills(key="match_demo").set_value(example).run()
    assert lit() == example and any("Simulated" in each.value for each in demo.markdown)
    demo.button(key="match_back").click().run()
    assert lit() is None and not any("Simulated" in each.value for each in demo.markdown)
    assert "match_back" not in {button.key for button in demo.button}
    demo.pills(key="match_demo").set_value(example).run()
    demo.number_input(key="match_film").set_value(film + 1 if film == 0 else film - 1).run()
    assert lit() is None
    demo.number_input(key="match_film").set_value(film).run()
    assert lit() == example
    demo.pills(key="match_demo").set_value(None).run()
    # Nothing is chosen then but what is uploaded.
    assert lit() is None and not any("Simulated" in each.value for each in demo.markdown)
    assert not demo.exception and not demo.error


def test_a_demo_whose_files_are_gone_opens_no_example_and_takes_an_upload(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, demo_root: Path, networks: Path
) -> None:
    shutil.copytree(demo_root, tmp_path / "demo")
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIMNET_DEMO", str(tmp_path / "demo"))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(networks))
    open_at("match")
    shutil.rmtree(tmp_path / "demo" / "films")
    st.cache_resource.clear()
    for page in ("match", "diagnose"):
        app = open_at(page)
        assert not app.exception and not app.error
        assert any("Next: upload an X-ray" in each.value for each in app.info)
