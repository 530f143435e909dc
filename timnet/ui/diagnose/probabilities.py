"""A classifier's probabilities in words: likely, not sure or unlikely, and where those words begin.

Owns the table of one film's labels and the sentence that says how the numbers were calibrated, or that they
were not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from timnet import performance
from timnet.counting import counted
from timnet.ui import notices, tables

if TYPE_CHECKING:
    from timnet.evaluation.calibration.record import Certainty
    from timnet.reading import Reading

UNKNOWN = "no zone known"
COLUMNS = ("label", "probability", "in words", "not sure", "operating point", "worth")


def table(reading: Reading) -> pd.DataFrame:
    """Return COLUMNS, one row a label; what is not known is blank."""
    rows = []
    for label, probability in reading.probabilities.items():
        line = reading.certainty.line(label)
        zone = ""
        if reading.verdict(label) and performance.too_weak(reading.card, label):
            zone = "all"
        elif line.low is not None and line.high is not None:
            zone = f"{line.low:.3f} to {line.high:.3f}" if line.low < line.high else "none"
        point = math.nan if line.threshold is None else line.threshold
        worth = performance.label_worth(reading.card, label)
        rows.append((label, probability, reading.verdict(label) or UNKNOWN, zone, point, worth))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def show(reading: Reading, key: str) -> None:
    """Show all that is known of the labels in a table."""
    tables.show(
        table(reading),
        f"{key}_table",
        "Probability of each label as a table, with what it means in words",
        column_config={
            "label": "Label",
            "probability": st.column_config.NumberColumn("Probability", format="%.3f"),
            "in words": "In words",
            "not sure": st.column_config.TextColumn(
                "Grey zone",
                help="Below this range: at most 10 % of positive validation images. Above it: at most 10 % "
                "of negative ones. It always holds the operating point.",
            ),
            "operating point": st.column_config.NumberColumn(
                "Operating point",
                format="%.3f",
                help="Where sensitivity + specificity was largest on the validation X-rays (Youden).",
            ),
            "worth": st.column_config.TextColumn(
                "auROC on real X-rays", help="As measured for this label, with its 95 % interval."
            ),
        },
    )


def explain(reading: Reading) -> None:
    """Say what the numbers and words of the labels mean."""
    if reading.too_weak:
        st.caption(notices.plain(reading.too_weak))
    st.caption(calibration(reading.certainty))


def calibration(certainty: Certainty) -> str:
    """Return in words how a classifier's numbers were calibrated, or that they were not."""
    if not certainty.lines:
        return (
            "Not calibrated: treat the numbers as scores, not probabilities. `python -m timnet calibrate "
            "CHECKPOINT COHORT` fits it on held-out X-rays."
        )
    fitted, checked = notices.plain(certainty.fitted_on), notices.plain(certainty.checked_on)
    words = f"Calibrated on {fitted}, checked on {checked}: for X-rays like those, not for your patients."
    lines = certainty.lines.values()
    errors = [(line.error_before, line.error_after) for line in lines]
    worse = sum(1 for before, after in errors if before is not None and after is not None and after > before)
    if worse:
        words += (
            f" There the error is larger than before calibration for {worse} of "
            f"{counted(len(errors), 'label')}."
        )
    short = sum(1 for line in lines if line.low is None)
    if short:
        words += (
            f" Not calibrated, for too few such X-rays: {short} of {counted(len(certainty.lines), 'label')}."
        )
    return words
