"""The fine-tune page before a run: what a share means, a preview in seconds, films labelled in place."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from timnet import config, settings_file
from timnet.cohorts import features, store, tasks
from timnet.evaluation import active_learning, probe
from timnet.training import events, run_names, runs
from timnet.training import features as reading
from timnet.ui.fine_tune import labelling

TASK, SIDE = "Left opacity", 32


@pytest.fixture(scope="module")
def home(cohort_folder: Path, networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a cohort that labels may be added to, its films read by a random start."""
    folder = tmp_path_factory.mktemp("labelled")
    shutil.copytree(
        cohort_folder, folder / "synthetic", ignore=shutil.ignore_patterns("pixels-*", "features")
    )
    settings = config.Finetune(cohort=str(folder / "synthetic"), task=TASK, side=SIDE)
    reading.build(store.Cohort.open(folder / "synthetic"), settings)
    return folder


@pytest.fixture
def app(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AppTest:
    """The page with the task chosen, side 32, and no run yet."""
    monkeypatch.setenv("TIMNET_HOME", str(home))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=240).run()
    app = app.switch_page("pages/fine_tune.py").run()
    app.selectbox(key="ft_task").select(TASK)
    app.number_input(key="ft_side_small").set_value(SIDE)
    return app


def _at_hand(app: AppTest) -> int:
    """Return the film that is asked about."""
    keys = [str(button.key) for button in app.button]
    return next(int(key.rsplit("_", 1)[1]) for key in keys if key.startswith("lm_present_"))


def _said(home: Path) -> dict[int, float]:
    cohort = store.Cohort.open(home / "synthetic")
    if "app" not in cohort.label_sources():
        return {}
    labels = cohort.labels("app")[TASK].dropna()
    return {int(film): float(value) for film, value in labels.items()}


@pytest.mark.whole
def test_films_are_labelled_in_place_and_an_answer_is_taken_back(app: AppTest, home: Path) -> None:
    for box in ("lm_open", "ft_preview"):
        app.session_state[box] = True
    app.run()
    assert not app.exception and not app.error
    cohort = store.Cohort.open(home / "synthetic")
    settings = config.Finetune(cohort=str(cohort.folder), task=TASK, side=SIDE, fraction=0.1)
    kept = features.load(features.place(cohort, settings))
    seen = probe.preview(cohort, kept, TASK, 0.1, 0)
    (row,) = seen.table[seen.table["metric"] == "auROC"].to_dict("records")
    assert f"**auROC {row['value']:.3f}**" in " ".join(str(each.value) for each in app.markdown)

    rows = active_learning.candidates(cohort, TASK)
    learned, y = active_learning.known(cohort, TASK)
    said = probe.probability(probe.fit(kept[learned], y).logits(kept[rows])[:, 0])
    first, second = rows[active_learning.uncertain(said, 2)].tolist()
    assert _at_hand(app) == first and not _said(home)
    app.selectbox(key="lm_order").select("diverse").run()
    (most_unlike,) = rows[active_learning.diverse(kept[rows], kept[learned], 1)].tolist()
    assert _at_hand(app) == most_unlike
    app.selectbox(key="lm_order").select("uncertain").run()
    assert _at_hand(app) == first and not _said(home)
    app.button(key=f"lm_absent_{first}").click().run()
    assert not app.exception and _said(home) == {first: 0.0} and _at_hand(app) == second
    app.button(key=f"lm_unsure_{second}").click().run()
    assert _said(home) == {first: 0.0, second: -1.0}
    third = _at_hand(app)
    app.button(key=f"lm_skip_{third}").click().run()
    assert len(_said(home)) == 2 and _at_hand(app) != third
    for _ in range(2):
        app.button(key="lm_undo").click().run()
    assert not app.exception and not _said(home) and _at_hand(app) == first
    assert app.button(key="lm_undo").disabled
    # Fitted anew, the probe has learned what was said, and asks about what it is least sure of now.
    app.button(key=f"lm_present_{first}").click().run()
    app.button(key="lm_again").click().run()
    cohort = store.Cohort.open(home / "synthetic")
    rows = active_learning.candidates(cohort, TASK)
    learned, y = active_learning.known(cohort, TASK)
    assert first in learned and first not in rows
    said = probe.probability(probe.fit(kept[learned], y).logits(kept[rows])[:, 0])
    assert _at_hand(app) == rows[active_learning.uncertain(said, 1)[0]]
    table = next(each.value for each in app.dataframe if "Labelled X-rays" in each.value)
    assert np.diff(table["Labelled X-rays"]).tolist() == [1]
    app.button(key="lm_undo").click().run()


def test_no_key_that_labels_a_film_is_one_that_the_viewer_knows() -> None:
    code = (Path(labelling.__file__).parents[1] / "browser" / "viewer.js").read_text()
    tools, acts = (re.search(rf"const {name} = {{(.*?)}}", code, re.S) for name in ("TOOLS", "ACTS"))
    assert tools and acts
    taken = {key.strip('" \n') for key in re.findall(r"([^,{]+?):", f"{tools[1]},{acts[1]}")}
    assert {"w", "z", "p", "i", "r", "h"} <= taken
    own = {letter for _, letter, _, _ in labelling.ANSWERS.values()} | {labelling.SKIP, labelling.UNDO}
    assert len(own) == 5 and not own & taken


def test_before_the_click_the_page_tells_films_patients_and_time(
    app: AppTest, home: Path, tmp_path: Path
) -> None:
    app.session_state["ft_some"] = True
    app.run()
    cohort = store.Cohort.open(home / "synthetic")
    share = tasks.share(cohort, TASK, 0.1, 0)
    table = cohort.films()
    assert share.patients == table["patient"].iloc[list(share.rows)].nunique()
    assert f"of {share.patients} patients" in app.text[0].value
    assert not app.exception and len(app.get("image")) == min(share.films, 8)
    assert any("Time: not known yet" in each.value for each in app.caption)
    # A run of the kind that says how long it took: 2 s a step, 100 steps, 10 s around them.
    done = config.Finetune(cohort="synthetic", task=TASK, side=SIDE)
    folder = tmp_path / run_names.folder_name(done)
    folder.mkdir()
    told: list[dict[str, object]] = [{"event": "started", "seconds": 0}]
    told += [{"event": "step", "step": step, "seconds": 5 + 2 * step} for step in range(1, 22)]
    told += [{"event": "done", "seconds": 50}]
    (folder / runs.CONFIG).write_text(settings_file.to_json(done))
    (folder / events.EVENTS).write_text("".join(json.dumps(event) + "\n" for event in told))
    row = {"label": TASK, "metric": "auROC", "value": 0.7, "low": None, "high": None, "n": 20, "positives": 9}
    measured = {"test": [row], "films": 8, "patients": 4, "films_train": 80, "films_test": 20}
    (folder / runs.RESULT).write_text(json.dumps(measured))
    (folder / runs.DONE).write_text("{}")
    app.run()
    # Fewer films than a batch are one step an epoch.
    assert share.films < 16
    assert any("Time: about 4 min" in each.value for each in app.caption)
