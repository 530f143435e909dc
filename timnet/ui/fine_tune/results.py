"""The result of a fine-tuning run in tabs: how good, yes or no, the curves, whether its numbers hold.

Owns the words for them. A run of an earlier version kept no predictions and has its metrics alone. What
cannot be worked out is said in one sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from timnet.counting import counted, verb
from timnet.evaluation import predictions
from timnet.evaluation.predictions import Predictions
from timnet.plots import quality
from timnet.ui import chart, checkpoints, notices, tables
from timnet.ui.fine_tune import mistakes, run
from timnet.ui.notices import plain

if TYPE_CHECKING:
    from timnet.evaluation.appraisal import Appraisal, Decision
    from timnet.evaluation.auroc import Estimate

WELL = 0.05
"""Mean distance of said and found up to which a clinician need not mind."""


def kept(folder: Path) -> Predictions | None:
    """Return what a run kept; None where it kept nothing. PredictionsError where it cannot be read."""
    path = folder / predictions.FILE
    return _kept(str(folder), path.stat().st_mtime_ns) if path.exists() else None


@st.cache_resource(max_entries=64, show_spinner=False)
def _kept(folder: str, stamp: int) -> Predictions | None:
    return predictions.of_run(Path(folder))


@st.cache_resource(max_entries=16, show_spinner="Judging the run …")
def _appraised(folder: str, stamp: int, label: str) -> Appraisal:
    # With it comes SciPy's statistics, which takes longer to import than the page to draw.
    from timnet.evaluation import appraisal
    from timnet.evaluation.calibration import record

    found = _kept(folder, stamp)
    if found is None:
        raise predictions.PredictionsError(f"{Path(folder).name}: its predictions are gone")
    return appraisal.of(found, label, record.of(Path(folder)).line(label))


def show(folder: Path, result: dict[str, Any]) -> None:
    """Show a finished run's metrics, and what its kept predictions say beyond them."""
    try:
        found = kept(folder)
    except predictions.PredictionsError as error:
        st.warning(plain(f"{error}."), icon=":material/warning:")
        found = None
    if found is None:
        run.results(result["test"], key="ft_result")
        run.by_group(result)
        st.caption(
            "The predictions for single X-rays are not stored with this run: shipped networks come without "
            "them. Operating point, curves and calibration need them; a run that you start stores its own."
        )
        return
    label = found.labels[0]
    if len(found.labels) > 1:
        label = st.selectbox("Label", found.labels, key="ft_appraised", width=260)
    path = folder / predictions.FILE
    fitted = folder / checkpoints.CALIBRATION
    stamps = [each.stat().st_mtime_ns for each in (path, fitted) if each.exists()]
    with notices.sentences():
        judged = _appraised(str(folder), max(stamps), label)
    # Whoever opens the last tab waits for films and a network: nobody else does.
    good, groups, decided, curves, trusted, wrong = st.tabs(
        ["How good", "For whom", "Yes or no", "Curves", "Can its numbers be trusted?", "Where is it wrong?"],
        key="ft_tabs",
        on_change="rerun",
    )
    with good:
        run.results(result["test"], key="ft_result")
        _area(judged)
    with groups:
        run.by_group(result)
    with decided:
        _decisions(judged)
    with curves:
        _curves(judged)
    with trusted:
        _calibration(judged)
    if wrong.open:
        with wrong:
            mistakes.show(folder, found, label, (judged.chosen or judged.half).threshold)


def _area(judged: Appraisal) -> None:
    area = judged.area
    if area.value != area.value:
        st.caption(f"{plain(judged.label)}: the test X-rays are all of one class, so there is no auROC.")
        return
    st.caption(
        "Intervals by bootstrap over test patients. DeLong's formula, which treats X-rays as independent, "
        f"gives auROC {_interval(area, '.3f')} for {plain(judged.label)}."
    )


