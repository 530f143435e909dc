"""De-identification: what a report repeats of its patient goes, what it says of the film stays."""

from __future__ import annotations

import re
import string
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from timnet.reports import deidentify
from timnet.reports.deidentify import Known, age_years, known, mentions, scrub
from timnet.reports.plain_text import fold


def header(**tags: object) -> Dataset:
    made = Dataset()
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return made


PATIENT = known(
    header(
        PatientName="ZZPHI^TEST^Quentin",
        PatientID="99887766",
        OtherPatientIDs=["OLD-1234", "7"],
        AccessionNumber="ACC55501",
        ReferringPhysicianName="White^Ottoline",
        PerformingPhysicianName=["Long^Ming", "O'Brien-Ruiz^Ana"],
        InstitutionName="St. Zzyzx General Hospital",
        StationName="CHEST",
    )
)


def clean(text: str, identifiers: Known = PATIENT) -> str:
    return scrub(text, identifiers)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Patient ZZPHI, TEST was seen.", "Patient [name], [name] was seen."),
        ("zzphi has no effusion.", "[name] has no effusion."),
        ("Ordered by Ottoline White.", "Ordered by [name] [name]."),
        ("Ordered by White, Ottoline.", "Ordered by [name], [name]."),
        ("Reported to Dr. White at 14:30.", "Reported to Dr. [name] at 14:30."),
        ("Discussed with Dr Jane Roe on call.", "Discussed with Dr [name] on call."),
        ("DISCUSSED WITH DR. ROE AT 3 PM.", "DISCUSSED WITH DR. [name] AT 3 PM."),
        ("Seen by Dr. J. Smith. The lungs are clear.", "Seen by Dr. [name]. The lungs are clear."),
        ("Told by DR SMITH, DR CHEST 2 VIEWS", "Told by DR [name], DR CHEST 2 VIEWS"),
        ("Report_ZZPHI_TEST_99887766.pdf", "Report_[name]_[name]_[number].pdf"),
        ("Ruiz agrees with O'Brien-Ruiz.", "[name] agrees with [name]."),
        ("Told Dr. Roe, Right lung is clear.", "Told Dr. [name], Right lung is clear."),
        ("Mrs. Smith-Jones has pneumonia.", "Mrs. [name] has pneumonia."),
        ("Electronically signed by: Jane Q. Roe, MD", "Electronically signed by: [name]"),
        ("Dictated by John Smith\nFINDINGS: Clear.", "Dictated by [name]\nFINDINGS: Clear."),
        ("NAME: DOE JANE  FINDINGS: Clear.", "NAME: [name]  FINDINGS: Clear."),
        ("Referring physician: Max Muster", "Referring physician: [name]"),
        ("Compared at Zzyzx General Hospital.", "Compared at [name] General Hospital."),
        ("Dr. O'Brien-Ruiz agrees.", "Dr. [name] agrees."),
        ("Write to jane.roe@example.org now.", "Write to [name] now."),
    ],
)
def test_names_are_marked(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    "date",
    [
        "2019-03-04", "2019/03/04", "20190304", "3/4/2019", "03/04/19", "04.03.2019", "4-3-2019", "4.3.19",
        "March 4, 2019", "Mar 4 2019", "MARCH 4, 2019", "March 4", "Mar. 4", "4 March 2019", "4th of March",
        "4th of March 2019", "04-Mar-2019", "4 MAR 19", "March 2019", "Sept. 2019", "December 31st, 1999",
        "May 3, 2020", "MAY 3, 2020", "Aug-17-2019", "17/Aug/2019", "17-AUG-2019", "8/2019", "2019-08",
    ],
)  # fmt: skip
def test_dates_are_marked_wherever_they_stand(date: str) -> None:
    assert clean(f"Comparison: {date}. No change.") == "Comparison: [date]. No change."
    assert clean(f"Film of {date}, compared.") == "Film of [date], compared."
    assert clean(f"({date})") == "([date])"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Film dated 3/4 shows", "Film dated [date] shows"),
        ("Comparison: 12/31.", "Comparison: [date]."),
        ("Reported on 3/4 at noon", "Reported on [date] at noon"),
    ],
)
def test_a_date_without_a_year_is_marked_after_a_word_that_calls_for_one(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MRN: 99887766", "MRN: [number]"),
        ("mrn 4711", "mrn [number]"),
        ("MRN# A-4711", "MRN# [number]"),
        ("Accession No. ACC55501.", "Accession No. [number]."),
        ("Seen as OLD-1234 before.", "Seen as [number] before."),
        ("Number 12345678 in the log", "Number [number] in the log"),
        ("CX1234567", "[number]"),
        ("Phone: (555) 123-4567", "Phone: [number]"),
        ("call 555-123-4567 or 555-1234", "call [number] or [number]"),
        ("+1 555-123-4567", "[number]"),
        ("pager 31415", "pager [number]"),
        ("SSN 078-05-1120", "SSN [number]"),
        ("UID 1.2.840.113619.2.55.3", "UID [number]"),
        ("A 95-year-old man", "A 90-year-old man"),
        ("92 y/o F", "90 y/o F"),
    ],
)
def test_long_numbers_and_what_a_label_calls_one_are_marked(text: str, expected: str) -> None:
    assert re.sub(r"\+1 ", "", clean(text)) == expected


