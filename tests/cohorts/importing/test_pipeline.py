"""An import that is killed, repeated or given changed records, labels added later, and the schema before."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from timnet.cohorts import decode_pool, pixels, schema, store
from timnet.cohorts.records import UNCERTAIN, Box, CohortError, FilmRecord, Skipped, StudyRecord
from timnet.films import read, sandbox

NAN = float("nan")
SIDE = 16


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twenty PNG films 0.png ... 19.png, no two alike."""
    root = tmp_path / "export"
    root.mkdir()
    rng = np.random.default_rng(1)
    for name in range(20):
        Image.fromarray(rng.integers(0, 255, (20, 30), dtype=np.uint8)).save(root / f"{name}.png")
    return root


def records(changed: str = "") -> Iterator[StudyRecord | Skipped]:
    """Yield twelve studies of 20 films with all that a study can have, and what is left out."""
    film = 0
    for number in range(12):
        films_of = []
        for place in range(1 + number % 3 if number < 11 else 0):
            boxes = (Box("mass", 1, 2, 3.5, 4),) if film % 4 == 0 else ()
            path = f"{film}.png" if film < 20 else "missing.png"
            films_of.append(FilmRecord(path, ("PA", None, "LATERAL")[place], boxes))
            film += 1
        labels = {"edema": (0.0, 1.0, UNCERTAIN, NAN)[number % 4], "mass": float(number % 2)}
        if number > 6:
            labels["late"] = 1.0  # a label that no study before had
        yield StudyRecord(
            study=f"s{number}",
            patient=f"p{number // 2}",
            report=f"FINDINGS: Number {number}{changed if number == 3 else ''}. Clear.\nIMPRESSION: Fine.",
            films=tuple(films_of),
            labels=labels,
            split=None if number % 4 else "train",
            sex="F",
            age=40.0 + number,
            other_labels={"negbio": {"edema": 1.0}, "expert": {"mass": UNCERTAIN}} if number % 3 == 0 else {},
        )
        if number == 4:
            yield Skipped("row 4", "said by the reader")


def write(folder: Path, root: Path, changed: str = "", **more: Any) -> store.Summary:
    return store.write(
        folder, source="test", root=root, records=records(changed), side=SIDE, label_source="chexpert", **more
    )


def contents(folder: Path) -> dict[str, object]:
    """Return a cohort's pixels and every table of its database, without what differs between imports."""
    connection = sqlite3.connect(folder / schema.DATABASE)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    held: dict[str, object] = {
        name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in names
    }
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    connection.close()
    summary = json.loads(meta.pop("summary"))
    del meta["identity"], summary["seconds"], summary["index_seconds"], summary["name"]
    held |= {"meta": meta, "summary": summary}
    for path in folder.glob("pixels-*"):
        held[path.name] = path.read_bytes()
    return held


IMPORT = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = ["tests", "tests/cohorts/importing"]
import test_pipeline as here
from timnet import files
from timnet.cohorts import pixels
from timnet.cohorts.importing import finish as completion
from timnet.cohorts.importing import draft
from timnet.cohorts.importing import pipeline as importing
from timnet.cohorts import decode_pool as intake
from timnet.cohorts import label_store as labelling

folder, root, point, nth = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
draft.COMMIT_SECONDS = 0
seen = 0

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def dying(name, before):
    def wrap(call):
        def called(*args, **kwargs):
            global seen
            seen += 1
            if seen == nth and before:
                die()
            result = call(*args, **kwargs)
            if seen == nth:
                die()
            return result
        return called
    return wrap

def at(owner, name, before=True):
    setattr(owner, name, dying(name, before)(getattr(owner, name)))

def told(done, total):
    if point == "decoding" and done == nth:
        die()

