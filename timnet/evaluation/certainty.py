"""What a checkpoint's numbers mean: a line from logits to probabilities, and the zone of "not sure".

Owns `calibration.json` beside a checkpoint's weights: for the match, or for each label, the line that
held-out films asked for, where unlikely ends and likely begins, and how far said and found lie apart on
others. Refuses a file of other weights. A checkpoint without one says its logits' own sigmoid. Source: Platt
1999 (line), Guo et al. 2017 (temperature, a line through 0).

Shapes: L logits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from timnet.model import weights

FILE = weights.CALIBRATION
MATCH = "match"
"""What the probability and the map of a text's match are called beside a classifier's labels."""
LEAST = 10
"""Films of either class below which nothing is fitted: a tenth of fewer is less than one film."""
SHARE = 0.9
"""Sensitivity that `unlikely` leaves, and specificity that `likely` keeps, on the films of the fit."""

Verdict = Literal["likely", "not sure", "unlikely", ""]


@dataclass(frozen=True)
class Line:
    """How one logit becomes a probability, and what that probability means.

    Attributes:
        slope, offset: probability = sigmoid(slope * logit + offset).
        low, high: from which probability on a finding is not sure, and from which it is likely; None where
            too few films were there to say.
        threshold: operating point: sensitivity + specificity is largest there; None as above.
        films, positives: of the fit. films_checked: others, on which the errors were measured.
        error_before, error_after: expected calibration error; None where there were no other films.
        why: why there is no zone and no line but the logit's own sigmoid; empty where there is.
    """

    slope: float = 1.0
    offset: float = 0.0
    low: float | None = None
    high: float | None = None
    threshold: float | None = None
    films: int = 0
    positives: int = 0
    films_checked: int = 0
    error_before: float | None = None
    error_after: float | None = None
    why: str = ""

    @property
    def fitted(self) -> bool:
        """Return whether films of both kinds were there to fit it on."""
        return self.positives > 0 and (self.slope, self.offset) != (1.0, 0.0)

    def verdict(self, probability: float) -> Verdict:
        """Return what a probability means in words; nothing where no zone is known."""
        if self.low is None or self.high is None:
            return ""
        if probability >= self.high:
            return "likely"
        return "not sure" if probability >= self.low else "unlikely"


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
        return self.lines.get(name, Line())


UNKNOWN = Certainty("", "", "", "", {})
"""Of a checkpoint that nobody has calibrated."""


def probabilities(lines: Sequence[Line], logits_L: Sequence[float]) -> list[float]:
    """Return the probabilities of logits, each by its own line."""
    return [expit(line.slope * logit + line.offset) for line, logit in zip(lines, logits_L, strict=True)]


def expit(logit: float) -> float:
    """Return the sigmoid of a number, of very small and very large ones too."""
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))


def of(folder: Path) -> Certainty:
    """Return what a checkpoint's numbers mean; UNKNOWN where nobody has calibrated it.

    Raises:
        CheckpointError: the file is damaged, or of other weights.
    """
    try:
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
        lines = {str(name): Line(**line) for name, line in told.pop("lines").items()}
        read = Certainty(lines=lines, **told)
    except FileNotFoundError:
        return UNKNOWN
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise weights.CheckpointError(
            f"{folder.name}: {FILE} cannot be read ({type(error).__name__}); remove it or calibrate again"
        ) from None
    if read.weights_sha256 != weights.weights_sha256(folder):
        raise weights.CheckpointError(
            f"{folder.name}: {FILE} is of other weights; calibrate again, or remove it to see plain sigmoids"
        )
    return read


def keep(folder: Path, certainty: Certainty) -> None:
    """Write what a checkpoint's numbers mean beside its weights."""
    told: dict[str, Any] = asdict(certainty)
    weights.write_whole(folder / FILE, (json.dumps(told, indent=1, sort_keys=True) + "\n").encode())


def too_few(y_N: NDArray[np.float64]) -> str:
    """Return in words why nothing can be fitted to these films; nothing where it can."""
    positives = int(y_N.sum())
    if min(positives, len(y_N) - positives) >= LEAST:
        return ""
    return f"expected at least {LEAST} films with and {LEAST} without it, got {positives} of {len(y_N)}"


def zoned(line: Line, y_N: NDArray[np.float64], p_N: NDArray[np.float64]) -> Line:
    """Return a line with its zone and operating point, from calibrated probabilities of known films.

    Unlikely ends where SHARE of the films with the finding are still at or above; likely begins where SHARE
    of those without are below. Where the two cross, either is better than SHARE anywhere between: the
    operating point then parts likely from unlikely and nothing is in doubt.
    """
    from timnet.evaluation import calibration

    if why := too_few(y_N):
        return replace(line, why=why)
    positive_N, negative_N = p_N[y_N == 1], p_N[y_N == 0]
    threshold = calibration.operating_point(y_N, p_N)
    low = float(np.quantile(positive_N, 1 - SHARE, method="lower"))
    # The next number above, so that the film that sits at the quantile is still below.
    high = float(np.nextafter(np.quantile(negative_N, SHARE, method="higher"), 1.0))
    if low >= high:
        low = high = threshold
    return replace(line, low=low, high=high, threshold=threshold)
