"""Report text: headers, findings and sentences on written examples, on hostile text and as properties."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timnet.cohorts.reports import findings, sections, sentences

REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___ year old woman with cough.  // pneumonia?

 COMPARISON:  ___.

 FINDINGS:

 LUNGS: The lungs are clear.  Compared to ___ at 5:00 p.m., no
 change.
 HEART: Normal size.

 IMPRESSION:

 1.  No acute cardiopulmonary process.
 2.  Stable 1.8 cm nodule.
"""
WORDS = "LUNGS: The lungs are clear. Compared to ___ at 5:00 p.m., no change. HEART: Normal size."


def test_a_report_is_split_at_its_headers() -> None:
    assert {header: " ".join(body.split()) for header, body in sections(REPORT).items()} == {
        "": "FINAL REPORT",
        "examination": "CHEST (PA AND LAT)",
        "indication": "___ year old woman with cough. // pneumonia?",
        "comparison": "___.",
        "findings": WORDS,
        "impression": "1. No acute cardiopulmonary process. 2. Stable 1.8 cm nodule.",
    }


@pytest.mark.parametrize(
    "header",
    [
        "FINDINGS", "IMPRESSION", "INDICATION", "HISTORY", "CLINICAL HISTORY", "TECHNIQUE", "COMPARISON",
        "CONCLUSION", "FINDINGS AND IMPRESSION", "EXAMINATION", "EXAM", "REASON FOR EXAM",
    ],
)  # fmt: skip
def test_each_usual_header_is_known_inline_at_a_start_and_alone(header: str) -> None:
    expected = {"": "Before.", header.lower(): "Some words."}
    assert sections(f"Before. {header}: Some words.") == expected
    assert sections(f"Before.\n  {header.title()} : Some words.") == expected
    assert sections(f"Before.\n{header}\nSome words.") == expected


def test_a_text_without_headers_is_one_section() -> None:
    assert sections(" The lungs are clear.\nFindings are stable. ") == {
        "": "The lungs are clear.\nFindings are stable."
    }
    assert sections("") == {"": ""}


def test_a_header_within_a_word_or_a_sentence_in_lower_case_is_text() -> None:
    text = "Compared to the prior\n  study: unchanged. There is one impression: normal. REEXAM: no."
    assert sections(text) == {"": text}


