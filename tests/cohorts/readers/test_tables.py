"""Tables as browsers, spreadsheets and hands leave them: packing, encodings, quotes, words and patients."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import math
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from timnet.__main__ import main
from timnet.cohorts.readers import cells, csv_table, lines, report_tables, tables
from timnet.cohorts.records import UNCERTAIN, CohortError, Skipped, StudyRecord

PLAIN = "path,report,patient_id,Effusion\nf0.jpg,Case 0.,P0,0\nf1.jpg,Case 1.,P1,1\nf2.jpg,Case 2.,P2,0\n"


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            # As an entry of its own, whose name may be empty.
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def read(path: Path, data: bytes | str, **columns: object) -> list[StudyRecord | Skipped]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(csv_table.read(path, **columns))  # type: ignore[arg-type]


def reports(found: list[StudyRecord | Skipped]) -> list[str]:
    return [each.report for each in found if isinstance(each, StudyRecord)]


def faults(found: list[StudyRecord | Skipped]) -> list[tuple[str, str]]:
    return [(each.row, each.reason) for each in found if isinstance(each, Skipped)]


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda data: data,
    "gzip": gzip.compress,
    "gzip twice": lambda data: gzip.compress(gzip.compress(data)),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zip": lambda data: zipped({"pairs.csv": data}),
    "zip of macOS": lambda data: zipped(
        {"x/pairs.csv": data, "__MACOSX/x/._pairs.csv": b"", "x/.DS_Store": b""}
    ),
    "zip with a text": lambda data: zipped({"pairs.csv": data, "README.md": b"read"}),
    "zip in gzip": lambda data: gzip.compress(zipped({"pairs.csv": data})),
}


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.csv.gz", "pairs.csv.zip", "PAIRS.CSV", "pairs.tsv.xz"])
@pytest.mark.parametrize("packing", PACKINGS)
def test_a_table_is_unpacked_by_its_content_whatever_its_name(
    tmp_path: Path, name: str, packing: str
) -> None:
    (tmp_path / name).write_bytes(PACKINGS[packing](PLAIN.encode()))
    assert reports(list(csv_table.read(tmp_path))) == ["Case 0.", "Case 1.", "Case 2."]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x28\xb5\x2f\xfd rest", "a Zstandard archive"),
        (b"7z\xbc\xaf\x27\x1c rest", "a 7z archive"),
        (b"\xd0\xcf\x11\xe0 rest", "an Excel workbook: save it as CSV"),
        (zipped({"xl/workbook.xml": b"", "[Content_Types].xml": b""}), "a workbook: save it as CSV"),
        (zipped({"a.csv": b"path\n", "b.csv": b"path\n"}), "a ZIP archive of one table, got one of 2 files"),
        (zipped({}), "a ZIP archive of one table, got one of 0 files"),
        (zipped({"\0": b"", "b": b"path\n"}), "a ZIP archive of one table, got one of 2 files"),
        (b"PK\x03\x04 cut", r"pairs\.csv\.gz: cannot be read as a ZIP archive \(it is damaged: File is not"),
        (zipped({"a.csv": PLAIN.encode() * 50}).replace(b"Case", b"Care", 1)[:-40], "cannot be read"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-3], r"pairs\.csv\.gz: .*\(it ends too early"),
        (lzma.compress(PLAIN.encode())[:-3], "cannot be read as a table"),
        (b"\0" * 257 + b"ustar" + b"\0" * 300, "a TAR archive"),
        (bytes(range(256)) * 20, "binary data"),
        (b"", "expected a header of column names"),
        (b"\n\n;;;\n \n", "expected a header of column names"),
    ],
)
def test_what_is_no_table_is_refused_by_its_format(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(CohortError, match=message):
        read(tmp_path / "pairs.csv.gz", data)


def test_a_packed_table_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("pairs.csv", PLAIN)
    with pytest.raises(CohortError, match="cannot be read as a table"):
        read(tmp_path / "pairs.zip", file.getvalue().replace(b"Case 1", b"Care 1", 1))


@pytest.mark.parametrize("sep", ["", "sep=;\n", "SEP=;\r\n", '"sep=;"\n', "sep=;;;;\n", "\ufeffsep=;\n"])
@pytest.mark.parametrize("before", ["", "\n", "\r\n\r\n", "  \n;;;\n"])
def test_a_stated_delimiter_and_blank_lines_may_stand_before_the_header(
    tmp_path: Path, sep: str, before: str
) -> None:
    found = read(tmp_path / "pairs.csv", sep + before + PLAIN.replace(",", ";"), labels=["Effusion"])
    assert [each.labels["Effusion"] for each in found if isinstance(each, StudyRecord)] == [0, 1, 0]


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ",", ":", "^"])
def test_a_stated_delimiter_comes_before_the_commonest_one(tmp_path: Path, delimiter: str) -> None:
    text = f"sep={delimiter}\npath{delimiter}a, b, c\nf0.png{delimiter}x, y\n"
    (record,) = read(tmp_path / "t.csv", text, text="a, b, c") if delimiter != "," else [None]
    assert record is None or reports([record]) == ["x, y"]


UMLAUTS = "path,report\nRöntgen.png,Keine Ergüsse.\nb.png,Größe unverändert „ß“.\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"],
)
def test_every_encoding_and_line_end_gives_the_same_rows(tmp_path: Path, encoding: str, end: str) -> None:
    found = read(tmp_path / "t.csv", UMLAUTS.replace("\n", end).encode(encoding))
    assert reports(found) == ["Keine Ergüsse.", "Größe unverändert „ß“."]
    assert found[0].films[0].path == "Röntgen.png"  # type: ignore[union-attr]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["ä", "Ergüsse", "łódź", "“ß”", "a"]), min_size=1, max_size=8), st.data())
def test_a_stray_byte_changes_no_other_row(texts: list[str], data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, len(texts) - 1))
    rows = [f"{number}.png,Größe {text}".encode() for number, text in enumerate(texts)]
    rows[bad] += "é stray".encode("cp1252")
    with tempfile.TemporaryDirectory() as folder:
        # Another row tells that the table is UTF-8, whatever was drawn.
        found = read(Path(folder) / "t.csv", b"path,report\n" + b"\n".join([*rows, "z.png,ü".encode()]))
    expected = [f"Größe {text}" + "é stray" * (number == bad) for number, text in enumerate(texts)]
    assert reports(found) == [*expected, "ü"]


def test_the_line_of_a_stray_byte_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(UMLAUTS.encode() + b"c.png,unver\xe4ndert\n")
    assert tables.open_table(path).notes == ("t.csv: bytes that are not UTF-8 read as Windows-1252: line 4",)


OPEN = [
    ('path,report\nf0.png,"No effusion today\nf1.png,Large\nf2.png,Big\n', 2),
    ('path,report\nf0.png,x\nf1.png,"one\ntwo"\nf2.png,"open', 5),
    ('path,report\nf0.png,x\nf1.png,"closed","open\n', 3),
    ('path,report\n"f0.png,x\n', 2),
    ('path,"report\nf0.png,x\n', 1),
    ('path,report\nf0.png,"a ""b"" c""\nf1.png,y\n', 2),
    ('path,report\nb.png,"open\n' + "x" * 1_500_000 + "\nz.png,U\n", 2),
]


@pytest.mark.parametrize(("text", "line"), OPEN)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_quote_that_is_never_closed_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, end: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.replace("\n", end).encode())
    message = rf"t\.csv: the quote that opens in line {line} is never closed"
    with pytest.raises(CohortError, match=message):
        list(csv_table.read(path))
    with pytest.raises(CohortError, match=message):
        report_tables.Reports(path, "path", "report")


@pytest.mark.parametrize(
    "text",
    [
        'path,report\nf0.png,"No effusion\nf1.png,"Large right effusion"\nf2.png,"Small"\n',
        'path,report\nf0.png,"No effusion\nf1.png,Large\nf9.png,x\nf10.png,big"\nf11.png,Big\n',
        'path,report\na/f0.png,"No effusion\n"a/f1.png","Large"\n',
        'path;report\nf0.png;"No effusion\r\nf1.png;Large"\r\n',
    ],
)
def test_a_quote_closed_late_that_holds_other_rows_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(CohortError, match="looks like a row of its own"):
        read(tmp_path / "t.csv", text)


def test_reports_by_accession_number_never_swallow_one_another(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('accession,report\n100001,"No effusion\n100002,Large effusion"\n')
    with pytest.raises(CohortError, match="looks like a row of its own"):
        report_tables.Reports(tmp_path / "t.csv")


def test_a_report_of_several_lines_is_no_row(tmp_path: Path) -> None:
    text = "Findings: 2,5 cm, left\n12,3 mm\nsee image f1.png\n\nHeart, lungs: normal."
    found = read(tmp_path / "t.csv", f'path,report\nf0.png,"{text}"\nf1.png,x\n')
    assert reports(found) == [text, "x"]


def test_a_quote_within_a_quoted_cell_costs_its_row_where_it_cannot_be_read(tmp_path: Path) -> None:
    found = read(
        tmp_path / "t.csv", 'path,report\na.png,"Findings: "clear"\nb.png,5" tube\nc.png,"a ""b"""\n'
    )
    assert reports(found) == ['5" tube', 'a "b"']
    assert faults(found) == [("row 2", lines.MALFORMED)]


