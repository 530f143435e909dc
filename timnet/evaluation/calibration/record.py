"""What a checkpoint's numbers mean: a line from logits to probabilities, and the zone of "not sure".

Owns `calibration.json` beside a checkpoint's weights: for the match, or for each label, the line that
held-out films asked for, where unlikely ends and likely begins, and how far said and found lie apart on
others. Refuses a file of other weights. A checkpoint without one says its logits' own sigmoid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from timnet import checkpoints, files
from timnet.checkpoints import CALIBRATION, CheckpointError
from timnet.evaluation.calibration.probability import PLAIN, Line

FILE = CALIBRATION
MATCH = "match"
"""What the probability and the map of a text's match are called beside a classifier's labels."""
LEAST = 10
"""Films of either class below which nothing is fitted: a tenth of fewer is less than one film."""
SHARE = 0.9
"""Sensitivity that `unlikely` leaves, and specificity that `likely` keeps, on the films of the fit."""


@dataclass(frozen=True)
class Certainty:
    """The lines of one checkpoint's logits: `match`, or its labels."""

    weights_sha256: str
    fitted_on: str
    """Which films, in words."""
    checked_on: str
    how: str
    lines: Mapping[str, Line]

    def line(self, name: str) -> Line:
        """Return the line of a label or of the match; the logit's own sigmoid where none was fitted."""
        return self.lines.get(name, PLAIN)


UNKNOWN = Certainty("", "", "", "", {})
"""Of a checkpoint that nobody has calibrated."""


_FILE = files.strict(Certainty)


def of(folder: Path) -> Certainty:
    """Return what a checkpoint's numbers mean; UNKNOWN where nobody has calibrated it.

    Raises:
        CheckpointError: the file is damaged, or of other weights.
    """
    try:
        read = files.read(folder / FILE, _FILE, CheckpointError)
    except FileNotFoundError:
        return UNKNOWN
    if read.weights_sha256 != checkpoints.weights_sha256(folder):
        raise CheckpointError(
            f"{folder.name}: {FILE} is of other weights; calibrate again, or remove it to see plain sigmoids"
        )
    return read


def keep(folder: Path, certainty: Certainty) -> None:
    """Write what a checkpoint's numbers mean beside its weights."""
    content = files.to_json(asdict(certainty), f"{folder.name}/{FILE}", indent=1, sort_keys=True)
    files.write_whole(folder / FILE, (content + "\n").encode())


def too_few(y_N: NDArray[np.float64]) -> str:
    """Return in words why nothing can be fitted to these films; nothing where it can."""
    positives = int(y_N.sum())
    if min(positives, len(y_N) - positives) >= LEAST:
        return ""
    return f"expected at least {LEAST} films with and {LEAST} without it, got {positives} of {len(y_N)}"


def zoned(line: Line, y_N: NDArray[np.float64], p_N: NDArray[np.float64]) -> Line:
    """Return a line with its zone and operating point, from calibrated probabilities of known films.

    Unlikely ends where SHARE of the films with the finding are still at or above; likely begins where SHARE
    of those without are below; the zone is widened to the operating point where that lies outside. Where the
    two cross, either is better than SHARE anywhere between: the operating point then parts likely from
    unlikely and nothing is in doubt.
    """
    from timnet.evaluation.calibration import measures

    if why := too_few(y_N):
        return replace(line, why=why)
    positive_N, negative_N = p_N[y_N == 1], p_N[y_N == 0]
    threshold = measures.operating_point(y_N, p_N)
    low = float(np.quantile(positive_N, 1 - SHARE, method="lower"))
    # The next number above, so that the film that sits at the quantile is still below.
    high = float(np.nextafter(np.quantile(negative_N, SHARE, method="higher"), 1.0))
    if low >= high:
        low = high = threshold
    return replace(line, low=low, high=high, threshold=threshold)
