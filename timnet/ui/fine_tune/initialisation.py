"""What a fine-tuning starts from: asked for in the form, and shown tensor by tensor.

A file of weights is read from this computer alone, inside the folders that pages may read from, and never by
unpickling more than tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from timnet import config
from timnet.cohorts import stored_vectors
from timnet.cohorts.importing import jobs
from timnet.plots import look
from timnet.ui import checkpoints, fold, tables

FILE = "file"
STATES = {
    "matched": "taken from the initial weights",
    "missing": "not in the initial weights: random",
    "unexpected": "in the initial weights, not used",
}


def ask(backbone: str) -> str | None:
    """Ask for a start and return it as of finetune's --initialisation; None while a file is to be named.

    Raises:
        CohortError: a file that pages may not read, or that is not there.
        CheckpointError: none of its tensors fits the network.
    """
    networks = [network.name for network in checkpoints.listed("timnet")]
    offered = [*look.NAMES, *networks, FILE]
    best = config.SHIPPED if config.SHIPPED in networks else [*networks, *look.NAMES][0]
    start = st.selectbox(
        "Initial weights",
        offered,
        offered.index(best),
        format_func=_name,
        key="ft_initialisation",
        persist_state="session",
        help="What the network has learned before it sees a label.",
    )
    if start != FILE:
        return str(start)
    named = st.text_input(
        "File or folder of weights",
        key="ft_weights",
        persist_state="session",
        placeholder="weights.pth",
        help=f"A state dict of a {backbone} as torchvision names its tensors, under any prefix, in "
        ".safetensors, .pt or .pth; the release of C2L is one. Files that hold more than tensors and plain "
        "settings are refused. Or the folder of an image encoder of Hugging Face or timm, or vectors of "
        "another program (.npz, .parquet).",
    )
    if not named.strip():
        return None
    path = jobs.allowed_start(named)
    if stored_vectors.is_stored(str(path)):
        st.caption("A linear probe is fitted to these vectors; the X-rays themselves are not read.")
        return str(path)
    stamp = path.stat()
    show(_compared(str(path), backbone, (stamp.st_size, stamp.st_mtime_ns)), "ft_compared")
    return str(path)


def show(keys: dict[str, Sequence[str]], key: str) -> None:
    """Show which tensors of the network a start fills: their number, and their names once asked for."""
    filled, of = len(keys["matched"]), len(keys["matched"]) + len(keys["missing"])
    share = f"All {of}" if filled == of else f"{filled} of {of}"
    unused = len(keys["unexpected"])
    st.caption(
        f"{share} tensors of the image network were taken from the initial weights"
        + (f"; {unused} of theirs are not used." if unused else ".")
    )
    box = fold.opened("Details", "table_rows", key)
    if box is None:
        return
    rows = [{"Tensor": name, "": words} for state, words in STATES.items() for name in keys[state]]
    tables.show(pd.DataFrame(rows), f"{key}_table", "Tensors, and what filled them", box)


def _name(start: str) -> str:
    if start == FILE:
        return "A file or folder of weights …"
    return look.NAMES.get(start, f"{start} (learned from reports)")


@st.cache_data(max_entries=8, show_spinner="Comparing tensors …")
def _compared(path: str, backbone: str, stamp: Any) -> dict[str, Sequence[str]]:
    """Return what a file fills; `stamp`, its size and time, is another for another content."""
    from dataclasses import asdict

    from timnet.model import initialisation, weights

    network = initialisation.network_of(path, backbone, config.Finetune.normalisation)
    return asdict(initialisation.initialise(weights.build_trunk(network), path, network.backbone))
