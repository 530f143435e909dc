"""The model card says what the files say, and that it does not know what they do not say."""

import json
from pathlib import Path

from timnet import config
from timnet.evaluation import model_card


def items(folder: Path) -> dict[str, str]:
    return {name: told for section in model_card.sections(folder) for name, told in section.items}


def test_a_shipped_checkpoint_shows_its_own_figures() -> None:
    folder = config.REPOSITORY / "checkpoints" / "demo-findings"
    told = items(folder)
    description = json.loads((folder / "model.json").read_text())
    assert told["Version: fingerprint of its weights (sha256)"] == description["weights_sha256"]
    measured = json.loads((folder / "metrics.json").read_text())
    macro = next(row for row in measured["test"] if (row["label"], row["metric"]) == ("macro", "auROC"))
    assert told["macro: auROC"].startswith(f"{macro['value']:.3f} (")
    assert told["Age, sex, origin and devices of these patients"] == model_card.UNKNOWN


def test_a_checkpoint_without_a_run_says_that_its_training_is_not_known(tmp_path: Path) -> None:
    source = config.REPOSITORY / "checkpoints" / "demo-findings" / "model.json"
    (tmp_path / "model.json").write_text(source.read_text())
    told = items(tmp_path)
    assert told["Settings"] == told["Metrics"] == told["Cohorts"] == model_card.UNKNOWN
    assert told["Calibration"].startswith(model_card.NOT_DONE)
