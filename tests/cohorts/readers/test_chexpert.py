"""CheXpert and CheXpert Plus: the published tables and folders, their faults, and whose films are whose."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from timnet.cohorts import store
from timnet.cohorts.readers import chexpert
from timnet.cohorts.records import CohortError, Skipped, StudyRecord
from timnet.cohorts.tasks import CHEXPERT14

HEADER = f"Path,Sex,Age,Frontal/Lateral,AP/PA,{','.join(CHEXPERT14)}"
BLANK = "," * 13
TRAIN = (
    f"train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0{BLANK}",
    "train/patient00002/study2/view1_frontal.jpg,Female,87,Frontal,AP,,,-1.0,1.0,,-1.0,0.0,,,,1.0,,1.0,",
    "train/patient00002/study2/view2_lateral.jpg,Female,87,Lateral,,,,-1.0,1.0,,-1.0,0.0,,,,1.0,,1.0,",
    f"train/patient00002/study1/view1_frontal.jpg,Female,83,Frontal,PA,,,,1.0{',' * 10}1.0",
)
VALID = (f"valid/patient64541/study1/view1_frontal.jpg,Male,0,Frontal,AP,{','.join(['0.0'] * 14)}",)
PLUS_HEADER = (
    "path_to_image,path_to_dcm,frontal_lateral,ap_pa,deid_patient_id,patient_report_date_order,report,"
    "section_narrative,section_clinical_history,section_history,section_comparison,section_technique,"
    "section_procedure_comments,section_findings,section_impression,section_end_of_impression,"
    "section_summary,section_accession_number,age,sex,race,ethnicity,interpreter_needed,insurance_type,"
    "recent_bmi,deceased,split"
)


def film(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (16, 16), np.uint8)
    Image.fromarray(pixels).save(path)


def write_export(
    root: Path, folder: str = "CheXpert-v1.0-small", prefix: str = "CheXpert-v1.0-small"
) -> Path:
    place = root / folder
    for number, row in enumerate((*TRAIN, *VALID)):
        film(place / row.split(",")[0], 40 + 9 * number)
    for name, rows in (("train", TRAIN), ("valid", VALID)):
        lines = [HEADER, *(f"{prefix}/{row}" for row in rows)]
        (place / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return root


def split(root: Path) -> tuple[list[StudyRecord], list[tuple[str, str]], list[str]]:
    notes: list[str] = []
    records = list(chexpert.read(root, notes=notes))
    skipped = [(record.row, record.reason) for record in records if isinstance(record, Skipped)]
    return [record for record in records if isinstance(record, StudyRecord)], skipped, notes


@pytest.mark.parametrize(
    ("folder", "prefix", "below"),
    [
        ("CheXpert-v1.0-small", "CheXpert-v1.0-small", False),
        ("CheXpert-v1.0-small", "CheXpert-v1.0-small", True),
        ("CheXpert-v1.0", "CheXpert-v1.0", False),
        ("our copy", "CheXpert-v1.0", False),  # renamed
    ],
)
def test_the_published_layout_is_read_whatever_its_folder_is_called(
    tmp_path: Path, folder: str, prefix: str, below: bool
) -> None:
    write_export(tmp_path, folder, prefix)
    records, skipped, notes = split(tmp_path / folder if below else tmp_path)
    assert [(r.study, r.patient, r.split, r.sex, r.age) for r in records] == [
        ("train/patient00001/study1", "patient00001", "train", "F", 68.0),
        ("train/patient00002/study2", "patient00002", "train", "F", 87.0),
        ("train/patient00002/study1", "patient00002", "train", "F", 83.0),
        ("valid/patient64541/study1", "patient64541", "val", "M", None),  # 0 is no age there
    ]
    assert [[each.view for each in record.films] for record in records] == [
        ["AP"],
        ["AP", "LATERAL"],
        ["PA"],
        ["AP"],
    ]
    root = tmp_path / folder if below else tmp_path
    assert all((root / each.path).is_file() for record in records for each in record.films)
    assert (skipped, notes) == ([], ["no rows of test: that split is empty"])


def test_labels_are_positive_negative_uncertain_or_unknown(tmp_path: Path) -> None:
    labels = split(write_export(tmp_path))[0][1].labels
    said = {label: value for label, value in labels.items() if value == value}
    assert said == {
        "Cardiomegaly": -1.0, "Lung Opacity": 1.0, "Edema": -1.0, "Consolidation": 0.0,
        "Pleural Effusion": 1.0, "Fracture": 1.0,
    }  # fmt: skip
    assert len(labels) == 14


def test_the_zips_of_the_full_set_are_read_from_their_batches(tmp_path: Path) -> None:
    root = write_export(tmp_path, "CheXpert-v1.0", "CheXpert-v1.0")
    top = root / "CheXpert-v1.0"
    batches = [root / f"CheXpert-v1.0 batch {name}" for name in ("2 (train 1)", "3 (train 2)")]
    for patient, batch in zip(("patient00001", "patient00002"), batches, strict=True):
        batch.mkdir()
        (top / "train" / patient).rename(batch / patient)
    first = root / "CheXpert-v1.0 batch 1 (validate & csv)"
    top.rename(first)
    summary_paths = [film.path for record in split(root)[0] for film in record.films]
    assert len(summary_paths) == 5 and all((root / path).is_file() for path in summary_paths)


@pytest.mark.parametrize("column", ["Path", "Study"])
def test_the_test_set_has_no_views_and_may_name_studies_alone(tmp_path: Path, column: str) -> None:
    root = write_export(tmp_path)
    place = root / "CheXpert-v1.0-small" / "test" / "patient64741" / "study1"
    film(place / "view1_frontal.jpg", 3)
    film(place / "view2_lateral.jpg", 4)
    labels = ",".join(["0", "1"] * 7)
    ends = ["/view1_frontal.jpg", "/view2_lateral.jpg"] if column == "Path" else [""]
    rows = [f"test/patient64741/study1{end},{labels}" for end in ends]
    header = ",".join([column, *CHEXPERT14])
    (root / "CheXpert-v1.0-small" / "test_labels.csv").write_text("\n".join([header, *rows]))
    records, skipped, _ = split(root)
    (tested,) = [record for record in records if record.split == "test"]
    assert (tested.patient, [each.view for each in tested.films]) == ("patient64741", [None, "LATERAL"])
    assert list(tested.labels.values()) == [0.0, 1.0] * 7
    assert skipped == []


@pytest.mark.parametrize("how", ["bom and crlf", "gzip", "gz that is plain", "semicolons"])
def test_the_tables_are_read_as_real_copies_write_them(tmp_path: Path, how: str) -> None:
    plain = split(write_export(tmp_path))[0]
    path = tmp_path / "CheXpert-v1.0-small" / "train.csv"
    data = path.read_bytes()
    if how == "bom and crlf":
        path.write_bytes(b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))
    elif how == "semicolons":
        path.write_bytes(data.replace(b",", b";"))
    else:
        path.unlink()
        packed = gzip.compress(data) if how == "gzip" else data
        path.with_name("train.csv.gz").write_bytes(packed)
    assert repr(split(tmp_path)[0]) == repr(plain)


def test_faulty_rows_are_named_and_counted_and_the_others_come_in(tmp_path: Path) -> None:
    root = write_export(tmp_path)
    path = root / "CheXpert-v1.0-small" / "train.csv"
    more = [
        TRAIN[0],  # twice
        TRAIN[1].replace("study2", "study3").replace(",1.0,,1.0,", ",2.0,,1.0,"),
        f",Female,1,Frontal,AP,{BLANK}",
        f"elsewhere/view1_frontal.jpg,Female,1,Frontal,AP,{BLANK}",
        f"train/patient00001/study1/view9_frontal.jpg,Female,68,Frontal,AP,0.0{BLANK}",
        "train/patient00009/study1/view1_frontal.jpg,Female",
        f"train/patient00003/study1/view1_frontal.jpg,Female,30,Frontal,AP,{BLANK}",
    ]
    path.write_text(path.read_text() + "\n".join(more) + "\n")
    records, skipped, _ = split(root)
    where = "path is not SPLIT/patientN/studyN/FILM with a split train, valid or test"
    assert sorted(skipped) == sorted(
        [
            ("train.csv row 6", "film is listed twice"),
            ("train.csv row 7", "label Pleural Effusion is none of 1, 0, -1, or blank"),
            ("train.csv row 8", where),
            ("train.csv row 9", where),
            ("train.csv row 10", "label No Finding differs from the first row of its study"),
            ("train.csv row 11", "row has not as many cells as the header"),
        ]
    )
    assert len(records) == 5  # the last row's film is looked for by the import
    summary_of = {record.study: len(record.films) for record in records}
    assert summary_of["train/patient00001/study1"] == 1


@pytest.mark.parametrize(
    ("name", "header", "message"),
    [
        ("train.csv", "image,Sex\n", "train.csv: expected a column 'Path', got image, Sex"),
        ("train.csv", "Path,Sex\n", "train.csv: expected a column 'No Finding', got Path, Sex"),
        (
            "other.csv",
            "Path\n",
            "expected train.csv, valid.csv or df_chexpert_plus_240401.csv in .*, found none",
        ),
    ],
)
def test_a_table_of_another_layout_is_refused_in_one_sentence(
    tmp_path: Path, name: str, header: str, message: str
) -> None:
    (tmp_path / name).write_text(header)
    with pytest.raises(CohortError, match=message):
        list(chexpert.read(tmp_path))


def test_with_one_split_alone_splits_are_drawn_and_no_patient_is_in_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    rows = []
    for patient in range(30):
        for study in (1, 2):
            row = f"train/patient{patient:05}/study{study}/view1_frontal.jpg"
            film(tmp_path / "small" / row, 7 * patient % 200 + study)
            rows.append(f"CheXpert-v1.0-small/{row},Male,50,Frontal,AP,1.0{BLANK}")
    (tmp_path / "small" / "train.csv").write_text("\n".join([HEADER, *rows]))
    summary = chexpert.run(tmp_path, "c")
    assert (summary.studies, summary.patients, summary.crossing) == (60, 30, 0)
    assert set(summary.splits) == {"train", "val", "test"}
    with store.Cohort.open("c") as cohort:
        assert (cohort.films().groupby("patient")["split"].nunique() == 1).all()


def test_missing_and_damaged_films_are_counted_by_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    root = write_export(tmp_path / "x")
    place = root / "CheXpert-v1.0-small" / "train"
    (place / "patient00001/study1/view1_frontal.jpg").unlink()
    damaged = place / "patient00002/study2/view2_lateral.jpg"
    damaged.write_bytes(damaged.read_bytes()[:40])
    summary = chexpert.run(root, "c")
    assert summary.films + sum(summary.skipped.values()) == len(TRAIN) + len(VALID)
    assert summary.skipped["film is missing"] == 1 and sum(summary.skipped.values()) == 2


def write_plus(root: Path, suffix: str = ".png") -> Path:
    """Write CheXpert Plus: reports in the table, labels in a file of their own, PNG in a folder PNG."""
    root.mkdir(exist_ok=True)
    paths = ("train/patient42142/study5/view1_frontal.jpg", "train/patient42142/study5/view2_lateral.jpg",
             "valid/patient64545/study1/view1_frontal.jpg")  # fmt: skip
    reports = (
        ('"NARRATIVE:\nCHEST: 1/2\nIMPRESSION:\n1. Small effusion."', "", "1. Small effusion."),
        ('"NARRATIVE:\nCHEST: 1/2\nIMPRESSION:\n1. Small effusion."', "", "1. Small effusion."),
        ('"FINDINGS: Clear.\nACCESSION NUMBER: 7"', "The lungs are clear.", ""),
    )
    lines, labels = [PLUS_HEADER], []
    for number, (path, (report, findings, impression)) in enumerate(zip(paths, reports, strict=True)):
        side = "Lateral" if "lateral" in path else "Frontal"
        patient = path.split("/")[1]
        lines.append(
            f"{path},{path[:-3]}dcm,{side},{'' if side == 'Lateral' else 'AP'},{patient},1,{report},n,cough,,"
            f"None.,,,{findings},{impression},END,ABNORMAL,123,61,Male,White,x,No,x,,No,{path.split('/')[0]}"
        )
        said = dict.fromkeys(CHEXPERT14) | {"Pleural Effusion": 1.0 if number < 2 else 0.0, "Edema": -1.0}
        labels.append(json.dumps({"path_to_image": path, **said}))
        film(root / "PNG" / "PNG" / path.replace(".jpg", suffix), 20 * number + 9)
    (root / "df_chexpert_plus_240401.csv").write_text("\n".join(lines) + "\n")
    (root / "chexbert_labels").mkdir()
    (root / "chexbert_labels" / "impression_fixed.json").write_text("\n".join(labels) + "\n{broken\n")
    return root


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_chexpert_plus_has_reports_labels_and_films_of_another_suffix(tmp_path: Path, suffix: str) -> None:
    records, skipped, notes = split(write_plus(tmp_path / "plus", suffix))
    assert [(r.study, r.split, len(r.films), r.age, r.sex) for r in records] == [
        ("train/patient42142/study5", "train", 2, 61.0, "M"),
        ("valid/patient64545/study1", "val", 1, 61.0, "M"),
    ]
    assert records[0].report == "CLINICAL HISTORY: cough\n\nIMPRESSION: 1. Small effusion."
    assert "ACCESSION" not in records[1].report and "The lungs are clear." in records[1].report
    assert records[0].films[1].path == f"PNG/PNG/train/patient42142/study5/view2_lateral{suffix}"
    assert [r.labels["Pleural Effusion"] for r in records] == [1.0, 0.0]
    assert Counter(r.labels["Edema"] for r in records) == {-1.0: 2}
    assert skipped == [("impression_fixed.json line 4", "line is no JSON object with path_to_image")]
    assert "labels are those of impression_fixed.json" in notes


def test_chexpert_plus_without_its_labels_says_so(tmp_path: Path) -> None:
    root = write_plus(tmp_path / "plus")
    (root / "chexbert_labels" / "impression_fixed.json").unlink()
    records, _, notes = split(root)
    assert all(value != value for record in records for value in record.labels.values())
    assert "no impression_fixed.json or report_fixed.json: no labels" in notes
