"""Browse a cohort: search its reports, filter, read one study with its films, take the table away."""

import streamlit as st

from timnet.counting import counted
from timnet.ui import cache, demo, filters, frame, notices
from timnet.ui.explore import check, results, study, upkeep

frame.require()
st.title("Explore a cohort")
st.markdown(
    "Search studies by the words of their reports, by label, split, view and age. Read X-ray and report "
    "together."
)

names = demo.cohorts()
if not names:
    notices.no_cohort()

with notices.sentences():
    linked = st.query_params.get("cohort", names[0])
    if linked not in names:
        notices.not_here("cohort", linked)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Cohort", names, key="cohort", bind="query-params", width=150)
        cohort = cache.cohort(name)
        wanted = filters.choose(cohort)
    filters.tell_left_out(wanted)
    summary = cohort.summary()
    found = cache.count(cohort, wanted)
    st.caption(
        f"{found:,} of {counted(summary.studies, 'study')}; the cohort holds "
        f"{counted(summary.films, 'X-ray')} of {counted(summary.patients, 'patient')}, "
        f"{counted(summary.with_findings, 'study')} with findings. Copy the address "
        "to share these filters. Search words are left out for privacy."
    )
    if only_denied := filters.denied(cohort, wanted, found):
        st.caption(only_denied)
    if not found:
        st.info("No study fits. Use fewer words or another filter.", icon=":material/search_off:")
        st.stop()
    charts = st.container()

    listing, reading = st.columns([3, 7], gap="medium")
    with listing:
        chosen = results.choose(cohort, wanted, found)
        results.exports(cohort, wanted, found)
    with reading:
        study.show(cohort, cohort.study(chosen), wanted.get("query"))
    # Last, because counts over a large cohort take longer than what stands below them.
    with charts:
        results.counts(cohort, wanted)
    check.show(cohort)
    upkeep.show(cohort)