{
    "decoding": lambda: None,
    "before the pixels are on the disk": lambda: at(pixels.Writer, "sync"),
    "between pixels and rows": lambda: at(pixels.Writer, "sync", before=False),
    "after a batch": lambda: at(draft.Draft, "_commit", before=False),
    "before indexing": lambda: at(completion, "_draw_splits"),
    "after indexing": lambda: at(completion, "_sum_up", before=False),
    "before the exchange": lambda: at(importing, "_publish"),
    "after carrying over": lambda: at(labelling, "carry_over", before=False),
    "between cache and database": lambda: None,
    "before the old pixels go": lambda: at(pixels, "remove_other"),
}[point]()
if point == "between cache and database":
    replace = Path.replace
    Path.replace = lambda self, target: die() if self.suffix == ".sqlite" else replace(self, target)
    files.sync = lambda path: None
here.write(folder, root, progress=told)
"""


def killed(folder: Path, root: Path, point: str, nth: int = 1) -> None:
    script = [sys.executable, "-c", IMPORT, str(folder), str(root), point, str(nth)]
    ended = subprocess.run(script, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=60)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def with_label(folder: Path, root: Path) -> None:
    """Have a cohort of a single study there, which was given a label in the app."""
    found = [StudyRecord("s3", "p1", "Old.", (FilmRecord("9.png"),), {}, "train")]
    store.write(folder, source="test", root=root, records=found, side=SIDE)
    store.Cohort.open(folder).add_label("s3", "edema", 0.0)


@pytest.mark.parametrize(
    ("point", "nth"),
    [
        ("decoding", 1),
        ("decoding", 11),
        ("decoding", 20),
        ("before the pixels are on the disk", 4),
        ("between pixels and rows", 8),
        ("after a batch", 6),
        ("before indexing", 1),
        ("after indexing", 1),
        ("before the exchange", 1),
        ("after carrying over", 1),
        ("between cache and database", 1),
        ("before the old pixels go", 1),
    ],
)
@pytest.mark.whole
def test_a_killed_import_goes_on_to_what_an_uninterrupted_one_gives(
    tmp_path: Path, root: Path, point: str, nth: int
) -> None:
    for name in ("whole", "killed"):
        with_label(tmp_path / name / "c", root)
    write(tmp_path / "whole" / "c", root)
    folder = tmp_path / "killed" / "c"
    killed(folder, root, point, nth)
    with store.Cohort.open(folder) as cohort:  # never anything but a whole cohort
        assert len(cohort) == (20 if point == "before the old pixels go" else 1)
        assert cohort.verify() == [SIDE]
    write(folder, root)
    assert contents(folder) == contents(tmp_path / "whole" / "c")
    assert sorted(path.name for path in folder.parent.iterdir()) == [".c.lock", "c"]
    assert store.Cohort.open(folder).verify() == [SIDE]


def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the films that are decoded from now on."""
    names: list[str] = []
    read_row = sandbox.read_row

    def noted(data: bytes, *, name: str, **how: object) -> sandbox.Row:
        names.append(name)
        return read_row(data, name=name, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(sandbox, "read_row", noted)
    return names


def test_an_import_that_goes_on_decodes_only_what_was_not_committed(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(tmp_path / "c", root, "decoding", 15)
    names, calls = decoded(monkeypatch), list[int]()
    write(tmp_path / "c", root, progress=lambda done, total: calls.append(done))
    assert 0 < len(names) <= 20 - 13 and "0.png" not in names
    assert calls == sorted(calls) and calls[-1] == 21  # with the one that is missing


def test_another_request_starts_anew(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(tmp_path / "c", root, "decoding", 15)
    names = decoded(monkeypatch)
    write(tmp_path / "c", root, request="another table")
    assert len(names) == 20


@pytest.mark.parametrize("point", ["decoding", "before indexing"])
def test_records_that_changed_since_the_kill_are_taken_in_anew(
    tmp_path: Path, root: Path, point: str
) -> None:
    killed(tmp_path / "c", root, point, 18 if point == "decoding" else 1)
    write(tmp_path / "c", root, changed=" changed")
    write(tmp_path / "whole" / "c", root, changed=" changed")
    assert contents(tmp_path / "c") == contents(tmp_path / "whole" / "c")


def test_records_that_changed_after_the_last_film_are_refused_once(tmp_path: Path, root: Path) -> None:
    killed(tmp_path / "c", root, "before the exchange")
    with pytest.raises(CohortError, match="the export has changed since the last import: import it again"):
        write(tmp_path / "c", root, changed=" changed")
    write(tmp_path / "c", root, changed=" changed")
    assert "changed" in store.Cohort.open(tmp_path / "c").study("s3").findings


def test_a_second_import_decodes_nothing_and_gives_the_same(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "c", root)
    first = contents(tmp_path / "c")
    names = decoded(monkeypatch)
    write(tmp_path / "c", root)
    assert names == []
    assert contents(tmp_path / "c") == first


def test_only_a_film_that_changed_is_decoded_again(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "c", root)
    shutil.copyfile(root / "7.png", root / "3.png")
    os.utime(root / "3.png", ns=(1, 1))
    names = decoded(monkeypatch)
    write(tmp_path / "c", root)
    assert names == ["3.png"]
    cache = store.Cohort.open(tmp_path / "c").pixels(SIDE)
    np.testing.assert_array_equal(cache[3], cache[7])


def test_a_damaged_cache_is_noticed_and_not_copied(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "c", root)
    good = contents(tmp_path / "c")
    (path,) = (tmp_path / "c").glob("pixels-*.npy")
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(CohortError, match=f"pixels of side {SIDE} are damaged"):
        store.Cohort.open(tmp_path / "c").verify()
    names = decoded(monkeypatch)
    write(tmp_path / "c", root)
    assert len(names) == 20
    assert contents(tmp_path / "c") == good


def test_several_workers_give_what_one_gives(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for workers in (1, 3):
        monkeypatch.setattr(decode_pool, "WORKERS", workers)
        write(tmp_path / str(workers) / "c", root)
    assert contents(tmp_path / "1" / "c") == contents(tmp_path / "3" / "c")
    cache = store.Cohort.open(tmp_path / "3" / "c").pixels(24)
    expected = [read.letterboxed(read.read_film(root / f"{film}.png"), 24) for film in range(20)]
    np.testing.assert_array_equal(cache, expected)


HOSTILE = """
import os, signal, sys, time
from timnet.films import film, read, sandbox_child
read_film = read.read_film

class Panic(BaseException):
    pass

def hostile(data, **how):
    if data.endswith(b"signal"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if data.endswith(b"abort"):
        os.abort()
    if data.endswith(b"leave"):
        os._exit(3)
    if data.endswith(b"hang"):
        time.sleep(60)
    if data.endswith(b"panic"):
        with film.guarded("x", "the file"):
            raise Panic
    if data.endswith(b"gigabytes"):
        with film.guarded("x", "the file"):
            bytearray(4 * 2**30)
    return read_film(data, **how)

read.read_film = hostile
sandbox_child.main()
"""


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("signal", "the file is damaged: its decoder crashed (SIGSEGV)"),
        ("abort", "the file is damaged: its decoder crashed (SIGABRT)"),
        ("leave", "the file could not be decoded (the decoder ended with code 3)"),
        ("hang", "expected a film that decodes within 8 seconds"),
        ("panic", "the file is cut short or damaged (Panic)"),
        ("gigabytes", "the file needs more memory than is available"),
    ],
)
def test_whatever_a_decoder_does_an_import_goes_on_without_that_film(
    how: str, reason: str, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (root / "7.png").open("ab") as file:
        file.write(how.encode())
    monkeypatch.setattr(sandbox, "_COMMAND", (sys.executable, "-P", "-B", "-c", HOSTILE))
    monkeypatch.setattr(sandbox, "WALL_SECONDS", 8)
    summary = write(tmp_path / "c", root)
    assert (summary.films, summary.skipped[reason]) == (19, 1)
    assert not sandbox._idle


def test_a_child_that_is_killed_from_outside_costs_no_film(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode_pool, "WORKERS", 1)

    def kill_it(done: int, total: int | None) -> None:
        if done == 5:
            with sandbox._lock:
                for child in sandbox._idle:
                    child.kill()

    assert write(tmp_path / "c", root, progress=kill_it).films == 20


ORPHANS = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = ["tests", "tests/cohorts/importing"]
import test_pipeline as here
from timnet.films import sandbox as decoding; from timnet.cohorts import decode_pool as intake

intake.WORKERS = 2
start, started = decoding._start, []
decoding._start = lambda *words: started.append(start(*words)) or started[-1]

def told(done, total):
    if done == 3:
        print(*(child.pid for child in started), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

here.write(Path(sys.argv[1]), Path(sys.argv[2]), progress=told)
"""


def test_workers_end_with_the_import_that_is_killed(tmp_path: Path, root: Path) -> None:
    script = [sys.executable, "-c", ORPHANS, str(tmp_path / "c"), str(root)]
    ended = subprocess.run(
        script, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True, timeout=60
    )
    workers = [int(pid) for pid in ended.stdout.split()]
    assert ended.returncode == -signal.SIGKILL and len(workers) == 2
    deadline = time.monotonic() + 20
    while any(map(is_running, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


BUILD = """
import os, signal, sys
from pathlib import Path
from timnet.cohorts import pixels, store

pixels.SYNC_EVERY = 4
def told(done, total):
    if done == 11:
        os.kill(os.getpid(), signal.SIGKILL)
store.Cohort.open(Path(sys.argv[1])).pixels(24, told)
"""


def test_a_cache_whose_building_was_killed_is_gone_on_with(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "c", root)
    script = [sys.executable, "-c", BUILD, str(tmp_path / "c")]
    assert subprocess.run(script, cwd=Path(__file__).parents[3], timeout=60).returncode == -signal.SIGKILL
    expected = [read.letterboxed(read.read_film(root / f"{film}.png"), 24) for film in range(20)]
    calls: list[int] = []
    cohort = store.Cohort.open(tmp_path / "c")
    np.testing.assert_array_equal(cohort.pixels(24, lambda done, total: calls.append(done)), expected)
    assert calls == list(range(9, 21))  # eight were on the disk and counted
    assert cohort.verify() == [SIDE, 24]
    assert not list((tmp_path / "c").glob("*.part"))


def test_one_flipped_bit_of_a_cache_is_found_by_whatever_learns_from_it(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "c", root)
    whole = store.Cohort.open(tmp_path / "c").pixels(SIDE, checked=True)
    assert len(whole) == 20
    reads: list[Path] = []
    checksum = pixels.checksum
    monkeypatch.setattr(pixels, "checksum", lambda path: reads.append(path) or checksum(path))
    store.Cohort.open(tmp_path / "c").pixels(SIDE, checked=True)
    assert not reads  # the same file is read once
    (path,) = (tmp_path / "c").glob(f"pixels-{SIDE}-*.npy")
    data = bytearray(path.read_bytes())
    data[-SIDE * SIDE // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CohortError, match=rf"^c: pixels of side {SIDE} are damaged: remove {path.name}"):
        store.Cohort.open(tmp_path / "c").pixels(SIDE, checked=True)


# Labels added in the app.


def test_a_label_added_in_the_app_comes_first_and_can_be_taken_back(tmp_path: Path, root: Path) -> None:
    write(tmp_path / "c", root)
    cohort = store.Cohort.open(tmp_path / "c")
    before, identity, facets = cohort.labels(), cohort.identity, cohort.facets()
    assert cohort.label_sources() == ("expert", "chexpert", "negbio")
    assert cohort.study("s0").labels["mass"] == UNCERTAIN  # experts above the reader's
    cohort.add_label("s0", "Mass", 0)
    cohort.add_label("s1", "new one", 1)
    study = cohort.study("s0")
    assert study.labels["mass"] == 0
    assert study.labels_by_source == {
        "app": {"mass": 0},
        "expert": {"mass": UNCERTAIN},
        "chexpert": {"edema": 0, "mass": 0},
        "negbio": {"edema": 1},
    }
    assert cohort.label_sources()[0] == "app"
    assert cohort.identity != identity
    assert cohort.labels()["mass"][0] == 0 and cohort.labels()["new one"].notna().sum() == 2
    assert cohort.labels("negbio")["edema"].dropna().eq(1).all()
    assert cohort.facets(label="new one", value=1).studies == 1
    assert cohort.facets().labels["new one"] == store.LabelCount(1, 0, 0, 11)
    assert cohort.facets().labels["mass"].absent == facets.labels["mass"].absent + 1
    cohort.remove_label("s0", "mass")
    cohort.remove_label("s1", "new one")
    assert cohort.labels().drop(columns="new one").equals(before)
    assert dict(cohort.facets().labels)["mass"] == facets.labels["mass"]
    with pytest.raises(CohortError, match="expected one of expert, chexpert, negbio; got 'nobody'"):
        cohort.labels("nobody")


@pytest.mark.parametrize(
    ("study", "label", "value", "why"),
    [
        ("s99", "mass", 1.0, "expected one of its studies"),
        ("s1", "mass", 3.0, "expected a value of 0 to 1, or -1"),
        ("s1", "mass", NAN, "expected a value of 0 to 1, or -1"),
        ("s1", " ", 1.0, "label name"),
        ("s1", "a,b", 1.0, "label name"),
    ],
)
def test_a_label_that_is_none_is_refused(
    tmp_path: Path, root: Path, study: str, label: str, value: float, why: str
) -> None:
    write(tmp_path / "c", root)
    before = contents(tmp_path / "c")
    with pytest.raises(CohortError, match=why):
        store.Cohort.open(tmp_path / "c").add_label(study, label, value)
    assert contents(tmp_path / "c") == before


def test_labels_added_in_the_app_stay_with_their_studies_over_an_import(tmp_path: Path, root: Path) -> None:
    write(tmp_path / "c", root)
    cohort = store.Cohort.open(tmp_path / "c")
    cohort.add_label("s2", "new one", 1)
    cohort.add_label("s3", "edema", UNCERTAIN)
    write(tmp_path / "c", root)
    cohort = store.Cohort.open(tmp_path / "c")
    assert cohort.study("s2").labels_by_source["app"] == {"new one": 1}
    assert cohort.study("s3").labels["edema"] == UNCERTAIN
    assert cohort.count(label="new one", value=1) == 1
    only = [StudyRecord("s3", "p", "", (FilmRecord("1.png"),), {}, "train")]
    store.write(tmp_path / "c", source="test", root=root, records=only, side=SIDE)
    cohort = store.Cohort.open(tmp_path / "c")
    assert cohort.study("s3").labels_by_source == {"app": {"edema": UNCERTAIN}}


def test_what_readers_hand_over_as_added_in_the_app_is_refused(tmp_path: Path, root: Path) -> None:
    with pytest.raises(CohortError, match="label source"):
        store.write(tmp_path / "c", source="test", root=root, records=records(), label_source="app")
    found = [StudyRecord("s", "p", "", (FilmRecord("1.png"),), {}, None, other_labels={"app": {"x": 1.0}})]
    with pytest.raises(CohortError, match="label source"):
        store.write(tmp_path / "c", source="test", root=root, records=found, side=SIDE)


# What else a study can have.


def test_boxes_and_sentences_come_out_as_they_went_in(tmp_path: Path, root: Path) -> None:
    write(tmp_path / "c", root)
    cohort = store.Cohort.open(tmp_path / "c")
    boxes = cohort.boxes()
    assert boxes["film"].tolist() == [0, 4, 8, 12, 16]
    assert boxes.iloc[0, 1:].tolist() == ["mass", 1, 2, 3.5, 4]
    assert cohort.study("s0").films[0].boxes == (Box("mass", 1, 2, 3.5, 4),)
    sentences = cohort.sentences()
    assert sentences[sentences["study"] == "s2"]["sentence"].tolist() == ["Number 2.", "Clear."]
    study = cohort.study("s11")  # a report alone
    assert (study.films, study.impression) == ((), "Fine.")
    assert cohort.count(query="fine") == cohort.count(query="clear") == 12


@pytest.mark.parametrize(("split", "crossing"), [("test", 1), ("train", 0)])
def test_the_check_that_no_patient_crosses_splits_stands_in_the_summary(
    tmp_path: Path, root: Path, split: str, crossing: int
) -> None:
    found = [
        StudyRecord("1", "p", "", (FilmRecord("1.png"),), {}, "train"),
        StudyRecord("2", "p", "", (FilmRecord("2.png"),), {}, split),
    ]
    assert store.write(tmp_path / "c", source="t", root=root, records=found, side=SIDE).crossing == crossing


# A cohort of the schema before.

VERSION_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE studies (
    id INTEGER PRIMARY KEY, study TEXT NOT NULL UNIQUE, patient TEXT NOT NULL,
    split TEXT CHECK (split IN ('train', 'val', 'test')),
    sex TEXT, age REAL, report TEXT NOT NULL, findings TEXT NOT NULL
);
CREATE TABLE films (
    film INTEGER PRIMARY KEY, study INTEGER NOT NULL REFERENCES studies, path TEXT NOT NULL UNIQUE, view TEXT,
    rows INTEGER NOT NULL, columns INTEGER NOT NULL, row_mm REAL, column_mm REAL,
    kind TEXT NOT NULL, bits INTEGER NOT NULL, sha256 TEXT NOT NULL
);
CREATE TABLE label_names (label INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, source TEXT NOT NULL);
CREATE TABLE labels (
    label INTEGER NOT NULL REFERENCES label_names, study INTEGER NOT NULL REFERENCES studies,
    value REAL NOT NULL, PRIMARY KEY (label, study)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5(
    findings, report, content='studies', content_rowid='id', tokenize='porter unicode61 remove_diacritics 2'
);
"""
INDEXES_1 = """
CREATE INDEX films_study ON films (study);
CREATE INDEX studies_split ON studies (split);
INSERT INTO words (words) VALUES ('rebuild');
ANALYZE;
PRAGMA user_version=1;
"""


def to_version_1(folder: Path) -> None:
    """Put a database of version 1 with the same studies in place of a cohort's."""
    path = folder / schema.DATABASE
    new = folder / "old.sqlite"
    connection = sqlite3.connect(new)
    connection.executescript(VERSION_1)
    connection.execute("ATTACH ? AS now", (str(path),))
    connection.executescript(
        """
        INSERT INTO meta SELECT * FROM now.meta
            WHERE key IN ('source', 'root', 'identity', 'fingerprint', 'films', 'summary');
        INSERT INTO studies SELECT id, s.study, patient, split, sex, age, report, findings
            FROM now.studies s JOIN now.reports r ON r.study = s.id;
        INSERT INTO films SELECT film, study, path, view, rows, columns, row_mm, column_mm, kind, bits, sha256
            FROM now.films;
        INSERT INTO label_names SELECT label, name, 'test' FROM now.label_names;
        INSERT INTO labels SELECT label, study, value FROM now.labels;
        """
    )
    connection.commit()
    connection.execute("DETACH now")
    connection.executescript(INDEXES_1)
    connection.close()
    new.replace(path)


def simple(root: Path) -> list[StudyRecord]:
    return [
        StudyRecord(
            f"s{i}",
            f"p{i}",
            f"FINDINGS: Word{i}. Clear.\nIMPRESSION: Fine.",
            tuple(
                FilmRecord(f"{film}.png", view)
                for film, view in ((2 * i, "PA"), (2 * i + 1, None))[: 1 + i % 2]
            ),
            {"x": float(i % 2)} | ({"y": 0.5} if i > 2 else {}),
            "train",
            sex="M" if i else None,
            age=33.0 + i,
        )
        for i in range(6)
    ]


def test_a_cohort_of_version_1_opens_as_one_of_this_version(tmp_path: Path, root: Path) -> None:
    store.write(tmp_path / "c", source="test", root=root, records=simple(root), side=SIDE)
    expected = contents(tmp_path / "c")
    to_version_1(tmp_path / "c")
    with store.Cohort.open(tmp_path / "c") as cohort:
        assert cohort.count(query="word3") == 1
        assert cohort.facets(view="PA", label="y", value=-1).studies == 3
        np.testing.assert_array_equal(cohort.pixels(SIDE)[0], read.letterboxed(cohort.read_film(0), SIDE))
        assert cohort.verify() == []  # version 1 kept no checksum
    found = contents(tmp_path / "c")
    films_now = [(*row[:-3], None, None, None) for row in expected["films"]]  # type: ignore[attr-defined]
    assert found.pop("films") == films_now
    for told in (
        "studies", "reports", "sentences", "boxes", "labels", "label_names", "label_sources",
        "words_data", "words_idx", "words_docsize",
    ):  # fmt: skip
        assert found[told] == expected[told], told
    assert not any(name.startswith("old_") for name in found)
    store.Cohort.open(tmp_path / "c").add_label("s1", "x", 0)
    store.write(tmp_path / "c", source="test", root=root, records=simple(root), side=SIDE)
    assert store.Cohort.open(tmp_path / "c").study("s1").labels["x"] == 0


MIGRATE = """
import os, signal, sys
from pathlib import Path
from timnet.cohorts import store; from timnet.cohorts import label_store as labelling

labelling.fill_signs = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
store.Cohort.open(Path(sys.argv[1]))
"""


def test_a_killed_migration_leaves_version_1_to_be_migrated(tmp_path: Path, root: Path) -> None:
    store.write(tmp_path / "c", source="test", root=root, records=simple(root), side=SIDE)
    to_version_1(tmp_path / "c")
    script = [sys.executable, "-c", MIGRATE, str(tmp_path / "c")]
    assert subprocess.run(script, cwd=Path(__file__).parents[3], timeout=60).returncode == -signal.SIGKILL
    assert schema.version(tmp_path / "c") == 1
    assert store.Cohort.open(tmp_path / "c").count() == 6


def test_eight_threads_open_and_migrate_one_cohort(tmp_path: Path, root: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    store.write(tmp_path / "c", source="test", root=root, records=simple(root), side=SIDE)
    to_version_1(tmp_path / "c")
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: store.Cohort.open(tmp_path / "c").count(), range(8))) == [6] * 8


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("known", [None, "test"])
def test_patients_who_share_a_film_are_drawn_into_one_split(
    tmp_path: Path, root: Path, seed: int, known: str | None
) -> None:
    # Patients 0 to 5 each hold the next one's first film: a chain; 6 to 19 share none.
    def studies() -> Iterator[StudyRecord]:
        for number in range(20):
            names = [f"{number}.png"]
            if number < 5:
                shutil.copy(root / f"{number + 1}.png", root / f"copy{number}.png")
                names.append(f"copy{number}.png")
            films_of = tuple(map(FilmRecord, names))
            split = known if number == 3 else None
            yield StudyRecord(f"s{number}", f"p{number}", "", films_of, {}, split)

    summary = store.write(
        tmp_path / "c", source="test", root=root, records=studies(), side=SIDE, seed=seed, strict=True
    )
    table = store.Cohort.open(tmp_path / "c").films()
    of_chain = set(table["split"][table["patient"].isin([f"p{number}" for number in range(6)])])
    assert len(of_chain) == 1 and (known is None or of_chain == {known})
    assert len(summary.splits) == 3 and summary.crossing == 0
