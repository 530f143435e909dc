"""RSNA's pneumonia challenge: the tables of stage 2, boxes, whose images they are, and their faults."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from radiographs import dataset, written

from timnet.cohorts import store
from timnet.cohorts.readers import rsna
from timnet.cohorts.records import Box, CohortError, Skipped, StudyRecord

LABELS = (
    "patientId,x,y,width,height,Target",
    "0004cfab,,,,,0",
    "00313ee0,,,,,0",
    "00436515,264.0,152.0,213.0,379.0,1",
    "00436515,562.0,152.0,256.0,453.0,1",
)
CLASSES = (
    "patientId,class",
    "0004cfab,No Lung Opacity / Not Normal",
    "00313ee0,Normal",
    "00436515,Lung Opacity",
    "00436515,Lung Opacity",
)
BOXES = (Box("Pneumonia", 264, 152, 213, 379), Box("Pneumonia", 562, 152, 256, 453))
IMAGES = ("0004cfab", "00313ee0", "00436515")


def film(path: Path, number: int, side: int = 32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = np.random.default_rng(number).integers(0, 256, (side, side)).astype(np.uint8)
    if path.suffix == ".png":
        Image.fromarray(stored).save(path)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an age without its unit, as in the published files
        made = dataset(
            stored, 8, SOPInstanceUID=f"1.2.{number}", PatientSex="M", PatientAge="51", ViewPosition="AP"
        )
        path.write_bytes(written(made))


def write_export(root: Path, suffix: str = ".dcm", side: int = 32) -> Path:
    root.mkdir(exist_ok=True)
    (root / "stage_2_train_labels.csv").write_text("\n".join(LABELS) + "\n")
    (root / "stage_2_detailed_class_info.csv").write_text("\n".join(CLASSES) + "\n")
    for number, image in enumerate(IMAGES):
        film(root / "stage_2_train_images" / f"{image}{suffix}", number, side)
    film(root / "stage_2_test_images" / f"0000a175{suffix}", 9, side)
    return root


def split(root: Path) -> tuple[list[StudyRecord], list[tuple[str, str]], list[str]]:
    notes: list[str] = []
    records = list(rsna.read(root, notes=notes))
    skipped = [(record.row, record.reason) for record in records if isinstance(record, Skipped)]
    return [record for record in records if isinstance(record, StudyRecord)], skipped, notes


def test_the_published_layout_is_read_and_patient_id_is_said_to_be_an_image(tmp_path: Path) -> None:
    records, skipped, notes = split(write_export(tmp_path))
    assert [(r.study, r.patient, r.labels["Pneumonia"], r.labels["No Finding"]) for r in records] == [
        ("0004cfab", "0004cfab", 0.0, 0.0),
        ("00313ee0", "00313ee0", 0.0, 1.0),
        ("00436515", "00436515", 1.0, 0.0),
    ]
    assert [r.films[0].boxes for r in records] == [(), (), BOXES]
    assert [(r.sex, r.age, r.split) for r in records] == [("M", 51.0, None)] * 3
    assert skipped == []
    assert notes[0].startswith("patientId names an image, not a patient: each image counts as a patient")
    assert notes[1] == "X-rays that no row lists, left out: 1, such as stage_2_test_images/0000a175.dcm"


def test_the_mapping_to_chestxray14_tells_whose_images_they_are(tmp_path: Path) -> None:
    root = write_export(tmp_path)
    names = ("00000003_000.png", "00000003_001.png", "00012345_010.png")
    mapping = [{"subset_img_id": image, "img_id": name} for image, name in zip(IMAGES, names, strict=True)]
    path = root / "pneumonia-challenge-dataset-mappings_2018.json"
    path.write_text(json.dumps(mapping))
    records, _, notes = split(root)
    assert [r.patient for r in records] == ["3", "3", "12345"]
    assert notes[0] == f"patients are those of ChestX-ray14 by {path.name}: 3 images"
    path.write_text('{"a": 1}')
    with pytest.raises(CohortError, match="expected a list of objects with img_id and subset_img_id"):
        split(root)


@pytest.mark.parametrize("side", [1024, 256])
def test_boxes_are_in_the_pixels_of_a_copy(tmp_path: Path, side: int) -> None:
    (boxes,) = [r.films[0].boxes for r in split(write_export(tmp_path, ".png", side))[0] if r.films[0].boxes]
    scale = side / 1024
    assert boxes[0] == Box("Pneumonia", 264 * scale, 152 * scale, 213 * scale, 379 * scale)


def test_faulty_rows_are_named_and_counted_and_the_others_come_in(tmp_path: Path) -> None:
    root = write_export(tmp_path)
    more = (
        LABELS[1], LABELS[3], "00436515,,,,,0", "x1,1,2,3,x,1", "x2,1,2,-3,4,1", "x3,,,,,2", ",,,,,0",
        "gone,,,,,0", "x4,1", "x5,1,2,3,4,",
    )  # fmt: skip
    data = "\r\n".join((*LABELS, *more)).encode()
    (root / "stage_2_train_labels.csv").write_bytes(b"\xef\xbb\xbf" + data)
    classes = (*CLASSES, "00313ee0,Lung Opacity", "0004cfab,Normal", "0004cfab,Odd")
    (root / "stage_2_detailed_class_info.csv").write_text("\n".join(classes))
    records, skipped, _ = split(root)
    assert [r.study for r in records] == list(IMAGES)
    table = "stage_2_train_labels.csv row"
    assert skipped == [
        (f"{table} 6", "row is listed twice"),
        (f"{table} 7", "row is listed twice"),
        (f"{table} 8", "Target differs from an earlier row"),
        (f"{table} 9", "box is not four numbers"),
        (f"{table} 10", "box is not on the film"),
        (f"{table} 11", "label Target is none of 1, 0, -1, or blank"),
        (f"{table} 12", "patientId is none"),
        (f"{table} 14", "row has not as many cells as the header"),
        (f"{table} 15", "Target is none of 0 and 1"),
        ("stage_2_detailed_class_info.csv row 6", "class contradicts the Target"),
        ("stage_2_detailed_class_info.csv row 7", "class differs from an earlier row"),
        ("stage_2_detailed_class_info.csv row 8", f"class 'Odd' is none of {', '.join(rsna.CLASSES)}"),
        ("gone", "film is missing"),
    ]


def test_without_the_classes_normal_is_not_known(tmp_path: Path) -> None:
    root = write_export(tmp_path)
    (root / "stage_2_detailed_class_info.csv").unlink()
    records, _, notes = split(root)
    assert [list(r.labels) for r in records] == [["Pneumonia"]] * 3
    assert "no table stage_2_detailed_class_info.csv: No Finding is not known" in notes


def test_a_table_of_another_layout_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"rsna: expected stage_2_train_labels.csv in .*, found none"):
        list(rsna.read(tmp_path))
    (tmp_path / "stage_2_train_labels.csv").write_text("patientId,x,y\n")
    with pytest.raises(CohortError, match="expected a column 'width', got patientId, x, y"):
        list(rsna.read(tmp_path))


def test_it_becomes_a_cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    root = write_export(tmp_path / "x")
    truncated = root / "stage_2_train_images" / "00313ee0.dcm"
    truncated.write_bytes(truncated.read_bytes()[:-600])
    summary = rsna.run(root, "r")
    assert (summary.films, summary.labels["Pneumonia"], sum(summary.skipped.values())) == (2, 1, 1)
    with store.Cohort.open("r") as cohort:
        assert len(cohort.boxes()) == 2
        assert set(cohort.films()["view"]) == {"AP"}
