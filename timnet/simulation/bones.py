"""Fractures of ribs and clavicles: a gap across the bone and, where displaced, a step.

Changes `bone` and `tissue` in place and returns the extent, as in lungs.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from timnet.simulation.anatomy import CLAVICLE, FIRST_RIB, Anatomy
from timnet.simulation.facts import Finding

_REACH = 13.0


def fracture(
    tissue: np.ndarray, bone: np.ndarray, anatomy: Anatomy, finding: Finding, rng: Any
) -> np.ndarray:
    """Break the rib or clavicle of `finding` where a frontal film shows it in profile to the lung."""
    clavicle = finding.place == "clavicle"
    organ = CLAVICLE[finding.side] if clavicle else FIRST_RIB[finding.side] + int(finding.place) - 1
    points = anatomy.points(organ)
    outward = np.abs(points[:, 0])
    low, high = (0.35, 0.65) if clavicle else (0.72, 0.97)
    seen = (outward >= np.quantile(outward, low)) & (outward <= np.quantile(outward, high))
    centre = points[rng.choice(np.flatnonzero(seen))]
    near = points[np.linalg.norm(points - centre, axis=1) < 24]
    along = np.linalg.svd(near - near.mean(0), full_matrices=False)[2][0]
    along = along * np.sign(along[0] * centre[0] or 1.0)
    x, y, z = anatomy.axes()
    offset = (x - centre[0], y - centre[1], z - centre[2])
    forward = sum(o * a for o, a in zip(offset, along, strict=True))
    distance = np.sqrt(sum(o * o for o in offset))
    if finding.variant == "displaced":
        moved = (forward > 0) & (forward < 32) & (distance < 36)
        step = int(rng.choice((-3, -2, 2, 3)))
        fragment = np.where(moved, bone, 0)
        bone[moved] = 0
        bone += np.roll(fragment, step, axis=0)
    gap = (np.abs(forward) < (2.8 if finding.variant == "displaced" else 1.9)) & (distance < _REACH)
    bone[gap] *= 0.08
    # Blood around the break: a soft bulge into what is air.
    swelling = (distance < _REACH * 0.8) & (tissue < 0.6) & (anatomy.lungs > 0) & (anatomy.depth < 6)
    tissue[swelling] += 0.5 * (1 - tissue[swelling])
    return distance < _REACH
