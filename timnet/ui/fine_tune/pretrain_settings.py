"""The finer settings of a pre-training, below **More settings**: those that are declared with a heading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from timnet import config
from timnet.plots import look
from timnet.ui import cache, checkpoints
from timnet.ui.fine_tune import settings_form


def ask(cohorts: list[str], first: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings by their names in `config.Pretrain`, the finer ones as chosen here.

    Args:
        cohorts: what is learned from; the probe's labels are the first one's.
        first: what is chosen above, and the first values of the others.
    """
    known = dict(first)
    networks = [network.name for network in checkpoints.listed("timnet")]
    of = cache.cohort(cohorts[0])
    offered = {
        "start": ["", *networks],
        "image_weights": [*look.NAMES, *networks],
        "probe": ["", *cache.available_tasks(of)],
    }

    def key(name: str) -> str:
        # One a preset, so that each begins with its own numbers; labels are those of a cohort.
        return f"pt_{name}_{of.name if name == 'probe' else known['preset']}"

    with st.expander("More settings", icon=":material/tune:", key="pt_more"):
        st.caption("Nothing here has to be touched; the first values are those of the choice above.")
        for heading in settings_form.headings(config.Pretrain):
            st.markdown(f"**{heading}**")
            known = settings_form.ask(config.Pretrain, heading, known, key, offered)
        grow, side = known["grow_from"], known["side"]
        if grow and not 32 <= grow <= side:
            known["grow_from"] = min(max(grow, 32), side)
            st.caption(f"Image size of the first epoch is taken as {known['grow_from']}: 32 to {side}.")
    return known
