"""The label-efficiency page, without a browser."""

import json
import shutil
from pathlib import Path

import pytest
from driving import Open, finished, keep

from timnet import config
from timnet.cli import parsing
from timnet.cohorts.store import Cohort
from timnet.evaluation.label_efficiency import bootstrap
from timnet.plots import look
from timnet.training import events, grids
from timnet.ui.efficiency import shipped


def test_finished_runs_are_points_of_a_curve(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    for seed, value in enumerate((0.7, 0.8, None)):
        finished(tmp_path, seed, value)
    app = open_page("efficiency")
    table = app.dataframe[0].value
    assert not app.exception
    assert table["mean"].tolist() == pytest.approx([0.75]) and table["draws"].tolist() == [2]
    assert {button.key for button in app.get("download_button")} >= {"eff_csv", "eff_parquet", "eff_runs"}
    # The paper's points come only when asked for, as one more line, and enter no table.
    drawn = len(json.loads(app.get("plotly_chart")[0].proto.spec)["data"])
    app.selectbox(key="eff_paper").set_value("Fig. 5").run()
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert [each["line"]["dash"] for each in figure["data"][drawn:]] == ["dot", "dot"]
    assert "Liang et al." in " ".join(caption.value for caption in app.caption)
    assert app.dataframe[0].value["mean"].tolist() == pytest.approx([0.75])
    page = open_page("fine_tune")
    assert not page.exception and page.success


def test_validation_images_of_early_stopping_count_in_the_table_and_the_page_says_so(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    finished(tmp_path, 0, 0.7)
    settings, result = next(tmp_path.glob("*/config.json")), next(tmp_path.glob("*/metrics.json"))
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "patience": 5}))
    stopping = {"epoch": 3, "epochs": 9, "films": 12, "held_back": 0}
    result.write_text(json.dumps({**json.loads(result.read_text()), "early_stopping": stopping}))
    app = open_page("efficiency")
    assert app.dataframe[0].value["films"].tolist() == [8 + 12]
    assert "count as labelled images" in " ".join(caption.value for caption in app.caption)


