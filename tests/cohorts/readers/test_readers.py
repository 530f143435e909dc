"""Readers: tables and folders as hospitals and archives really write them, and every row that is left out."""

from __future__ import annotations

import gzip
import math
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from timnet.cohorts import store
from timnet.cohorts.readers import csv_table, mendeley
from timnet.cohorts.records import LEAVES, UNCERTAIN, CohortError, FilmRecord, Skipped, StudyRecord

NIH14 = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia",
    "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
)  # fmt: skip


def table(folder: Path, text: str, name: str = "films.csv", encoding: str = "utf-8") -> Path:
    (folder / name).write_bytes(text.encode(encoding))
    return folder


def studies(root: Path, **columns: object) -> list[StudyRecord]:
    records = list(csv_table.read(root, **columns))  # type: ignore[arg-type]
    assert not [record for record in records if isinstance(record, Skipped)]
    return [record for record in records if isinstance(record, StudyRecord)]


def skipped(root: Path, **columns: object) -> list[tuple[str, str]]:
    records = csv_table.read(root, **columns)  # type: ignore[arg-type]
    return [(record.row, record.reason) for record in records if isinstance(record, Skipped)]


def film(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) + np.uint8(value)
    Image.fromarray(pixels).save(path, format="PNG")


def test_the_usual_column_names_are_found(tmp_path: Path) -> None:
    table(
        tmp_path,
        "Image Path,Report,Subject_ID,View Position,Split,Gender,Patient Age\n"
        "a.png,Clear lungs.,7,PA,Training,female,054Y\n",
    )
    assert studies(tmp_path) == [
        StudyRecord("a.png", "7", "Clear lungs.", (FilmRecord("a.png", "PA"),), {}, "train", "F", 54.0)
    ]


def test_named_columns_come_before_the_usual_ones(tmp_path: Path) -> None:
    table(tmp_path, "path,file2,text,note\na.png,b.png,no,yes\n")
    (record,) = studies(tmp_path, film="file2", text="note")
    assert (record.films[0].path, record.report) == ("b.png", "yes")


def test_a_film_without_study_or_patient_is_its_own(tmp_path: Path) -> None:
    table(tmp_path, "path\na.png\nb.png\n")
    assert [(r.study, r.patient, r.report) for r in studies(tmp_path)] == [
        ("a.png", "a.png", ""),
        ("b.png", "b.png", ""),
    ]


def test_rows_of_one_study_become_one_record_in_the_order_of_the_first(tmp_path: Path) -> None:
    table(tmp_path, "path,study,text,sick\na.png,s1,T,1\nb.png,s2,U,\nc.png,s1,T,1\n")
    first, second = studies(tmp_path, labels=["sick"])
    assert [each.path for each in first.films] == ["a.png", "c.png"]
    assert [each.path for each in second.films] == ["b.png"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("b.png,s1,other,p,train,1", "report differs from the first row of its study"),
        ("b.png,s1,T,q,train,1", "patient differs from the first row of its study"),
        ("b.png,s1,T,p,test,1", "split differs from the first row of its study"),
        ("b.png,s1,T,p,train,0", "label sick differs from the first row of its study"),
        ("a.png,s2,T,p,train,1", "film is listed twice"),
        ("./a.png,s2,T,p,train,1", "film is listed twice"),
        (",s2,T,p,train,1", "no film path"),
        ("b.png,s2,T,p,fold3,1", "split is none of train, val, test"),
        ("b.png,s2,T,p,train,maybe", "label sick is none of 0, 1, -1, a number between 0 and 1, or blank"),
        ("b.png,s2,T,p,train,7", "label sick is none of 0, 1, -1, a number between 0 and 1, or blank"),
        ("b.png,s2,T,p,train,inf", "label sick is none of 0, 1, -1, a number between 0 and 1, or blank"),
        ("b.png,s2,T,p", "row has not as many cells as the header"),
        ("b.png,s2,T,p,train,1,extra", "row has not as many cells as the header"),
        ("../b.png,s2,T,p,train,1", LEAVES),
    ],
)
def test_a_bad_row_is_left_out_by_its_number_and_reason(tmp_path: Path, row: str, reason: str) -> None:
    table(
        tmp_path, f"path,study,text,patient,split,sick\na.png,s1,T,p,train,1\n{row}\nz.png,s9,T,z,train,0\n"
    )
    assert skipped(tmp_path, labels=["sick"]) == [("row 3", reason)]