def test_a_row_with_nul_is_left_out_and_a_padded_end_is_no_row(tmp_path: Path) -> None:
    found = read(tmp_path / "t.csv", "path,report\na.png,x\nb.png,x\0y\nc.png,z\n" + "\0" * 100)
    assert reports(found) == ["x", "z"]
    assert faults(found) == [("row 3", "a cell holds a NUL character")]


@given(st.lists(st.lists(st.text("ab\",;\n\r ü\t'", max_size=8), min_size=3, max_size=3), max_size=8))
def test_what_the_csv_module_writes_is_read_back(rows: list[list[str]]) -> None:

    file = io.StringIO()
    csv.writer(file).writerows([["one", "two", "three"], *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(file.getvalue().encode())
        table = tables.open_table(path)
        found = [list(each.values()) for _, each in tables.rows(table) if not isinstance(each, Skipped)]
    assert found == [row for row in rows if "".join(row).strip()]
    assert table.num_rows >= sum(any(cell.strip(' ,\t\n\r"') for cell in row) for row in rows)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("1 1.0 1,0 True TRUE t Yes Y pos Positive present ja J wahr positiv oui vrai V positif + S sí si "
         "Sí Si verdadero sim sì vero tak prawda", 1.0),
        ("0 0.0 0,0 False no N neg Negative absent nein falsch negativ non faux négatif falso não nie", 0.0),
        ("-1 -1.0 -1,0 −1 uncertain Equivocal unklar incertain dudoso", UNCERTAIN),
        (r"#NV #N/D (null) \N -nan s/d k.A.", math.nan),
        ("NA N/A n/a NaN nan none None null NULL #N/A <NA> unknown Unbekannt inconnu desconocido", math.nan),
        ("0.5 0,5 ,5 5e-1 .50", 0.5),
    ],
)  # fmt: skip
def test_labels_are_read_in_the_words_of_their_writers(words: str, value: float) -> None:
    for word in words.split():
        assert cells.label("x", word) == pytest.approx(value, nan_ok=True), word


