"""Several films at once: every film's own numbers, bad files named, a table that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from timnet import config, spreadsheet
from timnet.cohorts.store import Cohort
from timnet.films import sandbox
from timnet.films.film import INVERTED, LOOKS_INVERTED, Film
from timnet.films.read import read_film
from timnet.reader import Reader
from timnet.ui.diagnose import batch
from timnet.ui.diagnose.batch import Answer, Item


def _png(seed: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (60, 48), dtype=np.uint8)
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, cohort_folder: Path, networks: Path) -> AppTest:
    monkeypatch.setenv("TIMNET_HOME", str(cohort_folder.parent))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(networks))
    # The decoder's child is tested elsewhere, and takes a second a film.
    monkeypatch.setattr(sandbox, "read_untrusted", lambda data, *, name, **_: read_film(data, name=name))
    app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=60).run()
    app.switch_page("pages/diagnose.py").run()
    return app.segmented_control(key="diagnose_how").set_value("Several X-rays").run()


def _upload(app: AppTest, files: list[tuple[str, bytes]]) -> AppTest:
    app.file_uploader(key="diagnose_uploads").set_value([(name, data, "") for name, data in files]).run()
    return app.button(key="diagnose_read_all").click().run()


def test_each_upload_gets_its_own_numbers_and_bad_files_are_named_while_others_go_on(
    page: AppTest, networks: Path
) -> None:
    files = [("a.png", _png(1)), ("![x](b).pdf", b"%PDF-1.7"), ("IM0003", _png(2)), ("empty", b"")]
    app = _upload(page, files)
    assert not app.exception and not app.error
    table = app.dataframe[0].value
    reader = Reader.load(networks / "classifier")
    for row, (_, data) in enumerate(files):
        if row in (0, 2):
            expected = reader.read(read_film(data)).probabilities
            assert {label: table[label][row] for label in expected} == dict(expected)
        else:
            assert math.isnan(table["Effusion"][row])
    assert table["film"].tolist() == [name for name, _ in files]
    said = [warning.value for warning in app.warning]
    assert len(said) == 2 and "PDF document" in said[0] and said[1].startswith("empty")
    assert not any("![" in sentence for sentence in said)


def test_the_first_film_read_is_open_below_the_table(page: AppTest, networks: Path) -> None:
    app = _upload(page, [("bad", b"no"), ("good.png", _png(3))])
    expected = Reader.load(networks / "classifier").read(read_film(_png(3))).probabilities
    shown = app.dataframe[1].value
    assert dict(zip(shown["label"], shown["probability"], strict=True)) == dict(expected)
    assert any(text.value == "Opened: good.png" for text in app.text)
    assert app.get("bidi_component")


def test_a_film_that_was_read_is_not_read_again(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    read = Reader.read
    monkeypatch.setattr(
        Reader, "read", lambda self, film, *text: (reads.append(self.name), read(self, film, *text))[1]
    )
    app = _upload(page, [("a.png", _png(11)), ("b.png", _png(12))])
    once = len(reads)
    app.run()
    assert not app.exception and len(reads) == once == 3  # the two, and the one that is open with its maps
    assert not any(button.key == "diagnose_read_all" for button in app.button)


def test_films_that_look_inverted_are_offered_inverted(
    page: AppTest, networks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sandbox, "read_untrusted", lambda data, *, name, invert: read_film(data, name=name, invert=invert)
    )
    turned = {read_film(_png(21)).sha256}

    def doubt(film: Film) -> str:
        return LOOKS_INVERTED if film.sha256 in turned and INVERTED not in film.notes else ""

    monkeypatch.setattr(batch.cache, "doubt", doubt)
    app = _upload(page, [("dark.png", _png(21)), ("good.png", _png(22))])
    assert math.isnan(app.dataframe[0].value["Effusion"][0])
    app.button(key="diagnose_read_inverted").click().run()
    assert not app.exception and not app.error and not app.warning
    table = app.dataframe[0].value
    reader = Reader.load(networks / "classifier")
    for row, film in enumerate((read_film(_png(21), invert=True), read_film(_png(22)))):
        assert table["Effusion"][row] == reader.read(film).probabilities["Effusion"]
    assert table["doubt"].tolist() == [INVERTED, ""]
    assert not any(button.key == "diagnose_read_inverted" for button in app.button)


def test_films_that_filters_leave_of_a_cohort_get_the_numbers_of_each(
    page: AppTest, networks: Path, cohort_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = page.segmented_control(key="diagnose_from").set_value("From a cohort").run()
    app.selectbox(key="split").set_value("test").run()
    app.button(key="diagnose_read_all").click().run()
    assert not app.exception and not app.error
    cohort = Cohort.open(cohort_folder)
    films = cohort.films()
    test = films[films["split"] == "test"]["film"].tolist()
    table = app.dataframe[0].value
    assert [int(name.rpartition(" ")[2]) for name in table["film"]] == test
    reader = Reader.load(networks / "classifier")
    expected = [reader.read(cohort.read_film(film)).probabilities["Edema"] for film in test]
    assert table["Edema"].tolist() == expected


def test_more_uploads_than_a_session_may_hold_are_refused_in_one_sentence(
    page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MOST_UPLOADS", 1)
    app = page.file_uploader(key="diagnose_uploads")
    app = app.set_value([("a.png", _png(1), ""), ("b.png", _png(2), "")]).run()
    assert not app.exception
    assert "expected at most 1 file of" in app.error[0].value


def test_the_table_holds_fingerprints_and_reasons_and_no_formula() -> None:
    def never() -> Film:
        raise AssertionError

    asked = [Item("1", '=HYPERLINK("http://evil.example")', never), Item("2", "-2.png", never)]
    known = Answer("f" * 64, "w" * 64, {"Edema": 0.25, "note": 0.5}, doubt="this looks like a lateral one")
    told = [known, Answer(refused="-2.png: an empty file")]
    table = batch.table(asked, told, ("Edema", "note"), "network", "fair")
    rows = list(csv.DictReader(io.StringIO(spreadsheet.safe_csv(table).decode())))
    assert rows[0]["film"].startswith("'=") and rows[1]["film"] == "'-2.png"
    assert float(rows[0]["Edema"]) == 0.25 and rows[1]["Edema"] == ""
    assert float(rows[0]["label note"]) == 0.5 and rows[0]["note"] == config.RESEARCH_USE
    assert rows[0]["film sha256"] == "f" * 64 and rows[0]["weights sha256"] == "w" * 64
    assert rows[1]["refused"] == "'-2.png: an empty file"
    assert rows[0]["doubt"] == "this looks like a lateral one" and rows[1]["doubt"] == ""
