"""The explore page: a choice narrows what is shown, reports stay text, and tables leave as data."""

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom.data
import pytest
from filelock import FileLock
from PIL import Image
from streamlit.testing.v1 import AppTest

from timnet import config, settings_file, spreadsheet
from timnet.cohorts import facets, report_labels, schema
from timnet.cohorts.readers import csv_table
from timnet.cohorts.store import Cohort
from timnet.ui import study_link
from timnet.ui.explore import results

HOSTILE = (
    '<img src="http://evil.example/a.png" onerror="alert(1)"> ![x](http://evil.example/b.png) '
    "<script>alert(2)</script> :red[red] $x^2$ a nodule of ~1.5 cm~ **bold** `code`"
)
Open = Callable[..., AppTest]


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, cohort_folder: Path, tmp_path: Path) -> Open:
    """Opens the explore page on the synthetic cohort, or on another home, by an address."""
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path / "checkpoints"))

    def opened(home: Path = cohort_folder.parent, **query: str) -> AppTest:
        monkeypatch.setenv("TIMNET_HOME", str(home))
        app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=60).run()
        app.query_params.update(query)
        app = app.switch_page("pages/explore.py").run()
        assert not app.exception
        return app

    return opened


def _report(app: AppTest) -> list[dict[str, Any]]:
    """Return the sections of the report that the page shows, with their pieces."""
    shown = [json.loads(part.proto.json) for part in app.get("bidi_component") if part.proto.json]
    (told,) = [data for data in shown if "sections" in data]
    return told["sections"]


def _marked(app: AppTest) -> list[str]:
    return [text for section in _report(app) for text, found in section["pieces"] if found]


def _captions(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.caption)


def _home(folder: Path, rows: list[dict[str, str]], **columns: Any) -> Path:
    """Import a cohort `made` of small films from rows of a table, into a home of its own."""
    export = folder / "export"
    export.mkdir()
    rng = np.random.default_rng(0)
    for row in rows:
        if not (export / row["path"]).exists():
            pixels = rng.integers(0, 255, (40, 32), dtype=np.uint8)
            Image.fromarray(pixels).save(export / row["path"])
    with (export / "films.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMNET_HOME", str(folder / "home"))
        csv_table.run(export, "made", **columns)
    return folder / "home"


def test_words_labels_and_splits_narrow_the_list_and_the_found_words_are_marked(open_page: Open) -> None:
    app = open_page(shown="Table")
    app.text_input(key="explore_query").set_value("opac* NOT clear").run()
    app.selectbox(key="label").select("Opacity").run()
    app.selectbox(key="split").select("test").run()
    listed = app.dataframe[0].value
    assert not app.exception and not app.error
    assert listed["Findings"].str.contains("pacity").all() and set(listed["Split"]) == {"test"}
    assert "Impression" in [section["title"] for section in _report(app)]
    assert {word.lower() for word in _marked(app)} == {"opacity"}


def test_words_outside_findings_and_impression_are_not_marked_and_spoil_nothing(
    open_page: Open, tmp_path: Path
) -> None:
    report = "HISTORY: Fracture of the hip.\nFINDINGS: Small effusion.\nIMPRESSION: Effusion."
    app = open_page(_home(tmp_path, [{"path": "a.png", "report": report}]))
    app.text_input(key="explore_query").set_value("effusion NOT fracture").run()
    assert not app.exception and _marked(app) == ["effusion", "Effusion"]


def test_studies_that_only_deny_the_words_are_left_out_and_counted(open_page: Open, tmp_path: Path) -> None:
    texts = ["Small effusion.", "No effusion.", "Effusion is not seen.", "Clear lungs."]
    app = open_page(_home(tmp_path, [{"path": f"{i}.png", "report": text} for i, text in enumerate(texts)]))
    app.text_input(key="explore_query").set_value("effusion").run()
    assert app.toggle(key="explore_asserted").value
    assert "1 of 4 studies" in _captions(app)
    assert "Left out: 2 studies that only deny the words." in _captions(app)
    app.toggle(key="explore_asserted").set_value(False).run()
    assert not app.exception and "3 of 4 studies" in _captions(app)
    assert "Listed too: 2 studies that only deny the words." in _captions(app)


def test_labels_are_told_with_their_source_present_ones_first(open_page: Open, tmp_path: Path) -> None:
    row = {"path": "a.png", "report": "Clear.", "Mass": "0", "Nodule": "1", "Edema": "-1", "Other": ""}
    app = open_page(_home(tmp_path, [row], labels=["Mass", "Nodule", "Edema", "Other"]))
    (table,) = [frame.value for frame in app.dataframe if "Source" in frame.value.columns]
    assert table["Label"].tolist()[0] == "Nodule" and table["Label"].tolist()[-1] == "Mass"
    assert dict(zip(table["Label"], table["Value"], strict=True))["Edema"] == "uncertain"
    assert "Other" not in set(table["Label"]) and table["Source"].nunique() == 1


