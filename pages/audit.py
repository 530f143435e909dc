"""Which reports of a cohort do not fit their X-rays? All of them ranked, read one by one, judged by a key."""

import streamlit as st

from timnet.cohorts import verdicts
from timnet.ui import checkpoints, demo, frame, notices
from timnet.ui.audit import downloads, judging, listing, room, scoring

frame.require()
# One row: what matters is below.
head, choices = st.columns([3, 7], vertical_alignment="bottom")
head.title("Audit a cohort")
st.markdown("Every report of a cohort is compared with its X-ray; the pairs that fit least come first.")

networks = checkpoints.listed("timnet")
if not networks:
    notices.no_timnet()
names = demo.cohorts()
if not names:
    notices.no_cohort()

with notices.sentences():
    with choices:
        audit, bar = scoring.choose(names, networks)
    state = scoring.follow(audit)
    found = listing.opened(audit, state.name == "working")
    if found is None:
        if state.name == "none":
            st.info(
                "Nothing is scored yet. The network reads each X-ray and report once, in the background: "
                "you can close the page meanwhile, and go on where it stopped.",
                icon=":material/fact_check:",
            )
        st.stop()
    with bar:
        judging.name()
    judged = {study: each.verdict for study, each in verdicts.latest(audit.cohort.folder).items()}
    listing.take_link(found.ranked)
    parts = st.container(horizontal=True, gap="medium", key="audit_parts")
    left = parts.container(width=listing.WIDTH)
    right = parts.container(width="stretch")
    with left:
        listed = listing.choose(found.ranked, judged)
        listing.show(audit, listed)
        scoring.offer_more(audit, len(found.ranked))
    row = listed.chosen
    with right:
        if row is None:
            scoring.tell(audit, "")
            st.info("No study is left here: choose another part of the list.", icon=":material/done_all:")
        else:
            scoring.tell(audit, str(listed.table["study"].iloc[row]))
            judging.ask(audit, listed, row)
            room.show(audit, listed.table.iloc[row])
    judging.score(audit, listed)
    downloads.offer(audit, listed)
    listing.left_out(found.left_out)
    if row is not None and (following := listed.following(row)) is not None:
        room.prepare(audit, following)