@pytest.mark.parametrize("word", ["maybe", "7", "inf", "1_0", "0,5,5", "1/2", "o", "-", "x", "yes no", "2,0"])
def test_a_word_of_no_or_two_meanings_is_refused(word: str) -> None:
    with pytest.raises(cells.RowError, match="label x is none of"):
        cells.label("x", word)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("O N O", [1, 0, 1]),
        ("n o N", [0, 1, 0]),
        ("S N S", [1, 0, 1]),
        ("V F V", [1, 0, 1]),
        ("+ - +", [1, 0, 1]),
        ("- 1 0", [math.nan, 1, 0]),
        ("0 - 0", [0, math.nan, 0]),
    ],
)
def test_a_sign_of_two_meanings_is_read_by_its_column(
    tmp_path: Path, column: str, values: list[float]
) -> None:
    rows = "\n".join(f"f{number}.png,P{number},{cell}" for number, cell in enumerate(column.split()))
    found = read(tmp_path / "t.csv", f"path,patient,x\n{rows}\n", labels=["x"])
    assert [each.labels["x"] for each in found if isinstance(each, StudyRecord)] == pytest.approx(
        values, nan_ok=True
    )


@pytest.mark.parametrize(
    ("texts", "encoding"),
    [
        (["Złamanie żebra", "Płyn w opłucnej"], "cp1250"),
        (["Złamanie żebra", "Płyn w opłucnej"], "iso8859-2"),
        (["Příznaky zánětu plic", "Srdce nezvětšeno bez výpotku"], "cp1250"),
        (["Zánět průdušek vpravo", "Část plíce bez výpotku"], "iso8859-2"),
        (["A tüdő tiszta", "Az idő kevés és a tüdő ép"], "cp1250"),
        (["Лёгкие чистые", "Плевральный выпот"], "cp1251"),
        (["Лёгкие чистые", "Плевральный выпот"], "koi8-r"),
        (["Καθαροί πνεύμονες", "Συλλογή υγρού"], "cp1253"),
        (["肺野清明", "胸水あり"], "shift_jis"),
        (["肺野清晰", "胸腔积液"], "gb18030"),
        (["폐야 깨끗함", "흉수"], "euc-kr"),
    ],
)
def test_letters_of_another_encoding_are_refused_and_not_misread(
    tmp_path: Path, texts: list[str], encoding: str
) -> None:
    text = "path,report\n" + "".join(f"f{number}.png,{text}\n" for number, text in enumerate(texts))
    assert reports(read(tmp_path / "utf8.csv", text)) == texts
    with pytest.raises(CohortError, match="letters of another encoding in 2 lines: save it as UTF-8"):
        read(tmp_path / "t.csv", text.encode(encoding))


