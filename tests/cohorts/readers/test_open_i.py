"""Open-i: both public layouts, films under their several names, reports alone, and hostile XML."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from timnet.cohorts import store
from timnet.cohorts.readers import open_i
from timnet.cohorts.records import CohortError, FilmRecord, Skipped, StudyRecord

REPORTS = """uid,MeSH,Problems,image,indication,comparison,findings,impression
1,normal,normal,Xray Chest PA and Lateral,Positive TB test,None.,The lungs are clear.,Normal chest x-XXXX.
2,Cardiomegaly/borderline;Pulmonary Artery/enlarged,Cardiomegaly;Pulmonary Artery,Chest,,,,Large heart.
3,No Indexing,No Indexing,Chest,,,,
"""
PROJECTIONS = """uid,filename,projection
1,1_IM-0001-4001.dcm.png,Frontal
1,1_IM-0001-3001.dcm.png,Lateral
2,2_IM-0652-1001.dcm.png,Frontal
3,3_IM-1384-1001.dcm.png,Frontal
"""
XML = """<?xml version="1.0" encoding="utf-8"?>
<eCitation>
  <meta type="rr"/>
  <uId id="CXR{uid}"/>
  <MedlineCitation Owner="Indiana University" Status="supplied by publisher">
    <Article PubModel="Electronic"><Abstract>
      <AbstractText Label="COMPARISON">None.</AbstractText>
      <AbstractText Label="INDICATION">Positive TB test</AbstractText>
      <AbstractText Label="FINDINGS">The lungs are clear. Heart &lt; 50 %.</AbstractText>
      <AbstractText Label="IMPRESSION">Normal chest x-XXXX.</AbstractText>
    </Abstract></Article>
  </MedlineCitation>
  <MeSH><major>{major}</major><automatic>heart</automatic></MeSH>
  <parentImage id="CXR{uid}_1_IM-0001-3001">
    <figureId>F1</figureId><caption>Xray Chest PA and Lateral</caption>
    <panel type="single"><url>/hadoop/storage/radiology/extract/CXR{uid}_1_IM-0001-3001.jpg</url></panel>
  </parentImage>
  <parentImage id="CXR{uid}_1_IM-0001-4001"><figureId>F2</figureId></parentImage>
