"""Films where an export's paths lead: other Unicode forms, other disks, and splits that share a film."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from timnet.__main__ import main
from timnet.cohorts import paths, store
from timnet.cohorts.importing import jobs
from timnet.cohorts.readers import csv_table, dicom_folder, mendeley
from timnet.cohorts.records import LEAVES, CohortError, PathError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty TIMNET_HOME."""
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def film(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (16, 12), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")
    return path


def table(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "films.csv").write_text(text)
    return folder


NAME = "Röntgen Ångström ﬁlm １.png"


@pytest.mark.parametrize("change", [str, str.upper, str.lower])
def test_a_film_is_found_by_any_unicode_form_and_case_of_its_name(tmp_path: Path, change: type) -> None:
    rows = ["path"]
    for on_disk, in_table in itertools.product(["NFC", "NFD", "NFKC", "NFKD"], repeat=2):
        written = f"{len(rows)}/Übersicht/{NAME}"
        film(tmp_path / "x" / normalize(on_disk, written), len(rows))  # type: ignore[arg-type]
        rows.append(change(normalize(in_table, written)))  # type: ignore[arg-type]
    table(tmp_path / "x", "\n".join(rows) + "\n")
    assert csv_table.run(tmp_path / "x", "x").films == 16
    with store.Cohort.open(store.find("x")) as cohort:
        assert all(cohort.read_film(row).rows == 16 for row in range(16))
        assert cohort.pixels(16).shape == (16, 16, 16)
    assert csv_table.run(tmp_path / "x", "x").films == 16  # from the cohort before


def test_of_several_films_alike_none_is_guessed(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    film(root / "A.png"), film(root / "a.PNG")
    with pytest.raises(PathError, match="film is missing"):
        paths.state_inside(root, "a.png")
    assert paths.state_inside(root, "A.png")
    composed, decomposed = (root / normalize(form, "ü.png") for form in ("NFC", "NFD"))  # type: ignore[arg-type]
    composed.write_bytes(b"1"), decomposed.write_bytes(b"22")
    for path in (composed, decomposed):
        assert paths.read_inside(root, path.name, 9) == path.read_bytes()


def test_a_film_that_came_later_is_found(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    with pytest.raises(PathError, match="film is missing"):
        paths.state_inside(root, "A.png")
    film(root / "a.png")
    assert paths.state_inside(root, "A.png")


def test_a_respelled_folder_cannot_lead_out(tmp_path: Path) -> None:
    root = (tmp_path / "x").resolve()
    film(tmp_path / "secret" / "a.png"), root.mkdir()
    (root / "Link").symlink_to(tmp_path / "secret")
    with pytest.raises(PathError, match="leaves the folder"):
        paths.read_inside(root, "link/A.png", 10**6)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Another disk with two films, and exports that lead to it by absolute paths, links and `..`."""
    for number in range(2):
        film(tmp_path / "disk" / f"{number}.png", number)
    table(tmp_path / "absolute", "path\n" + "".join(f"{tmp_path}/disk/{n}.png\n" for n in range(2)))
    table(tmp_path / "up", "path\n../disk/0.png\n..\\disk\\1.png\n")
    table(tmp_path / "linked", "path\nimages/0.png\nimages/1.png\n")
    (tmp_path / "linked" / "images").symlink_to(tmp_path / "disk")
    table(tmp_path / "links", "path\n0.png\n1.png\n")
    for number in range(2):
        (tmp_path / "links" / f"{number}.png").symlink_to(tmp_path / "disk" / f"{number}.png")
    return tmp_path / "disk"


@pytest.mark.parametrize("kind", ["absolute", "up", "linked", "links"])
def test_films_on_another_disk_come_in_with_one_option_and_are_refused_by_its_name(
    tmp_path: Path, disk: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["import", "csv", str(tmp_path / kind), "--name", "x", "--json"]
    assert main(words) == 2
    assert "--outside FOLDER" in capsys.readouterr().err
    assert main([*words, "--outside", str(tmp_path / "elsewhere")]) == 2
    assert "expected a folder" in capsys.readouterr().err
    (tmp_path / "elsewhere").mkdir()
    assert main([*words, "--outside", str(tmp_path / "elsewhere")]) == 2
    assert LEAVES in capsys.readouterr().err
    assert main([*words, "--outside", str(tmp_path / "elsewhere"), str(disk)]) == 0
    assert json.loads(capsys.readouterr().out)["films"] == 2
    with store.Cohort.open(store.find("x")) as cohort:
        assert cohort.read_film(1).rows == 16 and cohort.pixels(32).shape == (2, 32, 32)
    assert main([*words, "--outside", str(disk)]) == 0  # again, from the cohort that is there


@pytest.mark.parametrize("path", ["C:\\films\\0.png", "file:///films/0.png", "\\\\server\\films\\0.png"])
def test_drives_shares_and_urls_stay_outside(tmp_path: Path, disk: Path, path: str) -> None:
    table(tmp_path / "x", f"path\n{path}\n")
    with pytest.raises(CohortError, match="no film could be imported"):
        csv_table.run(tmp_path / "x", "x", outside=[disk])


def test_other_readers_follow_links_with_the_same_option(tmp_path: Path) -> None:
    for number, part in enumerate(("train/NORMAL", "train/PNEUMONIA", "test/NORMAL", "test/PNEUMONIA")):
        film(tmp_path / "disk" / part / "IM-0001-0001.jpeg", number)
    (tmp_path / "x").mkdir()
    for part in ("train", "test"):
        (tmp_path / "x" / part).symlink_to(tmp_path / "disk" / part)
    with pytest.raises(CohortError, match="--outside FOLDER"):
        mendeley.run(tmp_path / "x", "x")
    assert mendeley.run(tmp_path / "x", "x", outside=[tmp_path / "disk"]).films == 4


def test_a_linked_folder_of_dicom_files_is_followed_once(tmp_path: Path) -> None:
    import pydicom.data

    source = Path(pydicom.data.get_testdata_file("CT_small.dcm"))
    (tmp_path / "disk").mkdir(), (tmp_path / "x").mkdir()
    shutil.copy(source, tmp_path / "disk" / "a")
    (tmp_path / "x" / "linked").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "loop").symlink_to(tmp_path / "disk")
    with pytest.raises(CohortError, match="--outside FOLDER"):
        dicom_folder.run(tmp_path / "x", "x", any_modality=True)
    summary = dicom_folder.run(tmp_path / "x", "x", any_modality=True, outside=[tmp_path / "disk"])
    assert summary.films == 1


def test_a_page_may_lead_as_far_as_it_may_import_and_no_farther(
    tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "absolute"
    monkeypatch.setenv("TIMNET_IMPORTS", f"{folder}{os.pathsep}{tmp_path / 'missing'}")
    for root in (folder, folder / "films.csv"):
        settings = jobs.Settings(kind="csv", root=str(root), name="x", options={})
        assert jobs.checked(settings) == (root, {"outside": (folder,)})
    with pytest.raises(CohortError, match="expected a folder or a table inside"):
        jobs.checked(jobs.Settings(kind="csv", root=str(disk), name="x", options={}))
    with pytest.raises(CohortError, match="--outside FOLDER"):
        csv_table.run(folder, "x", outside=[folder])
    monkeypatch.setenv("TIMNET_IMPORTS", f"{folder}{os.pathsep}{disk}")
    root, given = jobs.checked(jobs.Settings(kind="csv", root=str(folder), name="x", options={}))
    assert csv_table.run(root, "x", **given).films == 2


def leaking(root: Path) -> Path:
    for number in range(6):
        film(root / f"f{number}.png", number)
    shutil.copy(root / "f0.png", root / "copy.png")
    rows = [
        "f0.png,P0,train", "f1.png,P1,train", "f2.png,P2,val", "f3.png,P1,test", "f4.png,P2,test",
        "f5.png,P2,train", "copy.png,P5,test",
    ]  # fmt: skip
    return table(root, "path,patient,split\n" + "\n".join(rows))


PATIENTS = (
    "patients in two splits: 2 (1 in train and test, 1 in train and val and test), such as "
    "P1 (train and test), P2 (train and val and test)"
)
FILMS = (
    "films that are in two splits, byte for byte: 1 (1 in train and test), such as "
    "f0.png = copy.png (train and test)"
)


def test_patients_and_films_in_two_splits_are_named_by_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = leaking(tmp_path / "x")
    assert main(["import", "csv", str(root), "--name", "x"]) == 0
    told = capsys.readouterr().out
    assert f"note: {PATIENTS}\n" in told and f"note: {FILMS}\n" in told
    assert main(["import", "csv", str(root), "--name", "x", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert {PATIENTS, FILMS} <= set(summary["notes"]) and summary["crossing"] == 2


def test_strict_refuses_them_and_leaves_nothing_or_the_cohort_before(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = leaking(tmp_path / "x")
    words = ["import", "csv", str(root), "--name", "x", "--strict"]
    assert main(words) == 2
    (sentence,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert sentence == f"timnet: x: --strict: {PATIENTS}; {FILMS}"
    assert {path.name for path in home.iterdir()} <= {".x.lock"}
    table(root, "path,patient,split\nf0.png,P0,train\nf1.png,P1,test\n")
    assert main(words) == 0
    leaking(root)
    assert main(words) == 2
    with store.Cohort.open(store.find("x")) as cohort:
        assert len(cohort) == 2
