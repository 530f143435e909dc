"""From logits to probabilities and words: the fit, the zone, the file, and what the Reader makes of it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from wrong_values import wrong_values

from timnet import config
from timnet.checkpoints import DESCRIPTION, CheckpointError
from timnet.evaluation.calibration import fit, record
from timnet.evaluation.calibration.measures import CalibrationError
from timnet.evaluation.calibration.probability import CertaintyError, Line, probabilities, said
from timnet.evaluation.calibration.record import Certainty
from timnet.evaluation.predictions import Predictions


def drawn(number: int, slope: float, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Films whose truth follows sigmoid(slope * logit + offset)."""
    rng = np.random.default_rng(0)
    logit_N = rng.normal(0, 2, number)
    return (rng.random(number) < special.expit(slope * logit_N + offset)).astype(float), logit_N


def test_the_line_finds_the_slope_and_offset_that_made_the_truth() -> None:
    y_N, logit_N = drawn(60_000, 0.5, -0.7)
    slope, offset = fit.line(y_N, logit_N, np.ones_like(y_N))
    assert slope == pytest.approx(0.5, abs=0.02)
    assert offset == pytest.approx(-0.7, abs=0.03)


def test_weights_of_equal_kinds_move_the_offset_by_the_prevalences_log_odds() -> None:
    y_N, logit_N = drawn(60_000, 1.0, -2.0)
    share = y_N.mean()
    plain = fit.line(y_N, logit_N, np.ones_like(y_N))
    equal = fit.line(y_N, logit_N, np.where(y_N == 1, 0.5 / share, 0.5 / (1 - share)))
    assert equal[1] - plain[1] == pytest.approx(-special.logit(share), abs=0.25)


def test_logits_that_fall_with_the_truth_are_refused() -> None:
    y_N, logit_N = drawn(500, 1.0, 0.0)
    with pytest.raises(CalibrationError, match="nothing to calibrate"):
        fit.line(1 - y_N, logit_N, np.ones_like(y_N))


def test_the_zone_leaves_a_tenth_of_either_class_outside() -> None:
    y_N, logit_N = drawn(4000, 0.6, -0.5)
    p_N = special.expit(logit_N)
    line = record.zoned(Line(), y_N, p_N)
    assert line.low is not None and line.high is not None and line.low < line.high
    words = np.array([line.verdict(p) for p in p_N])
    missed = (words[y_N == 1] == "unlikely").mean()
    alarms = (words[y_N == 0] == "likely").mean()
    assert 0.09 < missed <= 0.1
    assert 0.09 < alarms <= 0.1


def test_where_both_shares_are_beaten_nothing_is_in_doubt() -> None:
    y_N = np.array([0.0] * 20 + [1.0] * 20)
    line = record.zoned(Line(), y_N, np.linspace(0, 1, 40))
    assert line.low == line.high == line.threshold
    assert {line.verdict(0.1), line.verdict(0.9)} == {"unlikely", "likely"}


def test_few_films_give_no_zone_and_say_why() -> None:
    line = record.zoned(Line(), np.array([1.0] * 3 + [0.0] * 50), np.linspace(0, 1, 53))
    assert line.low is None
    assert "3 of 53" in line.why
    assert line.verdict(0.9) == ""


def test_each_label_is_fitted_on_validation_films_alone() -> None:
    y_N, logit_N = drawn(3000, 0.5, 0.0)
    kept = Predictions(
        "x", ("a", "b"), np.arange(3000), np.arange(3000) < 1500,
        np.column_stack([y_N, np.zeros(3000)]), np.column_stack([logit_N, logit_N]),
    )  # fmt: skip
    found = fit.of_predictions(kept, "w", "cohort")
    other = replace(kept, truth_NL=np.where(kept.validation_N[:, None], kept.truth_NL, 1 - kept.truth_NL))
    again = fit.of_predictions(other, "w", "cohort")
    assert found.line("a").slope == again.line("a").slope == pytest.approx(0.5, abs=0.07)
    assert found.line("a").error_after < found.line("a").error_before
    assert "0 of 1500" in found.line("b").why


