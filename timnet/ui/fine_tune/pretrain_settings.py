"""The finer settings of a pre-training, in words: what is compared, how it steps, what memory it takes.

Owns the widgets below **More settings**. Their first values are the preset's, so that an expander that nobody
opened changes nothing. What another choice leaves without a meaning is greyed out and keeps that value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

import streamlit as st

from timnet import config
from timnet.plots import look
from timnet.ui import cache, checkpoints

OBJECTIVES = {
    "all-pairs": "Every X-ray with every report of a batch",
    "pairs": "Each X-ray with its own report and one other, as in the paper",
    "sigmoid": "Every pair of a batch, by the angle of their vectors",
    "infonce": "Pick an X-ray's report out of the batch's, by the angle",
}
NEGATIVES = {"drawn": "As they come", "mined": "Half of them the hardest found"}
NORMALS = {"contrast": "Count as mismatched", "ignore": "Leave out"}
HEADS = {
    "mlp": "The paper's: a layer on the difference",
    "linear": "A weighted sum of the difference",
    "product": "A layer on difference and product",
}
SCHEDULES = {"constant": "The same throughout", "cosine": "Rises at first, falls to 0 at the end"}
PRECISIONS = {"auto": "Whichever is faster here", "fp32": "32 bits", "bf16": "16 bits (bfloat16)"}
CHUNKS = [0, 8, 16, 32, 64, 128, 256]
VIEWS = {"frontal": "Frontal, and those of unknown view", "lateral": "Lateral", "all": "All"}
PADDINGS = {"masked": "Left out", "literal": "Zeros that take part, as in the paper"}


def ask(cohorts: list[str], mode: str, numbers: Mapping[str, object], side: int) -> dict[str, Any]:
    """Return the finer settings by their names in `config.Pretrain`, those of the preset until changed.

    Args:
        cohorts: what is learned from; the probe's labels are the first one's.
        mode: what of the text network is trained.
        numbers: where the preset differs from the defaults.
        side: of the X-rays, in pixels.
    """
    usual = {**_defaults(), **numbers}
    with st.expander("More settings", icon=":material/tune:", key="pt_more"):
        st.caption("Nothing here has to be touched; the first values are those of the choice above.")
        asked = _compared(usual) | _steps(usual, side)
        asked |= _text(usual, mode) | _memory(usual) | _looks(cohorts)
    return asked


def _compared(usual: Mapping[str, Any]) -> dict[str, Any]:
    st.markdown("**What is compared**")
    views = _choice(
        "X-rays", "views", VIEWS, usual, "Those of other views are neither learned from nor measured on."
    )
    objective = _choice(
        "Learns by comparing",
        "objective",
        OBJECTIVES,
        usual,
        "All but the paper's way compare each X-ray with every report of the batch, so larger batches teach "
        "more. By the angle: two vectors match if they point the same way, and no layers compare them. "
        "Picking the report out was best in short trainings on simulated X-rays.",
    )
    by_angle = objective in config.COSINES
    head = _choice(
        "How two vectors are compared",
        "h_cls",
        HEADS,
        usual,
        "The layers that turn an X-ray's and a report's vectors into a match. By the angle there are none.",
        disabled=by_angle,
    )
    negatives = _choice(
        "Mismatched reports",
        "negatives",
        NEGATIVES,
        usual,
        "Hardest: reports of other patients that the network of the epoch before took for the X-ray's own. "
        "An epoch takes longer, as all X-rays and reports are looked at before it.",
    )
    swapped = st.toggle(
        "Its own report with left and right swapped is a mismatch, too",
        bool(usual["mirrored"]),
        key=_key("mirrored", usual),
        disabled=objective not in config.MIRRORING,
        help="Another patient's report seldom differs by the side alone: a network may match well and know "
        "nothing of sides. Only reports that the swap makes wrong are taken.",
    )
    normals = _choice(
        "A normal X-ray with another's normal report",
        "both_normal",
        NORMALS,
        usual,
        "It may well fit. Whether both are normal is told by the label No Finding.",
    )
    return {
        "views": views,
        "objective": objective,
        "h_cls": usual["h_cls"] if by_angle else head,
        "negatives": negatives,
        "mirrored": swapped if objective in config.MIRRORING else usual["mirrored"],
        "both_normal": normals,
    }


def _steps(usual: Mapping[str, Any], side: int) -> dict[str, Any]:
    st.markdown("**Steps**")
    left, right = st.columns(2)
    batch = left.number_input(
        "Batch size",
        2,
        4096,
        int(usual["batch"]),
        key=_key("batch", usual),
        help="More X-rays mean more mismatched reports to tell apart, fewer steps, more memory.",
    )
    rate = right.number_input(
        "Learning rate",
        1e-6,
        1e-1,
        float(usual["learning_rate"]),
        step=1e-5,
        format="%g",
        key=_key("learning_rate", usual),
        help="How far a step moves the weights. Too large: the loss jumps. Too small: no gain.",
    )
    schedule = _choice(
        "Learning rate over the run",
        "schedule",
        SCHEDULES,
        usual,
        "With a fall to 0 a larger learning rate can be taken; such a run is at its best at its end.",
    )
    networks = [network.name for network in checkpoints.listed("timnet")]
    whole = st.selectbox(
        "Goes on from the network",
        ["", *networks],
        format_func=lambda each: each or "none: new weights",
        key=_key("start", usual),
        help="All of it, the layers that compare and the text branch too. It must be of this shape.",
    )
    starts = [*look.NAMES, *networks]
    start = st.selectbox(
        "Image network starts from",
        starts,
        index=starts.index(str(usual["image_weights"])),
        format_func=lambda each: look.NAMES.get(each, each),
        key=_key("image_weights", usual),
        disabled=bool(whole),
        help="Random knows nothing. ImageNet: everyday photographs; its weights must be on this computer or "
        "are fetched by torchvision. A network of yours: go on from what it learned of X-rays.",
    )
    left, right = st.columns(2)
    share = left.number_input(
        "Learning rate of the image network, as a share",
        0.001,
        1.0,
        float(usual["trunk_rate"]),
        step=0.1,
        format="%g",
        key=_key("trunk_rate", usual),
        help="Of the learning rate above. Layers that have learned before need smaller steps.",
    )
    grow = right.number_input(
        "Image size of the first epoch, pixels (0: the same)",
        0,
        1024,
        int(usual["grow_from"]),
        step=32,
        key=_key("grow_from", usual),
        help="It grows to the full size over the first two thirds of the epochs; early ones are then faster.",
    )
    if grow and not 32 <= grow <= side:
        grow = min(max(grow, 32), side)
        st.caption(f"Taken as {grow}: it must be 32 to {side}.")
    augment = st.toggle(
        "Turn, shift and scale the X-rays a little at random",
        bool(usual["augment"]),
        key=_key("augment", usual),
        help="No left-right flips, because reports name sides. Helps with many epochs and few X-rays.",
    )
    erase = st.toggle(
        "Add noise and cover a part of each X-ray",
        bool(usual["erase"]),
        key=_key("erase", usual),
        disabled=not augment,
        help="A grey rectangle over at most an eighth of the X-ray: the network must infer the hidden part. "
        "Whether it helps has not been measured.",
    )
    return {
        "batch": batch,
        "learning_rate": float(rate),
        "schedule": schedule,
        "start": whole,
        "image_weights": usual["image_weights"] if whole else start,
        "trunk_rate": float(share),
        "grow_from": int(grow),
        "augment": augment,
        "erase": erase if augment else usual["erase"],
    }


def _text(usual: Mapping[str, Any], mode: str) -> dict[str, Any]:
    st.markdown("**Reports**")
    left, right = st.columns(2)
    tokens = left.number_input(
        "Tokens read at a time",
        4,
        512,
        int(usual["tokens"]),
        key=_key("tokens", usual),
        help="A token is a word or a part of one. A longer report is read in several windows; none is cut.",
    )
    layers = right.number_input(
        "Layers trained",
        1,
        96,
        int(usual["text_layers"]),
        key=_key("text_layers", usual),
        disabled=mode != "partial",
        help="The last ones of the text network, where only those are trained. The shipped one has six.",
    )
    padding = _choice(
        "Empty places behind a short report",
        "padding",
        PADDINGS,
        usual,
        "Left out, a report's vector does not depend on the longest report beside it.",
    )
    crop = st.toggle(
        "Read half of the reports in part",
        bool(usual["crop_text"]),
        key=_key("crop_text", usual),
        disabled=mode != "frozen",
        help="From 30 % of their words on, a new part in each epoch; where the text network is not trained.",
    )
    return {
        "crop_text": crop if mode == "frozen" else False,
        "tokens": tokens,
        "text_layers": layers if mode == "partial" else usual["text_layers"],
        "padding": padding,
    }


def _memory(usual: Mapping[str, Any]) -> dict[str, Any]:
    st.markdown("**Memory and speed**")
    chunk = st.selectbox(
        "X-rays computed at a time",
        CHUNKS,
        index=CHUNKS.index(usual["chunk"]),
        format_func=lambda films: f"{films}" if films else "the whole batch",
        key=_key("chunk", usual),
        help="For batches that do not fit into memory. Every X-ray still meets every report of its batch, "
        "but each is computed twice: about a third slower.",
    )
    recompute = st.toggle(
        "Compute layers again rather than keep them",
        bool(usual["recompute"]),
        key=_key("recompute", usual),
        help="Less memory for large X-rays or long reports, for about a third more time; the result stays "
        "the same.",
    )
    precision = _choice(
        "Numbers are computed with",
        "precision",
        PRECISIONS,
        usual,
        "16 bits take less memory and are faster where the processor or the GPU is made for them. Left open, "
        "both are timed before the run.",
    )
    return {"chunk": chunk, "recompute": recompute, "precision": precision}


def _looks(cohorts: list[str]) -> dict[str, Any]:
    st.markdown("**Looks at held-out X-rays on the way**")
    every = st.number_input(
        "Every so many epochs (0: only at the end)",
        0,
        10_000,
        int(_defaults()["evaluate_every"]),
        key="pt_evaluate_every",
        help="Each look takes a moment and changes no weight.",
    )
    first = cache.cohort(cohorts[0])
    labels = cache.available_tasks(str(first.folder), first.identity, first)
    probe = st.selectbox(
        "Beside it, how well a label can be told",
        ["", *labels],
        format_func=lambda each: each or "not looked at",
        key=f"pt_probe_{first.name}",
        help="At every look a linear probe learns this label from the image network's features of up to 256 "
        f"labelled X-rays of {first.name}. It changes no weight either.",
    )
    return {"evaluate_every": every, "probe": probe}


def _choice(
    label: str,
    name: str,
    words: Mapping[str, str],
    usual: Mapping[str, Any],
    told: str,
    disabled: bool = False,
) -> str:
    """Ask for one of a setting's values by its words."""
    values = list(words)
    chosen = st.selectbox(
        label,
        values,
        index=values.index(str(usual[name])),
        format_func=lambda each: words[each],
        key=_key(name, usual),
        help=told,
        disabled=disabled,
    )
    return str(chosen)


def _key(name: str, usual: Mapping[str, Any]) -> str:
    """Return a widget's key: one a preset, so that each begins with its own numbers."""
    return f"pt_{name}_{usual['preset']}"


def _defaults() -> dict[str, Any]:
    return {each.name: each.default for each in fields(config.Pretrain) if each.default is not MISSING}
