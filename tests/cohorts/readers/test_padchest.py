"""PadChest: the published table with its 16-bit films, its two sources of labels, and its faults."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from timnet.cohorts import store
from timnet.cohorts.readers import padchest
from timnet.cohorts.records import CohortError, Skipped, StudyRecord

TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
HEADER = next(
    csv.reader(
        [
            ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,"
            "ViewPosition_DICOM,Projection,MethodProjection,Pediatric,Modality_DICOM,Manufacturer_DICOM,"
            "PhotometricInterpretation_DICOM,PixelRepresentation_DICOM,PixelAspectRatio_DICOM,"
            "SpatialResolution_DICOM,BitsStored_DICOM,WindowCenter_DICOM,WindowWidth_DICOM,Rows_DICOM,"
            "Columns_DICOM,XRayTubeCurrent_DICOM,Exposure_DICOM,ExposureInuAs_DICOM,ExposureTime,"
            "RelativeXRayExposure_DICOM,ReportID,Report,MethodLabel,Labels,Localizations,"
            "LabelsLocalizationsBySentence,labelCUIS,LocalizationsCUIS"
        ]
    )
)
ROW = dict.fromkeys(HEADER, "") | {
    "ImageDir": "0", "StudyDate_DICOM": "20140915", "PatientBirth": "1930.0", "PatientSex_DICOM": "M",
    "ViewPosition_DICOM": "POSTEROANTERIOR", "Projection": "PA", "Pediatric": "No", "BitsStored_DICOM": "16",
    "MethodProjection": "Manual review of DICOM fields", "MethodLabel": "Physician", "Labels": "['normal']",
    "Localizations": "[]", "LabelsLocalizationsBySentence": "[['normal']]", "labelCUIS": "[]",
    "Report": "sin hallazg patolog edad pacient .",
}  # fmt: skip


def row(image: str, study: str, patient: str, **more: str) -> dict[str, str]:
    return ROW | {"ImageID": image, "StudyID": study, "PatientID": patient} | more


ROWS = (
    row("a_00-001-002.png", "s1", "p1"),
    row("b_00-001-003.png", "s2", "p2", ImageDir="1", Labels="['pleural effusion', ' cardiomegaly']",
        Report="derram pleural . cardiomegali .", PatientSex_DICOM="F"),
    row("c_00-001-004.png", "s2", "p2", ImageDir="1", Labels="['pleural effusion', ' cardiomegaly']",
        Report="derram pleural . cardiomegali .", PatientSex_DICOM="F", Projection="L"),
    row("d_00-001-005.png", "s3", "p1", Projection="AP_horizontal", MethodLabel="RNN_model",
        Labels="['unchanged', '']", PatientBirth="", StudyDate_DICOM="20150101.0"),
    row("e_00-001-006.png", "s4", "p3", Labels="", Report="", Projection="COSTAL"),
)  # fmt: skip


def film(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 65536, (16, 16)).astype(np.uint16)).save(path)


def written(rows: tuple[dict[str, str], ...]) -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, HEADER, lineterminator="\n")
    writer.writeheader()
    writer.writerows({"": str(number)} | each for number, each in enumerate(rows))
    return file.getvalue().encode()


def write_export(root: Path, rows: tuple[dict[str, str], ...] = ROWS, folder: str = "{}") -> Path:
    root.mkdir(exist_ok=True)
    (root / TABLE).write_bytes(written(rows))
    for number, each in enumerate(ROWS):
        film(root / folder.format(each["ImageDir"]) / each["ImageID"], number)
    return root


def split(root: Path, **given: Any) -> tuple[list[StudyRecord], list[tuple[str, str]], list[str]]:
    notes: list[str] = []
    records = list(padchest.read(root, notes=notes, **given))
    skipped = [(record.row, record.reason) for record in records if isinstance(record, Skipped)]
    return [record for record in records if isinstance(record, StudyRecord)], skipped, notes


@pytest.mark.parametrize("folder", ["{}", "images/{}", "{}.zip_unpacked", "images", "."])
def test_the_published_layout_is_read_from_any_folders(tmp_path: Path, folder: str) -> None:
    records, skipped, notes = split(write_export(tmp_path, folder=folder))
    assert [(r.study, r.patient, r.sex, r.age) for r in records] == [
        ("s1", "p1", "M", 84.0),
        ("s2", "p2", "F", 84.0),
        ("s3", "p1", "M", None),
        ("s4", "p3", "M", 84.0),
    ]
    assert [[each.view for each in r.films] for r in records] == [
        ["PA"],
        ["PA", "LATERAL"],
        ["AP"],
        ["COSTAL"],
    ]
    assert records[1].report == "derram pleural . cardiomegali ."
    assert all((tmp_path / each.path).is_file() for r in records for each in r.films)
    assert (skipped, notes, {r.split for r in records}) == ([], [], {None})


def test_physicians_and_the_network_are_two_sources_and_no_label_is_unknown(tmp_path: Path) -> None:
    records, _, _ = split(write_export(tmp_path))
    names = {"No Finding", "pleural effusion", "cardiomegaly", "unchanged"}
    assert [set(r.labels) for r in records] == [names, names, set(), set()]
    assert [{name for name, value in r.labels.items() if value} for r in records[:2]] == [
        {"No Finding"},
        {"pleural effusion", "cardiomegaly"},
    ]
    assert records[2].other_labels["rnn_model"]["unchanged"] == 1.0
    assert not any(records[3].other_labels.values())


def test_a_cohort_holds_the_best_source_of_every_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    summary = padchest.run(write_export(tmp_path / "x"), "p")
    assert (summary.films, summary.studies, summary.patients, summary.crossing) == (5, 4, 3, 0)
    with store.Cohort.open("p") as cohort:
        assert cohort.label_sources() == ("physician", "rnn_model")
        assert cohort.labels()["unchanged"].tolist()[:4] == [0, 0, 0, 1]
        assert cohort.study("s1").findings == ROW["Report"]
        assert cohort.study("s1").films[0].bits == 16


def test_labels_are_the_most_frequent_or_those_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_export(tmp_path)
    records, _, _ = split(root, labels=("*effusion", "No finding"))
    assert list(records[0].labels) == ["pleural effusion", "No Finding"]  # of two rows, of one
    monkeypatch.setattr(padchest, "MOST", 2)
    records, _, notes = split(root)
    assert list(records[0].labels) == ["cardiomegaly", "pleural effusion"]
    assert notes == ["2 labels of 4 left out: --labels names those to keep"]
    with pytest.raises(
        CohortError, match=r"labels: expected some of cardiomegaly, pleural effusion, .*; got 'gout'"
    ):
        split(root, labels=("gout",))


@pytest.mark.parametrize("how", ["bom and crlf", "gzip", "gz that is plain"])
def test_the_table_is_read_as_real_copies_write_it(tmp_path: Path, how: str) -> None:
    plain = split(write_export(tmp_path))[0]
    data = (tmp_path / TABLE).read_bytes()
    if how == "bom and crlf":
        (tmp_path / TABLE).write_bytes(b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))
    else:
        (tmp_path / TABLE).rename(tmp_path / f"{TABLE}.gz")
        (tmp_path / f"{TABLE}.gz").write_bytes(gzip.compress(data) if how == "gzip" else data)
    assert repr(split(tmp_path)[0]) == repr(plain)


def test_faulty_rows_are_named_and_counted_and_the_others_come_in(tmp_path: Path) -> None:
    rows = (
        *ROWS,
        ROWS[0],
        row("b_00-001-003.png", "s5", "p2"),
        row("gone.png", "s6", "p4"),
        row("f.png", "s1", "p9"),
        row("g.png", "s7", "p1", Projection="EXCLUDE"),
        row("h.png", "s8", "p1", Labels="['normal'"),
        row("i.png", "s9", "p1", MethodLabel="a guess"),
        row("j.png", "s2", "p2", Labels="['normal']", Report="derram pleural . cardiomegali ."),
    )
    root = write_export(tmp_path, rows)
    for number, name in enumerate("fghij"):
        film(root / "0" / f"{name}.png", 90 + number)
    film(root / "0" / "unlisted.png", 99)
    records, skipped, notes = split(root)
    assert len(records) == 4
    assert sum(len(r.films) for r in records) + len(skipped) == len(rows)
    assert {name.removeprefix(f"{TABLE} "): reason for name, reason in skipped} == {
        "row 7": "film is listed twice",
        "row 8": "film is listed twice",
        "row 9": "film is missing",
        "row 10": "patient differs from the first row of its study",
        "row 11": "X-ray is marked EXCLUDE",
        "row 12": "Labels is no list of labels such as ['normal']",
        "row 13": "MethodLabel is none of physician and rnn_model",
        "row 14": "label No Finding differs from the first row of its study",
    }
    assert notes == ["X-rays that no row lists, left out: 1, such as 0/unlisted.png"]


def test_broken_films_are_named_by_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    root = write_export(tmp_path / "x")
    first = root / "0" / ROWS[0]["ImageID"]
    first.write_bytes(first.read_bytes()[:60])
    summary = padchest.run(root, "p")
    assert (summary.films, sum(summary.skipped.values())) == (4, 1)


def test_a_table_without_a_column_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=f"padchest: expected {TABLE} in .*, found none"):
        list(padchest.read(tmp_path))
    (tmp_path / TABLE).write_text("ImageID,StudyID\n")
    with pytest.raises(CohortError, match="expected a column 'PatientID', got ImageID, StudyID"):
        list(padchest.read(tmp_path))
