"""Labels by reports in a cohort: where they rank, what replaces them, and what is left out and counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from timnet.__main__ import main
from timnet.cohorts import report_labels, schema, store, tasks
from timnet.cohorts.importing import pipeline
from timnet.cohorts.records import UNCERTAIN, CohortError, FilmRecord, StudyRecord

REPORTS = (
    "FINDINGS: The heart is enlarged. No effusion.\n\nIMPRESSION: Possible pneumonia.",
    "BEFUND: Kein Pleuraerguss. Das Herz ist normal groß.",
    "RÉSULTATS: Épanchement pleural gauche. Pas de pneumothorax.",
    "HALLAZGOS: Sin derrame pleural. Corazón de tamaño normal.",
    "Non versamento pleurico. Cuore di dimensioni normali.",
    "",
)
EFFUSION = "Pleural Effusion"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "export"
    root.mkdir()
    rng = np.random.default_rng(0)
    for number in range(len(REPORTS)):
        Image.fromarray(rng.integers(0, 255, (20, 20), dtype=np.uint8)).save(root / f"{number}.png")
    return root


def write(
    folder: Path, root: Path, reports: tuple[str, ...] = REPORTS, labelled: bool = False
) -> store.Cohort:
    records = [
        StudyRecord(
            str(number),
            str(number),
            report,
            (FilmRecord(f"{number}.png"),),
            {"pleural_effusion": 1.0} if labelled and number == 0 else {},
            "train",
        )
        for number, report in enumerate(reports)
    ]
    store.write(folder, source="test", root=root, records=records, side=8)
    return store.Cohort.open(folder)


def test_a_cohort_without_labels_gets_them_in_four_languages_and_can_be_learned(
    tmp_path: Path, root: Path
) -> None:
    cohort = write(tmp_path / "c", root)
    assert tasks.available(cohort) == []
    identity = cohort.identity
    found = report_labels.label(cohort.folder)
    assert found.languages == {"en": 1, "de": 1, "fr": 1, "es": 1}
    assert found.left_out == {report_labels.OTHER_LANGUAGE: 1, report_labels.NO_TEXT: 1}
    assert found.first_left_out == ("4",)
    assert found.labels[EFFUSION] == {"present": 1, "absent": 3, "uncertain": 0}
    np.testing.assert_array_equal(cohort.labels()[EFFUSION], [0, 0, 1, 0, np.nan, np.nan])
    np.testing.assert_array_equal(cohort.labels()["Pneumonia"], [UNCERTAIN, *[np.nan] * 5])
    assert cohort.label_sources() == ("report",) and cohort.identity != identity
    assert {EFFUSION, "Cardiomegaly", "No Finding", "chexpert14"} <= {*tasks.available(cohort)}
    assert cohort.count(label=EFFUSION, value=1) == 1 and cohort.count(label=EFFUSION, value=0) == 3
    assert cohort.facets().labels[EFFUSION] == store.LabelCount(1, 3, 0, 2)
    assert report_labels.sentences(cohort.study("0")) == {
        "Cardiomegaly": "The heart is enlarged.",
        EFFUSION: "No effusion.",
        "Pneumonia": "Possible pneumonia.",
        "No Finding": "The heart is enlarged.",
    }


def test_the_app_and_the_data_set_come_before_the_report(tmp_path: Path, root: Path) -> None:
    cohort = write(tmp_path / "c", root, labelled=True)
    report_labels.label(cohort.folder)
    study = cohort.study("0")
    assert study.labels["pleural_effusion"] == 1 and EFFUSION not in study.labels  # one label, one name
    assert study.labels_by_source["report"]["pleural_effusion"] == 0
    cohort.add_label("0", "cardiomegaly", 0)
    assert cohort.study("0").labels["Cardiomegaly"] == 0
    assert cohort.label_sources() == ("app", "test", "report")
    assert report_labels.sentences(study)["pleural_effusion"] == "No effusion."


def test_a_second_run_replaces_the_first_and_one_that_is_interrupted_leaves_it(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = write(tmp_path / "c", root)
    report_labels.label(cohort.folder)
    before = cohort.labels("report")

    def contents() -> list[tuple]:
        with schema.connect(cohort.folder) as connection:
            return connection.execute("SELECT * FROM labels ORDER BY study, label").fetchall()

    rows = contents()
    report_labels.label(cohort.folder)
    assert contents() == rows
    with monkeypatch.context() as patch:

        def stop(connection: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(report_labels.label_store, "fill_signs", stop)
        patch.setattr(report_labels, "_rows", lambda *_: [])
        with pytest.raises(KeyboardInterrupt):
            report_labels.label(cohort.folder)
    assert contents() == rows and cohort.labels("report").equals(before)


def test_a_new_import_reads_the_new_reports_for_labels(tmp_path: Path, root: Path) -> None:
    cohort = write(tmp_path / "c", root)
    report_labels.label(cohort.folder)
    cohort.add_label("1", "Edema", 1)
    again = write(tmp_path / "c", root, ("FINDINGS: There is a large pleural effusion.", *REPORTS[1:]))
    assert again.labels("report")[EFFUSION].tolist()[:4] == [1, 0, 1, 0]
    assert again.labels()["Edema"].tolist()[1] == 1 and again.count(label="edema", value=1) == 1
    never = write(tmp_path / "d", root)
    write(tmp_path / "d", root)
    assert never.folder and store.Cohort.open(tmp_path / "d").label_sources() == ()


def test_a_damaged_table_stops_an_import_before_it_reads_films(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(language: str) -> None:
        raise report_labels.label_words.phrase_tables.PhraseError(f"{language}.toml: damaged")

    monkeypatch.setattr(pipeline.phrase_tables, "table", damaged)
    with pytest.raises(report_labels.label_words.phrase_tables.PhraseError, match=r"en\.toml: damaged"):
        write(tmp_path / "c", root)
    assert not (tmp_path / "c").exists() and not (tmp_path / ".c.importing").exists()


def test_a_cohort_without_reports_is_refused_in_one_sentence(tmp_path: Path, root: Path) -> None:
    cohort = write(tmp_path / "c", root, ("", REPORTS[4]))
    with pytest.raises(
        CohortError, match=r"^c: expected reports to label, found none: no findings .* \(1\); lang"
    ):
        report_labels.label(cohort.folder)
    assert cohort.label_sources() == ()


def test_no_reader_may_call_its_source_report(tmp_path: Path, root: Path) -> None:
    with pytest.raises(CohortError, match="label source: expected a reader's own name, got 'report'"):
        store.write(tmp_path / "c", source="test", root=root, records=[], label_source="report")


def test_the_command_prints_counts_and_what_is_left_out(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    write(tmp_path / "c", root)
    assert main(["label", "c"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "c: 4 studies labelled by the report (en 1, de 1, fr 1, es 1)"
    assert lines[11].split() == ["Pleural", "Effusion", "present", "1", "absent", "3", "uncertain", "0"]
    assert "left out: 1  no findings or impression" in lines and "  such as 4" in lines
    assert "reading reports: 6 of 6" in err
    assert main(["label", "c", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["labels"][EFFUSION] == {"present": 1, "absent": 3, "uncertain": 0}
    assert (told["cohort"], told["studies"], told["first_left_out"]) == ("c", 4, ["4"])
    assert not any(report in out for report in REPORTS if report)
    assert main(["label", "nowhere"]) == 2
