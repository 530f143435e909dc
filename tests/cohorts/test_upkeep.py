"""Renaming and deleting a cohort: whole, with all beside it, and never while it is in use."""

import io
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import filelock
import numpy as np
import pytest
from PIL import Image

from timnet import config
from timnet.cohorts import audits, label_store, pixels, schema, store, upkeep, vectors
from timnet.cohorts.importing import jobs, uploads
from timnet.cohorts.readers import csv_table
from timnet.cohorts.records import CohortError


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _files(number: int = 3) -> list[tuple[str, bytes]]:
    rng, files = np.random.default_rng(0), []
    for film in range(number):
        png = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (40, 40), dtype=np.uint8)).save(png, "PNG")
        files.append((f"{film}.png", png.getvalue()))
    table = "path,report,Opacity\n" + "".join(f"{film}.png,Report {film}.,1\n" for film in range(number))
    return [*files, ("films.csv", table.encode())]


def _uploaded(name: str) -> store.Cohort:
    csv_table.run(uploads.keep(_files(), name), name, labels=["Opacity"])
    return store.Cohort.open(store.find(name))


def test_a_renamed_cohort_keeps_its_films_labels_and_caches_and_its_old_name_is_free(home: Path) -> None:
    cohort = _uploaded("first")
    cohort.add_label("0.png", "Opacity", 0.0)
    before, films = np.array(cohort.pixels(32)), cohort.films()
    upkeep.rename("first", "second")
    assert store.available() == ["second"]
    # The next upload of the old name is another cohort's.
    _uploaded("first")
    renamed = store.Cohort.open(store.find("second"))
    assert renamed.summary().name == renamed.name == "second"
    assert renamed.films().equals(films) and renamed.labels("app")["Opacity"][0] == 0.0
    np.testing.assert_array_equal(renamed.pixels(32), before)
    assert renamed.root == home / uploads.FOLDER / "second" and renamed.read_film(2).sha256
    upkeep.delete("first")
    assert renamed.read_film(1).sha256


def test_a_deleted_cohort_leaves_nothing_but_what_it_was_imported_from(home: Path, tmp_path: Path) -> None:
    for name, content in _files():
        (tmp_path / "export").mkdir(exist_ok=True)
        (tmp_path / "export" / name).write_bytes(content)
    csv_table.run(tmp_path / "export", "folder", labels=["Opacity"])
    _uploaded("upload").pixels(16)
    told = upkeep.contents(store.Cohort.open(store.find("upload")))
    on_disk = [path for part in ("upload", ".uploads/upload") for path in (home / part).rglob("*")]
    assert told.uploaded and told.labels == 0
    assert told.bytes == sum(path.stat().st_size for path in on_disk if path.is_file())
    assert not upkeep.contents(store.Cohort.open(store.find("folder"))).uploaded
    for name in ("folder", "upload"):
        upkeep.delete(name)
    left = {path.name for path in home.rglob("*") if path.is_file()}
    assert store.available() == [] and left <= {".folder.lock", ".upload.lock"}
    assert len(list((tmp_path / "export").iterdir())) == 4
    for name in ("folder", "../export", ""):
        with pytest.raises(CohortError):
            upkeep.delete(name)


@pytest.mark.parametrize("change", [upkeep.delete, lambda name: upkeep.rename(name, "other")])
def test_the_import_of_a_deleted_or_renamed_cohort_leaves_the_list(
    change: Callable[[str], None], home: Path
) -> None:
    for name in ("first", "stays"):
        _uploaded(name)
        folder = home / jobs.FOLDER / name
        folder.mkdir(parents=True)
        (folder / ".lock").touch()
        (folder / "summary.txt").write_text("3 studies")
    change("first")
    assert [job.name for job in jobs.jobs()] == ["stays"]
    assert [path.name for path in (home / jobs.FOLDER).iterdir()] == ["stays"]


@pytest.mark.parametrize("new", ["../out", "a b", "", ".hidden", "-x", "taken"])
def test_a_name_that_is_bad_or_taken_is_refused(new: str, home: Path) -> None:
    _uploaded("first")
    (home / "taken").mkdir()
    with pytest.raises(CohortError, match=r"cohort name|choose another"):
        upkeep.rename("first", new)
    assert store.available() == ["first"]


def test_a_cohort_whose_name_begins_with_a_dash_from_before_keeps_it_till_it_is_changed(home: Path) -> None:
    _uploaded("first")
    (home / "first").rename(home / "-old")
    csv_table.run(uploads.keep(_files(), "again"), "-old", labels=["Opacity"])
    upkeep.rename("-old", "new")
    (home / "new").rename(home / "-old")
    upkeep.delete("-old")
    assert store.available() == []


@pytest.mark.parametrize("change", [upkeep.delete, lambda name: upkeep.rename(name, "other")])
@pytest.mark.parametrize("use", ["import", "vectors", "audit", "features", "labels"])
def test_a_cohort_in_use_is_neither_deleted_nor_renamed(
    change: object, use: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(change)
    cohort = _uploaded("used")
    folders = {"vectors": vectors.FOLDER, "audit": audits.FOLDER, "features": pixels.FEATURES}
    monkeypatch.setattr(label_store.schema, "WAIT_SECONDS", 0.1)
    if use in folders:
        holding = vectors.building(cohort.folder / folders[use] / "net", 3, 0, 4)
    else:
        path = home / ".used.lock" if use == "import" else cohort.folder / ".labels.lock"
        holding = filelock.FileLock(path)
    with holding, pytest.raises(CohortError, match=r"^used: "):
        change("used")
    assert store.available() == ["used"] and cohort.read_film(0).sha256
    change("used")
    assert "used" not in store.available() and config.home() == home


def test_a_disk_that_fills_up_during_a_change_is_named_and_nothing_is_changed(
    cohort_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(cohort_folder, tmp_path / "full")
    before = store.Cohort.open(folder).summary()
    with pytest.raises(CohortError, match="database or disk is full"), schema.change(folder) as connection:
        connection.execute("DELETE FROM films WHERE film < 3")
        # As SQLite does itself where the disk fills up.
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")
    assert store.Cohort.open(folder).summary() == before
