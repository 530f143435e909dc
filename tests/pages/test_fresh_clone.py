"""Every page on exactly what a fresh clone holds: the shipped checkpoints and the demo cohort."""

import re
import shutil
from pathlib import Path

import pytest
from driving import PAGES, framed, open_at

from timnet import config
from timnet.training import runs


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the shipped checkpoints and room for an empty TIMNET_HOME."""
    root = tmp_path_factory.mktemp("clone")
    shipped = re.findall(r"(?m)^!checkpoints/(.+)/$", (config.REPOSITORY / ".gitignore").read_text())
    assert config.SHIPPED in shipped
    for name in shipped:
        shutil.copytree(config.REPOSITORY / "checkpoints" / name, root / "checkpoints" / name)
    return root


@pytest.fixture(autouse=True)
def fresh(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(clone / "home"))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(clone / "checkpoints"))
    for name in ("TIMNET_DEMO", "TIMNET_REFUSE", "TIMNET_IMPORTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_on_what_a_fresh_clone_holds(page: str) -> None:
    app = open_at(page)
    assert not app.exception and not app.error
    assert framed(app)


def test_the_page_of_every_shipped_run_has_its_command_and_the_list_of_all_runs(clone: Path) -> None:
    for state in runs.all_runs(clone / "checkpoints"):
        app = open_at("fine_tune")
        app.selectbox(key="ft_run").select(state.folder.name).run()
        assert not app.exception and not app.error
        assert runs.command_line(state) in {code.value for code in app.code}
        assert any("Submitted" in table.value for table in app.dataframe)
