"""VinDr-CXR: PhysioNet's tables of readers and consensus, Kaggle's one table, boxes, and their faults."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from radiographs import dataset, written

from timnet.cohorts import store
from timnet.cohorts.readers import vindr
from timnet.cohorts.records import Box, CohortError, Skipped, StudyRecord

LOCAL = next(
    csv.reader(
        [
            "Aortic enlargement,Atelectasis,Calcification,Cardiomegaly,Clavicle fracture,Consolidation,"
            "Edema,Emphysema,Enlarged PA,ILD,Infiltration,Lung Opacity,Lung cavity,Lung cyst,"
            "Mediastinal shift,Nodule/Mass,Pleural effusion,Pleural thickening,Pneumothorax,"
            "Pulmonary fibrosis,Rib fracture,Other lesion"
        ]
    )
)
TRAIN = [*LOCAL, "COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding"]
TEST = [*TRAIN[:-2], "Other disease", "No finding"]
BOXES = (
    "image_id,rad_id,class_name,x_min,y_min,x_max,y_max",
    "aa,R1,Cardiomegaly,10.5,20,30.5,44",
    "aa,R2,Cardiomegaly,11,21,31,43",
    "bb,R1,No finding,,,,",
)
KAGGLE = (
    "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max",
    "aa,Cardiomegaly,3,R1,10,20,30,44",
    "aa,Cardiomegaly,3,R2,11,21,31,43",
    "aa,Pleural effusion,10,R2,1,2,3,4",
    "aa,No finding,14,R3,,,,",
    "bb,No finding,14,R1,,,,",
    "bb,No finding,14,R2,,,,",
    "bb,No finding,14,R3,,,,",
)


def film(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = np.random.default_rng(number).integers(0, 4096, (48, 40)).astype(np.uint16)
    made = dataset(
        stored, 12, SOPInstanceUID=f"1.2.{number}", PatientSex="F", PatientAge="061Y", ViewPosition="PA"
    )
    path.write_bytes(written(made))


def reading(image: str, reader: str, *positive: str) -> str:
    return ",".join([image, reader, *("1" if label in positive else "0" for label in TRAIN)])


def write_physionet(root: Path, *more: str) -> Path:
    tables = root / "annotations"
    tables.mkdir(parents=True)
    rows = (
        reading("aa", "R1", "Cardiomegaly", "Edema"),
        reading("aa", "R2", "Cardiomegaly"),
        reading("aa", "R3", "No finding"),
        *(reading("bb", reader, "No finding") for reader in ("R1", "R2", "R3")),
        reading("ff", "R1", "Pneumonia"),
        reading("ff", "R2", "No finding"),
        *more,
    )
    (tables / "image_labels_train.csv").write_text(
        "\n".join([",".join(["image_id", "rad_id", *TRAIN]), *rows])
    )
    values = ["1" if label == "Other disease" else "0" for label in TEST]
    (tables / "image_labels_test.csv").write_text(
        "\n".join([",".join(["image_id", *TEST]), ",".join(["cc", *values])])
    )
    (tables / "annotations_train.csv").write_text("\n".join(BOXES))
    (tables / "annotations_test.csv").write_text(
        "image_id,class_name,x_min,y_min,x_max,y_max\ncc,Other lesion,1,2,5,9\n"
    )
    for number, name in enumerate(("train/aa", "train/bb", "train/ff", "test/cc")):
        film(root / f"{name}.dicom", number)
    return root


def split(root: Path) -> tuple[dict[str, StudyRecord], list[tuple[str, str]], list[str]]:
    notes: list[str] = []
    records = list(vindr.read(root, notes=notes))
    skipped = [(record.row, record.reason) for record in records if isinstance(record, Skipped)]
    return {record.study: record for record in records if isinstance(record, StudyRecord)}, skipped, notes


def test_the_published_layout_is_read_with_all_readers_boxes(tmp_path: Path) -> None:
    records, skipped, notes = split(write_physionet(tmp_path))
    assert {study: (r.films[0].path, r.patient, r.sex, r.age) for study, r in records.items()} == {
        "aa": ("train/aa.dicom", "aa", "F", 61.0),
        "bb": ("train/bb.dicom", "bb", "F", 61.0),
        "ff": ("train/ff.dicom", "ff", "F", 61.0),
        "cc": ("test/cc.dicom", "cc", "F", 61.0),
    }
    assert {r.split for study, r in records.items() if study != "cc"} <= {"train", "val"}
    assert records["cc"].split == "test"
    assert records["aa"].films[0].boxes == (
        Box("Cardiomegaly", 10.5, 20, 20, 24),
        Box("Cardiomegaly", 11, 21, 20, 22),
    )
    assert records["cc"].films[0].boxes == (Box("Other lesion", 1, 2, 4, 7),)
    assert skipped == []
    assert "read by 1 reader: 1" in notes and "read by 3 readers: 2" in notes
    assert all(len(r.labels) == 28 for r in records.values())


def test_most_readers_decide_and_disagreement_is_kept_beside_it(tmp_path: Path) -> None:
    records, _, _ = split(write_physionet(tmp_path))
    aa, ff = records["aa"], records["ff"]
    # 2 of 3 saw it; 1 of 3; 0 of 3; one of two.
    assert (aa.labels["Cardiomegaly"], aa.labels["Edema"], aa.labels["ILD"]) == (1, 0, 0)
    assert ff.labels["Pneumonia"] == -1
    agreed = aa.other_labels["all_readers_agree"]
    assert (agreed["Cardiomegaly"], agreed["Edema"], agreed["ILD"]) == (-1, -1, 0)
    # Spelt "Other disease" in the test set, "No finding" in both.
    assert records["cc"].labels["Other diseases"] == 1
    assert records["bb"].labels["No Finding"] == 1


@pytest.mark.parametrize(
    ("votes", "most", "agreed"),
    [
        ([1, 1, 0], 1, -1), ([0, 0, 1], 0, -1), ([1, 0], -1, -1), ([1], 1, 1), ([0, 0, 0], 0, 0),
        ([1, 1, 0, 0], -1, -1), ([1, math.nan, 1], 1, 1), ([-1, -1], -1, -1),
    ],
)  # fmt: skip
def test_votes(votes: list[float], most: float, agreed: float) -> None:
    assert (vindr._most([float(each) for each in votes]), vindr._all(votes)) == (most, agreed)
    assert math.isnan(vindr._most([math.nan])) and math.isnan(vindr._all([math.nan]))


def test_kaggles_layout_is_read_from_its_one_table(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("\n".join(KAGGLE))
    for number, name in enumerate(("aa", "bb")):
        film(tmp_path / "train" / f"{name}.dicom", number)
    film(tmp_path / "test" / "dd.dicom", 7)
    records, skipped, notes = split(tmp_path)
    assert {label for label, value in records["aa"].labels.items() if value == 1} == {"Cardiomegaly"}
    assert {label for label, value in records["bb"].labels.items() if value == 1} == {"No Finding"}
    assert len(records["aa"].films[0].boxes) == 3 and records["bb"].films[0].boxes == ()
    assert len(records["aa"].labels) == 15
    assert {r.split for r in records.values()} == {None} and skipped == []
    assert "X-rays that no row lists, left out: 1, such as test/dd.dicom" in notes


def test_faulty_rows_are_named_and_counted_and_the_others_come_in(tmp_path: Path) -> None:
    root = write_physionet(
        tmp_path,
        reading("aa", "R1"),
        reading("bb", "R9").replace(",0", ",7", 1),
        reading("gone", "R1"),
        reading("cc", "R1"),
        reading("", "R1"),
    )
    path = root / "annotations" / "annotations_train.csv"
    more = (
        BOXES[1],
        "aa,R1,Gout,1,2,3,4",
        "aa,R1,ILD,1,2,x,4",
        "aa,R1,ILD,5,2,3,4",
        "zz,R1,ILD,1,2,3,4",
        "aa,R1",
    )
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join((*BOXES, *more)).encode())
    records, skipped, _ = split(root)
    assert set(records) == {"aa", "bb", "ff", "cc"}
    assert skipped == [
        ("image_labels_train.csv row 10", "reader has an earlier row of this image"),
        ("image_labels_train.csv row 11", "label Aortic enlargement is none of 1, 0, -1, or blank"),
        ("image_labels_train.csv row 14", "image_id is none"),
        ("image_labels_test.csv row 2", "image is in two splits"),
        ("annotations_train.csv row 5", "row is listed twice"),
        ("annotations_train.csv row 6", "class_name 'Gout' is none of the published ones"),
        ("annotations_train.csv row 7", "box is not four numbers"),
        ("annotations_train.csv row 8", "box has no area, or begins outside the film"),
        ("annotations_train.csv row 9", "box belongs to no image of the labels"),
        ("annotations_train.csv row 10", "row has not as many cells as the header"),
        ("annotations_test.csv row 2", "image is in two splits"),
        ("gone", "film is missing"),
    ]


def test_boxes_are_left_out_for_copies_of_another_size_and_that_is_said(tmp_path: Path) -> None:
    root = write_physionet(tmp_path)
    (root / "train" / "aa.dicom").unlink()
    Image.fromarray(np.eye(16, dtype=np.uint8) * 255).save(root / "train" / "aa.png")
    records, _, notes = split(root)
    assert records["aa"].films[0].boxes == ()
    assert "boxes are in pixels of the DICOM files; left out for PNG or JPEG copies: 2" in notes


@pytest.mark.parametrize(
    ("name", "header", "message"),
    [
        ("other.csv", "a\n", "vindr: expected annotations/image_labels_train.csv or Kaggle's train.csv"),
        ("image_labels_train.csv", "image,x\n", "expected a column 'image_id', got image, x"),
        ("image_labels_train.csv", "image_id,x\n", "expected columns of labels, got image_id, x"),
        ("train.csv", "image_id,class_name\n", "expected a column 'rad_id', got image_id, class_name"),
    ],
)
def test_a_table_of_another_layout_is_refused_in_one_sentence(
    tmp_path: Path, name: str, header: str, message: str
) -> None:
    (tmp_path / name).write_text(header)
    with pytest.raises(CohortError, match=message):
        list(vindr.read(tmp_path))


def test_it_becomes_a_cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    summary = vindr.run(write_physionet(tmp_path / "x"), "v")
    assert (summary.films, summary.patients, summary.crossing, summary.skipped) == (4, 4, 0, {})
    with store.Cohort.open("v") as cohort:
        assert cohort.label_sources() == ("vindr", "all_readers_agree")
        assert len(cohort.boxes()) == 3
        assert set(cohort.films()["view"]) == {"PA"}
        assert cohort.study("aa").labels["Cardiomegaly"] == 1
