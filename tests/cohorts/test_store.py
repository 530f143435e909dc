"""The cohort on disk: what goes in, what is refused, what survives a kill, and what many threads see."""

from __future__ import annotations

import errno
import logging
import math
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import radiographs
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from timnet.cohorts import highlight, pixels, records, search, store, tasks
from timnet.cohorts.records import CohortError, FilmRecord, Skipped, StudyRecord
from timnet.films import letterbox, sandbox
from timnet.films import read as films
from timnet.films.film import FilmError
from timnet.reports import report_text

NAN = float("nan")


@pytest.fixture(scope="module")
def cohort(cohort_folder: Path) -> store.Cohort:
    return store.Cohort.open(cohort_folder)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Six PNG films a.png ... f.png, no two alike."""
    root = tmp_path / "export"
    root.mkdir()
    rng = np.random.default_rng(1)
    for name in "abcdef":
        Image.fromarray(rng.integers(0, 255, (20, 30), dtype=np.uint8)).save(root / f"{name}.png")
    return root


def study(name: str, *paths: str, **fields: object) -> StudyRecord:
    known = {"patient": name, "report": "", "labels": {}, "split": "train"} | fields
    return StudyRecord(study=name, films=tuple(map(FilmRecord, paths)), **known)  # type: ignore[arg-type]


def write(folder: Path, root: Path, found: Sequence[StudyRecord | Skipped], **more: object) -> store.Summary:
    return store.write(folder, source="test", root=root, records=found, side=16, **more)  # type: ignore[arg-type]


# What goes in comes out.


def test_films_and_labels_are_those_of_the_export(cohort: store.Cohort, csv_root: Path) -> None:
    export = pd.read_csv(csv_root / "films.csv")
    table = cohort.films()
    assert list(table.columns) == [
        "film", "study", "patient", "split", "view", "path", "rows", "columns", "findings", "report",
    ]  # fmt: skip
    assert table.index.tolist() == table["film"].tolist() == list(range(120))
    for column in ("study", "patient", "view", "path", "report"):
        assert table[column].tolist() == export[column].tolist()
    assert (table["rows"] == 96).all() and (table["columns"] == 80).all()
    assert table["findings"].tolist() == [report_text.findings(report) for report in export["report"]]
    expected = export[["No Finding", "Opacity", "Left opacity"]].astype(float)
    pd.testing.assert_frame_equal(cohort.labels(), expected, check_column_type=False)


def test_the_summary_counts_what_the_tables_hold(cohort: store.Cohort) -> None:
    summary, table, labels = cohort.summary(), cohort.films(), cohort.labels()
    assert (summary.name, summary.studies, summary.films, summary.patients) == ("synthetic", 120, 120, 60)
    assert summary.splits == table["split"].value_counts().to_dict()
    assert summary.labels == {name: int((labels[name] == 1).sum()) for name in labels}
    assert (summary.with_findings, summary.skipped) == (120, {})
    assert store.Summary.from_dict(summary.as_dict()) == summary


def test_splits_that_no_record_brings_are_drawn_by_patient(cohort: store.Cohort) -> None:
    table = cohort.films()
    assert (table.groupby("patient")["split"].nunique() == 1).all()
    assert table["split"].value_counts().to_dict() == {"train": 84, "test": 24, "val": 12}


def test_a_study_tells_all_of_its_films(tmp_path: Path, export: Path) -> None:
    found = study("s", "b.png", "a.png", labels={"x": 1.0, "y": NAN}, sex="F", age=61.0, report="Clear.")
    write(tmp_path / "c", export, [study("first", "c.png"), found])
    with store.Cohort.open(tmp_path / "c") as cohort:
        seen = cohort.study("s")
        assert (seen.patient, seen.split, seen.sex, seen.age, seen.findings) == (
            "s",
            "train",
            "F",
            61.0,
            "Clear.",
        )
        assert [(film.film, film.path, film.rows, film.columns) for film in seen.films] == [
            (1, "b.png", 20, 30),
            (2, "a.png", 20, 30),
        ]
        assert seen.labels["x"] == 1.0 and math.isnan(seen.labels["y"])
        with pytest.raises(CohortError, match="expected one of its studies"):
            cohort.study("other")


def test_a_study_without_a_split_follows_its_patient(tmp_path: Path, export: Path) -> None:
    found = [study("1", "a.png", patient="p", split="test"), study("2", "b.png", patient="p", split=None)]
    assert write(tmp_path / "c", export, found).splits == {"test": 2}


def test_a_patient_in_two_splits_of_the_export_is_noted(tmp_path: Path, export: Path) -> None:
    found = [study("1", "a.png", patient="p", split="test"), study("2", "b.png", patient="p", split="val")]
    notes = write(tmp_path / "c", export, found).notes
    assert notes == ("patients in two splits: 1 (1 in val and test), such as p (val and test)",)


def test_films_of_the_same_bytes_are_kept_and_counted(tmp_path: Path, export: Path) -> None:
    shutil.copy(export / "a.png", export / "again.png")
    summary = write(tmp_path / "c", export, [study("1", "a.png"), study("2", "again.png")])
    assert summary.films == 2
    assert summary.notes == ("films that repeat another one byte for byte: 1",)


def test_progress_counts_every_film_once(tmp_path: Path, export: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    found = [study("1", "a.png", "b.png"), study("2", "missing.png"), study("3", "../x.png")]
    write(tmp_path / "c", export, found, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_nothing_of_a_patient_is_logged(
    tmp_path: Path, export: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shutil.copy(export / "a.png", export / "ZZPHI.png")
    found = [study("ZZPHI-1", "ZZPHI.png", report="ZZPHI"), study("ZZPHI-2", "ZZPHI-missing.png")]
    write(tmp_path / "c", export, found)
    assert caplog.text and "ZZPHI" not in caplog.text


# What is refused.


def test_every_kind_of_bad_film_is_named_and_the_rest_comes_in(tmp_path: Path, export: Path) -> None:
    (export / "cut.png").write_bytes((export / "a.png").read_bytes()[:200])
    (export / "pointer.png").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
    )
    (export / "folder.png").mkdir()
    os.mkfifo(export / "pipe.png")
    found = [
        study("good", "a.png"),
        study("cut", "cut.png"),
        study("pointer", "pointer.png"),
        study("missing", "missing.png"),
        study("folder", "folder.png"),
        study("pipe", "pipe.png"),
        study("twice", "b.png", "b.png"),
        study("good", "c.png"),
        study("bad label", "d.png", labels={"x": 3.0}),
        study("bad split", "e.png", split="fold1"),
        study("nothing"),
        study("nobody", "f.png", patient=" "),
        study("half", "f.png", "gone.png"),
        Skipped("row 7", "said by the reader"),
    ]
    summary = write(tmp_path / "c", export, found)
    with pytest.raises(FilmError) as error:
        films.read_film(export / "cut.png")
    assert summary.skipped == {
        error.value.reason: 1,
        "a Git LFS pointer, not a film": 1,
        "film is missing": 2,
        "film is not a file": 2,
        "film is listed twice": 1,
        "study is listed twice": 1,
        "a label is not 0 to 1 or -1 (uncertain)": 1,
        "split is none of train, val, test": 1,
        "study lists no film": 1,
        "study or patient has no identifier": 1,
        "said by the reader": 1,
    }
    assert "row 7: said by the reader" in summary.first_skipped
    assert "missing.png: film is missing" in summary.first_skipped
    with store.Cohort.open(tmp_path / "c") as cohort:
        assert cohort.films()["study"].tolist() == ["good", "twice", "half"]


HOSTILE = [
    "../secret.png",
    "films/../../secret.png",
    "a/../../../etc/passwd",
    "/etc/passwd",
    "//server/share/a.png",
    r"\\server\share\a.png",
    r"..\secret.png",
    r"C:\films\a.png",
    "c:a.png",
    "http://example.org/a.png",
    "file:///etc/passwd",
    "file:/etc/passwd",
    "s3://bucket/a.png",
    "data:image/png;base64,AAAA",
    "a\0.png",
    "a.png\0",
    "\ud800.png",
    "x" * 5000,
    "x" * 300 + ".png",
    "",
    " ",
    ".",
    "..",
    "link.png",
    "linked/secret.png",
    "loop.png",
]


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: repr(path[:30]))
def test_a_film_path_that_leaves_the_export_is_refused(tmp_path: Path, export: Path, path: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for place in (outside / "secret.png", tmp_path / "secret.png"):
        shutil.copy(export / "f.png", place)
    (export / "link.png").symlink_to(outside / "secret.png")
    (export / "linked").symlink_to(outside)
    (export / "loop.png").symlink_to(export / "loop.png")
    summary = write(tmp_path / "c", export, [study("good", "a.png"), study("bad", path)])
    assert (summary.films, sum(summary.skipped.values())) == (1, 1)
    with pytest.raises(CohortError, match="no film could be imported"):
        write(tmp_path / "d", export, [study("bad", path)])
    assert not (tmp_path / "d").exists()


@given(st.one_of(st.text(), st.text(alphabet="./\\\\ab:~ ")))
@example("./A:")
@example("./ a")
def test_a_path_that_is_let_in_stays_below_the_folder(path: str) -> None:
    try:
        let_in = records.film_path(path)
    except records.PathError:
        return
    place = os.path.normpath(os.path.join("/srv/export", let_in))  # noqa: PTH118
    assert place.startswith("/srv/export/")
    assert records.film_path(let_in) == let_in


@pytest.mark.parametrize(
    "path", HOSTILE[: HOSTILE.index("x" * 300 + ".png")], ids=lambda path: repr(path[:30])
)
def test_a_hostile_path_is_refused_before_any_file_is_looked_for(path: str) -> None:
    with pytest.raises(records.PathError, match=r"leaves the folder|URL or a drive|not a path"):
        records.film_path(path)


def test_a_link_inside_the_export_and_windows_separators_are_followed(tmp_path: Path, export: Path) -> None:
    (export / "more").mkdir()
    (export / "more" / "link.png").symlink_to(export / "a.png")
    summary = write(tmp_path / "c", export, [study("1", "more\\link.png"), study("2", "./b.png")])
    assert (summary.films, summary.skipped) == (2, {})


def test_a_film_swapped_for_a_link_out_after_the_import_is_not_read(tmp_path: Path, export: Path) -> None:
    write(tmp_path / "c", export, [study("1", "a.png")])
    (export / "a.png").rename(tmp_path / "secret.png")
    (export / "a.png").symlink_to(tmp_path / "secret.png")
    with store.Cohort.open(tmp_path / "c") as cohort, pytest.raises(CohortError, match="leaves the folder"):
        cohort.read_film(0)


@pytest.mark.parametrize("names", [["a,b"], [" "], ["Opacity", "opacity"], ["lung opacity", "Lung_Opacity"]])
def test_label_names_must_be_told_apart(tmp_path: Path, export: Path, names: list[str]) -> None:
    with pytest.raises(CohortError, match="label name"):
        write(tmp_path / "c", export, [study("1", "a.png", labels=dict.fromkeys(names, 1.0))])


def test_thousands_of_different_reasons_stay_a_short_summary(tmp_path: Path, export: Path) -> None:
    found = [study("1", "a.png"), *(Skipped(f"row {i}", f"reason {i}") for i in range(3000))]
    summary = write(tmp_path / "c", export, found)
    assert len(summary.skipped) <= 50 and sum(summary.skipped.values()) == 3000
    assert len(summary.first_skipped) <= 60


# What was there stays until the new one is whole.

OLD = [("one", "a.png"), ("two", "b.png")]
KILLED = """
import os, signal, sys
from pathlib import Path
from timnet.cohorts import store, pixels; from timnet.cohorts.importing import pipeline as importing
from timnet.cohorts.records import FilmRecord, StudyRecord

