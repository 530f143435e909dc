"""What a page says of a classifier's calibration."""

from __future__ import annotations

import pytest

from timnet.evaluation.calibration.probability import Line
from timnet.evaluation.calibration.record import Certainty
from timnet.ui.diagnose import probabilities


@pytest.mark.parametrize(
    ("after", "says"), [((0.01, 0.02), ""), ((0.06, 0.02), "for 1 of 2 labels"), ((0.06, 0.07), "for 2 of 2")]
)
def test_a_calibration_that_made_it_worse_is_told(after: tuple[float, float], says: str) -> None:
    lines = {
        name: Line(1.0, low=0.1, high=0.2, threshold=0.15, error_before=0.05, error_after=error)
        for name, error in zip(("Edema", "Mass"), after, strict=True)
    }
    told = probabilities.calibration(Certainty("f" * 64, "90 X-rays", "80 X-rays", "so", lines))
    assert told.startswith("Calibrated on 90 X\\-rays, checked on 80 X\\-rays")
    assert ("larger than before calibration" in told) is bool(says) and says in told