def test_a_kept_file_comes_back_and_one_of_other_weights_is_refused(tmp_path: Path) -> None:
    description = {"format": 1, "weights_sha256": "mine"}
    (tmp_path / DESCRIPTION).write_text(json.dumps(description))
    made = Certainty("mine", "here", "there", "so", {"match": Line(0.5, 0.1, films=9, positives=4)})
    assert record.of(tmp_path) is record.UNKNOWN
    record.keep(tmp_path, made)
    assert record.of(tmp_path) == made
    record.keep(tmp_path, replace(made, weights_sha256="another's"))
    with pytest.raises(CheckpointError, match="of other weights"):
        record.of(tmp_path)


def test_probabilities_are_sigmoids_of_lines_far_out_too() -> None:
    found = probabilities([Line(), Line(2.0, 1.0), Line(), Line()], [0.3, -0.4, 900.0, -900.0])
    assert found == pytest.approx([special.expit(0.3), special.expit(0.2), 1.0, 0.0])


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), number=st.integers(20, 120), levels=st.integers(2, 60))
def test_words_and_operating_point_never_contradict_each_other(seed: int, number: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    y_N = (np.arange(number) % rng.integers(2, 3) == 0).astype(float)
    # Few levels give ties; the shift gives anything from useless, or worse, to perfect scores.
    p_N = special.expit(
        np.round(rng.normal(0, 1, number) * levels / 4 + rng.normal(0, 2) * y_N * levels / 4) / levels * 4
    )
    line = record.zoned(Line(), y_N, p_N)
    if line.why:
        return
    assert line.low is not None and line.high is not None and line.threshold is not None
    assert line.low <= line.threshold <= line.high
    for probability in (*p_N, line.low, line.threshold, line.high, np.nextafter(line.threshold, 0)):
        word = line.verdict(probability)
        assert word != ("unlikely" if probability >= line.threshold else "likely")


@pytest.mark.parametrize(
    "name", [path.parent.name for path in (config.REPOSITORY / "checkpoints").glob("*/calibration.json")]
)
def test_shipped_operating_points_lie_in_their_zones_on_disk(name: str) -> None:
    told = json.loads((config.REPOSITORY / "checkpoints" / name / "calibration.json").read_text())
    for line in told["lines"].values():
        if line["threshold"] is not None:
            assert line["low"] <= line["threshold"] <= line["high"]


def test_a_file_whose_operating_point_lies_outside_is_read_with_a_wider_zone(tmp_path: Path) -> None:
    (tmp_path / DESCRIPTION).write_text(json.dumps({"format": 1, "weights_sha256": "w"}))
    for low, threshold, high in ((0.089, 0.086, 0.3), (0.01, 0.163, 0.126)):
        line = {"low": low, "high": high, "threshold": threshold}
        told = {"weights_sha256": "w", "fitted_on": "", "checked_on": "", "how": "", "lines": {"x": line}}
        (tmp_path / record.FILE).write_text(json.dumps(told))
        read = record.of(tmp_path).line("x")
        assert (read.low, read.high) == (min(low, threshold), max(high, threshold))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_not_finite_gives_no_probability(wrong: float) -> None:
    with pytest.raises(CertaintyError, match="expected finite logits"):
        said(Line(), np.array([0.0, wrong]))


def test_every_wrong_value_in_a_calibration_is_refused_in_one_sentence(tmp_path: Path) -> None:
    folder = config.REPOSITORY / "checkpoints" / "demo-findings"
    told = json.loads((folder / record.FILE).read_text())
    told["lines"] = dict(list(told["lines"].items())[:2])
    (tmp_path / DESCRIPTION).write_text((folder / DESCRIPTION).read_text())
    refused = 0
    for text in wrong_values(told):
        (tmp_path / record.FILE).write_text(text)
        try:
            record.of(tmp_path)
        except CheckpointError as error:
            refused += 1
            assert str(error).startswith(tmp_path.name) and "\n" not in str(error) and len(str(error)) < 300
    assert refused > 250
