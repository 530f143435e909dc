"""Train on a share of a cohort's labels, or on reports alone, in a process of its own, and follow it live."""

import streamlit as st

from timnet import checkpoints, config, settings_file
from timnet.cohorts import tasks
from timnet.counting import counted, verb
from timnet.evaluation.label_efficiency.curve import FRACTIONS
from timnet.training import run_results, runs, worker
from timnet.ui import cache, demo, frame, notices
from timnet.ui.fine_tune import (
    all_runs,
    copy_settings,
    initialisation,
    labelling,
    pretrain_form,
    preview_films,
    preview_probe,
    results,
    run,
    two_runs,
)

POLICIES: dict[tasks.Policy, str] = {
    "ignore": "leave them out",
    "zeros": "count them as absent",
    "ones": "count them as present",
    "per-label": "by label, as is usual for CheXpert",
}

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

    def fine_tune() -> config.Finetune:
        """Ask for a task and a share of its labels, and start the run; return what was asked for."""
        # Cohorts with labels first: the others cannot teach a task.
        names.sort(key=lambda each: not cache.cohort(each).summary().labels)
        left, right = st.columns(2)
        # In the address, as the run is: a reloaded tab comes back to both.
        name = left.selectbox("Cohort", names, key="ft_cohort", persist_state="session", bind="query-params")
        cohort = cache.cohort(name)
        learnable = cache.available_tasks(str(cohort.folder), cohort.identity, cohort)
        if not learnable:
            notices.refused(
                f"{name} has no label with both positive and negative X-rays: nothing to learn from."
            )
        task = right.selectbox("Task", learnable, key="ft_task", persist_state="session", bind="query-params")
        start = initialisation.ask(config.Finetune.backbone)
        asked, start_here = st.container(), st.container()
        with st.expander("Training settings", icon=":material/tune:"):
            mode = st.selectbox(
                "Layers to train",
                list(run.MODES),
                format_func=lambda each: run.MODES[each],
                key="ft_mode",
                persist_state="session",
                help="Training fewer layers is faster, and can be better with few labels but worse with "
                "many. Modes are plotted as separate curves.",
            )
            policy: tasks.Policy = "ignore"
            doubtful = cache.uncertain(str(cohort.folder), cohort.identity, task, cohort)
            if doubtful:
                policy = st.selectbox(
                    f"Labels marked uncertain ({counted(doubtful, 'training X-ray')})",
                    list(POLICIES),
                    format_func=lambda each: POLICIES[each],
                    key="ft_uncertain",
                    persist_state="session",
                    help="In training only: the test uses known labels alone.",
                )
            seed = st.number_input(
                "Random seed",
                0,
                2**31 - 1,
                0,
                key="ft_seed",
                help="Which X-rays are drawn. Repeat with other seeds for an interval.",
            )
            paper = st.toggle("Settings of the paper (slow without a GPU)", key="ft_paper")
            preset = "paper" if paper else "small"
            numbers = settings_file.numbers(config.Finetune, preset)
            side = st.number_input(
                "Image size in pixels", 32, 1024, numbers.get("side", 224), key=f"ft_side_{preset}"
            )
            epochs = st.number_input(
                "Epochs",
                1,
                10_000,
                numbers.get("epochs", 100),
                key=f"ft_epochs_{preset}",
            )
            batch = st.number_input("Batch size", 2, 512, numbers.get("batch", 16), key=f"ft_batch_{preset}")
            numbers |= {"side": side, "epochs": epochs, "batch": batch}
            if not paper:
                numbers |= run.cautions()
            if mode == "probe":
                st.caption("A linear probe ignores epochs and batch size; only the image size applies.")
        sizes = cache.sizes(str(cohort.folder), cohort.identity, task, policy, cohort)
        fraction = asked.pills(
            "Share of the labels (number of X-rays)",
            FRACTIONS,
            default=0.1,
            required=True,
            format_func=lambda part: f"{part * 100:g} % · {sizes[part]:,}",
            wrap=True,
            key="ft_fraction",
            persist_state="session",
        )
        share = cache.share(str(cohort.folder), cohort.identity, task, fraction, seed, policy, cohort)
        asked.text(
            f"{share.films:,} of {counted(share.films_train, 'labelled training X-ray')}, of "
            f"{counted(share.patients, 'patient')}, {verb(share.films)} used; positive: "
            + ", ".join(f"{label} {count:,}" for label, count in share.positives.items())
            + f". Tested on {counted(share.films_test, 'other X-ray')}."
        )
        settings = config.Finetune(
            cohort=name,
            task=task,
            uncertain=policy,
            initialisation=start or "base",
            mode=mode,
            fraction=fraction,
            seed=seed,
            **numbers,
        )
        preview_films.some(cohort, share, task)
        if start is None:
            st.info("Next: name the file of weights.", icon=":material/arrow_upward:")
            return settings
        preview_probe.show(cohort, settings)
        preview_films.time(settings, share, root)
        with start_here:
            if st.button(
                "Start", key="ft_start", type="primary", icon=":material/play_arrow:", width="stretch"
            ):
                st.session_state["ft_run"] = worker.submit(settings, root).name
            run.started(root)
        return settings

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
            asked = fine_tune()
    if learn == "labels":
        with more:
            labelling.show(cache.cohort(asked.cohort), asked)
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
