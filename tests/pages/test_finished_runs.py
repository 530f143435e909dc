"""Results, history and comparison of finished runs, without a browser."""

import re
from dataclasses import replace
from pathlib import Path
from urllib import parse

import numpy as np
import pytest
from driving import Open, finished, keep, stopped
from scipy import special
from sklearn.metrics import roc_auc_score

from timnet import checkpoints
from timnet.cohorts.store import Cohort
from timnet.evaluation import appraisal, predictions
from timnet.evaluation.calibration import measures, record
from timnet.evaluation.calibration.probability import Line
from timnet.evaluation.calibration.record import Certainty
from timnet.model import weights
from timnet.reader import Reader
from timnet.ui.fine_tune import mistakes


def test_a_finished_run_is_judged_from_what_it_kept(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cohort_folder: Path, networks: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    finished(tmp_path, 0, 0.8)
    (folder,) = tmp_path.iterdir()
    kept = keep(folder, Cohort.open(cohort_folder), doubt=3.0)
    judged = appraisal.of(kept, "Opacity")
    app = open_page("fine_tune")
    assert not app.exception and not app.error
    tabs = [tab.label for tab in app.tabs]
    assert tabs == [
        "How good",
        "For whom",
        "Yes or no",
        "Curves",
        "Can its numbers be trusted?",
        "Where is it wrong?",
    ]
    said = " ".join(element.value for element in app.markdown)
    assert judged.chosen and f"**Positive at {judged.chosen.threshold:.3g} or above.**" in said
    for decision in (judged.chosen, judged.half):
        assert f"finds {decision.hits} and misses **{decision.misses}**" in said
    counts = app.dataframe[2].value
    assert counts["Called positive"].tolist()[:2] == [judged.chosen.hits, judged.chosen.alarms]
    assert f"{judged.area.low:.3f} to {judged.area.high:.3f}" in " ".join(c.value for c in app.caption)
    assert f"temperature {judged.temperature:.2f}" in said
    assert len(app.get("plotly_chart")) >= 3
    # The surest mistakes, each with its film and the map of the run's own network.
    spec = replace(checkpoints.describe(networks / "classifier"), labels=("Opacity",))
    weights.save_checkpoint(folder, weights.build_classifier(spec, seed=0), spec)
    app.session_state["ft_tabs"] = "Where is it wrong?"
    app.run()
    assert not app.exception and not app.error
    missed, alarms = appraisal.surest_mistakes(kept, "Opacity", judged.chosen.threshold, 4)
    said = " ".join(element.value for element in app.markdown)
    for each, word in [*((film, "present") for film in missed), *((film, "absent") for film in alarms)]:
        assert f"Predicted **{each.probability:.1%}**; label: {word}." in said
    assert missed or alarms
    assert len(app.get("imgs")) + len(app.get("image")) == len(missed) + len(alarms)


def test_a_calibrated_run_says_on_every_tab_the_probabilities_of_diagnose(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cohort_folder: Path, networks: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    finished(tmp_path, 0, 0.8)
    (folder,) = tmp_path.iterdir()
    cohort = Cohort.open(cohort_folder)
    kept = keep(folder, cohort, validation=False)
    spec = replace(checkpoints.describe(networks / "classifier"), labels=("Opacity",))
    weights.save_checkpoint(folder, weights.build_classifier(spec, seed=0), spec)
    films = [cohort.read_film(int(film)) for film in kept.film_N]
    plain = [each.probabilities["Opacity"] for each in Reader.load(folder).read_many(films)]
    # Some labels are turned round, so that there is something to get wrong.
    turned = np.where(np.arange(len(plain)) % 4, kept.truth_NL[:, 0], 1 - kept.truth_NL[:, 0])
    kept = replace(kept, logit_NL=special.logit(plain)[:, None], truth_NL=turned[:, None])
    (folder / predictions.FILE).write_bytes(kept.to_bytes())
    threshold = float(np.median(special.expit(0.4 * special.logit(plain) - 1.5)))
    line = Line(slope=0.4, offset=-1.5, low=0.01, high=0.99, threshold=threshold, films=20, positives=10)
    record.keep(folder, Certainty(checkpoints.weights_sha256(folder), "a", "b", "c", {"Opacity": line}))

    p = np.array([each.probabilities["Opacity"] for each in Reader.load(folder).read_many(films)])
    assert np.abs(p - plain).min() > 0.01, "else a tab that forgot the calibration would not be noticed"
    missed, alarms = p[(turned == 1) & (p < threshold)], p[(turned == 0) & (p >= threshold)]
    app = open_page("fine_tune")
    app.session_state["ft_tabs"] = "Where is it wrong?"
    app.run()
    assert not app.exception and not app.error
    said = " ".join(element.value for element in app.markdown)
    assert f"misses **{len(missed)}**" in said and f"raises **{len(alarms)}** false" in said
    assert f"Calibration error **{measures.expected_error(turned, p):.1%}**" in said
    surest = [*sorted(missed)[: mistakes.MOST], *sorted(alarms, reverse=True)[: mistakes.MOST]]
    assert len(missed) and len(alarms)
    assert re.findall(r"Predicted \*\*(.*?)\*\*", said) == [f"{each:.1%}" for each in surest]

    links = [dict(parse.parse_qsl(link.proto.query_string)) for link in app.get("page_link")]
    diagnose = open_page("diagnose")
    diagnose.query_params.update(next(each for each in links if "diagnose_film" in each))
    diagnose.run()
    assert not diagnose.exception
    (shown,) = [each.value for each in diagnose.dataframe if "probability" in each.value]
    assert shown["probability"].tolist() == pytest.approx(surest[:1], rel=1e-5)


def test_without_validation_films_the_page_says_so_and_shows_the_usual_threshold(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cohort_folder: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    finished(tmp_path, 0, 0.8)
    (folder,) = tmp_path.iterdir()
    keep(folder, Cohort.open(cohort_folder), validation=False)
    app = open_page("fine_tune")
    assert not app.exception and len(app.dataframe[1].value) == 1
    assert sum("no validation films" in info.value for info in app.info) == 2
    (folder / predictions.FILE).write_bytes(b"damaged")
    app = open_page("fine_tune")
    assert not app.exception and "cannot be read" in app.warning[0].value
    assert app.dataframe[0].value["value"].tolist() == [0.8]


def test_the_history_is_filtered_by_state_and_cohort(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    finished(tmp_path, 1, 0.7)
    stopped(tmp_path, seed=2)
    app = open_page("fine_tune")
    assert set(app.dataframe[-1].value["State"]) == {"done", "stopped"}
    app.multiselect(key="ft_filter_state").select("stopped").run()
    assert set(app.dataframe[-1].value["State"]) == {"stopped"}
    app.multiselect(key="ft_filter_cohort").select("synthetic").run()
    assert not app.exception and len(app.dataframe[-1].value) == 1


def test_two_finished_runs_stand_side_by_side_with_their_difference(
    open_page: Open, cohort_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    cohort = Cohort.open(cohort_folder)
    kept = []
    for seed, value in enumerate((0.7, 0.8)):
        finished(tmp_path, seed, value, start=("base", "imagenet")[seed])
    for folder in sorted(path.parent for path in tmp_path.glob("*/config.json")):
        kept.append(keep(folder, cohort))
    app = open_page("fine_tune")
    names = sorted(path.parent.name for path in tmp_path.glob("*/config.json"))
    app.multiselect(key="ft_compare").set_value(names).run()
    assert not app.exception and not app.error
    asked, reached = (each.value for each in app.dataframe[-2:])
    assert set(asked["Setting"]) == {"initialisation", "seed"}
    assert reached["Difference"].tolist() == pytest.approx([0.1])
    one, other = (each.part(predictions.TEST) for each in kept)
    expected = roc_auc_score(one.truth_NL[:, 0], other.logit_NL[:, 0]) - roc_auc_score(
        one.truth_NL[:, 0], one.logit_NL[:, 0]
    )
    assert f"**{expected:+.3f}**" in " ".join(str(each.value) for each in app.markdown)