</eCitation>
"""


def film(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)


def write_tables(root: Path, reports: str = REPORTS, projections: str = PROJECTIONS) -> Path:
    (root / "indiana_reports.csv").write_text(reports)
    (root / "indiana_projections.csv").write_text(projections)
    return root


def write_xml(root: Path, *texts: str) -> Path:
    (root / "ecgen-radiology").mkdir(exist_ok=True)
    for number, text in enumerate(texts, 1):
        (root / "ecgen-radiology" / f"{number}.xml").write_text(text)
    return root


def split(root: Path) -> tuple[list[StudyRecord], list[tuple[str, str]]]:
    records = list(open_i.read(root))
    skipped = [(record.row, record.reason) for record in records if isinstance(record, Skipped)]
    return [record for record in records if isinstance(record, StudyRecord)], skipped


@pytest.mark.parametrize("folder", ["images/images_normalized", "images_normalized", "images", ""])
@pytest.mark.parametrize("name", ["1_IM-0001-4001.dcm.png", "CXR1_1_IM-0001-4001.png"])
def test_a_film_is_found_under_either_name_beside_or_below(tmp_path: Path, folder: str, name: str) -> None:
    film(write_tables(tmp_path) / folder / name)
    records, skipped = split(tmp_path)
    path = f"{folder}/{name}".lstrip("/")
    assert [record.films for record in records] == [(FilmRecord(path, "FRONTAL"),), (), ()]
    assert skipped == [
        ("1_IM-0001-3001.dcm.png", "film is missing"),
        ("2_IM-0652-1001.dcm.png", "film is missing"),
        ("3_IM-1384-1001.dcm.png", "film is missing"),
    ]


def test_a_film_that_a_copy_numbered_anew_is_known_by_its_study(tmp_path: Path) -> None:
    film(write_tables(tmp_path) / "images" / "CXR2_IM-0652_0.png")
    film(tmp_path / "images" / "CXR12_IM-0652_0.png")
    records, _ = split(tmp_path)
    assert records[1].films == (FilmRecord("images/CXR2_IM-0652_0.png", None),)


def test_reading_twice_gives_the_same_records_in_the_same_order(tmp_path: Path) -> None:
    film(write_tables(tmp_path) / "images" / "CXR2_IM-0652_0.png")
    assert repr(list(open_i.read(tmp_path))) == repr(list(open_i.read(tmp_path)))


def test_report_sections_labels_and_patient_come_from_the_table(tmp_path: Path) -> None:
    first, second, third = split(write_tables(tmp_path))[0]
    assert (first.study, first.patient, first.split) == ("1", "1", None)
    assert first.report == (
        "EXAMINATION: Xray Chest PA and Lateral\n\nINDICATION: Positive TB test\n\nCOMPARISON: None.\n\n"
        "FINDINGS: The lungs are clear.\n\nIMPRESSION: Normal chest x-XXXX."
    )
    assert second.report == "EXAMINATION: Chest\n\nIMPRESSION: Large heart."
    assert [first.labels["No Finding"], second.labels["No Finding"]] == [1.0, 0.0]
    assert math.isnan(third.labels["No Finding"])


def test_faulty_rows_of_either_table_are_named(tmp_path: Path) -> None:
    reports = REPORTS + "1,normal,normal,Chest,,,,Again.\nx,normal,normal,Chest,,,,No number.\n4,normal\n"
    write_tables(tmp_path, reports, PROJECTIONS + "9,9_IM-1-1.dcm.png,Frontal\n9\n")
    records, skipped = split(tmp_path)
    assert len(records) == 3
    assert [each for each in skipped if each[1] != "film is missing"] == [
        ("indiana_projections.csv row 7", "row has not as many cells as the header"),
        ("indiana_reports.csv row 5", "report is listed twice"),
        ("indiana_reports.csv row 6", "uid is no number"),
        ("indiana_reports.csv row 7", "row has not as many cells as the header"),
        ("uid 9", "films without a report"),
    ]


def test_text_that_is_not_utf8_is_read_and_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    film(write_tables(tmp_path) / "images" / "1_IM-0001-4001.dcm.png")
    reports = REPORTS.replace("Large heart.", "Herz größer.")
    (tmp_path / "indiana_reports.csv").write_bytes(reports.encode("cp1252"))
    summary = open_i.run(tmp_path, "x")
    assert "indiana_reports.csv is not UTF-8: read as Windows-1252" in summary.notes
    with store.Cohort.open(store.find("x")) as cohort:
        assert cohort.study("2").findings == "Herz größer."


@pytest.mark.parametrize(
    ("reports", "projections", "message"),
    [
        (None, PROJECTIONS, "expected indiana_reports.csv or a folder ecgen-radiology"),
        (REPORTS, None, "expected indiana_projections.csv beside indiana_reports.csv"),
        (REPORTS.replace("findings", "finding", 1), PROJECTIONS, "expected a column 'findings'"),
        ("version https://git-lfs.github.com/spec/v1\n", PROJECTIONS, "got a Git LFS pointer"),
    ],
)
def test_what_is_not_the_layout_is_refused_in_one_sentence(
    tmp_path: Path, reports: str | None, projections: str | None, message: str
) -> None:
    for name, text in (("indiana_reports.csv", reports), ("indiana_projections.csv", projections)):
        if text is not None:
            (tmp_path / name).write_text(text)
    with pytest.raises(CohortError, match=message):
        list(open_i.read(tmp_path))


def test_the_xml_layout_gives_the_same_studies(tmp_path: Path) -> None:
    write_xml(tmp_path, XML.format(uid=1, major="normal"), XML.format(uid=2, major="Opacity/lung"))
    film(tmp_path / "NLMCXR_png" / "CXR1_1_IM-0001-3001.png")
    (first, second), skipped = split(tmp_path)
    assert first.films == (FilmRecord("NLMCXR_png/CXR1_1_IM-0001-3001.png", None),)
    assert first.report == (
        "EXAMINATION: Xray Chest PA and Lateral\n\nINDICATION: Positive TB test\n\nCOMPARISON: None.\n\n"
        "FINDINGS: The lungs are clear. Heart < 50 %.\n\nIMPRESSION: Normal chest x-XXXX."
    )
    assert [(each.study, each.labels["No Finding"]) for each in (first, second)] == [("1", 1.0), ("2", 0.0)]
    assert [reason for _, reason in skipped] == ["film is missing"] * 3


def test_xml_with_entities_or_damage_is_named_and_the_rest_comes_in(tmp_path: Path) -> None:
    good = XML.format(uid=1, major="normal")
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><eCitation>&b;</eCitation>'
    outside = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><eCitation>&a;</eCitation>'
    write_xml(tmp_path, good, bomb, outside, good, "<eCitation>", "x" * (open_i.MAX_XML + 1), "<a>&a;</a>")
    records, skipped = split(tmp_path)
    assert len(records) == 1
    assert [each for each in skipped if each[1] != "film is missing"] == [
        ("2.xml", "report has a document type"),
        ("3.xml", "report has a document type"),
        ("4.xml", "report is listed twice"),
        ("5.xml", "report is no XML"),
        ("6.xml", "report is larger than 1 MiB"),
        ("7.xml", "report is no XML"),
    ]


def test_all_of_open_i_has_the_counts_of_its_readme(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    root = real_data / "open_i_reports"
    records, skipped = split(root)
    assert sum("FINDINGS: " in record.report for record in records) == 3337
    assert sum("IMPRESSION: " in record.report for record in records) == 3820
    assert {reason for _, reason in skipped} == {"film is missing"}
    summary = open_i.run(root, "open_i")
    assert (summary.studies, summary.films, summary.patients) == (3851, 8, 3851)
    with store.Cohort.open(store.find("open_i")) as cohort:
        assert sum(bool(cohort.study(uid).films) for uid in ("368", "383", "1000", "2843")) == 4
        assert len(cohort.labels()) == 8
        # A word that is in the reports of some studies without films.
        assert cohort.count(query="cardiomegaly") > 100
