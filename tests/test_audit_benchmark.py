"""What the audit's benchmark plants, and that its figures are those of a list read from the top."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import audit as benchmark  # noqa: E402


@pytest.fixture
def table() -> pd.DataFrame:
    rows = np.arange(400)
    text = pd.Series([f"text {row // 3}" for row in rows], dtype=object)
    return pd.DataFrame(
        {"study": rows.astype(str), "patient": rows // 2, "film": rows, "report": rows, "text": text}
    )


def test_swapped_reports_are_exchanged_between_patients_of_other_wording(table):
    now, is_wrong = benchmark.draw(benchmark.REPORT, table, {}, {}, np.random.default_rng(0))
    assert is_wrong.sum() == 4 and sorted(now["report"]) == sorted(table["report"])
    for row in np.flatnonzero(is_wrong):
        other = now["report"][row]
        assert is_wrong[other] and now["report"][other] == row
        assert table["patient"][row] != table["patient"][other]
        assert now["text"][row] == table["text"][other] != table["text"][row]
    assert (now["report"] != table["report"]).to_numpy().tolist() == is_wrong.tolist()


def test_another_error_takes_the_changed_text_of_its_own_pair(table):
    wrong = {benchmark.SIDE: {row: f"changed {row}" for row in (3, 8, 13, 99, 200)}}
    row_of = {text: 400 + at for at, text in enumerate(wrong[benchmark.SIDE].values())}
    now, is_wrong = benchmark.draw(benchmark.SIDE, table, wrong, row_of, np.random.default_rng(0))
    assert is_wrong.sum() == 4
    for row in np.flatnonzero(is_wrong):
        assert now["report"][row] == row_of[wrong[benchmark.SIDE][row]]
    assert (
        benchmark.draw(benchmark.SIDE, table, {benchmark.SIDE: {}}, {}, np.random.default_rng(0))[1] is None
    )


def test_figures_are_those_of_a_list_read_from_the_top():
    rng = np.random.default_rng(0)
    score, is_wrong = rng.integers(0, 50, 500).astype(float), rng.random(500) < 0.05
    found = benchmark.found(score, is_wrong)
    assert found["auROC"].mean() == pytest.approx(roc_auc_score(is_wrong, -score))
    best = benchmark.found(np.where(is_wrong, 0.0, 1.0) + rng.random(500) / 2, is_wrong)
    assert best["recall at 10%"].mean() == 1 and best["auROC"].mean() == 1
    same = benchmark.found(np.zeros(500), is_wrong)
    assert same["auROC"].mean() == 0.5 and same["recall at 10%"].mean() == 0


def test_intervals_hold_their_value_and_are_wider_where_there_are_fewer_patients():
    rng = np.random.default_rng(0)
    widths = []
    for patients in (5, 300):
        rounds = [
            benchmark.found(rng.random(300), np.arange(300) < 3).assign(
                patient=rng.integers(patients, size=3)
            )
            for _ in range(100)
        ]
        row = benchmark.summed(rounds, 0)
        value, low, high = row["auROC"]
        assert low <= value <= high and (row["rounds"], row["errors"]) == (100, 300)
        widths.append(high - low)
    assert widths[0] > 0 and benchmark.summed([], 0) == {"errors": 0}


@pytest.mark.parametrize(
    ("sentence", "positive"),
    [("Small left effusion.", True), ("No effusion or pneumothorax.", False), ("Clear lungs.", False)],
)
def test_a_sentence_that_asserts_a_finding_is_positive(sentence, positive):
    assert benchmark.is_positive(sentence) == positive
