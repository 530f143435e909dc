"""Figures hold the numbers of their tables, and show words as they are."""

import math

import pandas as pd
import pytest

from timnet.evaluation.label_efficiency import curve as efficiency
from timnet.plots import bars, curves, look, losses


def test_the_loss_curve_holds_every_step_and_its_loss():
    events = pd.DataFrame(
        [
            {"event": "queued"},
            {"event": "step", "step": 1, "epoch": 1, "loss": 0.7},
            {"event": "phase", "phase": "testing"},
            {"event": "step", "step": 5, "epoch": 2, "loss": 0.4},
        ]
    )
    (line,) = losses.loss_curve(events).data
    assert list(line.x) == [1, 5] and list(line.y) == [0.7, 0.4]


def test_a_run_without_steps_gives_an_empty_loss_curve():
    assert not losses.loss_curve(pd.DataFrame([{"event": "queued"}])).data


def test_the_matching_curve_holds_each_look_with_its_interval_and_leaves_out_what_is_undefined():
    looks = pd.DataFrame(
        [(5, 0.6, 0.5, 0.75), (10, None, None, None), (15, 0.8, 0.7, 0.85)],
        columns=["epoch", "value", "low", "high"],
    )
    (line,) = losses.matching_curve(looks).data
    assert list(line.x) == [5, 15] and list(line.y) == [0.6, 0.8]
    assert list(line.error_y.array) == pytest.approx([0.15, 0.05])
    assert list(line.error_y.arrayminus) == pytest.approx([0.1, 0.1])
    assert not losses.matching_curve(looks.iloc[1:2]).data[0].x


@pytest.mark.parametrize(("last", "step"), [(2, 1), (40, None)])
def test_few_epochs_have_a_tick_each(last, step):
    looks = pd.DataFrame({"epoch": [1, last], "value": [0.5, 0.6], "low": [0.4, 0.5], "high": [0.6, 0.7]})
    assert losses.matching_curve(looks).layout.xaxis.dtick == step


def test_two_networks_bars_stand_beside_each_other_and_a_label_not_asked_for_has_none():
    table = pd.DataFrame({"label": ["<b>A</b>", "B"], "One": [0.25, math.nan], "Two": [0.5, 1.0]})
    figure = bars.compared(table)
    assert [bar.name for bar in figure.data] == ["One", "Two"]
    assert [list(bar.x) for bar in figure.data] == [[0.25, None], [0.5, 1.0]]
    assert list(figure.data[0].y) == ["&lt;b&gt;A&lt;/b&gt;", "B"]
    assert list(figure.data[0].text) == ["0.250", ""]


def test_the_efficiency_figure_holds_means_intervals_and_draws():
    points = pd.DataFrame(
        [
            ("base", 0.1, 52, 0, 0.6),
            ("base", 0.1, 52, 1, 0.8),
            ("base", 1.0, 520, 0, 0.9),
            ("x", 0.1, 52, 0, 0.7),
        ],
        columns=["initialisation", "fraction", "films", "seed", "value"],
    ).assign(metric="auROC")
    curve = efficiency.curve(points)
    figure = curves.efficiency(points, curve, "auROC")
    lines = {trace.name: trace for trace in figure.data if trace.mode == "lines+markers"}
    base, row = lines["random start"], curve.iloc[0]
    assert list(base.x) == [10, 100] and list(base.y) == curve["mean"].tolist()[:2]
    assert base.error_y.array[0] == row["high"] - row["mean"] and base.error_y.array[1] is None
    assert [list(told) for told in base.customdata] == [[10, 52, 2], [100, 520, 1]]
    # As the page's caption says: filled where a point is a mean, open where it is a single run.
    assert list(base.marker.symbol) == ["circle", "circle-open"]
    assert {trace.marker.symbol for trace in figure.data if trace.mode == "markers"} == {"circle-open"}
    drawn = [value for trace in figure.data if trace.mode == "markers" for value in trace.y]
    assert sorted(drawn) == [0.6, 0.7, 0.8, 0.9]
    assert figure.layout.xaxis.type == "log" and len(figure.layout.xaxis.tickvals) == 11
    counted, linear = (curves.efficiency(points, curve, "auROC", axis) for axis in ("films", "linear"))
    assert list(counted.data[0].x) == [52, 520] and counted.layout.xaxis.type == "log"
    assert list(linear.data[0].x) == [10, 100] and linear.layout.xaxis.type is None


def test_an_undefined_run_is_not_drawn():
    points = pd.DataFrame(
        [("base", 0.1, 52, 0, math.nan, "AP"), ("base", 0.1, 52, 1, 0.5, "AP")],
        columns=["initialisation", "fraction", "films", "seed", "value", "metric"],
    )
    figure = curves.efficiency(points, efficiency.curve(points), "AP")
    assert [list(trace.y) for trace in figure.data] == [[0.5], [0.5]]


def test_differences_are_drawn_with_their_intervals_around_zero():
    table = pd.DataFrame(
        [("x", 0.1, 52, 0.05, 0.01, 0.09, 3), ("x", 1.0, 520, 0.02, math.nan, math.nan, 1)],
        columns=["initialisation", "fraction", "films", "mean", "low", "high", "draws"],
    )
    figure = curves.differences(table, "AP", "random start")
    (line,) = figure.data
    assert list(line.x) == [10, 100] and list(line.y) == [0.05, 0.02]
    assert line.error_y.array == (pytest.approx(0.04), None)
    assert figure.layout.shapes[0].y0 == 0 and "random start" in figure.layout.yaxis.title.text


def test_an_initialisation_keeps_its_colour_and_no_two_share_one():
    alone, together = look.colours(["base"]), look.colours(["base", "imagenet", "open-pairs"])
    assert alone["base"] == together["base"]
    assert len(set(together.values())) == 3


def test_a_printed_figure_is_dark_on_white_and_holds_the_same_lines():
    figure = losses.loss_curve(pd.DataFrame({"event": ["step"], "step": [1], "loss": [0.5], "epoch": [1]}))
    printed = look.printed(figure)
    assert printed.layout.paper_bgcolor == "white" and printed.layout.font.color == "black"
    assert printed.data == figure.data and figure.layout.paper_bgcolor is None


def test_the_wide_interval_of_two_draws_leaves_the_curves_their_room():
    shares = [0.005, 0.005, 0.01, 0.01]
    points = pd.DataFrame(
        {
            "run": list("abcd"), "initialisation": "base", "fraction": shares, "films": [26, 26, 52, 52],
            "seed": [0, 1, 0, 1], "metric": "auROC", "value": [0.7, 0.9, 0.85, 0.95],
        }
    )  # fmt: skip
    curve = efficiency.curve(points)
    assert curve["low"].min() < 0.2
    bottom, top = curves.efficiency(points, curve, "auROC").layout.yaxis.range
    assert top == 1
    assert 0.45 < bottom < 0.7


def test_the_wide_interval_of_two_draws_leaves_differences_their_room():
    table = pd.DataFrame(
        [("x", 0.005, 26, 0.05, -1.2, 1.3, 2), ("x", 0.1, 52, 0.02, math.nan, math.nan, 1)],
        columns=["initialisation", "fraction", "films", "mean", "low", "high", "draws"],
    )
    low, high = curves.differences(table, "AP", "random start").layout.yaxis.range
    assert -0.2 < low < 0 and 0.05 < high < 0.25
    single = table.assign(low=math.nan, high=math.nan)
    low, high = curves.differences(single, "AP", "random start").layout.yaxis.range
    assert low < 0 and high > 0.05
