"""What `from timnet import ...` offers, and that the package itself costs nothing to import."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import timnet
from timnet import config


@pytest.mark.parametrize("name", timnet.__all__)
def test_what_the_package_offers_is_there(name: str) -> None:
    assert getattr(timnet, name) is not None


def test_a_name_that_it_does_not_offer_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = timnet.Nothing


def test_the_package_imports_none_of_what_it_offers() -> None:
    heavy = "('torch', 'pandas', 'pydantic', 'numpy')"
    code = f"import sys, timnet; print(*(name for name in {heavy} if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=config.REPOSITORY, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "\n")


def test_a_fine_tuning_and_a_curve_are_calls(cohort_folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    settings = timnet.Finetune(cohort=str(cohort_folder), task="Opacity", side=32, mode="probe")
    result = timnet.finetune(settings)
    assert result.folder.parent == tmp_path
    assert {"auROC", "F1"} <= set(result.table["metric"])
    table = timnet.curve(timnet.Grid(settings, ("base",), (0.5, 1.0), seeds=2))
    of_auroc = table[table["metric"] == "auROC"]
    assert of_auroc["fraction"].tolist() == [0.5, 1.0] and set(of_auroc["draws"]) == {2}


def test_a_training_that_cannot_be_done_is_refused_before_its_folder_is_made(cohort_folder, tmp_path) -> None:
    with pytest.raises(timnet.TimnetError, match="nothing"):
        timnet.finetune(timnet.Finetune(cohort="nothing", task="Effusion"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_cohort_opens_by_its_name_too(cohort_folder, monkeypatch) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(cohort_folder.parent))
    with timnet.Cohort.open(cohort_folder.name) as cohort:
        assert cohort.folder == cohort_folder


def test_the_examples_of_the_page_run(demo_root, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path / "runs"))
    page = (config.REPOSITORY / "docs" / "python.md").read_text(encoding="utf-8")
    told = {"path": next((demo_root / "films").glob("*0.jpg")), "folder": demo_root}
    for example in re.findall(r"(?ms)^```python\n(.*?)^```", page):
        exec(example, told)
    assert len(told["readings"]) == 2 and told["table"]["fraction"].nunique() == 2