folder, root, point = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def at_second(done, total):
    if point == "decoding" and done == 2:
        die()
if point == "before the exchange":
    importing._publish = die
if point in ("between pixels and database", "before the old pixels go"):
    replace = Path.replace
    def replaced(self, target):
        if self.suffix == ".sqlite" and point == "between pixels and database":
            die()
        return replace(self, target)
    Path.replace = replaced
    pixels.remove_other = die
records = [StudyRecord(n, n, "New text.", (FilmRecord(n + ".png"),), {}, "test") for n in "cdef"]
store.write(folder, source="new", root=root, records=records, side=16, progress=at_second)
"""


@pytest.mark.parametrize(
    ("point", "survivor"),
    [("decoding", "old"), ("between pixels and database", "old"), ("before the old pixels go", "new")],
)
def test_a_killed_import_leaves_one_whole_cohort(
    tmp_path: Path, export: Path, point: str, survivor: str
) -> None:
    folder = tmp_path / "home" / "c"
    write(folder, export, [study(name, path) for name, path in OLD])
    with store.Cohort.open(folder) as cohort:
        before = cohort.pixels(16).copy()
    script = [sys.executable, "-c", KILLED, str(folder), str(export), point]
    killed = subprocess.run(script, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with store.Cohort.open(folder) as cohort:
        if survivor == "old":
            assert cohort.films()["study"].tolist() == ["one", "two"]
            # The old cache is still the one in use: nothing has to be decoded for it.
            shutil.move(export, tmp_path / "away")
            np.testing.assert_array_equal(cohort.pixels(16), before)
            shutil.move(tmp_path / "away", export)
            if point == "between pixels and database":
                # The new pixels are there first, so a new database is never without them.
                assert len(list(folder.glob("pixels-16-*.npy"))) == 2
        else:
            assert cohort.films()["study"].tolist() == list("cdef")
            assert cohort.pixels(16).shape == (4, 16, 16)
    write(folder, export, [study("three", "c.png")])
    assert sorted(path.name for path in folder.parent.iterdir()) == [".c.lock", "c"]
    assert len(list(folder.glob("pixels-*"))) == 1


def test_a_failed_import_leaves_the_old_cohort_and_at_most_a_draft(tmp_path: Path, export: Path) -> None:
    folder = tmp_path / "home" / "c"
    write(folder, export, [study("one", "a.png")])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(done: int, total: int | None) -> None:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write(folder, export, [study("two", "b.png"), study("three", "c.png")], progress=fail)
    with pytest.raises(CohortError, match="no film could be imported: film is missing"):
        write(folder, export, [study("two", "missing.png")])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert sorted(path.name for path in folder.parent.iterdir()) == [".c.lock", "c"]


def test_a_full_disk_is_one_sentence_and_leaves_the_old_cohort(
    tmp_path: Path, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "c", export, [study("one", "a.png")])

    def full(self: pixels.Writer, row: np.ndarray) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pixels.Writer, "append", full)
    with pytest.raises(CohortError, match="c: cannot be written: No space left on device"):
        write(tmp_path / "c", export, [study("two", "b.png")])
    with store.Cohort.open(tmp_path / "c") as cohort:
        assert cohort.films()["study"].tolist() == ["one"]
        with pytest.raises(CohortError, match="pixels of side 24 cannot be written: No space left"):
            cohort.pixels(24)
    assert not list((tmp_path / "c").glob("*.part"))
    # With room again the same import goes on, and nothing is left over.
    monkeypatch.undo()
    assert write(tmp_path / "c", export, [study("two", "b.png")]).films == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".c.lock", "c", "export"]


def test_importing_again_gives_the_same_cohort(tmp_path: Path, export: Path) -> None:
    found = [study(name, f"{name}.png", split=None, labels={"x": 1.0}) for name in "abcdef"]
    write(tmp_path / "c", export, found)
    first = store.Cohort.open(tmp_path / "c")
    table, labels, cache = first.films(), first.labels(), first.pixels(16).copy()
    write(tmp_path / "c", export, iter(found))  # type: ignore[arg-type]
    second = store.Cohort.open(tmp_path / "c")
    pd.testing.assert_frame_equal(second.films(), table)
    pd.testing.assert_frame_equal(second.labels(), labels)
    np.testing.assert_array_equal(second.pixels(16), cache)
    assert second.identity != first.identity


def test_a_cohort_open_during_a_new_import_says_that_it_is_gone(tmp_path: Path, export: Path) -> None:
    write(tmp_path / "c", export, [study("one", "a.png")])
    cohort = store.Cohort.open(tmp_path / "c")
    kept = cohort.pixels(16)
    before = kept.copy()
    write(tmp_path / "c", export, [study("two", "b.png")])
    with pytest.raises(CohortError, match="was imported again"):
        cohort.studies()
    with pytest.raises(CohortError, match="was imported again"):
        cohort.pixels(24)
    np.testing.assert_array_equal(kept, before)


def test_two_imports_of_one_cohort_do_not_mix(tmp_path: Path, export: Path) -> None:
    def second(done: int, total: int | None) -> None:
        with pytest.raises(CohortError, match="another import of this cohort is running"):
            write(tmp_path / "c", export, [study("two", "b.png")])

    write(tmp_path / "c", export, [study("one", "a.png")], progress=second)


def test_a_folder_that_holds_something_else_is_not_overwritten(tmp_path: Path, export: Path) -> None:
    with pytest.raises(CohortError, match="got something else there"):
        write(export, export, [study("one", "a.png")])
    assert len(list(export.iterdir())) == 6


def test_an_export_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="root: expected the folder of an export"):
        write(tmp_path / "c", tmp_path / "nowhere", [study("one", "a.png")])


# Asking.


def test_pages_of_studies_follow_each_other_without_gap_or_overlap(cohort: store.Cohort) -> None:
    pages = [cohort.studies(limit=50, offset=offset) for offset in (0, 50, 100, 150)]
    assert [len(page) for page in pages] == [50, 50, 20, 0]
    assert pd.concat(pages)["study"].tolist() == cohort.films()["study"].tolist()
    assert list(pages[0].columns) == [
        "study", "patient", "split", "sex", "age", "films", "film", "findings", "impression", "report",
    ]  # fmt: skip


@pytest.mark.parametrize("split", [None, "val"])
@pytest.mark.parametrize(
    ("label", "value"), [(None, None), ("left OPACITY", 1), ("Left opacity", NAN), ("Left opacity", None)]
)
@pytest.mark.parametrize("query", [None, " ", "left NOT mid", '"no acute disease"'])
def test_filters_agree_with_the_tables(
    cohort: store.Cohort, split: str | None, label: str | None, value: float | None, query: str | None
) -> None:
    table, column = cohort.films(), cohort.labels()["Left opacity"]
    wanted = pd.Series(True, index=table.index)
    if split:
        wanted &= table["split"] == split
    if label:
        wanted &= column.notna() if value is None else column.isna() if math.isnan(value) else column == value
    if query == "left NOT mid":
        words = table["report"].str.lower().str.split("findings:").str[1]
        wanted &= words.str.contains("left") & ~words.str.contains("mid")
    elif query == '"no acute disease"':
        wanted &= table["report"].str.contains("No acute disease")
    found = cohort.studies(split=split, label=label, value=value, query=query, limit=1000)
    assert set(found["study"]) == set(table["study"][wanted])
    assert cohort.count(split=split, label=label, value=value, query=query) == wanted.sum()


VIEWS = ("PA", "AP", None)


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> tuple[store.Cohort, pd.DataFrame]:
    """A cohort of 60 studies of 1 to 3 films, and what went in, one row a study."""
    root, rng = tmp_path_factory.mktemp("varied"), np.random.default_rng(3)
    found, rows = [], []
    for number in range(60):
        paths = [f"{number}-{film}.png" for film in range(1 + number % 3)]
        for path in paths:
            Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(root / path)
        row = {
            "study": f"s{number}",
            "patient": f"p{number // 2}",
            "split": ("train", "val", "test")[number // 2 % 3],
            "sex": ("F", "M", None)[number % 3],
            "age": float(20 + number) if number % 4 else NAN,
            "report": ("Clear lungs.", "", "Effusion. No edema.")[number % 3],
            "x": rng.choice([0.0, 1.0, 0.5, records.UNCERTAIN, NAN]),
            "y": rng.choice([0.0, 1.0, NAN]),
            "views": [VIEWS[rng.integers(3)] for _ in paths],
        }
        films_of = tuple(FilmRecord(*each) for each in zip(paths, row["views"], strict=True))
        fields = {name: row[name] for name in ("study", "patient", "split", "sex", "age", "report")}
        found.append(StudyRecord(films=films_of, labels={"x": row["x"], "y": row["y"]}, **fields))
        rows.append(row)
    write(root / "c", root, found)
    return store.Cohort.open(root / "c"), pd.DataFrame(rows)


def chosen(table: pd.DataFrame, wanted: store.Filters) -> pd.DataFrame:
    """Filter what went in, row by row."""
    keep = pd.Series(True, index=table.index)
    if "split" in wanted:
        keep &= table["split"] == wanted["split"]
    if "view" in wanted:
        view = wanted["view"]
        keep &= table["views"].map(lambda views: view in views if view else not any(views))
    if "sex" in wanted:
        keep &= table["sex"].fillna("") == wanted["sex"]
    if "age" in wanted:
        keep &= table["age"].between(*wanted["age"])
    if "has_report" in wanted:
        keep &= (table["report"] != "") == wanted["has_report"]
    if "label" in wanted:
        column, value = table[wanted["label"]], wanted["value"]
        known = column.isna() if math.isnan(value) else column == value
        keep &= column.notna() & ~column.isin([0, 1]) if value == -1 else known
    if "query" in wanted:
        keep &= table["report"].str.lower().str.contains(wanted["query"])
    return table[keep]


FILTERS: list[store.Filters] = [
    {},
    {"split": "val"},
    {"view": "PA"},
    {"view": ""},
    {"sex": "F"},
    {"sex": ""},
    {"age": (25, 44)},
    {"has_report": True},
    {"has_report": False},
    {"label": "x", "value": 1.0},
    {"label": "x", "value": 0.0},
    {"label": "x", "value": -1.0},
    {"label": "x", "value": NAN},
    {"query": "effusion"},
    {"query": "effusion", "split": "train", "view": "AP", "age": (20, 90)},
    {"query": "pneumothorax"},
]


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
def test_every_filter_and_the_counts_beside_it_follow_what_went_in(
    varied: tuple[store.Cohort, pd.DataFrame], wanted: store.Filters
) -> None:
    cohort, table = varied
    expected = chosen(table, wanted)
    assert set(cohort.studies(limit=None, **wanted)["study"]) == set(expected["study"])
    found = cohort.facets(**wanted)
    assert cohort.count(**wanted) == found.studies == len(expected)
    views = expected["views"].explode().dropna(how="all") if len(expected) else pd.Series(dtype=object)
    assert found.films == expected["views"].map(len).sum()
    assert found.patients == expected["patient"].nunique()
    assert dict(found.splits) == expected["split"].value_counts().to_dict()
    assert {view: n for view, n in found.views.items() if view} == views.value_counts().to_dict()
    assert sum(found.views.values()) == found.films
    assert dict(found.sexes) == expected["sex"].fillna("").value_counts().to_dict()
    decades = (expected["age"].dropna() // 10 * 10).astype(int).value_counts().to_dict()
    assert {age: n for age, n in found.ages.items() if age is not None} == decades
    assert list(found.ages)[: len(decades)] == sorted(decades)
    assert sum(found.ages.values()) == found.studies
    for label in ("x", "y"):
        column = expected[label]
        assert found.labels[label] == store.LabelCount(
            present=int((column == 1).sum()),
            absent=int((column == 0).sum()),
            uncertain=int((column.notna() & ~column.isin([0, 1])).sum()),
            unknown=int(column.isna().sum()),
        )


def test_an_uncertain_label_is_no_negative_one(varied: tuple[store.Cohort, pd.DataFrame]) -> None:
    cohort, table = varied
    by_film = table.loc[table.index.repeat(table["views"].map(len)), "x"].reset_index(drop=True)
    pd.testing.assert_series_equal(cohort.labels()["x"], by_film)
    expected = by_film.mask(by_film == records.UNCERTAIN).to_numpy(np.float32)
    np.testing.assert_array_equal(tasks.targets(cohort, "x").y_NL[:, 0], expected)


def test_a_value_that_no_label_is_filtered_by_is_refused(cohort: store.Cohort) -> None:
    with pytest.raises(CohortError, match=r"expected 1, 0, -1, nan or none, got 0\.3"):
        cohort.studies(label="Opacity", value=0.3)


REPORTS = {
    "1": "Large right-sided pleural effusion. No pneumothorax.",
    "2": "Small effusions on both sides.",
    "3": "Pneumothorax. The right lung has collapsed.",
    "4": "Café-au-lait? Lung: right.",
    "5": "",
}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> store.Cohort:
    root = tmp_path_factory.mktemp("texts")
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(root / "1.png")
    for name in REPORTS:
        if name != "1":
            shutil.copy(root / "1.png", root / f"{name}.png")
    write(root / "c", root, [study(name, f"{name}.png", report=text) for name, text in REPORTS.items()])
    return store.Cohort.open(root / "c")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("effusion", "12"),
        ("EFFUSION", "12"),
        ("effusion NOT pneumothorax", "2"),
        ("effusion AND pneumothorax", "1"),
        ("effusion pneumothorax", "1"),
        ("effusion OR collapsed", "123"),
        ('"right lung"', "3"),
        ("right lung", "34"),
        ("right-sided", "1"),
        ("(effusion OR collapsed) NOT small", "13"),
        ("right (effusion OR collapsed)", "13"),
        ("effusion NOT (small OR large)", ""),
        ("pneumo*", "13"),
        ("cafe", "4"),
        ("lung:", "34"),
        ("report:right", ""),  # no column filter: the words of it
        ("findings", ""),
        ("'; DROP TABLE studies; --", ""),
        ("and", ""),
        ("effusion -pneumothorax", "2"),
        ("effusion and not pneumothorax", "2"),
        ("Effusion Or collapsed", "123"),
        ("effusion or collapsed", "123"),
        ('effusion -"no pneumothorax"', "2"),
        ("effusion -(small OR collapsed)", "1"),
        ("(effusion OR collapsed) AND NOT small", "13"),
        ("((effusion OR collapsed)) and not (small or large)", "3"),
        ("NOT effusion", "34"),
        ("-effusion", "34"),
        ("not effusion not collapsed", "4"),
        ("NOT (effusion OR collapsed)", "4"),
        ("NOT NOT effusion", "12"),
        ("collapsed OR NOT effusion", "34"),
        ("pneumothorax AND (NOT effusion OR large)", "13"),
        ("NOT effusion OR NOT pneumothorax", "234"),
        ("effusion OR right NOT lung", "12"),
        ("-", ""),
        ("*", ""),
    ],
)
def test_words_phrases_and_operators_find_what_they_say(texts: store.Cohort, query: str, found: str) -> None:
    assert set(texts.search(query)) == set(found)
    assert texts.count(query=query) == len(found)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "  ",
        '"open',
        "(a",
        "a)",
        "NOT",
        "a NOT",
        "a OR AND b",
        "(a OR) b",
        "AND",
        "a AND",
        "a OR OR b",
        "()",
        "x" * 501,
        "(" * 300,
        "\ud800",
        "\0",
    ],
)
def test_a_query_that_cannot_be_read_is_answered_in_one_sentence(texts: store.Cohort, query: str) -> None:
    with pytest.raises(CohortError, match=r"^search: expected words") as error:
        texts.search(query)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300
    if query.strip():
        with pytest.raises(CohortError, match="search"):
            texts.studies(query=query)
        with pytest.raises(CohortError, match="search"):
            texts.count(query=query)


OPERANDS = {"effusion": set("12"), "pneumothorax": set("13"), "right": set("134"), "lung": set("34")}
QUERIES = st.recursive(
    st.sampled_from(sorted(OPERANDS)).map(lambda word: (word, OPERANDS[word])),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["NOT ", "not ", "-"]), inner).map(
            lambda each: (f"{each[0]}({each[1][0]})", set("1234") - each[1][1])
        ),
        st.tuples(inner, st.sampled_from([" AND ", " ", " and "]), inner).map(
            lambda each: (f"({each[0][0]}){each[1]}({each[2][0]})", each[0][1] & each[2][1])
        ),
        st.tuples(inner, st.sampled_from([" OR ", " or "]), inner).map(
            lambda each: (f"({each[0][0]}){each[1]}({each[2][0]})", each[0][1] | each[2][1])
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(QUERIES)
def test_any_query_finds_what_its_sets_of_studies_give(texts, query):
    words, expected = query
    if len(words) <= search.MAX_CHARACTERS:
        assert set(texts.search(words)) == expected
        assert texts.count(query=words) == len(expected)
        assert texts.count(query=words, split="train") == len(expected)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("PICC", {"peripherally inserted central catheter", "picc"}),
        ('"peripherally  inserted central catheter"', {"peripherally  inserted central catheter", "picc"}),
        ("rll", {"rll", "right lower lobe"}),
        ("pic*", None),
        ("ANAEMİA", {"anaemi̇a"}),
    ],
)
def test_abbreviations_and_what_they_stand_for_find_each_other(query, found):
    told = search.expression(query)
    if found is None:
        assert "catheter" not in told
    else:
        assert {each.casefold() for each in re.findall(r'"([^"]*)"', told)} == found


@pytest.mark.parametrize(
    ("british", "american"),
    [
        ("oedema", "edema"), ("Haemothorax", "hemothorax"), ("haematoma", "hematoma"), ("tumour", "tumor"),
        ("oesophageal", "esophageal"), ("fibre", "fiber"), ("ischaemia", "ischemia"),
        ('"pulmonary oedema"', '"pulmonary edema"'), ("oedem*", "edem*"), ("pneumonised", "pneumonized"),
    ],
)  # fmt: skip
def test_british_and_american_spellings_find_each_other(british, american):
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE VIRTUAL TABLE words USING fts5(text, tokenize='{highlight.TOKENIZER}')")
        texts = [(each.strip('"').replace("em*", "ema"),) for each in (british, american)]
        connection.executemany("INSERT INTO words VALUES (?)", texts)
        for query in (british, american):
            expression = search.expression(query)
            (found,) = connection.execute("SELECT count(*) FROM words WHERE words MATCH ?", (expression,))
            assert found == (2,)


def test_found_studies_are_paged(texts: store.Cohort) -> None:
    every = texts.search("effusion OR collapsed")
    assert [texts.search("effusion OR collapsed", limit=1, offset=i) for i in range(4)] == [
        *([name] for name in every),
        [],
    ]


def test_matches_too_many_to_be_ranked_keep_the_import_order(
    texts: store.Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "effusion OR collapsed OR right"
    ranked = texts.search(words)
    assert len(ranked) == 4 and ranked != sorted(ranked)
    monkeypatch.setattr(store, "RANKED", 3)
    assert texts.search(words) == sorted(ranked)
    assert [texts.search(words, limit=2, offset=offset) for offset in (0, 2)] == [["1", "2"], ["3", "4"]]
    assert texts.studies(query=words, split="train", limit=None)["study"].tolist() == sorted(ranked)


def test_an_unknown_label_is_answered_with_those_there_are(cohort: store.Cohort) -> None:
    with pytest.raises(CohortError, match="No Finding, Opacity, Left opacity; got 'Edema'"):
        cohort.studies(label="Edema")


def test_a_table_that_a_caller_changes_stays_the_callers(cohort: store.Cohort) -> None:
    table, labels = cohort.films(), cohort.labels()
    table.loc[0, "study"] = "changed"
    labels["Opacity"] = NAN
    assert cohort.films().loc[0, "study"] == "study000"
    assert cohort.labels()["Opacity"].notna().all()


# Pixels.


@pytest.mark.parametrize("side", [224, 40])
def test_a_pixel_row_is_the_letterboxed_film(cohort: store.Cohort, side: int) -> None:
    cache = cohort.pixels(side)
    assert (cache.shape, cache.dtype, cache.flags.writeable) == ((120, side, side), np.uint8, False)
    for row in (0, 7, 119):
        film = cohort.read_film(row)
        fitted = letterbox.Letterbox(film.rows, film.columns, side).apply(film.pixels)
        np.testing.assert_array_equal(cache[row], letterbox.to_uint8(fitted))


def test_pixels_are_those_of_the_films_table_when_films_were_skipped(tmp_path: Path, export: Path) -> None:
    found = [study("1", "a.png", "missing.png", "b.png"), study("2", "gone.png"), study("3", "c.png")]
    write(tmp_path / "c", export, found)
    with store.Cohort.open(tmp_path / "c") as cohort:
        assert cohort.films()["path"].tolist() == ["a.png", "b.png", "c.png"]
        for film, path in enumerate(cohort.films()["path"]):
            np.testing.assert_array_equal(
                cohort.pixels(16)[film], films.letterboxed(films.read_film(export / path), 16)
            )


def test_a_film_is_decoded_once_by_an_import_and_the_cache_opens_without_any(
    tmp_path: Path, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    read_row = sandbox.read_row

    def counted(data: bytes, *, name: str, **how: object) -> sandbox.Row:
        decoded.append(name)
        return read_row(data, name=name, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(sandbox, "read_row", counted)
    write(tmp_path / "c", export, [study(name, f"{name}.png") for name in "abcdef"])
    with store.Cohort.open(tmp_path / "c") as cohort:
        cohort.pixels(16)
    assert sorted(decoded) == [f"{name}.png" for name in "abcdef"]


@pytest.mark.parametrize("damage", ["cut", "other shape", "empty", "gone"])
def test_a_cache_that_does_not_fit_is_built_anew(tmp_path: Path, export: Path, damage: str) -> None:
    write(tmp_path / "c", export, [study(name, f"{name}.png") for name in "abc"])
    with store.Cohort.open(tmp_path / "c") as cohort:
        before = cohort.pixels(16).copy()
    (path,) = (tmp_path / "c").glob("pixels-16-*.npy")
    data = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(data[:-1])
    elif damage == "other shape":
        np.save(path, np.zeros((2, 16, 16), np.uint8))
    elif damage == "empty":
        path.touch()
    with store.Cohort.open(tmp_path / "c") as cohort:
        np.testing.assert_array_equal(cohort.pixels(16), before)
    assert sorted(p.suffix for p in (tmp_path / "c").iterdir() if p.name[0] != ".") == [".npy", ".sqlite"]


def test_a_film_that_changed_or_went_since_the_import_is_named(tmp_path: Path, export: Path) -> None:
    write(tmp_path / "c", export, [study(name, f"{name}.png") for name in "abc"])
    shutil.copy(export / "d.png", export / "b.png")
    (export / "c.png").unlink()
    with store.Cohort.open(tmp_path / "c") as cohort:
        with pytest.raises(CohortError, match=r"film b\.png: has changed since the import"):
            cohort.read_film(1)
        with pytest.raises(CohortError, match=r"film c\.png: film is missing"):
            cohort.read_film(2)
        with pytest.raises(CohortError, match=r"film b\.png"):
            cohort.pixels(24)
        for film in (3, -1):
            with pytest.raises(CohortError, match="expected a film from 0 to 2"):
                cohort.read_film(film)
        for side in (0, 7, 4096):
            with pytest.raises(CohortError, match="side: expected 8 to 2048 pixels"):
                cohort.pixels(side)
    assert not [path for path in (tmp_path / "c").iterdir() if "24" in path.name.split("-")]


def test_threads_that_ask_for_the_same_pixels_build_them_once(
    tmp_path: Path, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "c", export, [study(name, f"{name}.png") for name in "abcdef"])
    built: list[int] = []
    read_row = sandbox.read_row

    def counted(data: bytes, *, side: int, **how: object) -> sandbox.Row:
        built.append(side)
        return read_row(data, side=side, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(sandbox, "read_row", counted)
    cohort, start = store.Cohort.open(tmp_path / "c"), threading.Barrier(4)

    def ask(_: int) -> bytes:
        start.wait()
        return cohort.pixels(20).tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(4)))) == 1
    assert len(built) == 6


def test_eight_threads_see_what_one_sees(cohort_folder: Path) -> None:
    cohort = store.Cohort.open(cohort_folder)

    def everything(turn: int) -> list[object]:
        film = turn % 120
        return [
            cohort.search("opacity NOT left"),
            cohort.studies(split="train", offset=film)["study"].tolist(),
            cohort.study(f"study{film:03}").labels["Opacity"],
            cohort.pixels(224)[film].sum(),
            cohort.read_film(film).sha256,
            cohort.films().loc[film, "path"],
            cohort.labels().shape,
        ]

    serial = [everything(turn) for turn in range(16)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(everything, [*range(16)] * 4)) == serial * 4


# Opening and finding.


def test_a_cohort_opens_from_a_read_only_folder(tmp_path: Path, export: Path) -> None:
    write(tmp_path / "c", export, [study("1", "a.png", report="Clear lungs.")])
    before = sorted((tmp_path / "c").iterdir())
    with store.Cohort.open(tmp_path / "c") as cohort:
        assert cohort.search("clear") == ["1"]
    # Not even a lock or a journal is left beside it, so no right to write is needed.
    assert sorted((tmp_path / "c").iterdir()) == before


@pytest.mark.parametrize("content", [None, b"", b"not a database at all" * 100, "other schema"])
def test_what_is_no_cohort_is_refused_in_one_sentence(tmp_path: Path, content: bytes | str | None) -> None:
    if content == "other schema":
        connection = sqlite3.connect(tmp_path / "cohort.sqlite")
        connection.execute("PRAGMA user_version = 99")
        connection.close()
    elif isinstance(content, bytes):
        (tmp_path / "cohort.sqlite").write_bytes(content)
    with pytest.raises(CohortError):
        store.Cohort.open(tmp_path)


def test_a_cohort_is_found_by_name_and_by_path(cohort_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(cohort_folder.parent))
    assert store.available() == ["synthetic"]
    assert store.find("synthetic") == store.find(str(cohort_folder)) == cohort_folder
    assert store.place("new") == cohort_folder.parent / "new"
    for wrong in ("other", "", "a\0b", "x" * 5000):
        with pytest.raises(CohortError, match="one of: synthetic"):
            store.find(wrong)


def test_without_any_cohort_the_list_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "nowhere"))
    assert store.available() == []
    with pytest.raises(CohortError, match="none yet"):
        store.find("any")


def test_names_are_compared_without_case_spaces_and_dashes() -> None:
    assert records.match_name("pleural-EFFUSION ", ["Pleural Effusion"]) == "Pleural Effusion"
    assert records.match_name("Effusion", ["Pleural Effusion"]) is None


def test_an_import_may_admit_more_than_radiographs_and_the_cohort_still_opens_them(tmp_path: Path) -> None:
    root = tmp_path / "export"
    root.mkdir()
    made = radiographs.dataset(radiographs.quantised(12), 12, Modality="CT")
    (root / "a").write_bytes(radiographs.written(made))
    records = [StudyRecord("s", "p", "", (FilmRecord("a"),), {}, None)]
    common = dict(source="test", root=root, records=records, side=8)
    with pytest.raises(CohortError, match="modality CT"):
        store.write(tmp_path / "none", **common)
    store.write(tmp_path / "some", **common, reading=store.Reading(("any-modality",)))
    assert store.Cohort.open(tmp_path / "some").read_film(0).bits == 12


@pytest.mark.parametrize(
    ("query", "found"),
    [("opacit*", {"1"}), ("opacity*", {"1"}), ("effus*", {"2"}), ("effusio*", {"2"}), ("atelectat*", set())],
)
def test_a_beginning_longer_than_its_words_stem_finds_them(tmp_path, export, query, found):
    texts = {"1": "Patchy opacities.", "2": "Small effusions.", "3": "Opaque marker."}
    write(
        tmp_path / "c",
        export,
        [
            study(key, f"{letter}.png", report=text)
            for letter, (key, text) in zip("abc", texts.items(), strict=True)
        ],
    )
    assert set(store.Cohort.open(tmp_path / "c").search(query)) == found


def test_a_studys_position_is_its_place_in_the_list_of_all(cohort: store.Cohort) -> None:
    names = cohort.studies(limit=None)["study"].tolist()
    assert [cohort.position(name) for name in (names[0], names[37], names[-1])] == [0, 37, len(names) - 1]


def test_a_films_study_is_found_without_the_table_of_all_films(cohort: store.Cohort) -> None:
    films = cohort.films()
    assert [cohort.study_of(film).study for film in films["film"]] == films["study"].tolist()
    with pytest.raises(CohortError, match=f"expected a film from 0 to {len(films) - 1}, got {len(films)}"):
        cohort.study_of(len(films))
    some = films["study"].unique()[[5, 0, 37]].tolist()
    expected = films.loc[films["study"].isin(some), ["film", "study", "view"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(cohort.films_of(some), expected, check_dtype=False)
