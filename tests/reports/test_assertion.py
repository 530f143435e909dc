"""What a text asserts: denied words do not count, and what looks like a denial and is none does."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from timnet.cohorts import schema, store
from timnet.cohorts.records import CohortError, FilmRecord, StudyRecord
from timnet.reports.assertion import asserted

DENIED = [
    "No effusion.", "No pleural effusion or pneumothorax.", "There is no effusion.", "Without effusion.",
    "The lungs are clear without effusion.", "Effusion is not seen.", "Effusion is no longer seen.",
    "The effusion has resolved.", "The effusion has completely cleared.", "Neither mass nor effusion.",
    "Negative for effusion.", "The lungs are free of effusion.", "Resolution of the effusion.",
    "No edema, mass, or effusion.", "Effusion not identified.", "A mass is seen, but no effusion.",
    "Effusion is absent.", "No new effusion.", "Resolved effusion.", "Effusion: none.", "Effusions - no.",
    "Effusion no longer visible.", "An effusion has not developed.", "Disappearance of the effusion.",
    "Nothing to suggest effusion.", "The film fails to show an effusion.",
    "Mass is seen and effusion is absent.", "Effusion was seen and has now resolved.",
    "Effusion and mass have resolved.",
]  # fmt: skip
ASSERTED = [
    "Small effusion.", "No change in the effusion.", "No significant interval change in the effusion.",
    "Effusion cannot be excluded.", "Effusion is not excluded.", "The effusion has not resolved.",
    "No mass, but a small effusion.", "No mass; effusion.", "There is no mass, and there is an effusion.",
    "No pneumothorax. Small effusion.", "The effusion is not increased.", "No increase in the effusion.",
    "Effusion without mass.", "No mass, a small effusion.", "Effusion is seen, no mass.",
    "No effusion on the left. Small effusion on the right.", "There is no mass and there is an effusion.",
    "No mass with small effusion.", "Resolution of the mass with persistent effusion.",
    "Without a mass there is an effusion.", "Not without an effusion.", "The lungs are not free of effusion.",
    "The effusion persists and the mass is no longer seen.", "No mass is seen and an effusion is present.",
    "The effusion has not yet resolved.", "The effusion has not appreciably changed.",
]  # fmt: skip


@pytest.mark.parametrize("text", DENIED)
def test_a_denied_word_does_not_count(text: str) -> None:
    assert "effusion" not in asserted(text).lower()


@pytest.mark.parametrize("text", ASSERTED)
def test_an_asserted_word_counts(text: str) -> None:
    assert "effusion" in asserted(text).lower()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> store.Cohort:
    root = tmp_path_factory.mktemp("asserted")
    records = []
    for number, text in enumerate([*DENIED, *ASSERTED]):
        pixels = np.full((8, 8), number, np.uint8)
        pixels[0, 0] = 255
        Image.fromarray(pixels).save(root / f"{number}.png")
        film = FilmRecord(f"{number}.png")
        records.append(StudyRecord(str(number), str(number), f"FINDINGS: {text}", (film,), {}, "train"))
    store.write(root / "c", source="test", root=root, records=records, side=8)
    return store.Cohort.open(root / "c")


def test_a_search_finds_asserted_words_alone_where_it_is_wanted(cohort: store.Cohort) -> None:
    wanted = {str(len(DENIED) + number) for number in range(len(ASSERTED))}
    found = cohort.studies(query="effusion", asserted=True, limit=None)
    assert set(found["study"]) == wanted
    assert (
        cohort.count(query="effusion", asserted=True)
        == len(wanted)
        == cohort.facets(query="effusion", asserted=True).studies
    )
    assert cohort.count(query="effusion") == len(DENIED) + len(ASSERTED)
    assert set(cohort.studies(query="NOT effusion", asserted=True, limit=None)["study"]) == {
        str(number) for number in range(len(DENIED))
    }
    assert cohort.count(query="effusion", asserted=True, split="train") == len(wanted)


def test_a_cohort_of_before_says_that_it_must_be_imported_again(cohort: store.Cohort, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / schema.DATABASE).write_bytes((cohort.folder / schema.DATABASE).read_bytes())
    with sqlite3.connect(old / schema.DATABASE) as connection:
        connection.execute("DROP TABLE asserted")
    opened = store.Cohort.open(old)
    assert not opened.tells_denials and opened.count(query="effusion") == cohort.count(query="effusion")
    with pytest.raises(CohortError, match="import the cohort again"):
        opened.count(query="effusion", asserted=True)


def test_no_word_is_added_but_the_mark_of_what_is_denied() -> None:
    for text in DENIED + ASSERTED:
        assert set(re.findall(r"\w+", asserted(text))) <= {*re.findall(r"\w+", text), "xdeniedx"}
