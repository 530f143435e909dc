"""Findings of the pleural space: fluid that sinks and air that rises.

Owns effusions (upright with a meniscus, or layering behind a lying patient's lung) and pneumothoraces with
the lung's edge. Changes `tissue` in place and returns the extent, as in lungs.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from timnet.simulation.anatomy import Anatomy
from timnet.simulation.chest import DOME
from timnet.simulation.facts import Finding
from timnet.simulation.lungs import HILUM, SIDE, WATER

_UPRIGHT = {1: (-16.0, 0.0), 2: (14.0, 44.0), 3: (72.0, 118.0)}
_LAYERING = {1: (0.16, 0.24), 2: (0.3, 0.42), 3: (0.5, 0.65)}
_RIM = {1: (9.0, 15.0), 2: (18.0, 28.0)}
_REMNANT = (34.0, 48.0)


def effuse(tissue: np.ndarray, anatomy: Anatomy, finding: Finding, rng: Any) -> np.ndarray:
    """Fill the pleural space of one side or both with fluid.

    Upright fluid stands `severity` high above the dome's own level and climbs the chest wall in a meniscus;
    layering fluid takes the back of the lung's volume by a share, and makes a veil.
    """
    extent = np.zeros(tissue.shape, bool)
    for side in SIDE if finding.side == "both" else (finding.side,):
        lung = anatomy.lungs == SIDE[side]
        if finding.variant == "layering":
            share = _behind(anatomy, lung, rng.uniform(*_LAYERING[finding.severity]))
        else:
            share = _below(anatomy, lung, side, finding.severity, rng)
        tissue += share * np.maximum(WATER - tissue, 0)
        # The lung above or before the fluid is pressed.
        tissue[lung] += 0.03 * finding.severity * (share < 0.5)[lung] * (tissue < 0.4)[lung]
        extent |= share > 0.4
    return extent


def _below(anatomy: Anatomy, lung: np.ndarray, side: str, severity: int, rng: Any) -> np.ndarray:
    z = anatomy.axes()[2]
    level = DOME[side] - 30 + rng.uniform(*_UPRIGHT[severity])
    climb = rng.uniform(28, 46) if severity > 1 else rng.uniform(16, 30)
    surface = level + climb * np.exp(-anatomy.depth / rng.uniform(7, 12))
    return lung * np.clip((surface - z) / 5 + 0.5, 0, 1)


def _behind(anatomy: Anatomy, lung: np.ndarray, share: float) -> np.ndarray:
    _, y, z = anatomy.axes()
    height = np.quantile(np.broadcast_to(y, lung.shape)[lung], share)
    # The back of the chest curves: fluid reaches further forward near the base.
    return lung * np.clip((height + 8 - 0.1 * (z - 10) - y) / 5 + 0.5, 0, 1)


def deflate(tissue: np.ndarray, anatomy: Anatomy, finding: Finding, rng: Any) -> np.ndarray:
    """Let air between lung and wall, with the visceral pleura as a thin line.

    A rim widest at the apex and gone at the diaphragm; at severity 3 the lung shrinks to a stump.
    """
    lung = anatomy.lungs == SIDE[finding.side]
    x, y, z = anatomy.axes()
    if finding.severity == 3:
        centre, remnant = HILUM[finding.side], rng.uniform(*_REMNANT)
        reach = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + ((z - centre[2] + 8) * 0.8) ** 2)
        air, line = lung & (reach > remnant), lung & (reach > remnant - 2.2) & (reach <= remnant)
    else:
        widest, bottom = rng.uniform(*_RIM[finding.severity]), DOME[finding.side]
        width = widest * np.clip((z - bottom - 12) / (115 if finding.severity == 1 else 80), 0, 1)
        air = lung & (anatomy.depth < width)
        line = lung & ~air & (anatomy.depth < width + 2.0) & (width > 1.5)
    rest = lung & ~air & ~line
    smaller = float(np.clip(lung.sum() / max(rest.sum(), 1), 1.0, 2.6))
    tissue[rest] *= np.where(tissue[rest] < 0.5, smaller, 1.0)
    tissue[air] = 0.001
    tissue[line] = np.maximum(tissue[line], 0.85)
    return air