def test_western_letters_are_read_as_windows_1252(tmp_path: Path) -> None:
    texts = ["Größe 3 cm³ n°2", "Créée, l’hémithorax à 38,5°C – œdème", "Señal ¿nódulo?", "«Coração» naïf"]
    texts += ["Où est l’ère mûre ? Très élevé, dû à l’œdème", "È più in giù, così è già là", "Lesões põe não"]
    texts += [
        "Højre lunge: øen, søen, tæt på",
        "Høyre øye, tøyning",
        "Mjög lítið, það er ógreinilegt",
        "Això és bé",
    ]
    text = "path;report\n" + "".join(f"f{number}.png;{text}\n" for number, text in enumerate(texts))
    assert reports(read(tmp_path / "t.csv", text.encode("cp1252"))) == texts


def test_a_quote_escaped_by_a_backslash_costs_its_row(tmp_path: Path) -> None:
    text = 'path,report\na.png,"He said \\"clear\\" today"\nb.png,"C:\\x\\"\nc.png,clear\n'
    found = read(tmp_path / "t.csv", text)
    assert reports(found) == ["C:\\x\\", "clear"] and faults(found) == [("row 2", lines.MALFORMED)]


@pytest.mark.parametrize(
    ("cell", "years"),
    [
        ("58", 58), ("058Y", 58), ("58 years", 58), ("58 y.o.", 58), ("58 y/o", 58),
        ("58-year-old", 58), ("64,5", 64.5),
        ("64.5", 64.5), ("58 Jahre", 58), ("58 ans", 58), ("58 años", 58), ("58 lat", 58), ("006M", 0.5),
        ("18M", 1.5), ("6 Monate", 0.5), ("6 mois", 0.5), ("6 meses", 0.5), ("0", 0), ("026W", 26 / 52.18),
        ("10 Tage", 10 / 365.25), ("10 jours", 10 / 365.25), ("414", None), ("", None), ("old", None),
        ("-5", None), ("NA", None), ("5 j", None), ("121", None),
    ],
)  # fmt: skip
def test_an_age_is_in_years_or_unknown(cell: str, years: float | None) -> None:
    assert cells.age(cell) == years


