"""Browse a cohort: search its reports, filter by labels, read one study with its films."""

import math

import pandas as pd
import streamlit as st

from timnet.ui import demo, frame, loaders, notices, panels

PAGE = 6
VALUES = {"present": 1.0, "absent": 0.0, "not known": math.nan}

frame.require()
st.title("Explore a cohort")
st.markdown(
    "Find studies by the words of their reports and by their labels, and read film and report together."
)

names = demo.cohorts()
if not names:
    notices.no_cohort()

with notices.sentences():
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Cohort", names, key="cohort", bind="query-params", width=220)
        cohort = loaders.cohort(name)
        summary = cohort.summary()
        # A search may name a person: its words stay out of the address.
        query = st.text_input(
            "Words in the report",
            key="explore_query",
            type="search",
            placeholder='effusion NOT "pleural thickening"',
            help='All words must occur. "A phrase", AND, OR, NOT, brackets; effus* finds any ending.',
            disabled=not summary.with_findings,
            persist_state="session",
            width=300,
        )
        split = st.selectbox("Split", ["any", *summary.splits], key="split", bind="query-params", width=110)
        label = st.selectbox("Label", ["any", *summary.labels], key="label", bind="query-params", width=180)
        value = None
        if label != "any":
            value = st.selectbox("is", list(VALUES), key="value", bind="query-params", width=130)
    wanted = {
        "split": None if split == "any" else split,
        "label": None if label == "any" else label,
        "value": VALUES.get(value),
        "query": query,
    }
    found = cohort.count(**wanted)
    st.caption(
        f"{found:,} of {summary.studies:,} studies; the cohort holds {summary.films:,} films of "
        f"{summary.patients:,} patients, {summary.with_findings:,} studies with findings."
    )
    if not found:
        st.info("No study fits. Use fewer words or another filter.", icon=":material/search_off:")
        st.stop()

    listing, reading = st.columns([3, 5], gap="medium")
    pages = math.ceil(found / PAGE)
    with listing:
        place = st.container()
        page = st.pagination(pages, key="page", bind="query-params", max_visible_pages=5)
        studies = cohort.studies(**wanted, limit=PAGE, offset=(min(page, pages) - 1) * PAGE)
        rows = [int(row) for row in studies["film"]]
        asked = st.query_params.get("film", "")
        first = rows.index(int(asked)) if asked.isdecimal() and int(asked) in rows else 0
        table = pd.DataFrame(
            {
                "Film": loaders.thumbnails(cohort, rows),
                "Findings": studies["findings"],
                "Study": studies["study"],
                "Split": studies["split"],
            }
        )
        chosen = place.dataframe(
            table if summary.with_findings else table.drop(columns="Findings"),
            hide_index=True,
            row_height=72,
            height="content",
            key=f"explore_list_{name}_{page}",
            on_select="rerun",
            selection_mode="single-row-required",
            selection_default={"selection": {"rows": [first]}},
            column_config={
                "Film": st.column_config.ImageColumn("Film", width=80),
                "Findings": st.column_config.TextColumn("Findings", width=240),
            },
            alt="Studies found, one row a study, with the first film of each",
        ).selection.rows
    at = chosen[0] if chosen and chosen[0] < len(rows) else first
    study = cohort.study(studies["study"][at])
    st.query_params["film"] = str(rows[at])

    with reading:
        film = study.films[0]
        if len(study.films) > 1:
            turn = st.pagination(len(study.films), key=f"explore_film_{study.films[0].film}")
            film = study.films[turn - 1]
        pixels = loaders.shown(loaders.cohort_film(cohort, film.film)).pixels
        picture, text = st.columns([3, 2])
        if demo.simulated(cohort):
            with picture:
                demo.badge()
                pixels = panels.outlined(pixels, demo.truth(str(cohort.root), cohort.identity)[film.path])
        picture.image(loaders.png(pixels), width="stretch", alt="Film of the chosen study")
        with text:
            st.text(f"{study.study}\npatient {study.patient}, split {study.split}")
            st.text(f"{film.view or 'view not stated'}, {film.rows} x {film.columns} pixels")
            known = {label: value for label, value in study.labels.items() if not math.isnan(value)}
            if study.labels:
                st.dataframe(
                    pd.DataFrame({"Label": list(known), "Value": list(known.values())}),
                    hide_index=True,
                    key="explore_labels",
                    alt="Labels of the chosen study that are known",
                )
                st.caption(
                    "1 present, 0 absent, between: uncertain. Labels that are not listed are not known."
                )
            st.page_link(
                "pages/match.py",
                label="Match this film",
                icon=":material/compare:",
                query_params={"match_cohort": name, "match_film": str(film.film)},
            )
        with st.container(border=True):
            st.text(study.report or "This study has no report.", width="stretch")
