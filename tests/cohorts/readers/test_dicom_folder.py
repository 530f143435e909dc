"""A PACS export becomes a cohort: what belongs together, faults by name, and no identifier anywhere."""

from __future__ import annotations

import csv
import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import radiographs
from pydicom import uid
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from radiographs import item

from timnet.__main__ import main
from timnet.cohorts import store
from timnet.cohorts.importing import pseudonyms
from timnet.cohorts.readers import dicom_folder
from timnet.cohorts.records import LEAVES, CohortError, Summary

KEY = "a key of the tests alone"


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TIMNET_KEY", KEY)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    return folder


def film(number: int, study: str, patient: str | None = "P-100001", **tags: object) -> Dataset:
    """Return a radiograph whose pixels are its own."""
    stored = np.roll(radiographs.quantised(12), number, axis=1)
    made = radiographs.dataset(
        stored,
        12,
        SOPInstanceUID=f"1.2.3.{number}",
        StudyInstanceUID=study,
        PatientName="DOE^JANE",
        PatientID=patient,
        ViewPosition="PA",
        **radiographs.full_window(12),
    )
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return made


def put(root: Path, name: str, made: Dataset | bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made if isinstance(made, bytes) else radiographs.written(made))


def table(path: Path, rows: Iterable[dict[str, str]], encoding: str = "utf-8") -> Path:
    rows = list(rows)
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def imported(root: Path, **how: object) -> tuple[Summary, store.Cohort]:
    summary = dicom_folder.run(root, "pacs", **how)  # type: ignore[arg-type]
    return summary, store.Cohort.open(store.find("pacs"))


def test_files_of_any_name_are_grouped_by_study_and_ordered_by_their_numbers(root: Path) -> None:
    put(root, "b/IM1", film(1, "1.1", InstanceNumber=2, PatientSex="F", PatientAge="058Y"))
    put(root, "b/x.tmp", film(2, "1.1", InstanceNumber=1, ViewPosition="LL"))
    put(root, "a/IM1", film(3, "1.2", patient="P-100002", PatientBirthDate="19200101", StudyDate="20200101"))
    put(root, "c/deep/er/IM1", film(4, "1.3"))
    summary, cohort = imported(root)
    assert (summary.studies, summary.films, summary.patients, summary.skipped) == (3, 4, 2, {})
    assert list(cohort.films().path) == ["a/IM1", "b/x.tmp", "b/IM1", "c/deep/er/IM1"]
    assert list(cohort.films().view) == ["PA", "LATERAL", "PA", "PA"]
    studies = cohort.studies().set_index("study")
    study = pseudonyms.pseudonym(KEY.encode(), "study", "1.1")
    assert (studies.sex[study], studies.age[study]) == ("F", 58)
    assert studies.patient[study] == pseudonyms.pseudonym(KEY.encode(), "patient", "P-100001")
    assert studies.age[pseudonyms.pseudonym(KEY.encode(), "study", "1.2")] == 90


def test_the_same_key_links_patients_over_imports_and_another_key_does_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, "a", film(1, "1.1"))
    first = imported(root)[1].films().patient[0]
    (root / "a").unlink()
    put(root, "b", film(2, "1.2"))
    assert imported(root)[1].films().patient[0] == first
    monkeypatch.setenv("TIMNET_KEY", KEY + " no more")
    assert imported(root)[1].films().patient[0] != first


def test_two_imports_of_one_export_are_one(root: Path) -> None:
    for number in range(4):
        put(root, f"IM{number}", film(number, f"1.{number // 2}"))
    before = imported(root)[1].films()
    after = imported(root)[1].films()
    assert before.equals(after)


