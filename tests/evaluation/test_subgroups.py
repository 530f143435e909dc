"""Subgroups: the values of each group alone, what is too few, and the largest gap in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from timnet.cohorts.readers import csv_table
from timnet.cohorts.store import Cohort, find
from timnet.evaluation import metrics, subgroups


def drawn(number: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, number).astype(float)
    return y, np.clip(0.5 + 0.3 * (y - 0.5) + noise * rng.normal(size=number), 0, 1)


def asked() -> tuple[subgroups.Groups, np.ndarray, np.ndarray]:
    (y_one, p_one), (y_two, p_two) = drawn(200, 0.05, 0), drawn(200, 0.6, 1)
    y_few, p_few = drawn(19, 0.1, 2)
    y, p = (
        np.concatenate([y_one, y_two, y_few, np.ones(30)]),
        np.concatenate([p_one, p_two, p_few, np.ones(30)]),
    )
    sex = np.array(["women"] * 200 + ["men"] * 200 + [subgroups.UNKNOWN] * 19 + ["other"] * 30)
    return {"sex": sex}, y[:, None], p[:, None]


def test_a_groups_area_is_that_of_its_films_alone_with_their_number() -> None:
    groups, y, p = asked()
    table = subgroups.evaluate(groups, y, p, [str(i) for i in range(len(y))], ["Edema"]).set_index("group")
    for group in ("women", "men"):
        of = groups["sex"] == group
        assert table.loc[group, "value"] == pytest.approx(roc_auc_score(y[of, 0], p[of, 0]))
        assert table.loc[group, "low"] <= table.loc[group, "value"] <= table.loc[group, "high"]
        assert table.loc[group, "images"] == 200 and table.loc[group, "note"] == ""


def test_few_images_and_one_class_alone_are_listed_and_not_measured() -> None:
    groups, y, p = asked()
    table = subgroups.evaluate(groups, y, p, [str(i) for i in range(len(y))], ["Edema"]).set_index("group")
    assert set(table.index) == {"women", "men", "other", subgroups.UNKNOWN}
    for group, images in ((subgroups.UNKNOWN, 19), ("other", 30)):
        assert table.loc[group, "note"] == "too few to measure" and table.loc[group, "images"] == images
        assert np.isnan(table.loc[group, ["value", "low", "high"]].astype(float)).all()


def test_a_label_that_few_images_of_a_group_show_is_in_no_average() -> None:
    (y_one, p_one), (_, p_two) = drawn(100, 0.4, 0), drawn(100, 0.4, 1)
    y_two = np.arange(100) < 4
    y, p = np.stack([y_one, y_two], 1), np.stack([p_one, p_two], 1)
    groups = {"sex": np.array(["women"] * 100)}
    table = subgroups.evaluate(groups, y, p, [str(i) for i in range(100)], ["a", "b"]).set_index("label")
    assert table.loc["macro", "value"] == table.loc["a", "value"]
    assert table.loc["a", "value"] == pytest.approx(roc_auc_score(y_one, p_one))
    assert table.loc["b", "note"] == "too few to measure"
    assert table.loc["b", ["images", "n", "positives"]].tolist() == [100, 100, 4]


def test_the_largest_gap_is_named_with_its_two_groups() -> None:
    groups, y, p = asked()
    both = {**groups, "view": np.array(["PA", "AP"] * (len(y) // 2) + ["PA"] * (len(y) % 2))}
    rows = metrics.records(subgroups.evaluate(both, y, p, [str(i) for i in range(len(y))], ["Edema"]))
    said = subgroups.largest_gap(rows)
    assert said.startswith("Largest gap, Edema: by sex, women ") and " against men " in said
    assert said.endswith("the intervals do not overlap.")
    assert subgroups.largest_gap([]).startswith("No two groups")


def test_a_gap_of_a_curve_is_within_one_start_and_share_and_named_with_them() -> None:
    def row(start: str, fraction: float, group: str, value: float) -> dict[str, object]:
        told = {"label": "Edema", "kind": "sex", "low": value - 0.01, "high": value + 0.01, "images": 31}
        return {**told, "initialisation": start, "fraction": fraction, "group": group, "value": value}

    rows = [
        row("base", 0.01, "women", 0.5), row("base", 0.01, "men", 0.52),
        row("timnet", 0.1, "women", 0.8), row("timnet", 0.1, "men", 0.9),
    ]  # fmt: skip
    assert subgroups.largest_gap(rows) == (
        "Largest gap, Edema, timnet with 10.0% of the labels: by sex, men 0.900 (0.890 to 0.910; 31 X-rays) "
        "against women 0.800 (0.790 to 0.810; 31 X-rays); the intervals do not overlap."
    )


def test_a_film_of_several_rows_counts_once() -> None:
    y, p = np.tile([1.0, 0.0], 15)[:, None], np.tile([0.9, 0.1], 15)[:, None]
    groups = {"view": np.array(["PA"] * 30)}
    table = subgroups.evaluate(groups, y, p, ["a"] * 30, ["match"], film_N=np.repeat(np.arange(15), 2))
    assert (table["images"].tolist(), table["note"].tolist()) == ([15], ["too few to measure"])


def test_bands_of_age_sexes_and_views_are_those_of_the_table(
    csv_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    paths = sorted(csv_root.glob("*/*.png"))[:9] or sorted(csv_root.glob("*.png"))[:9]
    ages = ("0", "17", "18", "39", "40", "64", "65", "90", "")
    lines = [
        "path,sex,age,view",
        *(
            f"{path},{'FM'[n % 2]},{age},{('PA', '')[n == 8]}"
            for n, (path, age) in enumerate(zip(paths, ages, strict=True))
        ),
    ]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    csv_table.run(tmp_path / "pairs.csv", "people", outside=(csv_root,))
    cohort = Cohort.open(find("people"))
    groups = subgroups.of_films(cohort, np.arange(9))
    bands = ["0-17", "0-17", "18-39", "18-39", "40-64", "40-64", "65+", "65+", "not stated"]
    assert groups["age"].tolist() == bands
    assert groups["sex"].tolist() == ["women", "men"] * 4 + ["women"]
    assert groups["view"].tolist() == ["PA"] * 8 + ["not stated"]
