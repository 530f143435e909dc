"""What a report says of a classifier's label: asserted, denied, or never named."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import sentence_labels

from timnet.reports import assertion, label_words, phrase_tables

SENTENCES = Path(__file__).parent / "sentences"


@pytest.mark.parametrize(
    ("label", "findings", "said"),
    [
        ("Pleural effusion", "There is a small left pleural effusion.", "asserted"),
        ("pleural_effusion", "No pneumothorax or pleural effusion.", "denied"),
        ("Effusion", "The costophrenic angles are blunted.", "asserted"),
        ("Effusion", "The heart is enlarged.", "not named"),
        ("Cardiomegaly", "The heart is mildly enlarged.", "asserted"),
        ("Cardiomegaly", "Enlarged cardiac silhouette.", "asserted"),
        ("Cardiomegaly", "Heart size is normal.", "denied"),
        ("Cardiomegaly", "The cardiomediastinal silhouette is within normal limits.", "denied"),
        ("Cardiomegaly", "Clear lungs.", "not named"),
        ("Pneumothorax", "No effusion. A right apical pneumothorax is seen.", "asserted"),
        ("Pneumothorax", "The pneumothorax has resolved.", "denied"),
        ("Pneumothorax", "A small left apical pleural air collection.", "asserted"),
        ("Pneumothorax", "No pleural air collections.", "denied"),
        ("Pneumothorax", "The pneumothorax has almost completely resolved.", "asserted"),
        ("Pneumothorax", "No consolidation, large effusion/pneumothorax.", "denied"),
        ("Pleural Effusion", "Pneumothorax/effusion not seen.", "denied"),
        ("Pleural Effusion", "No pneumothorax, large effusion.", "asserted"),
        ("Support Devices", "A right PICC ends in the SVC.", "asserted"),
        ("Lung Opacity", "Patchy airspace disease in the right base.", "asserted"),
        ("Lung Opacity", "The lungs are clear.", "denied"),
        ("Edema", "Pulmonary oedema.", "asserted"),
        ("No Finding", "The heart is enlarged.", "unknown"),
        ("Tuberculosis", "Clear lungs.", "unknown"),
    ],
)
def test_a_label_is_found_in_the_words_of_reports(label, findings, said):
    assert label_words.said(label, findings) == said


@pytest.mark.parametrize(
    ("sentence", "label", "value"),
    [
        ("V. a. Rundherd rechts.", "Lung Lesion", -1),
        ("Im Seitenbild v. a. Rundherd rechts.", "Lung Lesion", -1),
        ("Infiltrat im Mittellappen nicht auszuschließen.", "Lung Opacity", -1),
        ("Frage nach Pneumonie?", "Pneumonia", None),
        ("Ausschluss Pneumothorax.", "Pneumothorax", None),
        ("Pneumothorax komplett rückläufig.", "Pneumothorax", 0),
        ("Herzgröße im Normbereich.", "Cardiomegaly", 0),
        ("Sinus phrenicocostales beidseits frei.", "Pleural Effusion", 0),
    ],
)
def test_german_sentences_with_abbreviations_and_questions(sentence, label, value) -> None:
    found = label_words.labels([sentence], "de")
    assert found is not None and (found[label].value if label in found else None) == value


@pytest.mark.parametrize("spoken", phrase_tables.LANGUAGES)
def test_sentences_of_every_language_are_read_by_their_meaning(spoken: str) -> None:
    rows = sentence_labels.read(SENTENCES / f"{spoken}.tsv")
    assert len(rows) >= 100
    assert sentence_labels.f1(spoken, rows) >= 0.9


@pytest.mark.parametrize(
    ("texts", "label", "value", "sentence"),
    [
        (["No effusion. Small left effusion.", ""], "Pleural Effusion", 1, "Small left effusion."),
        (["No effusion.", "Possible effusion."], "Pleural Effusion", -1, "Possible effusion."),
        (["The lungs are clear.", "Normal chest."], "No Finding", 1, "Normal chest."),
        (["The lungs are clear.", ""], "No Finding", 1, "The lungs are clear."),
        (["A pacemaker is seen. The lungs are clear.", ""], "No Finding", 1, "The lungs are clear."),
        (["The lungs are clear. There is scoliosis.", ""], "No Finding", 0, "There is scoliosis."),
        (["No effusion. Possible pneumonia.", ""], "No Finding", -1, "Possible pneumonia."),
        (
            ["There is a nodule in the left lung.", ""],
            "Lung Lesion",
            1,
            "There is a nodule in the left lung.",
        ),
    ],
)
def test_present_comes_before_uncertain_and_that_before_absent(texts, label, value, sentence) -> None:
    found = label_words.labels(texts)
    assert found is not None and found[label] == (value, sentence)


def test_nothing_is_told_of_a_label_that_is_not_named_nor_of_another_language() -> None:
    assert label_words.labels(["The trachea is in the midline of the chest."]) == {}
    assert label_words.labels(["Non versamento pleurico. Cuore di dimensioni normali."]) is None
    assert label_words.labels(["", ""]) is None


def test_html_is_only_text() -> None:
    found = label_words.labels(["<script>alert('effusion')</script> There is <b>no</b> pneumothorax."])
    assert found is not None and found["Pneumothorax"].value == 0


@pytest.mark.parametrize(
    "unit", ["no ", "and is ", "not *", "effusion, ", "heart lungs ", "(", "a", "possible or ", "é\n"]
)
def test_time_grows_as_the_text_does(unit: str) -> None:
    def seconds(characters: int) -> float:
        text = (unit * characters)[:characters]
        label_words._of_sentence.cache_clear()
        assertion._asserted.cache_clear()
        began = time.process_time()
        label_words.labels([text], "en")
        assertion.asserted(text)
        return time.process_time() - began

    seconds(20_000)
    # Were it quadratic, eight times the text would take 64 times as long.
    assert seconds(160_000) < 24 * max(seconds(20_000), 0.02)