def test_two_starts_with_the_same_draws_say_what_is_saved_and_how_many_labels_a_goal_needs(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    shares = (0.05, 0.1, 0.3, 1.0)
    for seed in (0, 1):
        # 0.95 - 0.6 / sqrt(films): 80 films reach 0.883, and 0.9 needs 144.
        for fraction in shares:
            value = 0.95 - 0.6 / round(80 * fraction) ** 0.5
            finished(tmp_path, seed, value + 0.001 * seed, fraction)
            finished(tmp_path, seed, 0.9 + 0.001 * seed, fraction, "timnet")
    app = open_page("efficiency")
    assert not app.exception
    said = " ".join(element.value for element in app.markdown)
    assert "**timnet** reaches" in said and "95.0% fewer labels" in said
    assert "**random start**: about **" in said and "timnet**: the curve does not rise" in said
    films = int(said.split("about **")[1].split(" X-rays")[0].replace(",", ""))
    assert 135 < films < 150


def test_intervals_cover_the_test_patients_where_runs_keep_predictions_and_the_page_says_which(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cohort_folder: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    cohort = Cohort.open(cohort_folder)
    for seed in (0, 1, 2):
        finished(tmp_path, seed, 0.8)
        finished(tmp_path, seed, 0.8, start="timnet")
    alone = open_page("efficiency")
    assert any("Student's over the draws alone" in caption.value for caption in alone.caption)
    assert set(alone.dataframe[0].value["interval"]) == {"draws"}
    kept = {folder: keep(folder, cohort, label="Opacity") for folder in tmp_path.iterdir()}
    app = open_page("efficiency")
    assert not app.exception and not app.error
    said = [caption.value for caption in app.caption if "hierarchical bootstrap" in caption.value]
    assert len(said) == 2
    table = app.dataframe[0].value.set_index("initialisation")
    for start, shown in (("base", "random start"), ("timnet", "timnet")):
        runs_of = [kept[folder].part("test") for folder in sorted(kept) if f"-{start}-" in folder.name]
        found = bootstrap.of_runs(runs_of, runs_of[0].patients(cohort), "Opacity", "auROC")
        # Three draws of 0.8 have no spread: all of the interval is the patients'.
        assert table.loc[shown, "low"] == pytest.approx(min(0.8, found.low))
        assert table.loc[shown, "high"] == pytest.approx(max(0.8, found.high))
        assert table.loc[shown, "interval"] == "draws and patients"


def test_subgroups_of_runs_are_a_table_with_the_largest_gap_and_runs_without_say_so(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    for seed in (0, 1):
        finished(tmp_path, seed, 0.8)
    app = open_page("efficiency")
    assert any("By sex, age and view: not measured" in caption.value for caption in app.caption)
    for path in tmp_path.glob("*/metrics.json"):
        row = {"label": "Opacity", "metric": "auROC", "note": "", "n": 30, "positives": 9}
        groups = [
            row
            | {"kind": kind, "group": group, "images": images, "value": v, "low": v - 0.1, "high": v + 0.1}
            for kind, group, images, v in (
                ("sex", "women", 30, 0.9),
                ("sex", "men", 31, 0.6),
                ("age", "65+", 61, 0.8),
            )
        ]
        path.write_text(json.dumps({**json.loads(path.read_text()), "subgroups": groups}))
        (path.parent / "done.json").write_text("{ }")
    app = open_page("efficiency")
    assert not app.exception
    said = " ".join(element.value for element in app.markdown).replace("\\", "")
    assert "Largest gap, Opacity, random start with 10.0% of the labels: by sex, women 0.900 (" in said
    shown = app.dataframe[1].value
    assert shown[["group", "images", "draws"]].values.tolist() == [["men", 31, 2], ["women", 30, 2]]
    app.segmented_control(key="eff_by").set_value("age").run()
    assert app.dataframe[1].value["group"].tolist() == ["65+"]


def test_a_fresh_clone_says_that_the_shipped_curve_has_no_groups(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    app = open_page("efficiency")
    assert any("without results by sex, age and view" in caption.value for caption in app.caption)


def test_missing_points_can_begin_from_any_weights_at_hand(
    open_page: Open,
    workers: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    networks: Path,
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    finished(tmp_path, 0, 0.7)
    shutil.copytree(networks / "timnet", tmp_path / "timnet")
    app = open_page("efficiency")
    starts = app.multiselect(key="eff_starts")
    assert starts.value == ["base"] and len(starts.options) == 3
    starts.set_value(["base", "imagenet", "timnet"]).run()
    assert "**2 of 3 points are missing.**" in " ".join(element.value for element in app.markdown)
    app.button(key="eff_start").click().run()
    assert not app.exception and not app.error
    (command,) = workers
    grid, *_ = parsing.grid(command[command.index("curve") + 1 :])
    assert grid.initialisations == ("base", "imagenet", "timnet")


def test_the_missing_points_of_a_curve_are_counted_timed_and_started_once(
    open_page: Open, workers: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    for seed, fraction in ((0, 0.1), (1, 0.1), (0, 0.2)):
        finished(tmp_path, seed, 0.7, fraction)
    app = open_page("efficiency")
    said = " ".join(element.value for element in app.markdown)
    assert not app.exception and "**1 of 4 points is missing.**" in said and "not known" in said
    # A run of the same kind that says how long it took: 2 s a step, 10 s around its 21 steps.
    timed = next(tmp_path.glob("*10pct-s1-*"))
    told: list[dict[str, object]] = [{"event": "started", "seconds": 0}]
    told += [{"event": "step", "step": step, "seconds": 5 + 2 * step} for step in range(1, 22)]
    told += [{"event": "done", "seconds": 50}]
    (timed / events.EVENTS).write_text("".join(json.dumps(event) + "\n" for event in told))
    app = open_page("efficiency")
    said = " ".join(element.value for element in app.markdown)
    # 20 % of 84 films are 17, one whole batch of 16: 100 steps.
    assert "They take about **4 min**, at the pace of the last run" in said
    app.number_input(key="eff_draws").set_value(3).run()
    assert "**3 of 6 points are missing.**" in " ".join(element.value for element in app.markdown)
    app.button(key="eff_start").click().run()
    assert not app.exception and not app.error
    assert app.number_input(key="eff_draws").value == 3
    assert app.run().number_input(key="eff_draws").value == 3
    (command,) = workers
    words = command[command.index("curve") + 1 :]
    grid, *_ = parsing.grid(words)
    assert (grid.fractions, grid.seeds, grid.initialisations) == ((0.1, 0.2), 3, ("base",))
    assert grid.shared == config.Finetune(cohort="synthetic", task="Opacity")
    # Another tab finds it at work, and whoever asks once more starts nothing.
    app = open_page("efficiency")
    app.number_input(key="eff_draws").set_value(3).run()
    assert not any(button.key == "eff_start" for button in app.button) and app.button(key="eff_stop")
    grids.start(grid, tmp_path)
    assert len(workers) == 1


def test_without_runs_of_ones_own_the_page_opens_on_a_shipped_curve_with_the_figures_of_its_benchmark(
    open_page: Open, networks: Path
) -> None:
    app = open_page("efficiency")
    assert not app.exception and not app.error
    assert app.selectbox(key="eff_cohort").value == "mendeley (shipped)"
    kept = json.loads((config.REPOSITORY / "benchmarks" / "results" / "fig5.json").read_text())["rows"]
    expected = {
        (row["start"], row["fraction"]): row["mean"]
        for row in kept
        if row["metric"] == "auROC" and "minus" not in row["start"]
    }
    table = app.dataframe[0].value
    found = dict(
        zip(zip(table["initialisation"], table["fraction"], strict=True), table["mean"], strict=True)
    )
    assert {(look.NAMES.get(start, start), share): mean for (start, share), mean in expected.items()} == (
        pytest.approx(found, abs=1e-4)
    )
    assert any("came with timnet" in each.value for each in app.info)
    # Its runs are not here: none of them can be taken up again.
    assert "eff_start" not in {button.key for button in app.button}


def test_each_shipped_curve_says_what_it_is_of_and_shows_the_figures_of_its_benchmark(
    open_page: Open, networks: Path
) -> None:
    app = open_page("efficiency")
    app.selectbox(key="eff_cohort").set_value("nih (shipped)").run()
    assert not app.exception and not app.error
    assert any("NIH ChestX-ray14" in each.value for each in app.info)
    kept = json.loads((config.REPOSITORY / "benchmarks" / "results" / "nih_curve.json").read_text())["rows"]
    (rows,) = [kept[task] for task in kept if task == app.selectbox(key="eff_task").value]
    table = app.dataframe[0].value
    for row in rows:
        if "minus" not in row["start"]:
            name = look.NAMES.get(row["start"], row["start"])
            found = table[(table["initialisation"] == name) & (table["fraction"] == row["fraction"])]
            assert found["mean"].item() == pytest.approx(row["mean"], abs=1e-4)
    assert set(shipped.ABOUT) == {path.stem for path in shipped.FOLDER.glob("*.parquet")}


def test_runs_of_ones_own_come_before_the_shipped_curve(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    finished(tmp_path, 0, 0.7)
    app = open_page("efficiency")
    assert app.selectbox(key="eff_cohort").value == "synthetic"
    assert "mendeley (shipped)" in app.selectbox(key="eff_cohort").options
