"""Label more: the training films whose label would help most next, labelled in place, by keyboard.

Owns the films waiting, what was said in this session (so that it can be taken back), and how good the probe
became meanwhile. Labels go into the cohort as source `app`. A film of the validation or test split is never
offered; a report is shown as the text it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd
import streamlit as st

from timnet import config
from timnet.cohorts import stored_vectors, tasks
from timnet.cohorts.records import UNCERTAIN, CohortError
from timnet.cohorts.store import Cohort
from timnet.counting import counted
from timnet.evaluation import active_learning, probe
from timnet.ui import cache, demo, fold, notices, report, tables, viewer
from timnet.ui.fine_tune import features

BATCH = 20
ORDERS = {
    # First what teaches no less than films drawn at random from the shipped start (docs/evidence.md).
    "uncertain": "X-rays the probe is least sure of",
    "diverse": "X-rays least like those labelled",
}
ANSWERS = {
    "present": ("Present", "y", 1.0, ":material/check:"),
    "absent": ("Absent", "n", 0.0, ":material/close:"),
    "unsure": ("Unsure", "u", UNCERTAIN, ":material/question_mark:"),
}
SKIP, UNDO = "s", "b"
"""No key is one of the film viewer's: whoever moves a film says nothing of it."""
METRIC = "auROC"


@dataclass
class _Sitting:
    """What one reader does on one label of one cohort, in one session."""

    waiting: list[int] = field(default_factory=list)
    """Films, the next one first."""
    chosen_at: str = ""
    """The cohort's labels when these films were chosen, and by what."""
    said: list[tuple[str, int]] = field(default_factory=list)
    """Studies labelled and their films, in order."""
    reached: list[dict[str, float]] = field(default_factory=list)
    """How good the probe was on so many labels."""
    refused: str = ""
    """Why the last answer could not be kept."""


def show(cohort: Cohort, settings: config.Finetune) -> None:
    """Offer films to label, once the reader opens it."""
    box = fold.opened("Label more X-rays", "label", "lm_open")
    if box is None:
        return
    with box:
        st.caption(
            "Training X-rays without this label, the most useful first. Your answers are stored in the "
            "cohort (source app) and count above all other sources."
        )
        names = list(cohort.labels().columns)
        wished = tasks.targets(cohort, settings.task).labels[0]
        left, right = st.columns(2)
        label = left.selectbox(
            "Label",
            names,
            index=names.index(wished) if wished in names else 0,
            key="lm_label",
        )
        order = right.selectbox("Next", list(ORDERS), format_func=lambda each: ORDERS[each], key="lm_order")
        folder = features.place(cohort, settings, "lm")
        if folder is not None and label:
            _sit(cohort, str(label), str(order), str(folder))


@st.fragment
def _sit(cohort: Cohort, label: str, order: str, place: str) -> None:
    """Ask film by film; an answer runs this part of the page alone."""
    with notices.sentences():
        _ask(cohort, label, order, place)


def _ask(cohort: Cohort, label: str, order: str, place: str) -> None:
    key = f"lm_{cohort.folder}_{label}_{place}"
    sitting: _Sitting = st.session_state.setdefault(key, _Sitting())
    request = f"{cohort.imported} {order}"
    if sitting.chosen_at != request or not sitting.waiting:
        sitting.waiting, sitting.chosen_at = _next(cohort, label, order, place), request
        _measure(cohort, label, place, sitting)
    questions, pictures = st.columns([2, 3], gap="large")
    with questions:
        _answers(cohort, label, sitting)
        _reached(sitting)
    if not sitting.waiting:
        questions.info(
            f"Every training X-ray has the label {notices.plain(label)}.",
            icon=":material/check_circle:",
        )
        return
    with pictures:
        _film(cohort, sitting.waiting[0])


def _next(cohort: Cohort, label: str, order: str, place: str) -> list[int]:
    """Return the films to label next."""
    features_NC = features.opened(place)
    has_N = stored_vectors.known(features_NC)
    rows = active_learning.candidates(cohort, label)
    learned, y_K1 = active_learning.known(cohort, label)
    rows, learned, y_K1 = rows[has_N[rows]], learned[has_N[learned]], y_K1[has_N[learned]]
    if not len(rows):
        return []
    # Before the first label of each kind there is no line to be unsure of.
    if order == "uncertain" and len(set(y_K1[:, 0] > 0.5)) == 2:
        logits = probe.fit(features_NC[learned], y_K1).logits(features_NC[rows])[:, 0]
        places = active_learning.uncertain(probe.probability(logits), BATCH)
    else:
        places = active_learning.diverse(features_NC[rows], features_NC[learned], BATCH)
    return [int(row) for row in rows[places]]


