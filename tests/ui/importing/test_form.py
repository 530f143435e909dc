"""The import page: a table's columns are chosen from its header, and what came in is told."""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import radiographs
from PIL import Image
from streamlit.testing.v1 import AppTest

from timnet import config
from timnet.cohorts.importing import jobs
from timnet.cohorts.readers import csv_table
from timnet.cohorts.store import Cohort

Open = Callable[..., AppTest]


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, cohort_folder: Path, tmp_path: Path) -> Open:
    """Opens the import page on the synthetic cohort, or on another home."""
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path / "checkpoints"))

    def opened(home: Path = cohort_folder.parent) -> AppTest:
        monkeypatch.setenv("TIMNET_HOME", str(home))
        app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=60).run()
        app = app.switch_page("pages/import_cohort.py").run()
        assert not app.exception
        return app

    return opened


def labelled(widgets: Any, label: str) -> Any:
    """Return the one widget of a label."""
    (found,) = [each for each in widgets if each.label == label]
    return found


def test_an_uploaded_table_with_its_films_becomes_a_cohort(open_page: Open, tmp_path: Path) -> None:
    app = open_page(tmp_path / "home")
    app.segmented_control(key="import_from").set_value("Upload").run()
    film = io.BytesIO()
    Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32).astype(np.uint8)).save(film, "PNG")
    app.file_uploader(key="import_files").set_value(
        [
            ("films.csv", b"path,report\nfilm.png,Clear lungs.\n", "text/csv"),
            ("film.png", film.getvalue(), ""),
        ]
    )
    app.run()
    assert labelled(app.selectbox, "Image file").value == "path"
    assert app.dataframe[0].value.to_dict("list") == {"path": ["film.png"], "report": ["Clear lungs."]}
    app.text_input(key="import_name").set_value("mine")
    app.button(key="import_go").click().run()
    assert not app.exception and not app.error
    deadline = time.monotonic() + 60
    while jobs.jobs()[0].state == "running" and time.monotonic() < deadline:
        time.sleep(0.2)
    app.run()
    assert not app.exception and not app.error
    assert (tmp_path / "home" / "mine").is_dir()
    (link,) = [each for each in app.get("page_link") if each.proto.label == "Explore mine"]
    assert link.proto.query_string == "cohort=mine"
    assert any("1 study of 1 patient, 1 film" in text.value for text in app.text)


def test_a_pacs_export_comes_in_from_the_page_with_its_table_of_reports(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "pacs"
    root.mkdir()
    made = radiographs.dataset(
        radiographs.quantised(12),
        12,
        AccessionNumber="A77",
        PatientID="MRN998877",
        StudyInstanceUID="1.2.9",
        **radiographs.full_window(12),
    )
    (root / "IM1").write_bytes(radiographs.written(made))
    (root / "reports.csv").write_text("accession,report\nA77,Clear lungs of MRN998877.\n")
    monkeypatch.setenv("TIMNET_IMPORTS", str(tmp_path))
    monkeypatch.setenv("TIMNET_KEY", "k" * 32)
    app = open_page(tmp_path / "home")
    app.selectbox(key="import_kind").set_value("dicom").run()
    app.text_input(key="import_folder").set_value(str(root)).run()
    app.selectbox(key="import_reports").select("reports.csv").run()
    assert labelled(app.selectbox, "Accession number or study UID").value == "accession"
    app.text_input(key="import_name").set_value("pacs")
    app.button(key="import_go").click().run()
    assert not app.exception and not app.error
    deadline = time.monotonic() + 90
    while jobs.jobs()[0].state == "running" and time.monotonic() < deadline:
        time.sleep(0.2)
    app.run()
    assert not app.exception and not app.error
    said = " ".join(text.value for text in app.text)
    assert "1 study of 1 patient, 1 film" in said and "[number]" in said and "998877" not in said


def test_the_table_and_every_column_of_an_import_are_chosen_from_what_the_table_holds(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "export"
    root.mkdir()
    grey = Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32).astype(np.uint8))
    rows = ["bild;befund;fall;patient;Erguss"]
    for film in range(12):
        grey.point(lambda value, film=film: (value + film) % 256).save(root / f"{film}.png")
        rows.append(f"{film}.png;Lungs {film}.;k{film % 3};x;{film % 2}")
    (root / "bilder.csv").write_text("\n".join(rows) + "\n")
    (root / "other.csv").write_text("a,b\n1,2\n")
    monkeypatch.setenv("TIMNET_IMPORTS", str(tmp_path))
    app = open_page(tmp_path / "home")
    app.text_input(key="import_folder").set_value(str(root)).run()
    assert not app.exception and app.button(key="import_go").disabled
    assert app.selectbox(key="import_table").options == ["bilder.csv", "other.csv"]
    app.selectbox(key="import_table").select("bilder.csv").run()
    assert labelled(app.selectbox, "Image file").options == ["bild", "befund", "fall", "patient", "Erguss"]
    assert app.button(key="import_go").disabled, "no column of image files is known yet"
    labelled(app.selectbox, "Image file").select("bild").run()
    assert not app.button(key="import_go").disabled
    assert len(app.dataframe[0].value) == 10
    assert labelled(app.selectbox, "Patient").value == "patient", "by its usual name"
    labelled(app.selectbox, "Report").select("befund")
    # The column of that name is not what it says.
    labelled(app.selectbox, "Patient").select("fall")
    labelled(app.multiselect, "Label columns").set_value(["Erguss"])
    app.text_input(key="import_name").set_value("mine").run()
    app.button(key="import_go").click().run()
    assert not app.exception and not app.error
    deadline = time.monotonic() + 90
    while jobs.jobs()[0].state == "running" and time.monotonic() < deadline:
        time.sleep(0.2)
    cohort = Cohort.open(tmp_path / "home" / "mine")
    films = cohort.films()
    assert films["patient"].tolist() == [f"k{film % 3}" for film in range(12)]
    assert films["report"].tolist() == [f"Lungs {film}." for film in range(12)]
    assert cohort.labels()["Erguss"].tolist() == [film % 2 for film in range(12)]