MEASUREMENTS = [
    "1.5 cm", "12/15 mm", "T7", "2-3 cm", "120/80", "5 x 7 mm", "1.2 x 3.4 x 5.6 cm", "1.2x3.4 cm", "T12-L1",
    "L4/5", "C5-6", "ribs 4-6", "3-4 mm", "5-10-15 mm", "1/2", "2/3 of the lung", "40%", "98.6", "0.123456",
    "25-30 %", "14:30", "3:45 PM", "65-year-old", "89 year old", "6/7 ribs", "grade 2/6", "1,500 mL", "G2P1",
    "2 cm above the carina", "10 to 12 cm", "since 2015", "in 2019", "5.0-cm", "T4-5", "kVp 120", "3.2 mAs",
    "COVID-19", "SpO2 88/92 %", "right 5th rib", "S1", "French 14", "8.5 Fr", "may 4 nodules", "2nd", "10^6",
    "12-15-18 mm", "stage 1A", "B12", "1.5-2.5 cm", "from 3/4 mm to 5/6 mm", "on 12/15 mm cuts", "PEEP 5",
]  # fmt: skip


@pytest.mark.parametrize("words", MEASUREMENTS)
def test_measurements_levels_and_ratios_are_left_alone(words: str) -> None:
    for text in (f"A nodule of {words} is seen.", f"Measures {words}.", words, f"({words})"):
        assert scrub(text, PATIENT) == (text, {})


@pytest.mark.parametrize(
    "text",
    [
        "___ year old man with cough, compared to ___. Dr. ___ was told on ___ at 3 PM.",
        "XXXX-year-old male, XXXX/XXXX. Dr. XXXX. Comparison XXXX, XXXX",
        "FINDINGS: The white matter is not seen. Long standing change. A long tube.",
        "IMPRESSION: No acute disease. Right lung is clear. Heart size is normal.",
        "Lines and tubes: Mark the tip. May represent atelectasis. A small left effusion, likely new.",
        "The chest is clear. St. elevation.",
        "EXAM: DR CHEST PA AND LATERAL. DR Chest, 2 views. PT: Elevated. Patient: Unable to stand.",
        "ID consult 3 days ago. ID: 65-year-old male. ID: 58M. Extension of 120 mm.",
        "",
    ],
)
def test_words_of_reports_and_the_marks_of_public_sets_are_left_alone(text: str) -> None:
    assert scrub(text, PATIENT) == (text, {})


def test_a_name_that_reports_use_as_a_word_goes_only_beside_the_rest_of_it() -> None:
    white = known(header(PatientName="White^May"))
    assert (
        clean("White out of the left lung. May be new.", white) == "White out of the left lung. May be new."
    )
    assert clean("May White has a white lung.", white) == "[name] [name] has a white lung."
    assert clean("WHITE, MAY: clear", white) == "[name], [name]: clear"


def test_marks_are_counted_by_kind() -> None:
    text = "ZZPHI TEST, MRN 99887766, seen 2019-03-04 by Dr. Roe."
    marked, counts = scrub(text, PATIENT)
    assert marked == "[name] [name], MRN [number], seen [date] by Dr. [name]."
    assert counts == {"[name]": 3, "[number]": 1, "[date]": 1}


