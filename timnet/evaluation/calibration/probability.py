"""From logits to probabilities: the one function that every number of a checkpoint comes from; no torch.

A `Line` is a label's calibration: an affine map of the logit before the sigmoid (Platt 1999; Guo et al.
2017), where unlikely ends and likely begins, and the operating point between them. Refuses logits that are
not finite.

Shapes: N films, L logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from timnet.errors import TimnetError

Verdict = Literal["likely", "not sure", "unlikely", ""]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class CertaintyError(TimnetError):
    """Logits that give no probability."""


@dataclass(frozen=True)
class Line:
    """How one logit becomes a probability, and what that probability means.

    Attributes:
        slope, offset: probability = sigmoid(slope * logit + offset).
        low, high: from which probability on a finding is not sure, and from which it is likely; None where
            too few films were there to say. They always enclose the operating point: what lies below it is
            never likely, what lies above it never unlikely.
        threshold: operating point: sensitivity + specificity is largest there; None as above.
        films, positives: of the fit. films_checked: others, on which the errors were measured.
        error_before, error_after: expected calibration error; None where there were no other films.
        why: why there is no zone and no line but the logit's own sigmoid; empty where there is.
    """

    slope: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    offset: Annotated[float, Field(ge=-1e6, le=1e6)] = 0.0
    low: Share | None = None
    high: Share | None = None
    threshold: Share | None = None
    films: Count = 0
    positives: Count = 0
    films_checked: Count = 0
    error_before: Share | None = None
    error_after: Share | None = None
    why: str = ""

    def __post_init__(self) -> None:
        if self.low is None or self.high is None:
            return
        if self.low > self.high:
            raise ValueError(f"expected low at most high, got {self.low} and {self.high}")
        if self.threshold is not None:
            object.__setattr__(self, "low", min(self.low, self.threshold))
            object.__setattr__(self, "high", max(self.high, self.threshold))

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


PLAIN = Line()
"""A logit's own sigmoid: nobody has calibrated it."""


def probabilities(lines: Sequence[Line], logits: ArrayLike) -> NDArray[np.float64]:
    """Return the probabilities of logits (..., L), each column by its own line.

    Raises:
        CertaintyError: a logit is not finite: the network or its input is damaged.
    """
    values = np.asarray(logits, float)
    if not np.isfinite(values).all():
        raise CertaintyError("network: expected finite logits, got NaN or infinity; its weights overflow")
    slope_L, offset_L = (np.array([getattr(line, name) for line in lines]) for name in ("slope", "offset"))
    # The sigmoid, of very small and very large numbers too.
    return np.exp(-np.logaddexp(0, -(slope_L * values + offset_L)))


def said(line: Line, logit_N: ArrayLike) -> NDArray[np.float64]:
    """Return the probabilities (N,) of one label's logits."""
    return probabilities([line], np.asarray(logit_N, float)[:, None])[:, 0]
