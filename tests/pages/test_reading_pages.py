"""Match and Diagnose without a browser: numbers, maps, edits, other reports, similar cases."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
import torch
from driving import TEXT, Open, of_cohort, open_at, opened, png, texts
from streamlit.testing.v1 import AppTest

from timnet import config
from timnet.__main__ import main
from timnet.cohorts import pairs, vectors
from timnet.cohorts.store import Cohort
from timnet.evaluation.calibration.record import MATCH
from timnet.evaluation.maps import grad_cam_library
from timnet.films.read import read_film
from timnet.model import embed
from timnet.reader import Reader
from timnet.reading import Reading
from timnet.ui import cache, notices, panels, reading_room, scored_list, viewer
from timnet.ui.match import other_patients, similar_cases


def test_page_command_and_python_give_the_same_match_digit_for_digit(
    open_page: Open,
    networks: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text, film = f"{TEXT} The heart is normal.", tmp_path / "IM00001"
    film.write_bytes(png())
    listed: list[list[scored_list.Row]] = []
    show = scored_list.show
    monkeypatch.setattr(
        scored_list, "show", lambda rows, *asked: (listed.append(rows), show(rows, *asked))[1]
    )
    saved: list[Reading] = []
    monkeypatch.setattr(panels, "exports", lambda reading, *asked: saved.append(reading))
    app = open_page("match")
    app.file_uploader(key="match_upload").upload(film.name, film.read_bytes(), "")
    app.text_area(key="match_findings").set_value(text)
    app.button(key="match_go").click().run()
    reader = Reader.load(networks / "timnet")
    expected = reader.read(read_film(film), text).explained(reader.edited(read_film(film), text).edits)
    assert not app.exception and not app.error
    assert f"**{expected.explanation.sentence}**" in [
        *(each.value for each in app.markdown),
        *(each.label for each in app.button),
    ]
    assert app.metric[0].value == f"{expected.match:.3f}"
    assert len(listed) == 1 and app.get("bidi_component")
    singly = [row.probability for row in listed[-1]]
    assert [(row.text, row.probability) for row in listed[-1]] == list(expected.sentences) and len(
        singly
    ) == 2
    assert any(notices.MAP in caption.value for caption in app.caption)
    # A map of a report that does not fit says so.
    refused = [each for each in app.caption if "The report does not fit this X-ray; painted" in each.value]
    assert len(refused) == (expected.match < 0.5)
    # What is saved says what the page says.
    told = saved[-1].as_dict()
    assert (told["match_probability"], told["explanation"]) == (expected.match, expected.explanation.sentence)
    main(["match", str(film), "--findings", text, "--checkpoint", "timnet", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["match_probability"] == expected.match and told["sentence_probabilities"] == singly
    assert told | {"seconds": 0} == expected.as_dict() | {"seconds": 0}


def test_a_clicked_sentence_chooses_its_map_and_the_next_click_or_text_the_whole_texts(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    clicks: list[Callable[[int | None], None]] = []
    pressed: list[int | None] = []
    show = scored_list.show

    def watched(rows, key, name, chosen, choose, numbered=True):
        clicks.append(choose)
        pressed.append(chosen)
        show(rows, key, name, chosen, choose, numbered)

    shown: list[str] = []
    painted = panels.painted
    monkeypatch.setattr(scored_list, "show", watched)
    monkeypatch.setattr(
        panels, "painted", lambda of, name, *words: (shown.append(name), painted(of, name, *words))[1]
    )
    app = open_page("match")
    app.file_uploader(key="match_upload").upload("film.png", png(1), "image/png")
    app.text_area(key="match_findings").set_value(f"{TEXT} The heart is normal.").run()
    assert shown[-1] == MATCH == reading_room.WHOLE and pressed[-1] is None
    for place, text in enumerate((TEXT, "The heart is normal.")):
        app.session_state["match_map"] = text
        app.run()
        assert (shown[-1], pressed[-1]) == (text, place)
    app.text_area(key="match_findings").set_value(TEXT).run()
    assert shown[-1] == MATCH and pressed[-1] is None
    assert not app.exception and not app.error


def test_choosing_another_map_does_not_ask_the_network_again(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    read = Reader.read
    monkeypatch.setattr(Reader, "read", lambda *asked: (reads.append(1), read(*asked))[1])
    app = open_page("match")
    app.file_uploader(key="match_upload").upload("film.png", png(1), "image/png")
    app.text_area(key="match_findings").set_value("The lungs are clear. " + TEXT).run()
    app.session_state["match_map"] = TEXT
    app.run()
    assert not app.exception and len(reads) == 1


def test_maps_by_other_methods_are_offered_and_each_is_the_librarys_own(
    open_page: Open, networks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[np.ndarray] = []
    monkeypatch.setattr(viewer, "show", lambda *views, **_: shown.append(views[-1].strength_hw))
    app = open_page("match")
    app.file_uploader(key="match_upload").upload("film.png", png(1), "image/png")
    app.text_area(key="match_findings").set_value(TEXT).run()
    # The X-ray alone stands there first, without a map.
    shown[:] = shown[-1:]
    assert app.selectbox(key="match_method").options == [panels.OVER, panels.OWN, *panels.METHODS]
    assert set(panels.METHODS) == set(grad_cam_library.METHODS)
    reader, film = Reader.load(networks / "timnet"), read_film(png(1))
    own, seen = reader.read(film, TEXT), reader.see(film)
    np.testing.assert_allclose(shown[-1], own.heat(MATCH) / own.map_scale, atol=1e-5)
    assert any("compared with a normal one" in each.value for each in app.caption)
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
    draw = other_patients.bars.standing
    monkeypatch.setattr(
        other_patients.bars, "standing", lambda others, own: (drawn.append(own), draw(others, own))[1]
    )
    monkeypatch.setattr(other_patients, "SECONDS", 60.0)
    monkeypatch.setattr(other_patients, "FEWEST", 3)
    app = own_film(open_page("match"), 7)
    before = len(drawn)
    assert before > 0
    app.selectbox(key="match_method").select(panels.OWN).run()
    assert not app.exception and len(drawn) == before
    of_cohort(app, 8)
    assert not app.exception and len(drawn) == before + 1


def test_the_match_page_says_what_each_edit_changes_and_shows_the_chosen_ones_map(
    open_page: Open, networks: Path
) -> None:
    text = "The heart is normal. There is an opacity in the left lung. Both lungs are small."
    app = open_page("match")
    app.file_uploader(key="match_upload").upload("film.png", png(2), "image/png")
    app.text_area(key="match_findings").set_value(text).run()
    reading = Reader.load(networks / "timnet").edited(read_film(png(2)), text)
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
    before = len(app.get("bidi_component"))
    app.session_state[table.key] = {"selection": {"rows": [0]}}
    app.run()
    edit = reading.edits[table.value.index[0]][0]
    assert not app.exception and len(app.get("bidi_component")) == before + 1
    assert edit.before in texts(app)


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_a_match_stands_among_other_patients_reports_once_they_are_read(
    seconds: float, open_page: Open, monkeypatch: pytest.MonkeyPatch, networks: Path, cohort_folder: Path
) -> None:
    st.cache_resource.clear()
    monkeypatch.setattr(other_patients, "SECONDS", seconds)
    monkeypatch.setattr(other_patients, "FEWEST", 3)
    app = open_page("match")
    app = own_film(app, 7)
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
        for report in pairs.draw_reports(cohort, other_patients.NUMBER + 2)
        if report.patient != study.patient and report.findings != study.findings
    ]
    # What shows as the same number is a tie, and a tie counts half.
    wins = [0.5 if abs(other - own) < 5e-4 else float(other < own) for other in others]
    assert told[0].value == f"{sum(wins) / len(wins):.0%} of {len(others)}"


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cohort_folder: Path, networks: Path) -> Cohort:
    """A copy of the synthetic cohort, to write vectors beside; the only one that the app knows."""
    shutil.copytree(cohort_folder, tmp_path / "synthetic")
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(networks))
    return Cohort.open(tmp_path / "synthetic")


def own_film(app: AppTest, film: int) -> AppTest:
    return opened(of_cohort(app, film), "Other patients")


def test_a_click_on_prepare_counts_while_other_patients_reports_are_read(
    searched: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    st.cache_resource.clear()
    monkeypatch.setattr(other_patients, "SECONDS", 0)
    monkeypatch.setattr(other_patients, "FEWEST", 3)
    started: list[Path] = []
    monkeypatch.setattr(similar_cases.vectors, "start", lambda cohort, folder: started.append(folder))
    app = own_film(open_at("match"), 7)
    assert len(app.get("progress")) == 1
    # The last of them is read in the very run of the click, which then begins anew.
    grow, asked = other_patients.Sample.grow, []
    monkeypatch.setattr(
        other_patients.Sample,
        "grow",
        lambda sample, reader, seconds: asked.append(1) or grow(sample, reader, 0 if len(asked) < 2 else 60),
    )
    app.button(key="match_prepare").click().run()
    assert len(started) == 1 and not app.get("progress")


def test_a_search_is_prepared_by_a_process_of_its_own(
    searched: Cohort, networks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    class Started:
        def __init__(self, command: list[str], **options: object) -> None:
            started.append(command)

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", Started)
    app = own_film(open_at("match"), 7)
    app.button(key="match_prepare").click().run()
    assert not app.exception and not app.error
    assert [command[3:] for command in started] == [
        ["embed", str(searched.folder), "--checkpoint", str(networks / "timnet")]
    ]


def test_similar_cases_are_the_heads_best_and_never_the_films_own_study(
    searched: Cohort, networks: Path
) -> None:
    embed.build(searched, networks / "timnet")
    app = own_film(open_at("match"), 7)
    assert not app.exception and not app.error
    reader, table = Reader.load(networks / "timnet"), searched.films()
    own = table["study"][7]
    v_text = reader.matcher.text_vectors([table["findings"][7]])
    kept = vectors.load(vectors.place(searched, networks / "timnet"))
    logits = reader.matcher.timnet.match_all(torch.from_numpy(np.array(kept.films_ND)).float(), v_text)[:, 0]
    best = [row for row in logits.argsort(descending=True).tolist() if table["study"][row] != own]
    shown = [element.value for element in app.markdown if re.fullmatch(r"\*\*\d\.\d{3}\*\*", element.value)]
    expected = [f"**{logits[row].sigmoid():.3f}**" for row in best[: similar_cases.SHOWN]]
    assert len(shown) == 2 * similar_cases.SHOWN and shown[similar_cases.SHOWN :] == expected
    links = [link.proto.query_string for link in app.get("page_link") if link.proto.label.startswith("Study")]
    linked = [int(re.search(r"open=(\d+)", link)[1]) for link in links]
    assert len(linked) == 2 * similar_cases.SHOWN and all(table["study"][film] != own for film in linked)


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
    app.file_uploader(key="match_upload").upload("film.png", png(1), "image/png").run()
    assert any("An example text" in each.value for each in app.warning)
    app.text_area(key="match_findings").set_value(TEXT).run()
    assert not app.warning and not app.exception


def test_a_film_of_a_cohort_is_matched_with_its_own_report(open_page: Open) -> None:
    app = open_page("match")
    app = of_cohort(app, 7)
    assert not app.exception and not app.error
    assert app.metric[0].label == "Match probability"


def test_explore_hands_a_film_over_to_the_match_page(open_page: Open) -> None:
    app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=60)
    app.query_params.update(match_cohort="synthetic", match_film="7")
    app.run()
    assert not app.exception and not app.error
    assert app.number_input(key="match_film").value == 7


def test_page_command_and_python_give_the_same_probabilities_digit_for_digit(
    open_page: Open, networks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "film.png"
    film.write_bytes(png())
    app = open_page("diagnose")
    app.file_uploader(key="diagnose_upload").upload(film.name, film.read_bytes(), "image/png").run()
    expected = Reader.load(networks / "classifier").read(read_film(film)).probabilities
    table = app.dataframe[0].value
    assert not app.exception
    assert dict(zip(table["label"], table["probability"], strict=True)) == dict(expected)
    main(["diagnose", str(film), "--checkpoint", "classifier", "--json"])
    assert json.loads(capsys.readouterr().out)["probabilities"] == dict(expected)


def test_a_second_x_ray_of_the_patient_stands_beside_the_first_with_its_own_match(
    open_page: Open, networks: Path, cohort_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[list[str]] = []
    show = viewer.show
    monkeypatch.setattr(
        viewer,
        "show",
        lambda *views, **how: (titles.append([each.title for each in views]), show(*views, **how))[1],
    )
    cohort = Cohort.open(cohort_folder)
    patient = cohort.study_of(7).patient
    (other,) = [film for film in cohort.films_of_patient(patient)["film"] if film != 7]
    app = of_cohort(open_page("match"), 7)
    choice = app.selectbox(key="match_second_synthetic_7")
    assert choice.value is None and f"X-ray {other}, " in choice.options[0]
    choice.set_value(other).run()
    assert not app.exception and not app.error
    findings = cohort.study_of(7).findings
    reader = Reader.load(networks / "timnet")
    matches = [reader.read(cohort.read_film(film), findings).match for film in (7, other)]
    assert titles[-1] == [f"First X-ray: {matches[0]:.3f}", f"Second X-ray: {matches[1]:.3f}"]
    assert any(f"second X-ray with **{matches[1]:.3f}**" in each.value for each in app.markdown)
    # Another X-ray begins alone.
    of_cohort(app, 9)
    assert titles[-1] == ["Map of the whole text"] and not app.exception


def test_a_second_upload_that_is_no_frontal_x_ray_is_shown_without_a_number(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page("match")
    app.file_uploader(key="match_upload").upload("film.png", png(1), "image/png")
    app.text_area(key="match_findings").set_value(TEXT).run()
    monkeypatch.setattr(cache, "doubt", lambda film: "")
    app.file_uploader(key="match_second").upload("prior.png", png(2), "image/png").run()
    assert not app.exception and any("matches the second X-ray" in each.value for each in app.markdown)
    first = app.file_uploader(key="match_upload").value
    assert first is not None and first.name == "film.png"
    second = read_film(png(2)).key
    lateral = "this looks like a lateral X-ray"
    monkeypatch.setattr(cache, "doubt", lambda film: lateral if film.key == second else "")
    app.run()
    assert not app.exception and not any("matches the second X-ray" in each.value for each in app.markdown)
    assert any("lateral X" in each.value for each in app.caption)