@pytest.mark.parametrize(
    ("words", "sex"),
    [
        ("M m Male männlich Mann homme H hombre uomo", "M"),
        ("F f Female W weiblich Frau femme Mujer donna K kobieta", "F"),
        ("D divers other", "O"),
        ("U unknown NA nan none 1 2 0 ?", None),
    ],
)
def test_the_sex_is_read_by_its_word_not_its_letter(words: str, sex: str | None) -> None:
    assert {cells.sex(word) for word in words.split()} == {sex}


def test_missing_patients_and_texts_are_none_not_one_patient_called_na(tmp_path: Path) -> None:
    notes: list[str] = []
    text = "path,report,patient\na.png,NA,NA\nb.png,x,nan\nc.png,y,P1\n"
    found = read(tmp_path / "t.csv", text, notes=notes)
    assert [each.patient for each in found if isinstance(each, StudyRecord)] == ["a.png", "b.png", "P1"]
    assert reports(found) == ["", "x", "y"]
    assert notes == ["rows without a patient: 2; each of their studies counts as one"]


def test_columns_that_differ_in_case_alone_are_refused_where_either_may_be_meant(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="expected one column 'path', got Path, PATH"):
        read(tmp_path / "t.csv", "Path,PATH\na.png,b.png\n")
    (record,) = read(tmp_path / "t.csv", "Path,PATH\na.png,b.png\n", film="PATH")
    assert record.films[0].path == "b.png"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("path", "patient"),
    [
        ("CheXpert-v1.0-small/train/patient{0:05d}/study1/view1_frontal.jpg", "patient{0:05d}"),
        ("files/p10/p1000003{0}/s50414267/02aa.jpg", "p1000003{0}"),
        ("sub-0{0}/ses-1/mod-rx/sub-0{0}_ses-1_run-1.png", "sub-0{0}"),
        ("images/0000000{0}_000.png", "0000000{0}"),
        ("films/Patient-{0}_study2.png", "Patient-{0}"),
        ("Patienten/Q{0}x/a.png", "Q{0}x"),
        ("test/person{0}_bacteria_7.jpeg", "person{0}"),
    ],
)
def test_patients_are_found_in_paths_and_said(tmp_path: Path, path: str, patient: str) -> None:
    notes: list[str] = []
    paths = [path.format(number) for number in range(1, 4)]
    found = read(tmp_path / "t.csv", "path\n" + "\n".join(paths), notes=notes)
    expected = [patient.format(number) for number in range(1, 4)]
    assert [each.patient for each in found if isinstance(each, StudyRecord)] == expected
    assert expected[0] in notes[0] and notes[0].startswith("no column of patients: taken from the paths")


@pytest.mark.parametrize(
    "sites", [("siteA", "siteB"), ("data/hospital_1", "data/hospital_2"), ("Klinik Nord", "Klinik Süd")]
)
def test_the_same_number_at_two_sites_is_two_patients(tmp_path: Path, sites: tuple[str, str]) -> None:
    notes: list[str] = []
    rows = "\n".join(f"{site}/patient001/{film}.png" for site in sites for film in "ab")
    found = read(tmp_path / "t.csv", f"path\n{rows}\n", notes=notes)
    patients = [each.patient for each in found if isinstance(each, StudyRecord)]
    assert len(set(patients)) == 2 and patients[0] == patients[1] != patients[2] == patients[3]
    assert "in several folders" not in notes[0]


