"""How good for how many labels? Finished fine-tuning runs as one curve an initialisation."""

import pandas as pd
import streamlit as st

from timnet.evaluation.label_efficiency import curve
from timnet.plots import curves, look
from timnet.ui import cache, frame, notices
from timnet.ui.efficiency import answers, downloads, for_whom, intervals, missing_points, paper, shipped

AXES: dict[curves.Axis, str] = {"log": "Share, log scale", "linear": "Share, linear scale", "films": "X-rays"}

frame.require()
st.title("Label efficiency")
st.markdown(
    "How good is a classifier for its share of the labels, and how many labels do its initial weights save?"
)

with notices.sentences():
    points = pd.concat([cache.points(), shipped.points()])

with st.container(horizontal=True, vertical_alignment="bottom"):
    cohorts = sorted(points["cohort"].unique())
    opened = cohorts.index(shipped.first(points))
    cohort = st.selectbox("Cohort", cohorts, index=opened, key="eff_cohort", width=220)
    points = points[points["cohort"] == cohort]
    tasks = sorted(points["task"].unique())
    # The task with most runs has a curve to show.
    most = tasks.index(points.groupby("task")["run"].nunique().sort_index().idxmax())
    task = st.selectbox("Task", tasks, index=most, key="eff_task", width=220)
    points = every = points[points["task"] == task]
    label = st.selectbox("Label", list(points["label"].unique()), key="eff_label", width=180)
    points = points[points["label"] == label]
    metrics = list(points["metric"].unique())
    metric = st.selectbox(
        "Metric",
        metrics,
        index=metrics.index("auROC") if "auROC" in metrics else 0,
        key="eff_metric",
        width=140,
    )
    points = points[points["metric"] == metric]
recipe = st.selectbox(
    "Training settings",
    list(points["recipe"].unique()),
    key="eff_recipe",
    help="Only runs that were trained in the same way are compared.",
)
if shipped.is_shipped(cohort):
    shipped.tell(points)
every = every[every["recipe"] == recipe]
points = points[points["recipe"] == recipe]

table, told = intervals.means(curve.curve(points), points, cohort, label, metric)
if table.empty:
    st.info(
        f"{metric} is undefined for every run here, for example because the test X-rays are all of one class."
    )
    st.stop()
with st.container(horizontal=True, vertical_alignment="bottom"):
    axis = st.segmented_control(
        "Axis", list(AXES), default="log", required=True, format_func=lambda each: AXES[each], key="eff_axis"
    )
    place = st.empty()
    first = answers.compared(points)
if first:
    answers.saved(points, first, metric)
figure = curves.efficiency(points, table, metric, axis)
# The paper gives shares alone.
if axis != "films":
    paper.beside(figure, metric, place)
told_of = f"{metric} against the share of labels, one line an initialisation"
st.plotly_chart(figure, key="eff_curve", alt=told_of)
stopped = " Validation images that stopped a run early count as labelled images; the share leaves them out."
st.caption(
    "Filled points are means over seeds with their 95 % interval (two seeds or more); open circles are "
    f"single runs. {told}{stopped if 'stopped early' in recipe else ''}"
)
st.dataframe(
    table.replace({"initialisation": look.NAMES}),
    hide_index=True,
    key="eff_table",
    placeholder="one seed",
    alt="Mean and 95 % interval for each start and share of labels",
    column_config={
        "initialisation": "Initial weights",
        "fraction": st.column_config.NumberColumn("Share of labels", format="percent"),
        "films": "X-rays",
        "metric": "Metric",
        **{
            key: st.column_config.NumberColumn(title, format="%.3f")
            for key, title in {"mean": "Mean", "low": "95 % low", "high": "95 % high"}.items()
        },
        "draws": "Seeds",
        "interval": "Interval over",
    },
)
downloads.tables(table.assign(label=label), every)
downloads.picture(figure, told_of)

if not shipped.is_shipped(cohort):
    missing_points.ask(points)

st.header("For whom?")
for_whom.show(points, cohort, label)
st.header("How much better with the same labels?")
answers.differences(points, first, cohort, label, metric)
st.header("How many labels for a goal?")
answers.labels_needed(points, metric)
