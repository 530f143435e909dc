"""Structured reports: the content tree's words, under headings that the report parser finds again."""

from __future__ import annotations

from pydicom.dataset import Dataset
from radiographs import item, structured

from timnet.reports import report_text
from timnet.reports.dicom_sr import text


def test_headings_are_kept_so_that_findings_and_impression_are_found() -> None:
    document = structured(
        [
            item("CONTAINER", "History", [item("TEXT", "History", "Cough.")]),
            item(
                "CONTAINER",
                "Findings",
                [item("TEXT", "Finding", "Lungs are clear."), item("TEXT", "Finding", "Heart is normal.")],
            ),
            item("TEXT", "Impression", "No acute disease."),
        ]
    )
    assert report_text.sections(text(document)) == {
        "history": "Cough.",
        "findings": "Lungs are clear.\nHeart is normal.",
        "impression": "No acute disease.",
    }


def test_codes_and_measurements_are_words_and_circumstances_are_left_out() -> None:
    document = structured(
        [
            item("PNAME", "Observer", "ROE^JANE", "HAS OBS CONTEXT"),
            item("TEXT", "Organization", "Zzyzx Hospital", "HAS OBS CONTEXT"),
            item("CODE", "Language", "English", "HAS CONCEPT MOD"),
            item(
                "CONTAINER", "Findings", [item("CODE", "Finding", "pneumothorax"), item("NUM", "Width", 12)]
            ),
            item("PNAME", "Told", "ROE^JANE"),
        ]
    )
    assert text(document) == "Findings:\npneumothorax\nWidth: 12 mm"


def test_a_tree_without_text_or_of_endless_depth_is_read_to_its_end() -> None:
    assert text(Dataset()) == ""
    deep = item("TEXT", "Finding", "deep")
    for _ in range(40):
        deep = item("CONTAINER", "", [deep])
    assert text(structured([deep])) == ""
    assert text(structured([item("TEXT", "", "plain")])) == "plain"