def test_blank_labels_are_unknown_and_uncertain_ones_stay_apart(tmp_path: Path) -> None:
    table(tmp_path, "path,sick\na,\nd,nan\nb,-1\nc,-1.0\ne,0\nf,1.0\ng,0.25\n")
    values = [record.labels["sick"] for record in studies(tmp_path, labels=["sick"])]
    assert [math.isnan(value) for value in values[:2]] == [True] * 2
    assert values[2:] == [UNCERTAIN, UNCERTAIN, 0.0, 1.0, 0.25]


def test_a_study_is_yielded_once_its_last_row_is_read(tmp_path: Path) -> None:
    rows = [f"{film}.png,s{film // 2}\n" for film in range(2000)]
    table(tmp_path, "path,study\n" + "".join(rows) + "bad\n")
    records = csv_table.read(tmp_path)
    # The bad row is the last one: a reader that holds the table back would tell of it first.
    assert next(records).study == "s0"  # type: ignore[union-attr]
    assert [r.study for r in records if isinstance(r, StudyRecord)] == [f"s{n}" for n in range(1, 1000)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_rows_in_any_order_make_the_studies_of_a_plain_grouping(order: list[int]) -> None:
    grouped: dict[str, list[str]] = {}
    for number, study in enumerate(order):
        grouped.setdefault(f"s{study}", []).append(f"{number}.png")
    with tempfile.TemporaryDirectory() as folder:
        rows = [f"{number}.png,s{study}\n" for number, study in enumerate(order)]
        table(Path(folder), "path,study\n" + "".join(rows))
        found = {record.study: [each.path for each in record.films] for record in studies(Path(folder))}
    assert list(found.items()) == list(grouped.items())


MAPPING = """
film = "file2"
text = "note"
labels = ["sick", "label_*"]
"""


def test_a_mapping_file_names_the_columns_and_words_come_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    export = tmp_path / "export"
    film(export / "b.png")
    table(export, "path,file2,text,note,sick,label_a,label_b,other\na.png,b.png,no,yes,1,0,-1,7\n")
    (tmp_path / "columns.toml").write_text(MAPPING)
    summary = csv_table.run(export, "x", mapping=tmp_path / "columns.toml")
    assert (summary.films, list(summary.labels)) == (1, ["sick", "label_a", "label_b"])
    with store.Cohort.open(store.find("x")) as cohort:
        assert cohort.study("b.png").report == "yes"
    csv_table.run(export, "x", mapping=tmp_path / "columns.toml", text="text")
    with store.Cohort.open(store.find("x")) as cohort:
        assert cohort.study("b.png").report == "no"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('films = "path"', "columns.toml: expected keys among table, film, .*; got 'films'"),
        ("film = 3", "columns.toml: film: expected one name, got 3"),
        ('labels = "sick"', "columns.toml: labels: expected a list of columns, got 'sick'"),
        ("film = ", "columns.toml: expected a mapping in TOML"),
        ('film = "pfad"', "films.csv: film: expected a column among path, text; got 'pfad'"),
        ('labels = ["label_*"]', r"films.csv: label: expected a column among path, text; got 'label_\*'"),
    ],
)
def test_a_wrong_key_or_column_of_a_mapping_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    (tmp_path / "export").mkdir()
    table(tmp_path / "export", "path,text\na.png,T\n")
    (tmp_path / "columns.toml").write_text(text)
    with pytest.raises(CohortError, match=message):
        csv_table.run(tmp_path / "export", "x", mapping=tmp_path / "columns.toml")


LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize("name", ["films.csv", "films.csv.gz"])
def test_a_git_lfs_pointer_is_no_table(tmp_path: Path, name: str) -> None:
    table(tmp_path, LFS_POINTER, name)
    with pytest.raises(CohortError, match=f"{name}: expected a table, got a Git LFS pointer"):
        list(csv_table.read(tmp_path))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_umlauts_arrive_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    table(tmp_path, "path,text\na.png,Erguss größer\n", encoding=encoding)
    assert studies(tmp_path)[0].report == "Erguss größer"


