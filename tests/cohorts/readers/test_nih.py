"""NIH ChestX-ray14: the published tables of 2017 and 2020, boxes, official lists, and their faults."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from timnet.cohorts import store
from timnet.cohorts.readers import nih
from timnet.cohorts.records import Box, CohortError, Skipped, StudyRecord

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
ENTRIES = (
    "00000001_000.png,Cardiomegaly,0,1,57,M,PA,2682,2749,0.143,0.143",
    "00000001_001.png,Cardiomegaly|Emphysema,1,1,58,M,PA,2894,2729,0.143,0.143",
    "00000002_000.png,No Finding,0,2,80,F,AP,2500,2048,0.171,0.171",
)
BOXES = (
    "Image Index,Finding Label,Bbox [x,y,w,h],,,",
    "00000001_000.png,Infiltrate,512.0,256.0,128.0,64.0",
)


def write_export(
    root: Path, entries: tuple[str, ...] = ENTRIES, side: int = 1024, folder: str = "images"
) -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "Data_Entry_2017_v2020.csv").write_text("\n".join([HEADER, *entries]) + "\n")
    (root / "BBox_List_2017.csv").write_text("\n".join(BOXES) + "\n")
    for name in {row.split(",")[0] for row in ENTRIES}:
        pixels = np.arange(side * side, dtype=np.uint8).reshape(side, side)
        Image.fromarray(pixels).save(root / folder / name, compress_level=1)
    return root


def split(root: Path) -> tuple[list[StudyRecord], list[tuple[str, str]], list[str]]:
    notes: list[str] = []
    records = list(nih.read(root, notes=notes))
    skipped = [(record.row, record.reason) for record in records if isinstance(record, Skipped)]
    return [record for record in records if isinstance(record, StudyRecord)], skipped, notes


@pytest.mark.parametrize("folder", ["images", "images_001/images", "images_012"])
def test_the_published_layout_is_read_from_one_folder_or_from_twelve(tmp_path: Path, folder: str) -> None:
    records, skipped, _ = split(write_export(tmp_path, side=16, folder=folder))
    assert [(r.study, r.patient, r.sex, r.age, r.films[0].view) for r in records] == [
        ("00000001_000", "1", "M", 57.0, "PA"),
        ("00000001_001", "1", "M", 58.0, "PA"),
        ("00000002_000", "2", "F", 80.0, "AP"),
    ]
    assert records[0].films[0].path == f"{folder}/00000001_000.png"
    assert skipped == []


def test_reading_twice_gives_the_same_records_in_the_same_order(tmp_path: Path) -> None:
    write_export(tmp_path, side=16)
    names = [row.split(",")[0] for row in ENTRIES]
    (tmp_path / "train_val_list.txt").write_text("\n".join(names[:2]))
    (tmp_path / "test_list.txt").write_text(names[2])
    assert list(nih.read(tmp_path)) == list(nih.read(tmp_path))


def test_every_label_is_known_positive_or_negative(tmp_path: Path) -> None:
    records, _, _ = split(write_export(tmp_path, side=16))
    positive = [{label for label, value in record.labels.items() if value == 1} for record in records]
    assert positive == [{"Cardiomegaly"}, {"Cardiomegaly", "Emphysema"}, {"No Finding"}]
    assert {value for record in records for value in record.labels.values()} == {0.0, 1.0}
    assert all(len(record.labels) == 15 for record in records)


def test_the_table_of_2017_with_its_ages_and_empty_last_column_is_read(tmp_path: Path) -> None:
    write_export(tmp_path, side=16)
    (tmp_path / "Data_Entry_2017_v2020.csv").unlink()
    rows = [ENTRIES[0].replace(",57,", ",057Y,"), ENTRIES[1].replace(",58,", ",414Y,")]
    (tmp_path / "Data_Entry_2017.csv").write_text("\n".join([f"{HEADER},", *(f"{row}," for row in rows)]))
    assert [record.age for record in split(tmp_path)[0]] == [57.0, None]


@pytest.mark.parametrize(("side", "scale"), [(1024, 1.0), (256, 0.25)])
def test_boxes_are_in_the_films_own_pixels(tmp_path: Path, side: int, scale: float) -> None:
    records, _, _ = split(write_export(tmp_path, side=side))
    box = Box("Infiltration", 512 * scale, 256 * scale, 128 * scale, 64 * scale)
    assert [record.films[0].boxes for record in records] == [(box,), (), ()]


def test_the_official_lists_give_the_split_and_val_is_drawn_by_patient(tmp_path: Path) -> None:
    patients = 80
    rows = [
        f"{patient:08}_{number:03}.png,No Finding,{number},{patient},50,M,PA,1,1,1,1"
        for patient in range(patients)
        for number in range(2)
    ]
    write_export(tmp_path, tuple(rows))
    names = [row.split(",")[0] for row in rows]
    for name in names:
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "images" / name)
    (tmp_path / "train_val_list.txt").write_text("\n".join(names[:128]))
    (tmp_path / "test_list.txt").write_text("\n".join(names[128:]) + "\n")
    records, _, notes = split(tmp_path)
    assert Counter(record.split for record in records) == {"train": 112, "val": 16, "test": 32}
    by_patient = {(record.patient, record.split) for record in records}
    assert len(by_patient) == patients
    assert notes == ["val is drawn from train_val by patient with seed 0: 16 X-rays"]
    # A copy that holds fewer films has the same val.
    for name in names[:64]:
        (tmp_path / "images" / name).unlink()
    fewer, _, _ = split(tmp_path)
    assert {(record.study, record.split) for record in fewer} < {(r.study, r.split) for r in records}


def test_byte_order_marks_windows_line_ends_and_trailing_blanks_change_nothing(tmp_path: Path) -> None:
    root = write_export(tmp_path, side=16)
    names = [row.split(",")[0] for row in ENTRIES]
    (root / "train_val_list.txt").write_text("".join(f"{name}\n" for name in names[:2]))
    (root / "test_list.txt").write_text(f"{names[2]}\n")
    plain = list(nih.read(root))
    assert [r.split for r in plain if isinstance(r, StudyRecord)] == ["train", "train", "test"]
    for pattern, end in (("*.csv", "\r\n"), ("*_list.txt", " \t\r\n")):
        for path in root.glob(pattern):
            text = path.read_text().replace("\n", end) + end
            path.write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert list(nih.read(root)) == plain, pattern


def test_without_lists_the_splits_are_left_to_be_drawn_and_that_is_noted(tmp_path: Path) -> None:
    records, _, notes = split(write_export(tmp_path, side=16))
    assert {record.split for record in records} == {None}
    assert notes == ["no train_val_list.txt and test_list.txt: splits are drawn"]


def test_faulty_rows_are_named(tmp_path: Path) -> None:
    entries = (
        *ENTRIES,
        ENTRIES[0],
        "00000003_000.png,Gout,0,3,80,F,AP,1,1,1,1",
        "00000004_000.png,No Finding,0,4,80,F,AP,1,1,1,1",
        "00000005_000.png",
    )
    write_export(tmp_path, entries, side=16)
    boxes = (*BOXES, "a.png,Gout,1,2,3,4", "a.png,Mass,1,2,x,4", "a.png,Mass,1,2,-3,4", "a.png,Mass,1")
    (tmp_path / "BBox_List_2017.csv").write_text("\n".join(boxes))
    records, skipped, _ = split(tmp_path)
    assert len(records) == 3
    outside = "box has no finding of the 14 or is not on the film"
    assert skipped == [
        ("BBox_List_2017.csv row 3", outside),
        ("BBox_List_2017.csv row 4", "box is not four numbers"),
        ("BBox_List_2017.csv row 5", outside),
        ("BBox_List_2017.csv row 6", "row has not as many cells as the header"),
        ("Data_Entry_2017_v2020.csv row 5", "film is listed twice"),
        ("Data_Entry_2017_v2020.csv row 6", "finding 'Gout' is none of the 14 or No Finding"),
        ("00000004_000.png", "film is missing"),
        ("Data_Entry_2017_v2020.csv row 8", "row has not as many cells as the header"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("other.csv", "a,b\n", "expected Data_Entry_2017_v2020.csv"),
        ("Data_Entry_2017_v2020.csv", "image,labels\n", "expected a column 'Image Index', got image, labels"),
        ("Data_Entry_2017_v2020.csv", "version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    ],
)
def test_without_a_usable_label_table_there_is_no_cohort(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CohortError, match=message):
        list(nih.read(tmp_path))


def test_a_film_that_is_a_git_lfs_pointer_is_named_and_the_others_come_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    root = write_export(tmp_path / "nih", side=16)
    (root / "images" / "00000001_000.png").write_text("version https://git-lfs.github.com/spec/v1\n")
    summary = nih.run(root, "nih")
    assert (summary.films, sum(summary.skipped.values())) == (2, 1)
    assert summary.labels["Cardiomegaly"] == 1


def test_nih_1k_has_the_counts_of_its_readme(real_data: Path) -> None:
    records = list(nih.read(real_data / "nih_1k", tables_in=real_data / "nih_label_files"))
    studies = [record for record in records if isinstance(record, StudyRecord)]
    films = [record.films[0] for record in studies]
    assert (len(studies), len({record.patient for record in studies})) == (1136, 780)
    assert sum(record.labels["Pneumonia"] for record in studies) == 502
    assert sum(record.labels["No Finding"] for record in studies) == 562
    assert Counter(each.view for each in films) == {"AP": 605, "PA": 531}
    assert (sum(len(each.boxes) for each in films), sum(bool(each.boxes) for each in films)) == (49, 44)
    assert {r.reason for r in records if isinstance(r, Skipped)} == {"film is missing"}
    (box,) = next(each for each in films if each.path == "images/00008365_000.jpg").boxes
    # Its table of boxes says 337.898 of 1,024 pixels; its films have 320.
    assert box.left == pytest.approx(337.898305084746 * 320 / 1024)


@pytest.mark.whole
def test_nih_1k_becomes_a_cohort(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    summary = nih.run(real_data / "nih_1k", "nih", tables_in=real_data / "nih_label_files")
    assert (summary.studies, summary.films, summary.patients) == (1136, 1136, 780)
    assert summary.labels["Pneumonia"] == 502
    assert summary.skipped == {"film is missing": 112120 - 1136}
    with store.Cohort.open(store.find("nih")) as cohort:
        assert set(cohort.films()["split"]) == {"train", "val", "test"}
        (box,) = cohort.study("00008365_000").films[0].boxes
        assert (box.label, box.left) == ("Cardiomegaly", pytest.approx(337.898305084746 * 320 / 1024))
