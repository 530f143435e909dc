"""Denials: what radiologists write is denied as they would write it, and nothing is denied dishonestly."""

from __future__ import annotations

import re

import pytest
from denials import DENIALS, REFUSALS, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from timnet.reports.negation import LONGEST, EditError, negated

# Both directions: a denial's denial is what it denies.
PAIRS = [
    ("No pneumothorax.", "Pneumothorax."),
    ("No pleural effusion or pneumothorax is seen.", "Pleural effusion or pneumothorax is seen."),
    ("There is no left pleural effusion.", "There is left pleural effusion."),
    ("There are no acute bony findings.", "There are acute bony findings."),
    ("The heart is not enlarged.", "The heart is enlarged."),
    ("Heart size not normal.", "Heart size normal."),
    ("The lungs are not clear.", "The lungs are clear."),
    ("HEART: Heart size is not normal.", "HEART: Heart size is normal."),
    ("1. The trachea is not midline.", "1. The trachea is midline."),
    ("The line does not terminate in the right atrium.", "The line terminates in the right atrium."),
    ("Bony structures do not appear intact.", "Bony structures appear intact."),
    ("The heart has not been enlarged.", "The heart has been enlarged."),
    ("Abnormal heart size.", "Normal heart size."),
    ("NO PLEURAL EFFUSION.", "PLEURAL EFFUSION."),
    ("no effusion", "effusion"),
]


@pytest.mark.parametrize(("denial", "statement"), PAIRS)
def test_a_denial_is_taken_out_and_put_back(denial: str, statement: str) -> None:
    assert negated(denial) == statement
    assert negated(statement) == denial


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("There is a small left pleural effusion.", "There is no small left pleural effusion."),
        ("There are several nodules in the left lung.", "There are no nodules in the left lung."),
        ("A 2 cm nodule is present.", "No 2 cm nodule is present."),
        ("A nodule projects over the rib.", "No nodule projects over the rib."),
        ("Moderate right pneumothorax", "No moderate right pneumothorax"),
        ("No effusion nor pneumothorax.", "Effusion or pneumothorax."),
        ("No consolidation, effusion, or mass.", "Consolidation, effusion, or mass."),
        ("The lungs show no consolidation.", "The lungs show consolidation."),
        ("Specifically, no evidence of edema..", "Specifically, evidence of edema.."),
        ("The heart size and hila are normal.", "The heart size and hila are not normal."),
        ("No PICC line is seen.", "PICC line is seen."),
    ],
)
def test_a_sentence_is_denied_as_reports_write_it(sentence: str, expected: str) -> None:
    assert negated(sentence) == expected


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("Both lungs are clear.", "several things"),
        ("The heart is normal and the lungs are clear.", "several things"),
        ("There is an effusion, and the heart is large.", "several things"),
        ("The lungs are clear without effusion.", "several things|without"),
        ("Small effusion with atelectasis.", "several things"),
        ("No effusion, small nodule.", "several things"),
        ("No effusion and no pneumothorax.", "more than once"),
        ("A small effusion may be present.", "open"),
        ("Opacity is suspicious for pneumonia.", "open"),
        ("Follow-up is recommended.", "advises"),
        ("Two views of the chest are provided.", "how or when"),
        ("Negative for pneumothorax.", "negative for"),
        ("The effusion is no longer seen.", "wording|no plain opposite"),
        ("Pneumothorax cannot be seen.", "no plain opposite"),
        ("Glorp of the wibble.", "wording"),
        ("There is more consolidation on the right.", "wording"),
        ("There is less effusion.", "wording"),
        ("There is at least a moderate effusion.", "wording"),
        ("There are up to three nodules.", "wording"),
        ("Is there an effusion?", "question"),
        ("___ 12.5.", "no words"),
        ("", "no words"),
        ("No " + "very " * LONGEST + "large effusion.", "too long"),
    ],
)
def test_what_has_no_exact_denial_is_refused_with_its_reason(sentence: str, reason: str) -> None:
    with pytest.raises(EditError, match=reason):
        negated(sentence)