def test_the_sentence_behind_a_label_by_the_report_stands_beside_it(open_page: Open, tmp_path: Path) -> None:
    report = "FINDINGS: <b>No</b> effusion. The heart is enlarged."
    home = _home(tmp_path, [{"path": "a.png", "patient": "p", "report": report}], text="report")
    report_labels.label(home / "made")
    app = open_page(home, cohort="made")
    table = next(each.value for each in app.dataframe if "Sentence" in each.value)
    rows = {row.Label: (row.Value, row.Source, row.Sentence) for row in table.itertuples()}
    assert rows["Cardiomegaly"] == ("present", "report", "The heart is enlarged.")
    assert rows["Pleural Effusion"][:2] == ("absent", "report")
    assert "phrase tables have changed" not in _captions(app)
    # As if the tables had told something else when the cohort was labelled.
    with schema.change(home / "made") as connection:
        connection.execute("UPDATE labels SET value = 0.0 WHERE value = 1.0")
        connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'revision'")
    assert "phrase tables have changed" in _captions(open_page(home, cohort="made"))


def test_counts_follow_the_filters(open_page: Open, cohort_folder: Path) -> None:
    cohort = Cohort.open(cohort_folder)
    app = open_page(label="Opacity", value="present")
    expected = cohort.count(label="Opacity", value=1.0)
    assert f"{expected:,} of {cohort.summary().studies:,} studies" in _captions(app)
    assert not app.get("plotly_chart")
    app.session_state["explore_counts"] = True
    app.run()
    assert not app.exception and app.get("plotly_chart")
    assert f"{expected:,} studies with" in _captions(app)


def test_an_address_restores_the_filters_and_the_open_film(open_page: Open, cohort_folder: Path) -> None:
    wanted = {"label": "Opacity", "value": 0.0, "split": "train"}
    studies = Cohort.open(cohort_folder).studies(**wanted, limit=2 * study_link.PAGE)  # type: ignore[arg-type]
    row = study_link.PAGE + 3
    film = str(int(studies["film"][row]))
    app = open_page(label="Opacity", value="absent", split="train", page="2", film=film, shown="Gallery")
    assert app.selectbox(key="value").value == "absent"
    assert any(studies["study"][row] in text.value for text in app.text)
    app.button(key="explore_open_0").click().run()
    assert any(studies["study"][study_link.PAGE] in text.value for text in app.text)
    assert app.query_params["film"] == str(int(studies["film"][study_link.PAGE]))


def test_searched_words_stay_out_of_the_address(open_page: Open) -> None:
    app = open_page()
    app.text_input(key="explore_query").set_value("opacity").run()
    assert not app.exception
    assert "opacity" not in json.dumps(dict(app.query_params.items())).lower()


def test_whoever_opens_a_link_is_told_that_its_search_words_were_left_out(open_page: Open) -> None:
    app = open_page()
    assert not any("left out" in info.value for info in app.info)
    app.text_input(key="explore_query").set_value("opacity").run()
    assert not any("left out" in info.value for info in app.info), "the sender has the words"
    address = {name: app.query_params[name] for name in app.query_params}
    received = open_page(**address)
    assert any("Search words were left out of this link" in info.value for info in received.info)
    # Words of one's own end that, and so does their end.
    received.text_input(key="explore_query").set_value("opacity").run()
    assert not any("left out" in info.value for info in received.info)
    received.text_input(key="explore_query").set_value("").run()
    assert not any("left out" in info.value for info in received.info)
    assert "words" not in received.query_params
    app.text_input(key="explore_query").set_value("").run()
    assert "words" not in app.query_params


def test_a_link_to_a_cohort_that_is_not_here_says_so(open_page: Open) -> None:
    app = open_page(cohort="gone")
    assert ["There is no cohort gone here" in info.value for info in app.info] == [True]
    assert not open_page(cohort="synthetic").info


def test_an_unreadable_query_is_refused_in_one_sentence(open_page: Open) -> None:
    app = open_page()
    app.text_input(key="explore_query").set_value('"opacity').run()
    assert not app.exception and len(app.error) == 1


def test_a_hostile_report_stays_the_text_it_is(open_page: Open, tmp_path: Path) -> None:
    home = _home(tmp_path, [{"path": "film.png", "report": HOSTILE, "study": HOSTILE[:60]}])
    app = open_page(home)
    app.text_input(key="explore_query").set_value("nodule").run()
    assert not app.exception and _marked(app) == ["nodule"]
    assert "".join(text for text, _ in _report(app)[0]["pieces"]) == HOSTILE
    shown = [*app.markdown, *app.caption, *app.error, *app.info]
    assert not any("evil.example" in str(element.value) for element in shown)
    assert "![" not in app.button(key="explore_open_0").label


def test_two_films_of_a_study_are_shown_together_and_three_are_chosen_from(
    open_page: Open, tmp_path: Path
) -> None:
    rows = [
        {"path": f"{study}{i}.png", "study": study, "report": "Clear.", "view": view}
        for study, views in (("a", "PA LATERAL"), ("b", "PA AP LATERAL"))
        for i, view in enumerate(views.split())
    ]
    home = _home(tmp_path, rows)
    films = _films(open_page(home))
    assert [film["sides"]["left"] for film in films] == ["R", ""]
    app = open_page(home, film="2")
    assert len(_films(app)) == 2
    app.multiselect(key="explore_films_2").set_value([2]).run()
    assert [film["title"].split(",")[0] for film in _films(app)] == ["LATERAL"]


