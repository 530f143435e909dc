"""Every page without a browser: its first states, what it refuses, and text that stays text."""

import io
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from driving import PAGES, Open, framed, open_at, texts

from timnet import config, spreadsheet
from timnet.ui import notices


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_with_nothing_there_and_says_what_to_do(
    page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path / "checkpoints"))
    app = open_at(page)
    assert not app.exception and not app.error
    assert app.info and framed(app)
    if page in ("explore", "fine_tune"):
        assert "python -m timnet import mendeley FOLDER --name mendeley" in app.code[0].value
        assert str(tmp_path / "home") in texts(app)
    else:
        assert app.get("page_link")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_with_a_cohort_and_networks(page: str, open_page: Open) -> None:
    app = open_page(page)
    assert not app.exception and not app.error
    assert framed(app)


def test_the_app_opens_without_what_no_first_page_needs() -> None:
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; "
        "app = AppTest.from_file('app.py', default_timeout=60).run(); "
        "assert not app.exception; "
        "heavy = {'torch', 'scipy', 'pydicom', 'sklearn', 'transformers'} & set(sys.modules); "
        "sys.exit(' '.join(heavy) or 0)"
    )
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=config.REPOSITORY, check=False)
    assert ended.returncode == 0


@pytest.mark.parametrize(
    ("page", "name", "data"),
    [
        ("match", "![x](b.png).png", b"\x89PNG\r\n\x1a\nbroken"),
        ("match", "report.pdf", b"%PDF-1.7"),
        ("match", "empty", b""),
        ("diagnose", "IM00001", b"\0" * 128 + b"DICM" + b"\xff" * 64),
    ],
)
def test_a_broken_upload_is_refused_in_one_sentence(
    page: str, name: str, data: bytes, open_page: Open
) -> None:
    app = open_page(page)
    app.file_uploader(key=f"{page}_upload").upload(name, data, "").run()
    assert not app.exception
    (error,) = app.error
    assert error.value.startswith(notices.plain(name))
    assert "![" not in error.value and "Traceback" not in error.value


def test_csv_cells_are_never_formulas_and_numbers_stay_numbers() -> None:
    cells = ["=HYPERLINK(1)", "+1+1", "@SUM(A1)", "-cmd", "\tx", "\rx", "-1.5", "plain"]
    table = pd.DataFrame({"=text": cells, "value": [-0.5] * len(cells)})
    read = pd.read_csv(io.BytesIO(spreadsheet.safe_csv(table)), dtype={"'=text": str})
    assert read["'=text"].tolist()[:4] == ["'=HYPERLINK(1)", "'+1+1", "'@SUM(A1)", "'-cmd"]
    assert read["'=text"].tolist()[-2:] == ["-1.5", "plain"]
    assert read["value"].tolist() == [-0.5] * len(cells)