BROKEN = re.compile(
    r"\b(?:do|does|did) not (?:have|has|had|is|are) \w+ed\b|\bnot not\b|\bdo(?:es)? do|\bnot no\b|\bno not\b"
    r"|\bno (?:no|a|an|any|few|the)\b|\bnot (?:is|are|was|were|has|does|do)\b|\b(?:is|are) (?:does|do)\b"
    r"|\bhas does\b|n't\b",
    re.IGNORECASE,
)
"""No English: two verbs, two denials, or an article behind `no`."""


@pytest.mark.parametrize(("sentence", "denial"), rows(DENIALS))
def test_a_tense_or_voice_is_denied_in_good_english(sentence: str, denial: str) -> None:
    assert negated(sentence) == denial
    assert not BROKEN.search(denial)


@pytest.mark.parametrize(("sentence", "reason"), rows(REFUSALS))
def test_what_has_no_denial_in_good_english_is_left_out_with_its_reason(sentence: str, reason: str) -> None:
    with pytest.raises(EditError, match=reason):
        negated(sentence)


SUBJECTS = ["The right pleural effusion", "Pulmonary edema", "Bilateral opacities", "A small nodule", "It"]
AUXILIARIES = [
    "has",
    "have",
    "had",
    "has been",
    "is",
    "are",
    "was",
    "has again",
    "has not",
    "is not",
    "does not",
]
WORDS = [
    "clear", "resolved", "improved", "cleared", "removed", "increased", "emphysema", "increased markings",
    "slightly decreased in size", "risen", "become larger", "a clear outline", "been seen", "normal",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SUBJECTS), st.sampled_from(AUXILIARIES), st.sampled_from(WORDS))
def test_no_denial_has_a_broken_verb_and_its_denial_states_it_again(
    subject: str, auxiliary: str, word: str
) -> None:
    sentence = f"{subject} {auxiliary} {word}."
    try:
        denial = negated(sentence)
    except EditError:
        return
    assert not BROKEN.search(denial) or BROKEN.search(sentence), denial
    try:
        again = negated(denial)
    except EditError:  # `did not have` names no tense to go back to
        return
    assert [_one_form(word) for word in words(again)] == [_one_form(word) for word in words(sentence)]


def _one_form(word: str) -> str:
    return "have" if word in ("has", "had") else word


ARTICLES = {"a", "an", "some", "several", "multiple"}
DENYING = {"no", "not", "does", "do", "did", "nor", "or"}
FINDINGS = ["pleural effusion", "pneumothorax", "opacity in the left lung", "rib fracture", "nodule"]
SIZES = ["", "small ", "large left ", "faint right basal "]
STATEMENTS = st.builds(
    lambda frame, size, finding: frame.format(size + finding),
    st.sampled_from(
        ["There is {}.", "There is a {}.", "There are several {}.", "A {} is seen.", "The {} is unchanged.",
         "{}.", "LUNGS: {}.", "2. There is again {}.", "The {} remains stable."]
    ),
    st.sampled_from(SIZES),
    st.sampled_from(FINDINGS),
)  # fmt: skip


def words(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z]+", text.lower()) if word not in ARTICLES | DENYING]


@settings(max_examples=200, deadline=None)
@given(STATEMENTS)
def test_denying_twice_states_it_again_up_to_the_article(statement: str) -> None:
    denial = negated(statement)
    assert re.search(r"\b(no|not)\b", denial, re.IGNORECASE)
    assert words(negated(denial)) == words(statement)


CUES = st.sampled_from(["No", "no", "not", "There", "is", "are", "and", "or", "has", "does", "show"])
FRAGMENTS = CUES | st.sampled_from(["effusion", "heart", "clear", "the", "a", ",", "."])


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80) | st.lists(FRAGMENTS).map(" ".join))
def test_any_text_is_denied_or_refused_and_a_denial_differs(text: str) -> None:
    try:
        denial = negated(text)
    except EditError as error:
        assert str(error)
    else:
        assert denial != text
        both = [
            len(re.findall(r"\b(?:no|not)\b|\babnormal\b", each, re.IGNORECASE)) for each in (text, denial)
        ]
        assert abs(both[0] - both[1]) == 1


@pytest.mark.parametrize(
    "participle", ["sunk", "slid", "lain there", "swung", "burst", "split", "arisen", "crept up", "bent"]
)
def test_perfect_tenses_of_strong_verbs_are_denied_as_others_are(participle: str) -> None:
    assert negated(f"The tip has {participle}.") == f"The tip has not {participle}."