def _decisions(judged: Appraisal) -> None:
    chosen = judged.chosen
    if chosen:
        st.markdown(
            f"**Positive at {chosen.threshold:.3g} or above.** This threshold maximises sensitivity + "
            f"specificity on {counted(judged.films_validation, 'validation X-ray')}. The table below counts "
            "test X-rays."
        )
    else:
        st.info(
            plain(f"No threshold is chosen: {judged.unchosen}. The usual 0.5 is shown."),
            icon=":material/info:",
        )
    made = [chosen, judged.half] if chosen else [judged.half]
    for decision in made:
        st.markdown(_sentence(decision, judged))
    rows = {
        "Positive from": [decision.threshold for decision in made],
        "Sensitivity": [_interval(decision.sensitivity) for decision in made],
        "Specificity": [_interval(decision.specificity) for decision in made],
        "PPV": [_interval(decision.positive_value) for decision in made],
        "NPV": [_interval(decision.negative_value) for decision in made],
    }
    tables.show(
        pd.DataFrame(rows),
        "ft_decisions",
        "Sensitivity, specificity and predictive values at each threshold, with 95 % intervals",
        column_config={"Positive from": st.column_config.NumberColumn(format="%.3g")},
    )
    counts = {
        "Positive from": [f"{decision.threshold:.3g}" for decision in made for _ in range(2)],
        "X-ray": ["with the finding", "without it"] * len(made),
        "Called positive": [n for decision in made for n in (decision.hits, decision.alarms)],
        "Called negative": [n for decision in made for n in (decision.misses, decision.clears)],
    }
    tables.show(pd.DataFrame(counts), "ft_confusion", "Test X-rays by finding and prediction")
    st.caption(
        "95 % intervals by Wilson, each X-ray counted alone. PPV and NPV assume a prevalence of "
        f"{judged.positives / judged.films:.0%}, as in this test; where it is rarer, the PPV is lower."
        if judged.films
        else "No test X-ray has this label."
    )


def _sentence(decision: Decision, judged: Appraisal) -> str:
    without = judged.films - judged.positives
    return (
        f"At **{decision.threshold:.3g}**: of {counted(judged.positives, 'X-ray')} with "
        f"{plain(judged.label)} it finds {decision.hits:,} and misses **{decision.misses:,}**; of "
        f"{without:,} without, it calls {decision.clears:,} negative and raises **{decision.alarms:,}** "
        f"{verb(decision.alarms, 'false alarm', 'false alarms')}."
    )


def _curves(judged: Appraisal) -> None:
    if judged.roc.empty:
        st.info("The test X-rays are all of one class: there is no curve to draw.", icon=":material/info:")
        return
    left, right = st.columns(2)
    chart.show(quality.receiver(judged), "ft_roc", "Sensitivity against 1 - specificity (ROC curve)", left)
    chart.show(quality.precision_recall(judged), "ft_pr", "Precision against recall", right)
    st.caption(
        "Every point is one threshold on the test X-rays. Dotted lines: chance. A perfect classifier reaches "
        "the upper left corner in the left plot and the upper right one in the right plot."
    )


def _calibration(judged: Appraisal) -> None:
    if not judged.films:
        st.info("No test X-ray has this label.", icon=":material/info:")
        return
    verdict = "" if judged.said.error <= WELL else ": do not interpret these values as probabilities"
    st.markdown(f"Calibration error **{judged.said.error:.1%}**{verdict}.")
    if judged.temperature is None:
        st.info(plain(f"Not calibrated: {judged.unchosen}."), icon=":material/info:")
    else:
        way = "overconfident" if judged.temperature > 1 else "underconfident"
        found = (
            f"On {counted(judged.films_validation, 'validation X-ray')} the network was {way} "
            f"(temperature {judged.temperature:.2f})."
        )
        if judged.raw is not None:
            st.markdown(
                f"{found} These probabilities are calibrated with it, here and on Diagnose; before, the "
                f"error was **{judged.raw.error:.1%}**."
            )
        elif judged.cooled is not None:
            st.markdown(
                f"{found} With it, the error would be **{judged.cooled.error:.1%}**; it is not applied. "
                "To apply it:"
            )
            st.code("python -m timnet calibrate CHECKPOINT COHORT", language="bash")
    chart.show(
        quality.reliability(judged), "ft_reliability", "Observed share positive against predicted probability"
    )
    st.caption(
        "On the dotted line, 70 % predicted = 70 of 100 positive; points below it: overconfident. Bins with "
        "few images are noisy."
    )


def _interval(share: Estimate, form: str = ".0%") -> str:
    if share.value != share.value:
        return "undefined"
    return f"{share.value:{form}} ({share.low:{form}} to {share.high:{form}})"