def test_a_table_that_is_not_utf8_is_noted_in_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    film(tmp_path / "export" / "a.png")
    table(tmp_path / "export", "path,text\na.png,größer\n", encoding="cp1252")
    assert "films.csv is not UTF-8: read as Windows-1252" in csv_table.run(tmp_path / "export", "x").notes


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_quotes_and_line_breaks_in_cells_are_read(tmp_path: Path, delimiter: str) -> None:
    cells = delimiter.join(["a.png", '"Line one,\nline; ""two""\tend"', "p"])
    table(tmp_path, delimiter.join(["path", "text", "patient"]) + f"\r\n{cells}\r\n")
    (record,) = studies(tmp_path)
    assert (record.report, record.patient) == ('Line one,\nline; "two"\tend', "p")


def test_a_gz_table_is_read_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    packed = gzip.compress(b"path,text\na.png,T\n" * 1)
    (tmp_path / "films.csv.gz").write_bytes(packed)
    assert studies(tmp_path)[0].report == "T"
    (tmp_path / "films.csv.gz").write_bytes(packed[:-6])
    with pytest.raises(CohortError, match=r"films\.csv\.gz: cannot be read as a table"):
        list(csv_table.read(tmp_path))


def test_a_wrong_column_is_answered_with_those_there_are(tmp_path: Path) -> None:
    table(tmp_path, "path,text\na.png,T\n")
    with pytest.raises(CohortError, match=r"patient: expected a column among path, text; got 'pat'"):
        list(csv_table.read(tmp_path, patient="pat"))
    with pytest.raises(CohortError, match=r"label: expected a column among path, text; got 'sick'"):
        list(csv_table.read(tmp_path, labels=["sick"]))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "got none"),
        ({"a.csv": "path\nx\n", "b.csv": "path\nx\n"}, "got a.csv, b.csv: name the one"),
        ({"a.csv": ""}, "expected a header"),
        ({"a.csv": "path,path\nx,y\n"}, "each column once, got 'path'"),
        ({"a.csv": "one,two\nx,y\n"}, "expected a column of film paths among one, two"),
    ],
)
def test_a_folder_without_one_usable_table_is_refused(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        table(tmp_path, text, name)
    with pytest.raises(CohortError, match=message):
        list(csv_table.read(tmp_path))


def test_one_of_several_tables_is_taken_by_its_usual_name_or_as_told(tmp_path: Path) -> None:
    table(tmp_path, "path\nx.png\n", "labels.csv")
    table(tmp_path, "path\ny.png\n", "boxes.csv")
    assert studies(tmp_path)[0].study == "x.png"
    assert studies(tmp_path, table="boxes.csv")[0].study == "y.png"
    assert studies(tmp_path / "boxes.csv")[0].study == "y.png"


@pytest.mark.parametrize("name", ["", "a/b", "..", "a.b", "x" * 65, "a b", "ä", "a\n", "-", "--json"])
def test_a_cohorts_name_is_letters_digits_and_dashes(tmp_path: Path, name: str) -> None:
    with pytest.raises(CohortError, match="cohort name"):
        csv_table.run(table(tmp_path, "path\na.png\n"), name)
    with pytest.raises(CohortError, match="cohort name"):
        mendeley.run(tmp_path, name)


@pytest.mark.parametrize(
    ("stem", "person"),
    [
        ("person1_bacteria_1", "person1"),
        ("person63_virus_122_1", "person63"),
        ("IM-0115-0001", "IM-0115"),
        ("IM-0011-0001-0002", "IM-0011"),
        ("NORMAL2-IM-1427-0001", "NORMAL2-IM-1427"),
        ("BACTERIA-1008087-0001", "BACTERIA-1008087"),
        ("something else", "something else"),
    ],
)
def test_a_mendeley_file_name_tells_the_person(stem: str, person: str) -> None:
    assert mendeley.person(stem) == person


@pytest.mark.parametrize("inside", ["chest_xray", "chest_xray/chest_xray", "ChestXRay2017/chest_xray"])
def test_the_mendeley_layout_is_read_with_or_without_its_top_folder(tmp_path: Path, inside: str) -> None:
    for path in (
        "train/NORMAL/IM-0001-0001.jpeg",
        "train/PNEUMONIA/person1_virus_2.jpeg",
        "train/PNEUMONIA/._person1_virus_2.jpeg",
        "train/PNEUMONIA/.DS_Store",
        "val/PNEUMONIA/person9_bacteria_3.jpeg",
        "test/NORMAL/IM-0001-0001.jpeg",
        "test/PNEUMONIA/person1_bacteria_7.jpeg",
    ):
        film(tmp_path / inside / path)
    records = [record for record in mendeley.read(tmp_path) if isinstance(record, StudyRecord)]
    assert records == list(mendeley.read(tmp_path / inside))
    assert [(r.patient, r.split, r.labels["pneumonia"]) for r in records] == [
        ("train-IM-0001", "train", 0.0),
        ("train-person1", "train", 1.0),
        ("train-person9", "train", 1.0),
        ("test-IM-0001", "test", 0.0),
        ("test-person1", "test", 1.0),
    ]


def test_a_mendeley_film_that_was_not_fetched_is_named_and_the_others_come_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    root = tmp_path / "chest_xray"
    for number, part in enumerate(("train/NORMAL", "train/PNEUMONIA", "test/NORMAL", "test/PNEUMONIA")):
        film(root / part / "IM-0001-0001.jpeg", number)
    (root / "train/NORMAL/IM-0002-0001.jpeg").write_text(LFS_POINTER)
    told: list[tuple[int, int | None]] = []
    summary = mendeley.run(tmp_path, "mendeley", lambda done, total: told.append((done, total)))
    assert (summary.films, summary.splits, sum(summary.skipped.values())) == (4, {"train": 2, "test": 2}, 1)
    assert told[-1] == (5, 5)


def test_another_layout_is_not_mendeleys(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="expected folders train and test"):
        list(mendeley.read(tmp_path))


def test_mendeley_v2_has_its_published_counts(real_data: Path) -> None:
    records = [r for r in mendeley.read(real_data / "mendeley_v2") if isinstance(r, StudyRecord)]
    counts = Counter((record.split, record.labels["pneumonia"]) for record in records)
    # Kermany et al.: 5,232 to train (1,349 normal, 3,883 pneumonia), 624 to test (234, 390).
    assert counts == {
        ("train", 0.0): 1349,
        ("train", 1.0): 3883,
        ("test", 0.0): 234,
        ("test", 1.0): 390,
    }
    train, test = ({r.patient for r in records if r.split == split} for split in ("train", "test"))
    assert not train & test


def test_some_real_mendeley_films_become_a_cohort(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    root = real_data / "mendeley_v2"
    for folder in root.glob("*/*"):
        for path in sorted(folder.iterdir())[:8]:
            target = tmp_path / "export" / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    summary = mendeley.run(tmp_path / "export", "mendeley")
    assert (summary.films, summary.splits) == (48, {"train": 32, "test": 16})
    assert (summary.labels, summary.with_findings, summary.skipped) == ({"pneumonia": 24}, 0, {})


@pytest.mark.slow
def test_all_of_mendeley_v2_becomes_a_cohort(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    summary = mendeley.run(real_data / "mendeley_v2", "mendeley")
    assert (summary.films, summary.splits, summary.skipped) == (5856, {"train": 5232, "test": 624}, {})
    assert summary.labels == {"pneumonia": 4273}
    assert summary.notes == ("films that repeat another one byte for byte: 32",)


def test_vqa_rad_has_107_studies_with_text_of_as_many_cases(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    summary = csv_table.run(real_data / "vqa_rad_chest", "vqa-rad", patient="medpix_case")
    assert (summary.studies, summary.films, summary.patients, summary.with_findings) == (107, 107, 107, 107)
    assert summary.skipped == {}
    with store.Cohort.open(store.find("vqa-rad")) as cohort:
        assert 0 < cohort.count(query="effusion NOT pneumothorax") < cohort.count(query="effusion") < 107


def test_nih_1k_is_read_with_its_fourteen_labels(real_data: Path) -> None:
    records = studies(real_data / "nih_1k", labels=NIH14)
    assert (len(records), len({record.patient for record in records})) == (1136, 780)
    assert sum(record.labels["Pneumonia"] for record in records) == 502  # said by its README
    assert Counter(record.films[0].view for record in records) == {"AP": 605, "PA": 531}
