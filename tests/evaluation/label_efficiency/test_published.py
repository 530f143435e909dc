"""The paper's own points: each stands in its text, word for word, and none is made up."""

from __future__ import annotations

import re

import pytest

from timnet.evaluation import metrics
from timnet.evaluation.label_efficiency import curve, published


@pytest.fixture(scope="module")
def text(real_data):
    path = real_data.parent / "paper" / "timnet_jbhi_2022.txt"
    if not path.is_file():
        pytest.skip("the paper's text is not beside the repository (shared/paper)")
    return path.read_text(encoding="utf-8")


def test_every_value_stands_in_the_papers_text(text):
    parts = re.split(r"^[A-E]\. (?=[A-Z])", text[text.index("IV. EVALUATION") :], flags=re.M)
    own, external = (next(part for part in parts if part.startswith(f"Classification on {name}"))
                     for name in ("Pre-Training", "an External"))  # fmt: skip
    for point in published.points().itertuples():
        written = f"{point.value * 100:.2f}%" if point.metric == "ACC" else f"{point.value:.4f}"
        section = external if point.figure == "Fig. 5" else own
        assert re.search(rf"(?<!\d){re.escape(written)}", section), (point, written)


def test_shares_are_the_papers_and_no_point_stands_twice():
    table = published.points()
    assert set(table["fraction"]) <= set(curve.FRACTIONS) and set(table["metric"]) <= set(metrics.METRICS)
    assert not table.duplicated(["figure", "start", "fraction", "metric"]).any()
    assert set(table["figure"]) == set(published.FIGURES)


def test_a_metric_has_the_figures_whose_points_it_has():
    assert published.figures("auROC") == ["Fig. 4", "Fig. 5"] and published.figures("Recall") == []
    # (30 - 0.5) / 30 = 98.33 % in the paper: TIMNet at 0.5 % beats the best of Base, which is at 30 %.
    table = published.points("Fig. 5", "auROC").set_index("start")
    base, ours = table.loc[published.BASE], table.loc[published.OURS]
    assert ours["value"] > base["value"] and 1 - ours["fraction"] / base["fraction"] == pytest.approx(
        0.9833, abs=1e-4
    )
