"""One study opened: its films in the viewer, its report with the words found, labels, and tags of its files.

Tags are read from the film's file when they are asked for; what could name a person stays hidden (`tags`).
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import streamlit as st

from timnet.cohorts import report_labels, schema
from timnet.cohorts.records import UNCERTAIN, Study, StudyFilm
from timnet.cohorts.store import Cohort
from timnet.ui import cache, demo, fold, notices, panels, report, tables, viewer

MOST = 2


def show(cohort: Cohort, study: Study, query: str | None) -> None:
    """Show a study of a cohort, with the words of a search marked in its report."""
    known = {"split": study.split, "sex": study.sex, "age": study.age and f"{study.age:g}"}
    facts = ", ".join(f"{name} {value}" for name, value in known.items() if value)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(f"Study {study.study}, patient {study.patient}{', ' if facts else ''}{facts}")
        films = _chosen(study)
        masks = _masks(cohort, films)
    # One film has room for its report beside it, two have not.
    pictures, words = st.columns([3, 2], gap="medium") if len(films) == 1 else (st.container(),) * 2
    with pictures:
        _films(cohort, films, masks)
    text, about = (words, words) if len(films) == 1 else st.columns([3, 2], gap="medium")
    with text:
        if study.report.strip():
            report.show(study.report, query, key="explore_report")
        else:
            st.caption("This study has no report.")
    with about:
        _labels(study)
        if study.films:
            st.page_link(
                "pages/match.py",
                label="Match this X-ray",
                icon=":material/compare:",
                query_params={"match_cohort": cohort.name, "match_film": str(study.films[0].film)},
            )
    for film in study.films:
        if film.kind == "dicom":
            _tags(cohort, film)


def _chosen(study: Study) -> list[StudyFilm]:
    """Return the films to show, asking which where there are more than the viewer holds."""
    if len(study.films) <= MOST:
        return list(study.films)
    numbers = st.multiselect(
        f"X-rays shown, of {len(study.films)}",
        range(len(study.films)),
        [0, 1],
        format_func=lambda i: f"{i + 1}: {study.films[i].view or 'view not stated'}",
        max_selections=MOST,
        key=f"explore_films_{study.films[0].film}",
    )
    return [study.films[i] for i in numbers]


def _masks(cohort: Cohort, films: list[StudyFilm]) -> dict[str, list[np.ndarray]]:
    """Say that a film is simulated, where it is, and return what to outline of what was put into it."""
    demo.badge(demo.simulated(cohort))
    if not demo.simulated(cohort):
        return {}
    truth = demo.truth(cohort)
    return panels.outlines({film.path: truth[film.path] for film in films})


def _films(cohort: Cohort, films: list[StudyFilm], masks: dict[str, list[np.ndarray]]) -> None:
    views = [
        viewer.View(
            cache.cohort_film(cohort, film.film, film.view),
            alt=f"X-ray {i} of the chosen study",
            title=f"{film.view or 'view not stated'}, {film.rows} x {film.columns} pixels",
            masks=masks.get(film.path, ()),
            boxes=film.boxes,
        )
        for i, film in enumerate(films, 1)
    ]
    if views:
        viewer.show(*views, key="explore_viewer")
    boxed = dict.fromkeys(box.label for film in films for box in film.boxes)
    if boxed:
        st.caption("Boxes drawn by experts: " + notices.plain(", ".join(boxed)))


def _labels(study: Study) -> None:
    if not study.labels:
        return
    rows = [
        (label, value, source)
        for source, labels in study.labels_by_source.items()
        for label, value in labels.items()
        if not math.isnan(value)
    ]
    # What is there comes first, what is not there last.
    rows.sort(key=lambda row: (row[1] == 0, -row[1]))
    words = {1.0: "present", 0.0: "absent", UNCERTAIN: "uncertain"}
    table = pd.DataFrame(rows, columns=["Label", "Value", "Source"])
    table["Value"] = [words.get(value, f"{value:g}") for value in table["Value"]]
    behind = report_labels.sentences(study)
    if behind:
        table["Sentence"] = [behind[label] if source == schema.REPORT else "" for label, _, source in rows]
    tables.show(table, "explore_labels", "Labels of the chosen study that are known, with who says so")
    st.caption("Labels not listed are unknown.")
    if "" in behind.values():
        st.caption("The phrase tables have changed since: `python -m timnet label` reads the reports again.")


def _tags(cohort: Cohort, film: StudyFilm) -> None:
    title = f"DICOM tags, X-ray of {film.rows} x {film.columns} pixels"
    shown = fold.opened(title, "list", f"explore_tags_{film.film}")
    if shown is None:
        return
    # Brings pydicom, for which no first page should wait.
    from timnet.films import dicom_tags

    with shown:
        data = cohort.read_file(film.path)
        tags = dicom_tags.read(data, f"X-ray {film.film}")
        # What can be read comes first.
        tags.sort(key=lambda tag: tag.value == dicom_tags.HIDDEN)
        table = pd.DataFrame([vars(tag) for tag in tags])
        table.columns = ["Tag", "Name", "Value"]
        tables.show(table, f"explore_tag_table_{film.film}", "Tags of the DICOM file")
        st.caption(
            "Only technical values are shown. Names, numbers, dates, places, unique identifiers, free text "
            "and private tags are hidden. Words burned into the picture itself are not."
        )
