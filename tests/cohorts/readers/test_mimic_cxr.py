"""MIMIC-CXR: the exact layout of tables, films and reports, packed or not, and the faults of real copies."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from timnet.__main__ import main
from timnet.cohorts import store
from timnet.cohorts.readers import mimic_cxr, report_texts
from timnet.cohorts.records import LEAVES, UNCERTAIN, CohortError, FilmRecord, Skipped, StudyRecord
from timnet.cohorts.tasks import CHEXPERT14

# The header of the published table.
METADATA = (
    "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows",
    "Columns", "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)  # fmt: skip
REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___ year old woman with cough.

 COMPARISON:  ___.

 FINDINGS:

 The lungs are clear.  No effusion.

 IMPRESSION:

 No acute process.
"""
DICOM = "02aa804e-bde0afdd-112c0b34-7bc16630-4e38401"
# subject, study, split, view of each film
STUDIES = (
    (10000032, 50414267, "train", ("PA", "LL")),
    (10000032, 53189527, "train", ("AP",)),
    (10000764, 57375967, "validate", ("LATERAL",)),
    (12345678, 51111111, "test", ("",)),
)


def write_table(path: Path, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def dicoms(study: int, views: tuple[str, ...]) -> list[str]:
    return [f"{DICOM}{number}-{study}" for number, _ in enumerate(views)]


def member(subject: int, study: int) -> str:
    return f"files/p{str(subject)[:2]}/p{subject}/s{study}"


def write_export(root: Path, suffix: str = ".csv.gz") -> Path:
    """Write the published layout without reports: four studies of three patients, five films."""
    films, splits, labels = [], [], []
    rng = np.random.default_rng(0)
    for subject, study, split, views in STUDIES:
        for dicom, view in zip(dicoms(study, views), views, strict=True):
            path = root / member(subject, study) / f"{dicom}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (24, 20), dtype=np.uint8)).save(path)
            films.append((dicom, subject, study, "CHEST", view, 24, 20, 21800506, 213014.5, "", "", ""))
            splits.append((dicom, study, subject, split))
        values = ["1.0", "0.0", "-1.0", "", *[""] * 10]
        labels.append((subject, study, *values))
    columns = ("subject_id", "study_id", *sorted(CHEXPERT14))
    for what, header, rows in (
        ("metadata", METADATA, films),
        ("split", ("dicom_id", "study_id", "subject_id", "split"), splits),
        ("chexpert", columns, labels),
        ("negbio", columns, [(*row[:2], "0.0", *row[3:]) for row in labels]),
    ):
        write_table(root / f"mimic-cxr-2.0.0-{what}{suffix}", header, rows)
    return root


def write_reports(place: Path) -> Path:
    """Write a report a study below a folder, or into a zip."""
    if place.suffix == ".zip":
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
            for subject, study, _, _ in STUDIES:
                archive.writestr(f"{member(subject, study)}.txt", f"{REPORT} {study}")
        return place
    for subject, study, _, _ in STUDIES:
        path = place / f"{member(subject, study)}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{REPORT} {study}")
    return place


def studies(root: Path, **given: Path) -> list[StudyRecord]:
    records = list(mimic_cxr.read(root, **given))  # type: ignore[arg-type]
    assert not [record for record in records if isinstance(record, Skipped)]
    return [record for record in records if isinstance(record, StudyRecord)]


def faults(root: Path) -> tuple[list[tuple[str, str]], list[str]]:
    notes: list[str] = []
    records = list(mimic_cxr.read(root, notes=notes))
    return [(each.row, each.reason) for each in records if isinstance(each, Skipped)], notes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    export = tmp_path / "mimic-cxr-jpg"
    export.mkdir()
    return write_export(export)


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv"])
def test_the_published_layout_is_read_packed_or_not(tmp_path: Path, suffix: str) -> None:
    root = write_export(write_reports(tmp_path), suffix)
    records = studies(root)
    assert [(r.study, r.patient, r.split) for r in records] == [
        ("50414267", "10000032", "train"),
        ("53189527", "10000032", "train"),
        ("57375967", "10000764", "val"),
        ("51111111", "12345678", "test"),
    ]
    folder = "files/p10/p10000032/s50414267"
    assert records[0].films == (
        FilmRecord(f"{folder}/{DICOM}0-50414267.jpg", "PA"),
        FilmRecord(f"{folder}/{DICOM}1-50414267.jpg", "LATERAL"),
    )
    assert [r.films[0].view for r in records[1:]] == ["AP", "LATERAL", None]
    assert records[0].report == f"{REPORT} 50414267"


def test_positive_negative_uncertain_and_blank_labels_stay_apart_and_negbio_beside_them(root: Path) -> None:
    record = studies(root)[0]
    names = sorted(CHEXPERT14)
    assert [record.labels[name] for name in names[:3]] == [1.0, 0.0, UNCERTAIN]
    assert all(math.isnan(record.labels[name]) for name in names[3:])
    assert [record.other_labels["negbio"][name] for name in names[:3]] == [0.0, 0.0, UNCERTAIN]


