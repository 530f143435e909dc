"""The model card says what the files say, and that it does not know what they do not say."""

import json
import re
import shutil
from pathlib import Path

import pytest
from wrong_values import wrong_values

from timnet import cards, config
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


def test_what_no_data_state_is_named_and_what_was_measured_by_group_is_shown() -> None:
    told = items(config.REPOSITORY / "checkpoints" / "pneumonia-children")
    assert told["By sex, age, view"] == "not possible: not stated for its X-rays"
    assert told["By device or hospital"] == model_card.NOT_DONE
    folder = config.REPOSITORY / "checkpoints" / "chest-findings"
    (women,) = [
        row
        for row in json.loads((folder / "metrics.json").read_text())["subgroups"]
        if (row["group"], row["label"]) == ("women", "macro")
    ]
    assert items(folder)["sex: women"].startswith(f"{women['value']:.3f} (")


def test_counts_of_pairs_are_whole_numbers() -> None:
    folder = config.REPOSITORY / "checkpoints" / "open-cxr"
    pairs = json.loads((folder / "metrics.json").read_text())["pairs_held_out"]
    counts = f"; {pairs:,} positive of {2 * pairs:,}"
    assert items(folder)["1 mismatched report a film: auROC"].endswith(counts)


def test_page_and_card_md_say_the_same_of_every_shipped_checkpoint() -> None:
    for path in (config.REPOSITORY / "checkpoints").glob("*/card.json"):
        written = (path.parent / "card.md").read_text()
        for section in model_card.sections(path.parent):
            assert f"## {section.title}\n" in written
            for name, words in section.items:
                assert re.sub(r"\\(.)", r"\1", written).count(f"| {name} | {words} |") >= 1


def test_what_a_card_says_stays_words_in_markdown(tmp_path: Path) -> None:
    hostile = "![x](http://evil.example/a.png) <img src=x> [y](http://evil.example) a | b `c` # d"
    for name in ("model.json", "card.json"):
        shutil.copy(config.REPOSITORY / "checkpoints" / "demo-findings" / name, tmp_path / name)
    told = json.loads((tmp_path / "card.json").read_text()) | {"summary": hostile}
    (tmp_path / "card.json").write_text(json.dumps(told))
    (line,) = [each for each in model_card.markdown(tmp_path).splitlines() if "evil" in each]
    assert not re.search(r"(?<!\\)[<>\[\]`!#]", line)
    assert len(re.findall(r"(?<!\\)\|", line)) == 3


def test_a_checkpoint_without_a_run_says_that_its_training_is_not_known(tmp_path: Path) -> None:
    source = config.REPOSITORY / "checkpoints" / "demo-findings" / "model.json"
    (tmp_path / "model.json").write_text(source.read_text())
    told = items(tmp_path)
    assert told["Settings"] == told["Metrics"] == told["Cohorts"] == model_card.UNKNOWN
    assert told["Calibration"].startswith(model_card.NOT_DONE)


@pytest.mark.parametrize("name", ["demo-findings", "open-i"])
def test_every_wrong_value_in_metrics_is_one_sentence_or_a_card(name: str, tmp_path: Path) -> None:
    shutil.copytree(config.REPOSITORY / "checkpoints" / name, tmp_path / name)
    told = json.loads((tmp_path / name / "metrics.json").read_text())
    for key in ("test", "held_out"):
        told[key] = told.get(key, [])[:1]
    refused = 0
    for text in wrong_values(
        {key: told[key] for key in told if key in ("test", "held_out", "device", "films")}
    ):
        (tmp_path / name / "metrics.json").write_text(text)
        try:
            model_card.sections(tmp_path / name)
        except cards.CardError as error:
            refused += 1
            assert str(error).startswith(f"{name}/metrics.json: ") and "\n" not in str(error)
    assert refused > 20
