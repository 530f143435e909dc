"""The summary over draws: means, t-intervals, and what is not there."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from timnet.evaluation.label_efficiency import curve


def _points(values: list[float], **fields: object) -> pd.DataFrame:
    rows = {"initialisation": "base", "fraction": 0.1, "films": 52, "metric": "auROC"} | fields
    return pd.DataFrame([{**rows, "seed": seed, "value": value} for seed, value in enumerate(values)])


def test_the_interval_is_the_t_interval_that_scipy_gives():
    values = [0.81, 0.84, 0.79, 0.88]
    row = curve.curve(_points(values)).iloc[0]
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert row["mean"] == pytest.approx(np.mean(values))
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    assert (row["draws"], row["films"]) == (4, 52)


def test_one_draw_has_a_mean_but_no_interval():
    row = curve.curve(_points([0.7])).iloc[0]
    assert row["mean"] == 0.7 and row["draws"] == 1
    assert math.isnan(row["low"]) and math.isnan(row["high"])


def test_an_undefined_value_is_no_draw():
    table = curve.curve(_points([0.6, math.nan, 0.8]))
    assert table["draws"].tolist() == [2] and table["mean"].tolist() == pytest.approx([0.7])
    assert curve.curve(_points([math.nan])).empty


def test_runs_of_one_seed_are_one_draw():
    points = pd.concat([_points([0.6, 0.8]), _points([0.7])])
    row = curve.curve(points).iloc[0]
    assert row["draws"] == 2 and row["mean"] == pytest.approx((0.65 + 0.8) / 2)


def test_initialisations_fractions_and_metrics_stay_apart():
    points = pd.concat(
        [
            _points([0.5]),
            _points([0.6], fraction=1.0),
            _points([0.7], initialisation="open-pairs"),
            _points([0.9], metric="ACC"),
        ]
    )
    table = curve.curve(points)
    assert list(table.columns) == list(curve.COLUMNS)
    assert sorted(table["mean"]) == [0.5, 0.6, 0.7, 0.9]


def test_no_points_give_an_empty_table_with_its_columns():
    assert list(curve.curve(pd.DataFrame()).columns) == list(curve.COLUMNS)


def _grouped(
    group: str, values: list[float], low: float | None, high: float | None, **fields: object
) -> pd.DataFrame:
    told = {"label": "Edema", "kind": "sex", "group": group, "images": 31, "low": low, "high": high}
    return _points(values, **told, **fields)


def test_an_interval_by_group_is_the_wider_of_draws_and_test_patients_and_few_images_stay_listed():
    values = [0.8, 0.82, 0.81]
    narrow, wide = _grouped("women", values, 0.805, 0.815), _grouped("men", values, 0.6, 0.9)
    one, few = _grouped("other", [0.7], 0.5, 0.9), _grouped("not stated", [math.nan] * 3, None, None)
    points = pd.concat([narrow, wide, one, few])
    table = curve.by_group(points).set_index("group")
    assert set(table.columns) | {"group"} == set(curve.BY_GROUP)
    drawn = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert table.loc["women", ["low", "high"]].tolist() == pytest.approx(drawn)
    assert table.loc["men", ["low", "high"]].tolist() == pytest.approx([0.6, 0.9])
    assert table.loc["other", ["value", "low", "high", "draws"]].tolist() == pytest.approx([0.7, 0.5, 0.9, 1])
    assert table.loc["not stated", ["images", "draws", "note"]].tolist() == [31, 0, "too few to measure"]
    assert math.isnan(table.loc["not stated", "value"])
    assert list(curve.by_group(pd.DataFrame()).columns) == list(curve.BY_GROUP)