def _measure(cohort: Cohort, label: str, place: str, sitting: _Sitting) -> None:
    """Keep how good a probe of all labels is now, where there are films to say so."""
    learned, y_K1 = active_learning.known(cohort, label)
    if len(set(y_K1[:, 0] > 0.5)) < 2 or (
        sitting.reached and sitting.reached[-1]["Labelled X-rays"] == len(learned)
    ):
        return
    try:
        seen = probe.preview(cohort, features.opened(place), label, 1.0, 0)
    except CohortError:
        # All labelled films are learned from: there is nothing to measure on, which `_reached` says.
        return
    (row,) = seen.table[seen.table["metric"] == METRIC].to_dict("records")
    sitting.reached.append(
        {
            "Labelled X-rays": len(learned),
            "Positive": int((y_K1 > 0.5).sum()),
            METRIC: row["value"],
            "95 % low": row["low"],
            "95 % high": row["high"],
        }
    )


def _answers(cohort: Cohort, label: str, sitting: _Sitting) -> None:
    """Ask about the film at hand."""
    if sitting.refused:
        st.error(notices.plain(sitting.refused), icon=":material/error:")
    film = sitting.waiting[0] if sitting.waiting else None
    if film is not None:
        st.markdown(f"**{notices.plain(label)}** on this X-ray?")
    with st.container(horizontal=True):
        if film is not None:
            # Keys of this very film: one pressed twice says nothing of the next, which nobody has seen yet.
            for name, (words, letter, value, icon) in ANSWERS.items():
                st.button(
                    words,
                    key=f"lm_{name}_{film}",
                    icon=icon,
                    shortcut=letter,
                    on_click=_say,
                    args=(cohort, label, value, sitting, film),
                )
            st.button(
                "Skip",
                key=f"lm_skip_{film}",
                icon=":material/skip_next:",
                shortcut=SKIP,
                on_click=_skip,
                args=(sitting, film),
            )
        st.button(
            "Undo",
            key="lm_undo",
            icon=":material/undo:",
            shortcut=UNDO,
            disabled=not sitting.said,
            on_click=_undo,
            args=(cohort, label, sitting),
        )
    if film is not None:
        st.caption(
            f"{counted(len(sitting.waiting), 'X-ray')} left in this round; {len(sitting.said)} labelled in "
            "this session. When none is left, the probe is fitted anew and chooses the next. Unsure keeps "
            "the X-ray out of training."
        )
        st.button(
            "Fit the probe anew", key="lm_again", icon=":material/refresh:", on_click=sitting.waiting.clear
        )


def _say(cohort: Cohort, label: str, value: float, sitting: _Sitting, film: int) -> None:
    """Keep an answer about a film, if it is still the one at hand."""
    if sitting.waiting[:1] != [film]:
        return
    study = str(cohort.films()["study"][film])
    try:
        cohort.add_label(study, label, value)
    except CohortError as error:
        sitting.refused = f"{error}."
        return
    sitting.refused = ""
    sitting.said.append((study, film))
    sitting.waiting.pop(0)


def _skip(sitting: _Sitting, film: int) -> None:
    if sitting.waiting[:1] == [film]:
        sitting.waiting.append(sitting.waiting.pop(0))


def _undo(cohort: Cohort, label: str, sitting: _Sitting) -> None:
    """Take back the last answer; its film is asked about again."""
    if not sitting.said:
        return
    study, film = sitting.said[-1]
    try:
        cohort.remove_label(study, label)
    except CohortError as error:
        sitting.refused = f"{error}."
        return
    sitting.refused = ""
    sitting.said.pop()
    sitting.waiting.insert(0, film)


def _reached(sitting: _Sitting) -> None:
    if not sitting.reached:
        st.caption(
            "Not enough labels yet: needs positive and negative X-rays for training and for validation."
        )
        return
    tables.show(
        pd.DataFrame(sitting.reached),
        "lm_reached",
        "How good the probe was on the validation X-rays, by the number of labelled X-rays",
        column_config={
            name: st.column_config.NumberColumn(format="%.3f") for name in (METRIC, "95 % low", "95 % high")
        },
    )
    st.caption(
        "A probe of all labels known at the time, always on the same validation X-rays. Where an interval is "
        "wide, a small change means nothing."
    )


def _film(cohort: Cohort, film: int) -> None:
    study, shown = cache.study_film(cohort, film)
    of = next(each for each in study.films if each.film == film)
    demo.badge(demo.simulated(cohort))
    title = f"{of.view or 'view not stated'}, {of.rows} x {of.columns} pixels"
    viewer.show(viewer.View(shown, alt="The X-ray to label", title=title), key="lm_viewer")
    if study.report.strip():
        report.show(study.report, None, key="lm_report")
