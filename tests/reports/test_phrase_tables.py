"""The phrase tables: those shipped are whole, and a damaged or misspelt one is refused by file and entry."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from timnet.cohorts import tasks
from timnet.reports import language, phrase_tables
from timnet.reports.phrase_tables import PhraseError, Table, words

SHIPPED = resources.files("timnet.reports") / "phrases"


@pytest.fixture
def given() -> dict:
    return tomllib.loads((SHIPPED / "en.toml").read_text(encoding="utf-8"))


@pytest.fixture
def table() -> Table:
    empty = {**{kind: {} for kind in phrase_tables.KINDS}, "words": [], "masks": []}
    cues = {key: [] for key in (*phrase_tables.CUES, *phrase_tables.SINGLES)}
    cues["states"] = ["normal", "enlarged"]
    present = {
        "Edema": ["oedem* of|in the *? lung", "stop ."],
        "Cardiomegaly": ["heart ... enlarged"],
        "Fracture": ["*bruch"],
    }
    return Table("x.toml", empty | {"present": present, "cues": cues})


def test_the_shipped_tables_are_whole_and_know_the_fourteen_labels_in_their_order() -> None:
    phrase_tables.check()
    assert phrase_tables.LABELS == tasks.CHEXPERT14
    for name in phrase_tables.LANGUAGES:
        given = tomllib.loads((SHIPPED / f"{name}.toml").read_text(encoding="utf-8"))
        assert {*phrase_tables.LABELS} <= {label for kind in phrase_tables.KINDS for label in given[kind]}


@pytest.mark.parametrize(
    ("sentence", "label"),
    [
        ("Oedema of the lung", "Edema"),
        ("ÖDEM in the whole lung", ""),
        ("oedemas in the right lung!", "Edema"),
        ("Oedema of the very small lung", ""),
        ("The heart is very much enlarged.", "Cardiomegaly"),
        ("The heart is normal, the aorta enlarged.", ""),
        ("Heart, and eight words more of nothing in between, enlarged", ""),
        ("Rippenbrüche und ein Rippenbruch", "Fracture"),
        ("We stop here and stop.", "Edema"),
        ("We stop here.", ""),
    ],
)
def test_a_phrase_is_found_where_its_parts_stand_in_order(table: Table, sentence: str, label: str) -> None:
    of_word = [table.elements(word.text) for word in words(sentence)]
    found = {match.phrase.label for match in table.find(table.said, of_word, 0, len(of_word))}
    assert found == ({label} if label else set())


def test_places_of_words_are_those_of_the_text() -> None:
    text = "Œdème (léger) – à droite: Größe d'un œuf, 3 cm"
    for word in words(text)[:-1]:
        assert text[word.start : word.end].strip()
        assert len(word.text) <= len(text[word.start : word.end]) + 1  # sharp s becomes two letters


def changes() -> Iterator[tuple[str, object]]:
    yield r"en.toml: expected an entry masks, found none", lambda given: given.pop("masks")
    yield r"en.toml: expected .*masks.*; got 'mask'", lambda given: given.update(mask=[])
    yield (
        r"en.toml: present: expected .*Pleural Effusion.*; got 'Plural Effusion'",
        lambda given: given["present"].update({"Plural Effusion": ["effusion"]}),
    )
    yield (
        r"en.toml: present: Edema: expected a list of phrases, got 'edema'",
        lambda given: given["present"].update(Edema="edema"),
    )
    yield (
        r"en.toml: cues: joins: expected a list of phrases, got \[1\]",
        lambda given: given["cues"].update(joins=[1]),
    )
    yield (
        r"en.toml: cues: expected .*; got 'deny_befor'",
        lambda given: given["cues"].update(deny_befor=given["cues"].pop("deny_before")),
    )
    yield r"en.toml: absent: expected a table, got \[\]", lambda given: given.update(absent=[])
    for phrase in (
        "(effusion|edema)",
        "effus**ion*",
        "a||b",
        "[a-z]+",
        "... effusion",
        "effusion ...",
        "small? one",
    ):
        yield (
            r"en.toml: present: Edema: expected .*, got '",
            lambda given, phrase=phrase: given["present"].update(Edema=[phrase]),
        )


@pytest.mark.parametrize(("why", "change"), list(changes()))
def test_a_damaged_table_is_refused_by_file_and_entry(given: dict, why: str, change) -> None:
    Table("en.toml", given)
    change(given)
    with pytest.raises(PhraseError, match=f"^{why}"):
        Table("en.toml", given)


def test_a_table_that_is_no_toml_is_refused_in_one_sentence(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "phrases").mkdir()
    (tmp_path / "phrases" / "de.toml").write_text('words = ["der"\n', encoding="utf-8")
    monkeypatch.setattr(phrase_tables.resources, "files", lambda package: tmp_path)
    for name in ("de", "fr"):  # damaged, and gone
        with pytest.raises(PhraseError, match=rf"^{name}.toml: expected a phrase table: [^\n]+\Z"):
            phrase_tables.table.__wrapped__(name)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("The heart is normal. No pleural effusion.", "en"),
        ("Herz normal groß. Kein Pleuraerguss.", "de"),
        ("Cœur de taille normale. Pas d'épanchement pleural.", "fr"),
        ("Corazón de tamaño normal. Sin derrame pleural.", "es"),
        ("<p>No effusion.</p><script>alert(1)</script>", "en"),
        ("Sem derrame pleural. Coração de tamanho normal. Pulmões sem opacidades.", ""),
        ("Non versamento pleurico. Cuore di dimensioni normali.", ""),
        ("Geen pleuravocht. Hart niet vergroot. Normale longen zonder infiltraten.", ""),
        ("Serce niepowiększone. Płuca bez zmian ogniskowych.", ""),
        ("Hjärtat är normalstort. Inga infiltrat. Ingen pleuravätska.", ""),
        ("Kalp boyutu normaldir. Plevral efüzyon izlenmedi.", ""),
        ("Sydän on normaalikokoinen. Keuhkoissa ei infiltraatteja.", ""),
        ("心臓は正常です。胸水なし。", ""),
        ("Сердце не расширено.", ""),
        ("XXXX ___ 12", ""),
        ("", ""),
    ],
)
def test_the_language_of_a_report_is_told_by_its_words_or_not_at_all(text: str, spoken: str) -> None:
    assert language.detect(text) == spoken


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('spellings = ["oedem"]', "spellings: expected pairs of words in lower case, got "),
        ("[spellings]\noedem = 1", "spellings: expected pairs of words in lower case, got "),
        ('[spellings]\nOedem = "edem"', "spellings: expected pairs of words in lower case, got "),
        ("[spellings]", "spellings: expected pairs of words in lower case, got {}"),
        ("[others]", "spellings: expected pairs of words in lower case, got None"),
    ],
)
def test_damaged_pairs_are_refused_by_file_and_entry(tmp_path: Path, monkeypatch, text, why) -> None:
    (tmp_path / "phrases").mkdir()
    (tmp_path / "phrases" / "search.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(phrase_tables.resources, "files", lambda package: tmp_path)
    with pytest.raises(PhraseError, match=f"^search.toml: {why}"):
        phrase_tables.pairs.__wrapped__("search.toml", "spellings")


def test_sections_without_one_of_their_kinds_are_refused(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "phrases").mkdir()
    (tmp_path / "phrases" / "sections.toml").write_text('findings = ["findings"]', encoding="utf-8")
    monkeypatch.setattr(phrase_tables.resources, "files", lambda package: tmp_path)
    with pytest.raises(PhraseError, match=r"^sections\.toml: expected an entry report, found none"):
        phrase_tables.lists.__wrapped__("sections.toml", ("findings", "report"))