def test_the_same_number_in_folders_that_name_no_site_is_one_patient_and_said(tmp_path: Path) -> None:
    notes: list[str] = []
    paths = ["PA/patient001.png", "lateral/patient001.png", "PA/patient002.png"]
    found = read(tmp_path / "t.csv", "path\n" + "\n".join(paths), notes=notes)
    patients = [each.patient for each in found if isinstance(each, StudyRecord)]
    assert patients == ["patient001", "patient001", "patient002"]
    assert notes[0].endswith("in several folders, taken for one person each: 1, such as patient001")


@pytest.mark.parametrize("path", ["img{0}.png", "p{0}.png", "films/{0}.png", "a{0}/ptx.png", "00012{0}.png"])
def test_without_a_patient_anywhere_the_summary_says_so(tmp_path: Path, path: str) -> None:
    notes: list[str] = []
    rows = "\n".join(path.format(number) for number in range(3))
    found = read(tmp_path / "t.csv", f"path\n{rows}\n", notes=notes)
    assert len({each.patient for each in found if isinstance(each, StudyRecord)}) == 3
    assert notes[0].startswith("no column of patients and no patient in the paths")


CHEXPERT = """Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Cardiomegaly,Pleural Effusion
CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Female,41,Frontal,AP,,1.0,0.0
CheXpert-v1.0-small/train/patient00001/study1/view2_lateral.jpg,Female,41,Lateral,,,1.0,0.0
CheXpert-v1.0-small/train/patient00001/study2/view1_frontal.jpg,Female,41,Frontal,PA,,-1.0,
CheXpert-v1.0-small/train/patient00002/study1/view1_frontal.jpg,Male,52,Frontal,AP,1.0,,0.0
"""


@pytest.mark.parametrize("inside", [False, True])
def test_chexperts_own_table_gives_patients_studies_and_views(tmp_path: Path, inside: bool) -> None:
    folder = tmp_path / "CheXpert-v1.0-small"
    folder.mkdir()
    place = folder if inside else tmp_path
    found = read(place / "train.csv", CHEXPERT, labels=["Cardio*", "Pleural Effusion"])
    studies = [each for each in found if isinstance(each, StudyRecord)]
    assert [each.patient for each in studies] == ["patient00001", "patient00001", "patient00002"]
    assert [[film.view for film in each.films] for each in studies] == [["AP", "LATERAL"], ["PA"], ["AP"]]
    assert (studies[0].sex, studies[0].age, studies[1].labels["Cardiomegaly"]) == ("F", 41, UNCERTAIN)
    assert studies[0].films[0].path.startswith("train/" if inside else "CheXpert-v1.0-small/train/")


def test_films_of_one_folder_that_differ_are_studies_of_their_own(tmp_path: Path) -> None:
    found = read(tmp_path / "t.csv", "path,report\npatient1/study1/a.png,x\npatient1/study1/b.png,y\n")
    assert reports(found) == ["x", "y"] and not faults(found)


def export(folder: Path, text: str | bytes, films: int = 3) -> Path:
    """Write a table and films f0.jpg, f1.jpg, ... beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pairs.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    for number in range(films):
        pixels = np.random.default_rng(number).integers(0, 255, (24, 20), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"f{number}.jpg")
    return folder


def test_the_command_refuses_an_open_quote_in_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("TIMNET_HOME", str(home))
    root = export(tmp_path / "x", 'path,report\nf0.jpg,"No effusion\nf1.jpg,Large\nf2.jpg,Big\n')
    assert main(["import", "csv", str(root), "--name", "x", "--json"]) == 2
    told = capsys.readouterr()
    assert told.err.strip() == "timnet: pairs.csv: the quote that opens in line 2 is never closed"
    assert not home.exists() or not [path for path in home.rglob("*") if path.is_file()]
