"""Uploads become a folder and nothing beyond it, however the archive was made."""

import io
import stat
import zipfile
from pathlib import Path

import pytest

from timnet.cohorts.importing import uploads
from timnet.cohorts.records import CohortError


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty TIMNET_HOME."""
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _zip(entries: dict[str, bytes], mode: int = 0o644) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return file.getvalue()


def _stored() -> bytes:
    """Return an archive whose one member's checksum is that of these very bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("films.csv", "path,report\na.png,Clear.\n")
    return file.getvalue()


def _locked() -> bytes:
    """Return an archive whose member is marked as encrypted, in both of its headers (APPNOTE 4.4.4)."""
    data = bytearray(_stored())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def _named(name: bytes) -> bytes:
    """Return an archive whose member's name is marked as UTF-8 and is none (APPNOTE 4.4.4, bit 11)."""
    data = bytearray(_stored().replace(b"films.csv", name + b"lms.csv"))
    for at in (6, data.index(b"PK\x01\x02") + 8):
        data[at + 1] |= 8
    return bytes(data)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_and_archives_become_one_folder() -> None:
    archive = _zip({"films/a.png": b"a", "__MACOSX/films/._a.png": b"x", "films/.DS_Store": b"x"})
    folder = uploads.keep([("films.csv", b"path\nfilms/a.png\n"), ("films.zip", archive)], "ours")
    assert _files(folder) == {"films.csv": b"path\nfilms/a.png\n", "films/a.png": b"a"}


def test_the_one_folder_of_an_archive_is_the_export() -> None:
    folder = uploads.keep([("x", _zip({"export/films.csv": b"path\n", "export/a.png": b"a"}))], "ours")
    assert _files(folder) == {"films.csv": b"path\n", "a.png": b"a"}


def test_a_second_upload_of_a_name_replaces_the_first() -> None:
    uploads.keep([("a.png", b"a")], "ours")
    assert _files(uploads.keep([("b.png", b"b")], "ours")) == {"b.png": b"b"}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([], "got no file"),
        ([("x.zip", _zip({"../out.png": b"a"}))], "leaves the folder"),
        ([("x.zip", _zip({"a/../../out.png": b"a"}))], "leaves the folder"),
        ([("x.zip", _zip({"/etc/out": b"a"}))], "leaves the folder"),
        ([("x.zip", _zip({"C:\\out": b"a"}))], "URL or a drive"),
        ([("x.zip", _zip({"link": b"/etc/passwd"}, stat.S_IFLNK | 0o777))], "got a link"),
        ([("a.png", b"1"), ("a.png", b"2")], "got one twice"),
        ([("x.zip", _zip({"a": b"1", "a/b": b"2"}))], "got one twice"),
        ([("x.zip", _zip({"a": b"123"})[:40])], "can be unpacked"),
        ([("x.zip", _zip({"\0": b"a"}))], "expected a file name, got none"),
        ([("x.zip", _zip({"ö" * 128: b"a"}))], "got a longer one"),
        ([("x.zip", _zip({"a" * 300 + "/b": b"a"}))], "got a longer one"),
        ([("bomb.zip", _zip({"a": bytes(33 * 2**20)}))], "got more"),
        ([("x.zip", _stored().replace(b"path,report", b"path,rapport"[:11], 1))], "can be unpacked"),
        ([("x.zip", _locked())], "without a password"),
        ([("x.zip", _zip({"films/inner.ZIP": _zip({"a.png": b"a"})}))], "got an archive"),
        ([("x.zip", _named(b"\xff\xfe"))], "can be unpacked"),
    ],
)
def test_what_is_not_let_in_is_refused_and_leaves_nothing(
    files: list[tuple[str, bytes]], reason: str, home: Path
) -> None:
    with pytest.raises(CohortError, match=reason):
        uploads.keep(files, "ours")
    assert _files(home) == {} and not (home.parent / "out.png").exists()


@pytest.mark.parametrize("name", [".", "./", " ", "\0", "../x", "a/../../x", "/etc/x", "C:\\x", "x" * 2000])
def test_a_name_is_refused_alike_where_tables_are_looked_for_and_where_all_is_kept(
    name: str, tmp_path: Path
) -> None:
    files = [("x.zip", _zip({name: b"a", "films.csv": b"path\n"}))]
    said = []
    for take in (lambda: uploads.keep(files, "ours"), lambda: uploads.tables(files, tmp_path / "tables")):
        try:
            take()
            said.append("")
        except CohortError as error:
            said.append(str(error))
    hidden = name.startswith("./") or name == "."
    assert said[0] == said[1] and (said[0] == "") == hidden


def test_limits_count_what_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_TOTAL", 100)
    with pytest.raises(CohortError, match="got more"):
        uploads.keep([("x.zip", _zip({f"{i}": bytes(40) for i in range(3)}))], "ours")
    monkeypatch.setattr(uploads, "MAX_FILES", 2)
    with pytest.raises(CohortError, match="at most 2 files"):
        uploads.keep([(f"{i}", b"x") for i in range(3)], "ours")


@pytest.mark.parametrize("name", ["../x", "", "a/b"])
def test_the_name_of_a_cohort_cannot_lead_elsewhere(name: str) -> None:
    with pytest.raises(CohortError, match="cohort name"):
        uploads.keep([("a.png", b"a")], name)


def test_a_name_of_an_uploaded_file_counts_without_its_folders() -> None:
    assert _files(uploads.keep([("../../a.png", b"a")], "ours")) == {"a.png": b"a"}
