"""Train on a share of a cohort's labels, or on reports alone, in a process of its own, and follow it live."""

import streamlit as st

from timnet import checkpoints, config
from timnet.training import run_results, runs
from timnet.ui import cache, demo, frame, notices
from timnet.ui.fine_tune import (
    all_runs,
    copy_settings,
    finetune_form,
    labelling,
    pretrain_form,
    results,
    run,
    two_runs,
)

frame.require()
frame.head(
    "Fine-tune a classifier",
    "Train a classifier on part of your labels. You can first pre-train it on reports, which needs no "
    "labels. Training goes on in the background: you can close this tab, or stop and resume it.",
)
LEARN = {"labels": "Fine-tune on labels", "reports": "Pre-train on reports"}
names = demo.cohorts()
if not names:
    notices.no_cohort()

root = config.checkpoints()
with notices.sentences():
    form, live = st.columns([2, 3], gap="large")
    # Filled before the runs are shown: without a run the page ends there.
    more = st.container()

    with form:
        learn = st.segmented_control(
            "Learn from",
            list(LEARN),
            default="labels",
            required=True,
            format_func=lambda each: LEARN[each],
            label_visibility="collapsed",
            key="ft_learn",
            persist_state="session",
            bind="query-params",
        )
        if learn == "reports":
            pretrain_form.form(names, root)
        else:
            settings = finetune_form.form(names, root)
    if learn == "labels":
        with more:
            labelling.show(cache.cohort(settings.cohort), settings)
    states = runs.all_runs(root)
    with live:
        if not states:
            st.info("No run yet. Choose on the left and press Start.", icon=":material/model_training:")
            st.stop()
        known = [state.folder.name for state in states]
        # The address brings a reloaded tab back to its run.
        linked = st.query_params.get("run", "")
        if linked and linked not in known and "ft_run" not in st.session_state:
            notices.not_here("run", linked)
        wanted = st.session_state.get("ft_run", linked)
        st.session_state["ft_run"] = wanted if wanted in known else known[0]
        st.query_params["run"] = st.selectbox("Run", known, key="ft_run")
        state = runs.state(root / st.query_params["run"])

        @st.fragment(run_every=1.0 if state.active else None)
        def follow() -> None:
            """Show the run as it stands; when it goes over to another state, let the whole page know."""
            now = runs.state(state.folder)
            if now.name != state.name:
                st.rerun()
            run.progress(now)

        follow()
        if not state.active:
            run.end(state)
            # A classifier has a point on a curve; a matching network has not.
            if state.name == "done" and isinstance(state.settings, config.Finetune):
                results.show(state.folder, run_results.result(state.folder))
                with st.container(horizontal=True):
                    st.page_link(
                        "pages/efficiency.py",
                        label="See its point on the curve",
                        icon=":material/show_chart:",
                    )
                    # A probe of vectors leaves no network to read X-rays with.
                    if checkpoints.is_checkpoint(state.folder):
                        st.page_link(
                            "pages/diagnose.py",
                            label="Diagnose an X-ray with it",
                            icon=":material/radiology:",
                            query_params={"diagnose_network": state.folder.name},
                        )
        run.keeping(state, copy_settings.into_form)
    st.header("All runs")
    all_runs.show(states)
    two_runs.show(states)
