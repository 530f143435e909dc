"""What a report says of a classifier's label: asserted, denied, or never named."""

from __future__ import annotations

import pytest

from timnet.reports import label_words


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
        ("Support Devices", "A right PICC ends in the SVC.", "asserted"),
        ("Lung Opacity", "Patchy airspace disease in the right base.", "asserted"),
        ("Lung Opacity", "The lungs are clear.", "not named"),
        ("Edema", "Pulmonary oedema.", "asserted"),
        ("No Finding", "The heart is enlarged.", "unknown"),
        ("Tuberculosis", "Clear lungs.", "unknown"),
    ],
)
def test_a_label_is_found_in_the_words_of_reports(label, findings, said):
    assert label_words.said(label, findings) == said
