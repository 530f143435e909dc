"""The studies that were found: page by page, as a gallery or a table, for a spreadsheet, and in counts.

Owns which study of a page is open. The address holds the page and the open film by its number in the cohort;
a page asks the cohort for its own few studies alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd
import streamlit as st

from timnet import spreadsheet
from timnet.cohorts.search import Filters
from timnet.cohorts.store import Cohort
from timnet.counting import counted
from timnet.plots import bars
from timnet.ui import cache, chart, download, fold, notices, tables
from timnet.ui.study_link import PAGE

GALLERY, TABLE = "Gallery", "Table"
CELL = 112
"""Width of a study in the gallery, in pixels of the page."""


def choose(cohort: Cohort, wanted: Filters, found: int) -> str:
    """Show a page of the studies found and return the one that is open."""
    pages = math.ceil(found / PAGE)
    style = st.segmented_control(
        "Show as", [GALLERY, TABLE], default=GALLERY, required=True, key="shown", bind="query-params"
    )
    place = st.container()
    page = st.pagination(pages, key="page", bind="query-params", max_visible_pages=5)
    studies = cohort.studies(**wanted, limit=PAGE, offset=(min(page, pages) - 1) * PAGE)
    at = _open(studies)
    with place:
        at = _table(cohort, studies, at, page) if style == TABLE else _gallery(cohort, studies, at)
    if not pd.isna(studies["film"][at]):
        st.query_params["film"] = str(int(studies["film"][at]))
    return str(studies["study"][at])


def _open(studies: pd.DataFrame) -> int:
    """Return which row was opened last, in this session or by the address; else the first."""
    names, films = studies["study"].tolist(), studies["film"].tolist()
    handed = st.query_params.get("open", "")
    if handed:
        # From another page's link: above what was opened here before, and once.
        del st.query_params["open"]
        if handed.isdecimal() and int(handed) in films:
            st.session_state["explore_open"] = names[films.index(int(handed))]
    if st.session_state.get("explore_open") in names:
        return names.index(st.session_state["explore_open"])
    linked = st.query_params.get("film", "")
    return films.index(int(linked)) if linked.isdecimal() and int(linked) in films else 0


def _pictures(cohort: Cohort, studies: pd.DataFrame) -> list[str | None]:
    """Return a small picture of each study's first film, None where it has no film."""
    with_film = studies["film"].dropna().astype(int)
    pictures = dict(zip(with_film.index, cache.thumbnails(cohort, with_film.tolist()), strict=True))
    return [pictures.get(row) for row in studies.index]


def _gallery(cohort: Cohort, studies: pd.DataFrame, at: int) -> int:
    def opened(study: str) -> None:
        st.session_state["explore_open"] = study

    cells = st.container(horizontal=True, gap="small")
    for row, picture in enumerate(_pictures(cohort, studies)):
        study = str(studies["study"][row])
        with cells.container(width=CELL, gap="xsmall", key=f"explore_cell_{row}"):
            if picture:
                st.image(picture, width="stretch", alt="First X-ray of the study below")
            else:
                st.caption("No X-ray, report only")
            st.button(
                notices.plain(study),
                key=f"explore_open_{row}",
                on_click=opened,
                args=(study,),
                type="primary" if row == at else "secondary",
                width="stretch",
                help="Open this study",
            )
    return at


def _table(cohort: Cohort, studies: pd.DataFrame, at: int, page: int) -> int:
    table = pd.DataFrame({"X-ray": _pictures(cohort, studies), "Findings": studies["findings"]})
    table["Study"] = studies["study"]
    table["Split"], table["Sex"], table["Age"] = studies["split"], studies["sex"], studies["age"]
    table["X-rays"] = studies["films"]
    rows = tables.show(
        table.dropna(axis="columns", how="all"),
        f"explore_list_{cohort.name}_{page}",
        "Studies found, one row a study, with the first X-ray of each",
        row_height=72,
        height="content",
        on_select="rerun",
        selection_mode="single-row-required",
        selection_default={"selection": {"rows": [at]}},
        column_config={
            "X-ray": st.column_config.ImageColumn("X-ray", width=80),
            "Findings": st.column_config.TextColumn("Findings", width=240),
        },
    ).selection.rows
    at = rows[0] if rows and rows[0] < len(studies) else at
    st.session_state["explore_open"] = str(studies["study"][at])
    return at


def counts(cohort: Cohort, wanted: Filters) -> None:
    """Show what the studies found hold, as charts, once the reader opens them."""
    shown = fold.opened("What these studies hold", "bar_chart", "explore_counts")
    if shown is None:
        return
    facets = cache.facets(cohort, wanted)
    with shown:
        st.caption(
            f"{counted(facets.studies, 'study')} with {counted(facets.films, 'X-ray')} of "
            f"{counted(facets.patients, 'patient')}, as filtered above."
        )
        labels, others = st.columns([3, 2], gap="large")
        if facets.labels:
            labels.markdown("**Labels: share present among the studies where known**")
            chart.show(
                bars.prevalence(facets.labels),
                "explore_prevalence",
                "Share of the studies found in which each label is present, of those where it is known",
                labels,
            )
        decades = {
            f"{first} to {first + 9}" if first is not None else "": number
            for first, number in facets.ages.items()
        }
        for title, unit, numbers in (
            ("Splits", "studies", facets.splits),
            ("Views", "X-rays", facets.views),
            ("Sex", "studies", facets.sexes),
            ("Age", "studies", decades),
        ):
            if set(numbers) - {"", None}:
                others.markdown(f"**{title}, in {unit}**")
                chart.show(
                    bars.numbers({name or "not stated": number for name, number in numbers.items()}),
                    f"explore_{title}",
                    f"{title} of what was found, in {unit}",
                    others,
                )


def exports(cohort: Cohort, wanted: Filters, found: int) -> None:
    """Offer every study found as a table: without the reports, with the labels."""
    with st.container(horizontal=True, vertical_alignment="center"):
        for name, written in (("CSV", spreadsheet.safe_csv), ("Parquet", spreadsheet.parquet)):

            def table(written: Callable[[pd.DataFrame], bytes] = written) -> bytes:
                return written(spreadsheet.traced(listing(cohort, wanted), cohort.name, wanted))

            file = f"{cohort.name}-studies.{name.lower()}"
            download.offer(f"Table ({name})", table, file, f"explore_export_{name}")
        st.caption(f"{counted(found, 'study')} found, with labels, without reports and X-rays.")


def listing(cohort: Cohort, wanted: Filters) -> pd.DataFrame:
    """Return every study of a filter: study, patient, split, sex, age, films, and a column a label."""
    studies = cohort.studies(**wanted, limit=None)
    table = studies[["study", "patient", "split", "sex", "age", "films"]].reset_index(drop=True)
    films = studies["film"].to_numpy()
    labels = cohort.labels().reindex(films).reset_index(drop=True)
    return pd.concat([table, labels.add_prefix("label ")], axis=1)
