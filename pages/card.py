"""What must be known of a network before its numbers are believed."""

import re

import pandas as pd
import streamlit as st

from timnet.ui import checkpoints, frame, notices

# Half a fingerprint: one that is as wide as its cell would have to be scrolled.
_LONG = re.compile(r"\b([0-9a-f]{32})(?=[0-9a-f]{32}\b)")

frame.require()
st.title("Model card")
st.markdown("What is known about this network, and what is not.")

found = {each.name: each for kind in ("timnet", "classifier") for each in checkpoints.listed(kind)}
if not found:
    notices.no_timnet()
linked = st.query_params.get("network", "")
names = list(found)
if linked and linked not in names:
    notices.not_here("network", linked)
name = st.selectbox("Network", names, index=names.index(linked) if linked in names else 0, key="card_network")

from timnet.evaluation import model_card  # noqa: E402  torch comes with it: the title stands before

with notices.sentences():
    sections = model_card.sections(found[name].folder)
for section in sections:
    st.header(section.title)
    # Cells are markdown to Streamlit: what files say stays text.
    rows = [(notices.plain(item), notices.plain(_LONG.sub(r"\1 ", known))) for item, known in section.items]
    st.table(pd.DataFrame(rows, columns=["Item", "What is known"]).set_index("Item"))
st.caption(
    "Items: the model card example of FDA's draft guidance of January 2025 on AI-enabled device software "
    "functions, and those of CLAIM (2024) that apply to a network's files."
)