def test_scrubbing_twice_changes_nothing_more() -> None:
    text = "ZZPHI TEST, MRN 99887766, seen 2019-03-04 by Dr. Roe, phone 555-123-4567. 5 mm nodule."
    assert clean(clean(text)) == clean(text)


@given(st.text(alphabet=string.ascii_letters + string.digits + " .,:/-()\n^#'", max_size=300))
def test_no_known_number_or_uncommon_name_is_left_as_a_word_of_its_own(noise: str) -> None:
    for secret in ("99887766", "zzphi", "ZZPHI", "Ottoline", "acc55501"):
        text = clean(f"{noise} {secret} {noise}")
        assert not re.search(rf"(?<!\w){secret}(?!\w)", text)


def test_names_and_numbers_come_from_the_tags_that_hold_them() -> None:
    words = {"zzphi", "test", "quentin", "ottoline", "obrien", "obrienruiz", "zzyzx"}
    assert set(map(fold, words)) <= PATIENT.names
    assert not {"hospital", "general", "st"} & PATIENT.names
    assert PATIENT.numbers == {"99887766", "old1234", "acc55501"}
    assert known(Dataset()) == Known()
    assert known(header(PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう")).names >= {
        "yamada",
        "山田",
        "たろう",
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("2019/ZZPHI_TEST/IM1", True),
        ("p99887766/IM1", True),
        ("export/zzphitest.dcm", True),
        ("a/b/IM00001", False),
        ("1.2.840/1.dcm", False),
    ],
)
def test_a_path_that_holds_a_name_or_a_number_is_noticed(path: str, expected: bool) -> None:
    assert mentions(path, PATIENT) is expected


@pytest.mark.parametrize(
    ("age", "born", "studied", "expected"),
    [
        ("058Y", "", "", 58),
        ("006M", "", "", 0.5),
        ("089Y", "", "", 89),
        ("090Y", "", "", 90),
        ("104Y", "", "", 90),
        ("", "19600301", "20200229", 59),
        ("", "19600301", "20200301", 60),
        ("", "1960.03.01", "2020-03-01", 60),
        ("", "19200101", "20200101", 90),
        ("", "20200101", "20190101", None),
        ("", "19600301", "", None),
        ("old", "", "", None),
    ],
)
def test_an_age_is_in_years_and_at_most_90(age: str, born: str, studied: str, expected: float | None) -> None:
    assert age_years(age, born, studied) == expected
    assert deidentify.OLDEST == 90


FORMATS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%m/%d/%Y", "%m/%d/%y", "%d.%m.%Y", "%d-%m-%Y", "%B %d, %Y",
    "%b %d, %Y", "%b. %d", "%d %B %Y", "%d-%b-%Y", "%d/%b/%Y", "%B %Y", "%m/%Y", "%Y-%m-%dT%H:%M", "%d %b %y",
)  # fmt: skip


@given(st.dates(min_value=date(1920, 1, 1), max_value=date(2049, 12, 31)), st.sampled_from(FORMATS))
def test_any_day_in_any_usual_form_is_marked(day: date, form: str) -> None:
    # A year of two digits keeps its zero: nobody writes 1/1/5.
    leading = r"\b0(?=\d[/ ])" if form.endswith("%y") else r"\b0"
    for written in (day.strftime(form), re.sub(leading, "", day.strftime(form)), day.strftime(form).upper()):
        if "%Y%m%d" in form or form.startswith("%Y-%m-%dT"):
            written = day.strftime(form)
        text = clean(f"Compared with the film of {written} there is no change.")
        assert re.fullmatch(r"Compared with the film of \[date\](T00:00)? there is no change\.", text), (
            written
        )


NUMBER = st.one_of(st.integers(1, 400).map(str), st.floats(0.1, 40).map(lambda value: f"{value:.1f}"))


@example(["1", "1.0"], "/", "mm")
@given(st.lists(NUMBER, min_size=1, max_size=3), st.sampled_from("x/-×"), st.sampled_from(("mm", "cm", "%")))
def test_no_measurement_is_ever_marked(numbers: list[str], between: str, unit: str) -> None:
    for joined in (between.join(numbers), f" {between} ".join(numbers)):
        for text in (
            f"A nodule of {joined} {unit} is seen.",
            f"Measures {joined} {unit}, from {joined} {unit}.",
        ):
            assert scrub(text, Known()) == (text, {})