def test_a_table_named_by_its_path_is_read_and_a_column_of_a_usual_name_can_be_left_out(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "films.csv").write_text("path,report\na.png,Clear.\n")
    monkeypatch.setenv("TIMNET_IMPORTS", str(tmp_path))
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(jobs, "start", lambda *told: asked.append(told))
    app = open_page(tmp_path / "home")
    app.text_input(key="import_folder").set_value(str(tmp_path / "films.csv")).run()
    labelled(app.selectbox, "Report").select("")
    app.text_input(key="import_name").set_value("mine").run()
    app.button(key="import_go").click().run()
    assert not app.exception and not app.error
    ((kind, root, name, options),) = asked
    assert (kind, root, name) == ("csv", tmp_path, "mine")
    assert options["table"] == "films.csv" and options["film"] == "path" and options["text"] == ""
    studies = list(csv_table.read(tmp_path, **options))
    assert [study.report for study in studies] == [""]


def test_columns_chosen_for_one_table_are_not_kept_for_another(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bare.csv").write_text("path,other\na.png,1\n")
    (tmp_path / "films.csv").write_text("path,report,patient_id,split\na.png,Clear.,p1,test\n")
    monkeypatch.setenv("TIMNET_IMPORTS", str(tmp_path))
    app = open_page(tmp_path / "home")
    app.text_input(key="import_folder").set_value(str(tmp_path / "bare.csv")).run()
    assert [labelled(app.selectbox, name).value for name in ("Report", "Patient")] == ["", ""]
    app.text_input(key="import_folder").set_value(str(tmp_path / "films.csv")).run()
    chosen = {name: labelled(app.selectbox, name).value for name in ("Report", "Patient", "Study")}
    assert chosen == {"Report": "report", "Patient": "patient_id", "Study": ""}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("films.csv", b"path,path\n", "expected each column once"),
        ("films.csv", b"", "expected a header"),
        ("films.csv", b'path,report\na.png,"open\n', "quote"),
        ("films.csv.gz", b"no archive", ""),
    ],
)
def test_a_table_that_cannot_be_read_is_one_sentence_in_the_form(
    name: str, content: bytes, told: str, open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(content)
    monkeypatch.setenv("TIMNET_IMPORTS", str(tmp_path))
    app = open_page(tmp_path / "home")
    app.text_input(key="import_folder").set_value(str(tmp_path)).run()
    assert not app.exception
    if told:
        (error,) = app.error
        assert told in error.value and "Traceback" not in error.value
    assert not [button for button in app.button if button.key == "import_go" and not button.disabled]


def test_the_reason_of_a_failed_import_names_its_cohort_once(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "home" / jobs.FOLDER / "mend200"
    folder.mkdir(parents=True)
    (folder / ".lock").touch()
    (folder / "log.txt").write_text("timnet: mend200: expected a folder train\n")
    app = open_page(tmp_path / "home")
    (error,) = app.error
    assert error.value == "mend200: expected a folder train"
    app.button(key="import_forget_mend200").click().run()
    assert not app.error and not folder.exists()


def test_a_folder_outside_those_opened_is_refused_in_one_sentence(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_IMPORTS", str(tmp_path))
    app = open_page()
    app.text_input(key="import_folder").set_value("/etc").run()
    assert not app.exception and "expected a folder or a table inside" in app.error[0].value
    assert not [button for button in app.button if button.key == "import_go"]