def test_the_bodies_of_a_repeated_header_are_joined() -> None:
    assert sections("FINDINGS: One.\nIMPRESSION: Two.\nFINDINGS: Three.") == {
        "findings": "One.\n Three.",
        "impression": "Two.",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (REPORT, WORDS),
        ("FINDINGS:\nIMPRESSION: Normal  chest.", "Normal chest."),
        ("FINDINGS: ___.\nIMPRESSION: Normal chest.", "Normal chest."),
        ("FINDINGS: Clear.\nIMPRESSION: A much longer impression than that.", "Clear."),
        ("INDICATION: Cough. FINDINGS AND IMPRESSION: Clear.", "Clear."),
        ("HISTORY: Cough.\nCONCLUSION: Clear.", "Clear."),
        ("The lungs\n are clear.", "The lungs are clear."),
        ("INDICATION: Cough.\nTECHNIQUE: PA.", ""),
        ("COMPARISON: ___.\n \n FRONTAL VIEW OF THE CHEST: Clear.\n \n IMPRESSION: Normal.", "Clear."),
        ("COMPARISON: ___.\n \n LUNGS: Clear.\n \n IMPRESSION: Normal.", "Normal."),
        ("FINDINGS: Clear.\n CHEST: Normal heart.", "Clear. CHEST: Normal heart."),
        (
            "COMPARISON:  ___.\n \n As compared to ___, no\n change.\n \n Clear.",
            "As compared to ___, no change. Clear.",
        ),
        ("COMPARISON:\n\n None.", ""),
        ("INDICATION: Cough.\n\nRECOMMENDATION: Repeat.\n\nSoon.", ""),
        ("FINDINGS:\nIMPRESSION:\n", ""),
        ("", ""),
        (" \n\t", ""),
        ("...", ""),
    ],
)
def test_findings_are_the_section_or_the_impression_or_the_free_text(text: str, expected: str) -> None:
    assert findings(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n ", []),
        ("Clear lungs", ["Clear lungs"]),
        ("Clear. Normal heart.", ["Clear.", "Normal heart."]),
        ("A 1.8 cm. nodule of 0.5 mm. Clear.", ["A 1.8 cm. nodule of 0.5 mm.", "Clear."]),
        (
            "Seen by Dr. X. Smith at 5 a.m. on ___. Clear.",
            ["Seen by Dr. X. Smith at 5 a.m. on ___.", "Clear."],
        ),
        ("Told to Dr. ___ at 5 p.m. The tube is low.", ["Told to Dr. ___ at 5 p.m.", "The tube is low."]),
        ("1. No effusion. 2. Clear.", ["1. No effusion.", "2. Clear."]),
        ("1. No effusion\n2) Large\n heart\n- Clear", ["1. No effusion", "2) Large heart", "- Clear"]),
        ("Edema vs. pneumonia, e.g. lobar. Stable.", ["Edema vs. pneumonia, e.g. lobar.", "Stable."]),
        ("Series no. 5 is poor. Effusion: no. Clear.", ["Series no. 5 is poor.", "Effusion: no.", "Clear."]),
        ("Is it new? Yes! (See above.) Clear.", ["Is it new?", "Yes!", "(See above.)", "Clear."]),
        ("Clear lungs\n\nNormal heart", ["Clear lungs", "Normal heart"]),
        ("the heart is normal . the lungs are clear .", ["the heart is normal .", "the lungs are clear ."]),
        ("No acute disease. .", ["No acute disease. ."]),
        ("Fracture of rib 2. No effusion.", ["Fracture of rib 2.", "No effusion."]),
        ("Hepatitis C. No effusion.", ["Hepatitis C.", "No effusion."]),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


PIECES = st.sampled_from(
    [
        "FINDINGS:",
        "IMPRESSION:",
        "Dr.",
        "1.",
        "2)",
        "1.8",
        "cm.",
        "a.m.",
        "no.",
        "___",
        ".",
        "?!",
        "-",
        "\n",
        "\n\n",
        " ",
        "\t",
    ]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=30).map(" ".join)


@settings(max_examples=80, deadline=None)
@given(TEXTS)
def test_sentences_hold_every_word_in_order_and_none_is_empty(text: str) -> None:
    found = sentences(text)
    assert " ".join(found).split() == text.split()
    assert all(sentence.strip() for sentence in found)


@settings(max_examples=80, deadline=None)
@given(TEXTS)
def test_sections_keep_every_word_beside_their_headers(text: str) -> None:
    kept = "".join(header + body for header, body in sections(text).items())
    assert Counter("".join(kept.lower().split())) <= Counter("".join(text.lower().split()))


@settings(max_examples=80, deadline=None)
@given(TEXTS)
def test_findings_are_words_of_the_report_on_one_line(text: str) -> None:
    found = findings(text)
    assert found == " ".join(found.split())
    assert found == "" or any(character.isalpha() for character in found)
    assert set(found.split()) <= set("".join(f" {body} " for body in sections(text).values()).split())


@pytest.mark.parametrize(
    "unit",
    [
        "\n",
        "\n \n",
        "HISTORY: \n",
        "A VIEW",
        "\n CHEST:",
        "FINDINGS",
        "FINDINGS: ",
        "Findings   ",
        "*",
        "1. ",
    ],
)
def test_a_megabyte_of_hostile_text_takes_linear_time(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    started = time.perf_counter()
    findings(text)
    sentences(text)
    assert time.perf_counter() - started < 20  # seconds; a quadratic step would take minutes