def test_every_fault_is_named_and_none_is_fatal(root: Path, tmp_path: Path) -> None:
    put(root, "good", film(1, "1.1", AccessionNumber="A1"))
    put(root, "alone", film(2, "1.2", patient=""))
    put(root, "later copy", film(1, "1.1"))
    put(root, "ct", film(3, "1.3", Modality="CT"))
    put(root, "frames", film(4, "1.4", NumberOfFrames=3))
    put(root, "other patient", film(5, "1.1", patient="P-200000"))
    put(root, "no study", film(6, ""))
    put(root, "cut", radiographs.written(film(7, "1.7"))[:-100])
    put(root, "header", radiographs.written(film(8, "1.8"))[:150] + b"\xff" * 20)
    put(root, "burned", film(9, "1.9", BurnedInAnnotation="YES"))
    put(root, "sr", radiographs.structured([item("TEXT", "Findings", "Alone.")], StudyInstanceUID="1.10"))
    put(root, "notes.txt", b"not a film")
    put(root, "pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    put(root, ".hidden", b"not a film either")
    (root / "link").symlink_to(tmp_path)
    outside = tmp_path / "outside"
    put(tmp_path, "outside", film(11, "1.11"))
    (root / "out").symlink_to(outside)
    (root / "gone").symlink_to(root / "nothing")
    reports = table(
        tmp_path / "reports.csv",
        [
            {"accession": "A1", "report": "FINDINGS: Clear."},
            {"accession": "A1", "report": "FINDINGS: Clear."},
            {"accession": "A7", "report": "FINDINGS: Of nobody."},
            {"accession": "", "report": "FINDINGS: Unnamed."},
            {"accession": "A8", "report": " "},
        ],
    )
    summary, cohort = imported(root, reports=reports)
    assert summary.films == 3
    assert sorted(cohort.films().path) == ["alone", "burned", "good"]
    expected = {
        "SOPInstanceUID is there twice": 1,
        "expected a radiograph, got modality CT": 1,
        "expected one frame, got several": 1,
        "PatientID differs from that of its study's first file": 1,
        "no StudyInstanceUID": 2,
        "PixelData: expected 960 bytes for 24 Rows, 20 Columns, 1 NumberOfFrames and 16 BitsAllocated, "
        "got 860: the file is cut short, or one of these is wrong": 1,
        "report has no film in its study": 1,
        "not a DICOM file": 1,
        "a Git LFS pointer, not a film": 1,
        LEAVES: 2,
        "not a file": 1,
        "report is listed twice": 1,
        "report belongs to no study with a film": 1,
        "no accession number or study in the row": 1,
        "no report in the row": 1,
    }
    assert summary.skipped == expected
    assert "studies without a PatientID, each taken for a patient of its own: 1" in summary.notes
    assert "films whose file says that text is burned into the image: 1" in summary.notes
    # That a film is cut is seen later, when it is decoded.
    assert "studies without a report: 3" in summary.notes


def test_an_unreadable_file_is_named(root: Path) -> None:
    put(root, "good", film(1, "1.1"))
    put(root, "locked", film(2, "1.2"))
    (root / "locked").chmod(0)
    if os.access(root / "locked", os.R_OK):
        pytest.skip("this user reads every file")
    assert imported(root)[0].skipped == {"file cannot be read": 1}


def test_frames_and_modalities_come_in_by_a_flag_and_open_again(root: Path) -> None:
    stored = np.stack([radiographs.quantised(12)] * 2)
    put(root, "frames", film(1, "1.1", NumberOfFrames=2, PixelData=stored.tobytes()))
    put(root, "ct", film(2, "1.2", Modality="CT"))
    with pytest.raises(CohortError, match="no film could be imported: expected"):
        imported(root)
    summary, cohort = imported(root, frame="first", any_modality=True)
    assert summary.films == 2
    assert {cohort.read_film(number).notes[0] for number in (0, 1)} == {
        "the first of 2 frames",
        "modality CT: not a radiograph",
    }


def test_reports_are_found_by_accession_number_or_study_in_any_usual_spelling(
    root: Path, tmp_path: Path
) -> None:
    put(root, "a", film(1, "1.1", AccessionNumber="A1"))
    put(root, "b", film(2, "1.2", AccessionNumber="A2"))
    put(root, "c", film(3, "1.3"))
    rows = [
        {"AccessionNumber": "A1", "StudyInstanceUID": "", "Report Text": "FINDINGS: One."},
        {"AccessionNumber": "", "StudyInstanceUID": "1.2", "Report Text": "FINDINGS: Two."},
        {"AccessionNumber": "A1", "StudyInstanceUID": "", "Report Text": "ADDENDUM: More."},
    ]
    summary, cohort = imported(root, reports=table(tmp_path / "r.csv", rows))
    assert list(cohort.studies().report) == ["FINDINGS: One.\n\nADDENDUM: More.", "FINDINGS: Two.", ""]
    assert "studies without a report: 1" in summary.notes
    odd = [{"key of it": "1.3", "wörds": "Clear. Größe normal."}]
    with pytest.raises(
        CohortError, match=r"odd.csv: expected a column of the accession or study among key of"
    ):
        imported(root, reports=table(tmp_path / "odd.csv", odd))
    with pytest.raises(CohortError, match="report text: expected a column among"):
        imported(root, reports=tmp_path / "odd.csv", report_key="key of it", report_text="text")
    named = table(tmp_path / "odd.csv", odd, "cp1252")
    summary, cohort = imported(root, reports=named, report_key="key of it", report_text="wörds")
    assert list(cohort.studies().report) == ["", "", "Clear. Größe normal."]
    assert "odd.csv is not UTF-8: read as Windows-1252" in summary.notes


def test_a_table_beside_the_films_is_no_film(root: Path) -> None:
    put(root, "a", film(1, "1.1", AccessionNumber="A1"))
    reports = table(root / "reports.csv", [{"accession": "A1", "text": "Clear."}])
    summary, cohort = imported(root, reports=reports)
    assert summary.skipped == {}
    assert list(cohort.studies().findings) == ["Clear."]


def test_structured_reports_serve_where_the_table_is_silent(root: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        put(root, f"f{number}", film(number, f"1.{number}", AccessionNumber=f"A{number}"))
        items = [item("CONTAINER", "Findings", [item("TEXT", "Finding", f"Structured {number}.")])]
        tags = {"StudyInstanceUID": f"1.{number}", "SOPInstanceUID": f"5.{number}", "PatientID": "P-100001"}
        put(root, f"s{number}", radiographs.structured(items, **tags))
    reports = table(tmp_path / "r.csv", [{"accession": "A1", "text": "FINDINGS: From the table."}])
    summary, cohort = imported(root, reports=reports)
    assert list(cohort.studies().findings) == ["From the table.", "Structured 2."]
    assert "reports taken from DICOM structured reports: 1" in summary.notes


def test_identifiers_are_kept_when_asked_for(root: Path, tmp_path: Path) -> None:
    put(root, "a", film(1, "1.1", AccessionNumber="A-4711", PatientAge="097Y"))
    reports = table(tmp_path / "r.csv", [{"accession": "A-4711", "text": "Jane Doe, seen 2019-03-04."}])
    summary, cohort = imported(root, reports=reports, keep_identifiers=True)
    row = cohort.studies().iloc[0]
    assert (row.study, row.patient, row.age) == ("1.1", "P-100001", 97)
    assert row.report == "Jane Doe, seen 2019-03-04."
    assert any(note.startswith("identifiers were kept") for note in summary.notes)


MARKERS = (
    "ZZPHI", "99887766", "19560304", "1956-03-04", "20190817", "2019-08-17", "Zzyzx", "QQACC55", "Ottoline",
    "QQSTREET", "1.2.826.0.1.99.7", "5550199", "QQOPERATOR", "QQOBSERVER", "QQDEVICE",
)  # fmt: skip


def phi_film(number: int, **tags: object) -> Dataset:
    made = film(
        number,
        "1.2.826.0.1.99.7.1",
        "99887766",
        SOPInstanceUID=f"1.2.826.0.1.99.7.1.{number}",
        PatientName="ZZPHI^TEST",
        PatientBirthDate="19560304",
        PatientAddress="1 QQSTREET",
        PatientTelephoneNumbers="5550199",
        OtherPatientIDs="QQACC55-OLD",
        StudyDate="20190817",
        AccessionNumber="QQACC55",
        InstitutionName="Zzyzx Hospital",
        ReferringPhysicianName="Ottoline^Q",
        OperatorsName="QQOPERATOR^A",
        DeviceSerialNumber="QQDEVICE-12345",
        StudyDescription="Chest of ZZPHI",
        ImageComments="ZZPHI 99887766",
        BodyPartExamined="CHEST",
    )
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    made.add_new(0x00091001, "LO", "private ZZPHI 99887766")
    return made


PHI_REPORT = """Patient: TEST ZZPHI   MRN: 99887766   DOB: 1956-03-04   Accession: QQACC55
Zzyzx Hospital, exam of 2019-08-17, phone 555-0199. Referred by Ottoline, prior id QQACC55-OLD.
FINDINGS: A nodule of 1.5 cm at T7, 12/15 mm. Mrs. Zzphi was told on 8/17/2019 by Dr. Ottoline.
IMPRESSION: No pneumonia."""


def test_no_marker_identifier_reaches_cohort_log_summary_or_export(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    put(root, "00/IM0", phi_film(1))
    put(root, "00/IM1", phi_film(2, BurnedInAnnotation="YES"))
    put(root, "01/CT", phi_film(3, Modality="CT"))
    put(root, "01/cut", radiographs.written(phi_film(4))[:-60])
    put(root, "ZZPHI_TEST/note.txt", b"ZZPHI")
    put(root, "ZZPHI_TEST/frames", phi_film(5, NumberOfFrames=9))
    second = phi_film(6, StudyInstanceUID="1.2.826.0.1.99.7.2", AccessionNumber="QQACC56")
    put(root, "02/IM0", second)
    observer = Dataset()
    observer.VerifyingObserverName = "QQOBSERVER^B"
    structured = radiographs.structured(
        [
            item("PNAME", "Recording Observer's Name", "QQOBSERVER^B", "HAS OBS CONTEXT"),
            item("TEXT", "Findings", "ZZPHI has a clear chest, read by Qqobserver on 17 Aug 2019."),
        ],
        StudyInstanceUID="1.2.826.0.1.99.7.2",
        PatientID="99887766",
        PatientName="ZZPHI^TEST",
        VerifyingObserverSequence=[observer],
        SOPInstanceUID="1.2.826.0.1.99.7.2.9",
    )
    put(root, "02/SR", structured)
    reports = table(
        tmp_path / "reports.csv",
        [
            {"accession": "QQACC55", "report": PHI_REPORT},
            {"accession": "QQACC99", "report": "FINDINGS: ZZPHI is somebody else's."},
        ],
    )
    assert main(["import", "dicom", str(root), "--name", "pacs", "--reports", str(reports)]) == 0
    assert main(["import", "dicom", str(root), "--name", "pacs", "--reports", str(reports), "--json"]) == 0
    cohort = store.Cohort.open(store.find("pacs"))
    assert len(cohort) == 3
    assert cohort.studies().report[0].splitlines()[2] == (
        "FINDINGS: A nodule of 1.5 cm at T7, 12/15 mm. Mrs. [name] was told on [date] by Dr. [name]."
    )
    printed = capsys.readouterr()
    said = {
        "printed": printed.out + printed.err,
        "logged": caplog.text,
        "studies": cohort.studies().to_csv() + cohort.studies().to_json(),
        "films": cohort.films().to_csv(),
        "searched": repr(cohort.summary()),
    }
    for number in range(len(cohort)):
        said[f"film {number}"] = repr(cohort.read_film(number).notes)
    for path in sorted((tmp_path / "home").rglob("*")):
        if path.is_file():
            said[path.name] = path.read_bytes().decode("latin-1")
        said[f"name of {path.name}"] = str(path.relative_to(tmp_path))
    assert "cohort.sqlite" in said
    for place, text in said.items():
        for marker in (*MARKERS, KEY):
            assert marker.casefold() not in text.casefold(), (place, marker)


def test_no_text_date_or_uid_of_any_attribute_of_the_standard_reaches_the_cohort(
    root: Path, tmp_path: Path
) -> None:
    made = film(1, "1.2.999.77.1", "QQ00100020", PatientAge="058Y")
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if tag >> 16 < 8 or not keyword or keyword == "SOPClassUID":
            continue
        if vr in ("PN", "LO", "SH", "LT", "ST", "UT", "UC", "AE"):
            made.add_new(tag, vr, f"QQ{tag:08X}")
        elif vr == "DA":
            made.add_new(tag, vr, "19110203")
        elif vr == "DT":
            made.add_new(tag, vr, "19110203112233")
        elif vr == "UI":
            made.add_new(tag, vr, f"1.2.999.77.{tag}")
    assert len(made) > 900
    put(root, "IM1", made)
    summary, cohort = imported(root)
    assert summary.films == 1
    told = [repr(summary), cohort.studies().to_csv(), cohort.films().to_csv()]
    told += [path.read_bytes().decode("latin-1") for path in (tmp_path / "home").rglob("*") if path.is_file()]
    for text in told:
        assert not re.search(r"QQ[0-9A-F]{8}|1911-?02-?03|1\.2\.999\.77", text, re.IGNORECASE)


def test_a_path_that_holds_a_name_is_counted_and_said(root: Path) -> None:
    put(root, "DOE_JANE/IM1", film(1, "1.1"))
    put(root, "x/P-100001.dcm", film(2, "1.2"))
    put(root, "x/IM2", film(3, "1.3"))
    summary, _ = imported(root)
    assert (
        "films whose path holds their patient's name or number, which the cohort keeps (docs/privacy.md): 2"
        in summary.notes
    )


def test_films_with_text_near_the_border_are_counted(root: Path) -> None:
    from test_burned_in_text import body, written

    for number, px in enumerate([body(), written("DOE JANE 1956-03-04", 24, (20, 20))]):
        stored = np.rint(px * 4095).astype(np.uint16)
        tags = dict(Rows=stored.shape[0], Columns=stored.shape[1], PixelData=stored.tobytes())
        put(root, f"IM{number}", film(number, f"1.{number}", **tags))
    notes = imported(root)[0].notes
    assert [note.rpartition(": ")[2].split(",")[0] for note in notes if "look like text" in note] == ["1"]


def test_studies_stream_one_at_a_time(root: Path) -> None:
    for number in range(5):
        put(root, f"IM{number}", film(number, f"1.{number}"))
    told: list[tuple[int, int | None]] = []
    folder = dicom_folder.Folder(root, key=KEY.encode(), progress=lambda *done: told.append(done))
    assert folder.num_films == 5
    assert told == [(number, None) for number in range(1, 6)]
    (root / "IM4").unlink()
    records = folder.studies()
    assert next(records).films[0].path == "IM0"


@pytest.mark.parametrize("missing", ["nowhere", "a file"])
def test_a_folder_that_is_none_is_refused_in_one_sentence(missing: str, tmp_path: Path) -> None:
    (tmp_path / "a file").write_bytes(b"")
    with pytest.raises(CohortError, match="dicom: expected the folder of an export"):
        dicom_folder.run(tmp_path / missing, "pacs")


def test_the_real_chest_films_import_as_their_readme_counts_them(real_data: Path) -> None:
    summary = dicom_folder.run(real_data / "dicom_chest", "chest")
    with (real_data / "dicom_chest" / "index.csv").open() as file:
        assert summary.films == len(list(csv.DictReader(file))) == 3
    studies = {
        str(pydicom.dcmread(path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
        for path in (real_data / "dicom_chest").glob("*.dcm")
    }
    assert summary.studies == len(studies)
    assert summary.skipped == {"not a DICOM file": 2}


def test_every_storage_syntax_in_one_folder_imports(root: Path) -> None:
    syntaxes = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian)
    for number, syntax in enumerate(syntaxes):
        put(root, f"IM{number}", radiographs.written(film(number, f"1.{number}"), syntax))
    put(root, "bare", radiographs.bare(film(7, "1.7")))
    assert imported(root)[0].films == 4