def _films(app: AppTest) -> list[dict[str, Any]]:
    """Return what the viewer was told of its films."""
    (data,) = [part.proto.bytes for part in app.get("bidi_component") if part.proto.bytes]
    return json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])["films"]


def test_tags_of_a_dicom_film_are_listed_once_asked_for_with_names_hidden(
    open_page: Open, tmp_path: Path
) -> None:
    (tmp_path / "export").mkdir()
    source = Path(pydicom.data.__file__).parent / "test_files" / "CT_small.dcm"
    made = pydicom.dcmread(source)
    made.Modality, made.PatientName = "CR", "ZZPHI^TEST"
    made.save_as(tmp_path / "export" / "film.dcm")
    (tmp_path / "export" / "films.csv").write_text("path,report\nfilm.dcm,Clear.\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMNET_HOME", str(tmp_path / "home"))
        csv_table.run(tmp_path / "export", "made")
    app = open_page(tmp_path / "home")
    assert not any("Name" in frame.value.columns for frame in app.dataframe)
    app.session_state["explore_tags_0"] = True
    app.run()
    (table,) = [frame.value for frame in app.dataframe if "Name" in frame.value.columns]
    by_name = dict(zip(table["Name"], table["Value"], strict=True))
    assert not app.exception and by_name["Patient's Name"] == "hidden" and by_name["Modality"] == "CR"
    assert not table.astype(str).map(lambda cell: "ZZPHI" in cell).any(axis=None)


def test_the_table_leaves_with_labels_and_without_reports_and_no_cell_is_a_formula(
    tmp_path: Path,
) -> None:
    rows = [
        {"path": "a.png", "study": "=1+1", "patient": "@x", "report": "Secret words.", "Effusion": "1"},
        {"path": "b.png", "study": "s2", "patient": "p2", "report": "Clear.", "Effusion": ""},
    ]
    cohort = Cohort.open(_home(tmp_path, rows, labels=["Effusion"]) / "made")
    table = results.listing(cohort, {"label": "Effusion", "value": 1.0})
    assert table["study"].tolist() == ["=1+1"] and table["label Effusion"].tolist() == [1.0]
    whole = results.listing(cohort, {})
    assert math.isnan(whole["label Effusion"][1])
    written = spreadsheet.safe_csv(whole)
    assert b"Secret" not in written and b"Clear" not in written
    read = pd.read_csv(io.BytesIO(written))
    assert read["study"].tolist() == ["'=1+1", "s2"] and read["patient"].tolist() == ["'@x", "p2"]
    back = pd.read_parquet(io.BytesIO(spreadsheet.parquet(whole)))
    assert back["study"].tolist() == ["=1+1", "s2"]


def test_a_cohort_offers_the_views_sexes_and_ages_that_it_holds(tmp_path: Path) -> None:
    rows = [
        {"path": "a.png", "report": "Clear.", "view": "PA", "sex": "F", "age": "70"},
        {"path": "b.png", "report": "Clear.", "view": "", "sex": "", "age": "31"},
    ]
    told = facets.choices(_home(tmp_path, rows) / "made")
    assert told == facets.Choices(views=("PA", ""), sexes=("F", ""), ages=(31, 70))


def test_a_cohort_is_renamed_and_deleted_from_the_page_once_it_is_said_for_sure(
    open_page: Open, tmp_path: Path
) -> None:
    home = _home(tmp_path, [{"path": "a.png", "report": "Clear."}])
    app = open_page(home)
    app.session_state["upkeep_open"] = True
    app.run()
    app.text_input(key="upkeep_name_made").set_value("../away").run()
    app.button(key="upkeep_rename").click().run()
    assert not app.exception and "cohort name" in app.error[0].value
    app.text_input(key="upkeep_name_made").set_value("renamed").run()
    app.button(key="upkeep_rename").click().run()
    assert not app.exception and not app.error
    assert app.selectbox(key="cohort").value == "renamed" and (home / "renamed").is_dir()
    assert "studies: 1" in app.warning[0].value and "stay in the folder" in app.warning[0].value
    assert app.button(key="upkeep_delete").disabled
    app.checkbox(key="upkeep_sure_renamed").check().run()
    app.button(key="upkeep_delete").click().run()
    assert not app.exception and not app.error
    assert not (home / "renamed").exists() and any(info for info in app.info)


def test_a_cohort_that_a_run_uses_is_not_offered_to_be_deleted(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = _home(tmp_path, [{"path": "a.png", "report": "Clear."}])
    folder = tmp_path / "checkpoints" / "run"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(
        settings_file.to_json(config.Pretrain(cohorts=("other", str(home / "made"))))
    )
    with FileLock(folder / ".lock"):
        app = open_page(home)
        app.session_state["upkeep_open"] = True
        app.run()
        assert "A run is using it: run" in app.info[0].value
        assert not [button for button in app.button if button.key in ("upkeep_delete", "upkeep_rename")]
