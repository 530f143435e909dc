"""What a checkpoint is worth, read from its card: the sentence beside its numbers, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from wrong_values import wrong_values

from timnet import cards, config, performance, settings_file
from timnet.cards import Card, Result
from timnet.evaluation.calibration import record

SHIPPED = sorted(path.parent for path in (config.REPOSITORY / "checkpoints").glob("*/card.json"))
SOURCE = {"dataset": "Ours", "real": True}


def result(**given: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "dataset": "Theirs", "real": True, "external": True, "value": 0.75, "low": 0.7, "high": 0.8,
        "images": 1200, "command": "python -m timnet evaluate ours theirs",
    }  # fmt: skip
    return usual | given


def card(*results: dict[str, Any], **given: Any) -> dict[str, Any]:
    return {"format": 1, "summary": "s", "trained_on": [SOURCE], "results": list(results)} | given


def read(folder: Path, told: object) -> Card | None:
    (folder / cards.FILE).write_text(json.dumps(told))
    return cards.read(folder)


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_shipped_card_is_read_and_says_what_it_was_worth(folder: Path) -> None:
    shipped = cards.read(folder)
    assert shipped is not None and shipped.trained_on and shipped.licence and shipped.recommended_for
    measured = any(each.real and each.metric == "auROC" for each in shipped.results)
    expected = "On real X-rays" if measured else "Never measured on real X-rays"
    assert performance.trust(shipped).startswith(expected)


@pytest.mark.parametrize(
    ("low", "value", "high", "words"),
    [
        (0.53, 0.55, 0.57, "little better than chance"),
        (0.41, 0.56, 0.71, "not better than chance"),
        (0.20, 0.27, 0.35, "worse than chance"),
        (0.64, 0.70, 0.76, "weak"),
        (0.75, 0.78, 0.80, "fair"),
        (0.82, 0.85, 0.88, "good"),
        (0.96, 0.97, 0.98, "very good"),
        (0.40, 1.00, 1.00, "not better than chance"),
        (None, 0.50, None, "not better than chance"),
    ],
)
def test_an_auroc_is_put_into_words_by_the_lower_end_of_its_interval(low, value, high, words) -> None:
    assert performance.verdict(Result(**result(low=low, value=value, high=high))) == words


def test_the_sentence_names_data_set_number_and_interval(tmp_path: Path) -> None:
    simulated = result(real=False, value=0.99, low=0.98, high=1.0)
    women = result(group="women", value=0.9, low=0.8, high=0.95)
    told = read(tmp_path, card(simulated, women, result()))
    expected = "On real X-rays (Theirs, 1,200 X-rays): auROC 0.75 (0.70 to 0.80), fair."
    assert performance.trust(told) == expected
    own = read(tmp_path, card(result(external=False)))
    assert performance.trust(own).startswith("On real X-rays of its own source (Theirs, ")


def test_the_mean_speaks_for_a_classifier_and_each_label_for_itself(tmp_path: Path) -> None:
    effusion = result(label="Effusion", value=0.9, low=0.85, high=0.95)
    told = read(tmp_path, card(effusion, result(label="Edema"), result(label=cards.MACRO, value=0.8)))
    assert ": mean auROC 0.80 (" in performance.trust(told)
    assert performance.headline(told, "Effusion") == Result(**effusion)
    assert performance.headline(told, "Mass") is None


def test_without_a_measurement_on_real_x_rays_that_is_what_it_says(tmp_path: Path) -> None:
    for told in (card(), card(result(real=False)), card(result(metric="AP"))):
        assert performance.trust(read(tmp_path, told)) == "Never measured on real X-rays."
    assert performance.trust(None) == "Never measured on real X-rays."


def run(folder: Path, **measured: Any) -> None:
    settings = config.Pretrain(cohorts=("mine",))
    (folder / "config.json").write_text(settings_file.to_json(settings))
    row = {"label": "1 mismatched report a film", "metric": "auROC", "n": 40, "positives": 20}
    told = {"held_out": [row | {"value": 0.7, "low": 0.6, "high": 0.8}], "pairs_held_out": 20}
    (folder / cards.METRICS).write_text(json.dumps(told | measured))


def test_a_run_without_a_card_tells_its_own_held_out_result_where_its_x_rays_are_real(tmp_path: Path) -> None:
    run(tmp_path, real=[True])
    expected = "On real X-rays of its own source (held-out patients of mine, 20 X-rays): auROC 0.70 (0.60 to"
    assert performance.trust(cards.of(tmp_path)).startswith(expected)
    for real in ([False], None):
        run(tmp_path, real=real)
        assert performance.trust(cards.of(tmp_path)) == "Never measured on real X-rays."


def test_a_run_tells_what_each_of_its_labels_was_worth(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(settings_file.to_json(config.Finetune(cohort="mine", task="all")))
    values = {"Effusion": 0.8, "Mass": 0.64, cards.MACRO: 0.72}
    rows = [{"label": label, "metric": "auROC", "value": value} for label, value in values.items()]
    (tmp_path / cards.METRICS).write_text(json.dumps({"test": rows, "films_test": 90, "real": [True]}))
    told = cards.of(tmp_path)
    assert ": mean auROC 0.72" in performance.trust(told)
    assert {label: performance.label_worth(told, label)[:4] for label in ("Effusion", "Mass", "Edema")} == {
        "Effusion": "0.80", "Mass": "0.64", "Edema": "not ",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("low", "value", "high", "at_chance"),
    [(0.45, 0.6, 0.7, True), (0.5, 0.5, 0.5, True), (0.51, 0.6, 0.7, False)],
)
def test_a_network_whose_interval_holds_one_half_is_at_chance(tmp_path, low, value, high, at_chance) -> None:
    run(tmp_path)
    told = json.loads((tmp_path / cards.METRICS).read_text())
    told["held_out"][0] |= {"low": low, "value": value, "high": high}
    (tmp_path / cards.METRICS).write_text(json.dumps(told))
    assert performance.at_chance(tmp_path) is at_chance


def test_a_folder_without_any_file_has_no_card_and_is_not_called_at_chance(tmp_path: Path) -> None:
    assert cards.of(tmp_path) is None
    assert not performance.at_chance(tmp_path)


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_every_field_of_a_card_takes_a_wrong_value_as_one_sentence(folder: Path, tmp_path: Path) -> None:
    refused = 0
    for text in wrong_values(json.loads((folder / cards.FILE).read_text())):
        (tmp_path / cards.FILE).write_text(text)
        try:
            performance.trust(cards.read(tmp_path))
        except cards.CardError as error:
            refused += 1
            assert str(error).startswith(f"{tmp_path.name}/card.json: ") and "\n" not in str(error)
            assert len(str(error)) < 300
    assert refused > 100


@pytest.mark.parametrize(
    "text",
    ["", "[" * 100_000, '{"a":' * 100_000, "\x00", "NaN", '{"format": NaN}', '{"summary": Infinity}', "nul"],
    ids=range(8),
)
def test_what_is_no_json_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    for name, reading in ((cards.FILE, cards.read), (cards.METRICS, cards.measured)):
        (tmp_path / name).write_text(text)
        with pytest.raises(cards.CardError, match=f"/{name}: ") as caught:
            reading(tmp_path)
        assert "\n" not in str(caught.value)
        (tmp_path / name).write_bytes(b'{"format": "\xff\xfe"}')
        with pytest.raises(cards.CardError, match=f"/{name}: "):
            reading(tmp_path)


def test_numbers_that_no_measurement_gives_are_refused(tmp_path: Path) -> None:
    for wrong in (result(value=1.2), result(low=0.9, high=0.8), result(low=None), result(images=0)):
        with pytest.raises(cards.CardError, match=r"results\.0"):
            read(tmp_path, card(wrong))
    with pytest.raises(cards.CardError, match="recommended_for"):
        read(tmp_path, card(recommended_for=["everything"]))
    (tmp_path / cards.FILE).write_text(json.dumps(card(result())).replace("0.75", "1e999"))
    with pytest.raises(cards.CardError, match="finite"):
        cards.read(tmp_path)


def test_the_sentence_beside_a_number_says_that_the_x_rays_are_childrens() -> None:
    assert "children aged one to five" in performance.trust_of(
        config.REPOSITORY / "checkpoints/pneumonia-children"
    )


@pytest.mark.parametrize("name", [config.MATCHING, config.FINDINGS, "pneumonia-children"])
def test_what_a_page_says_of_the_calibration_speaks_of_x_rays(name: str) -> None:
    sure = record.of(config.REPOSITORY / "checkpoints" / name)
    assert "X-ray" in sure.checked_on
    assert not {"film", "films"}.intersection(f"{sure.fitted_on} {sure.checked_on} {sure.how}".split())


@pytest.mark.parametrize(
    ("value", "low", "says"), [(0.47, 0.41, True), (0.9, 0.85, False), (0.6, None, False)]
)
def test_a_network_that_does_not_tell_sides_says_so_beside_its_numbers(
    tmp_path: Path, value: float, low: float | None, says: bool
) -> None:
    measured = result(task=performance.SIDES, metric="share", value=value, low=low, high=low and 0.95)
    told = read(tmp_path, card(result(), measured))
    assert ("It does not tell left from right (47 % right" in performance.sides(told)) is says
    assert performance.trust(told).startswith("On real X-rays (Theirs")


def test_the_shipped_network_of_real_reports_says_that_it_does_not_tell_sides() -> None:
    assert "It does not tell left from right" in performance.trust_of(
        config.REPOSITORY / "checkpoints" / "open-i"
    )