@pytest.mark.parametrize(
    "place",
    [
        "mimic-cxr-jpg",
        "mimic-cxr-jpg/mimic-cxr-reports.zip",
        "mimic-cxr-reports.zip",
        "mimic-cxr-reports",
        "mimic-cxr-jpg/mimic-cxr-reports",
    ],
)
def test_reports_are_found_in_the_folder_packed_or_beside_it(root: Path, tmp_path: Path, place: str) -> None:
    write_reports(tmp_path / place)
    assert [record.report for record in studies(root)] == [f"{REPORT} {row[1]}" for row in STUDIES]


def test_reading_twice_gives_the_same_records_in_the_same_order(root: Path) -> None:
    write_reports(root)
    assert repr(list(mimic_cxr.read(root))) == repr(list(mimic_cxr.read(root)))


def test_a_report_is_not_read_before_its_study_is_asked_for(root: Path) -> None:
    write_reports(root)
    records = mimic_cxr.read(root)
    next(records)
    (root / f"{member(10000032, 53189527)}.txt").write_text("FINDINGS: Changed.")
    assert next(records).report == "FINDINGS: Changed."  # type: ignore[union-attr]


def test_a_film_name_that_leads_out_of_the_folder_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    path = root / "mimic-cxr-2.0.0-metadata.csv.gz"
    row = "../../../../secret,10000032,50414267,CHEST,PA,24,20,21800506,1.0,,,\r\n"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + row.encode()))
    summary = mimic_cxr.run(root, "mimic")
    assert (summary.films, summary.skipped) == (5, {LEAVES: 1})


def test_reports_elsewhere_are_named(root: Path, tmp_path: Path) -> None:
    elsewhere = write_reports(tmp_path / "elsewhere.zip")
    assert all(record.report for record in studies(root, reports=elsewhere))
    (tmp_path / "no.zip").write_bytes(b"no zip")
    with pytest.raises(CohortError, match=r"no\.zip: expected the reports' folder or zip"):
        studies(root, reports=tmp_path / "no.zip")


def test_studies_without_a_report_keep_their_films_and_are_counted(root: Path) -> None:
    write_reports(root)
    (root / f"{member(10000032, 53189527)}.txt").unlink()
    (root / f"{member(10000764, 57375967)}.txt").write_text(" \n")
    notes: list[str] = []
    records = [r for r in mimic_cxr.read(root, notes=notes) if isinstance(r, StudyRecord)]
    assert [bool(record.report) for record in records] == [True, False, False, True]
    assert all(record.films for record in records)
    assert notes == ["reports: report is missing: 1", "reports: report is empty: 1"]


def test_reports_in_another_encoding_too_long_or_not_fetched_are_counted(root: Path) -> None:
    write_reports(root)
    paths = [root / f"{member(subject, study)}.txt" for subject, study, _, _ in STUDIES]
    paths[0].write_bytes("FINDINGS: Erguss größer.".encode("cp1252"))
    paths[1].write_bytes(b"x" * (report_texts.MAX_BYTES + 1))
    paths[2].write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n")
    notes: list[str] = []
    records = [r for r in mimic_cxr.read(root, notes=notes) if isinstance(r, StudyRecord)]
    assert [record.report for record in records[:3]] == ["FINDINGS: Erguss größer.", "", ""]
    assert sorted(notes) == [
        "reports: report is a Git LFS pointer: 1",
        "reports: report is larger than 1 MiB: 1",
        "reports: report is not UTF-8: read as Windows-1252: 1",
    ]


def test_a_report_that_unpacks_to_megabytes_is_refused_and_names_of_the_archive_mean_nothing(
    root: Path,
) -> None:
    place = root / "mimic-cxr-reports.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{member(*STUDIES[0][:2])}.txt", "x" * 50_000_000)
        archive.writestr("../../etc/passwd", REPORT)
        archive.writestr(f"{member(*STUDIES[1][:2])}.txt", REPORT)
    records = studies(root)
    assert [bool(record.report) for record in records] == [False, True, False, False]


def test_a_damaged_member_costs_its_report_alone(root: Path) -> None:
    place = root / "mimic-cxr-reports.zip"
    with zipfile.ZipFile(place, "w") as archive:  # stored, so that the text stands in the file
        for subject, study, _, _ in STUDIES:
            archive.writestr(f"{member(subject, study)}.txt", f"FINDINGS: Clear {study}.")
    place.write_bytes(place.read_bytes().replace(b"Clear 53189527", b"Klear 53189527"))
    assert [bool(record.report) for record in studies(root)] == [True, False, True, True]


def test_faulty_rows_are_named_by_table_and_number(root: Path) -> None:
    write_reports(root)

    def add(what: str, *rows: str) -> None:
        path = root / f"mimic-cxr-2.0.0-{what}.csv.gz"
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + "\r\n".join(rows).encode()))

    rest = ",CHEST,PA,24,20,21800506,1.0,,,"
    add(
        "metadata",
        f"abc,../../etc,50414267{rest}",
        f",10000032,50414267{rest}",
        f"abc,19999999,50414267{rest}",
        "abc,10000032",
    )
    blank = "," * 12
    add("chexpert", f"12345678,51111111,1.0{blank},", f"10000032,50414267,maybe{blank},")
    add("split", "abc,50414267,10000032,fold1", "abc,50414267,10000032,test")
    metadata, split, labels = (f"mimic-cxr-2.0.0-{what}.csv.gz" for what in ("metadata", "split", "chexpert"))
    skipped, notes = faults(root)
    assert skipped == [
        (f"{metadata} row 7", "dicom_id, subject_id or study_id is none"),
        (f"{metadata} row 8", "dicom_id, subject_id or study_id is none"),
        (f"{metadata} row 9", "study belongs to another patient in an earlier row"),
        (f"{metadata} row 10", "row has not as many cells as the header"),
        (f"{split} row 7", "split is none of train, val, test"),
        (f"{split} row 8", "split differs from an earlier row of the study"),
        (f"{labels} row 6", "study is listed twice"),
        (f"{labels} row 7", "label Atelectasis is none of 1, 0, -1, or blank"),
    ]
    assert notes == []


def test_a_table_that_is_not_there_or_unusable_is_named_and_the_rest_comes_in(root: Path) -> None:
    write_reports(root)
    (root / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    (root / "mimic-cxr-2.0.0-negbio.csv.gz").write_text("version https://git-lfs.github.com/spec/v1\n")
    write_table(
        root / "mimic-cxr-2.0.0-chexpert.csv.gz",
        ("subject_id", "study_id", *sorted(CHEXPERT14)[1:]),
        [(10000032, 50414267, "1.0", *[""] * 12)],
    )
    skipped, notes = faults(root)
    assert skipped == []
    assert notes == [
        "no table mimic-cxr-2.0.0-split.csv.gz: splits are drawn",
        "mimic-cxr-2.0.0-chexpert.csv.gz has no column Atelectasis",
        "mimic-cxr-2.0.0-negbio.csv.gz: expected a table, got a Git LFS pointer: fetch the file itself: "
        "no labels of negbio",
    ]
    record = studies(root)[0]
    assert (record.split, record.labels["Cardiomegaly"], record.other_labels) == (None, 1.0, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected mimic-cxr-2.0.0-metadata.csv.gz in mimic-cxr-jpg, found none"),
        ("dicom,subject_id,study_id\n", "expected a column 'dicom_id', got dicom, subject_id, study_id"),
        ("version https://git-lfs.github.com/spec/v1\n", "got a Git LFS pointer"),
    ],
)
def test_without_the_table_of_films_there_is_no_cohort(root: Path, content: str | None, message: str) -> None:
    path = root / "mimic-cxr-2.0.0-metadata.csv.gz"
    path.unlink()
    if content is not None:
        path.write_bytes(gzip.compress(content.encode()) if "dicom" in content else content.encode())
    with pytest.raises(CohortError, match=message):
        list(mimic_cxr.read(root))


def test_one_command_imports_it_and_sums_up(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    reports = write_reports(tmp_path / "elsewhere.zip")
    assert main(["import", "mimic", str(root), "--reports", str(reports), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["name"], summary["studies"], summary["films"], summary["patients"]) == ("mimic", 4, 5, 3)
    assert summary["splits"] == {"train": 3, "val": 1, "test": 1}
    assert (summary["labels"]["Atelectasis"], summary["with_findings"]) == (5, 4)
    assert (summary["skipped"], summary["notes"]) == ({}, [])


def test_an_export_becomes_a_cohort_that_names_what_is_missing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    write_reports(root)
    lost, pointer = (root / member(*STUDIES[0][:2]) / f"{dicom}.jpg" for dicom in dicoms(50414267, ("", "")))
    lost.unlink()
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n")
    told: list[tuple[int, int | None]] = []
    summary = mimic_cxr.run(root, "mimic", lambda done, total: told.append((done, total)))
    assert (summary.films, summary.splits) == (3, {"train": 1, "val": 1, "test": 1})
    assert summary.skipped["film is missing"] == 1
    assert sum(summary.skipped.values()) == 2
    assert told[-1] == (5, 5)
    assert (tmp_path / "home" / "mimic").is_dir()
    with store.Cohort.open(store.find("mimic")) as cohort:
        assert cohort.study("53189527").findings == "The lungs are clear. No effusion."
        assert cohort.labels()["Consolidation"].tolist() == [UNCERTAIN] * 3
        by_source = cohort.study("53189527").labels_by_source
        assert (by_source["chexpert"]["Atelectasis"], by_source["negbio"]["Atelectasis"]) == (1.0, 0.0)
