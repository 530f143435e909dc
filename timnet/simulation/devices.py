"""Tubes, lines, wires and clips along the anatomy they lie in.

Owns their courses, in mm, and how much a film loses behind them. A device adds to `tissue` in place (metal as
the water that stops as much) and returns its extent.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.interpolate import PchipInterpolator

from timnet.simulation.anatomy import (
    BRACHIOCEPHALIC,
    ESOPHAGUS,
    STERNUM,
    STOMACH,
    TRACHEA,
    VENA_CAVA,
    Anatomy,
    around,
)
from timnet.simulation.facts import Finding

_TOP = 152.0


def place(tissue: np.ndarray, anatomy: Anatomy, finding: Finding, rng: Any) -> np.ndarray:
    """Put in the device that `finding.variant` names."""
    extent = np.zeros(tissue.shape, bool)
    for points, radius, dense in _COURSES[finding.variant](anatomy, finding, rng):
        _draw(tissue, extent, anatomy, points, radius, dense)
    box = around(extent, 3)
    extent[box] = ndimage.binary_dilation(extent[box], iterations=2)
    return extent


@lru_cache(maxsize=4)
def carina(anatomy: Anatomy) -> float:
    """Return the height of the tracheal bifurcation: the lowest slice where the airway is one lumen, mm."""
    z = anatomy.axes()[2][:, 0, 0]
    single = [
        index
        for index in np.unique(np.argwhere(anatomy.organs == TRACHEA)[:, 0])
        if ndimage.label(anatomy.organs[index] == TRACHEA)[1] == 1
    ]
    return float(z[min(single)])


def _endotracheal(anatomy: Anatomy, finding: Finding, rng: Any) -> Any:
    tip = carina(anatomy) + finding.size_mm
    line = _centreline(anatomy, TRACHEA, tip)
    yield _smooth(line), 4.0, 0.5
    yield _smooth(line + np.array([2.5, 0, 0])), 0.9, 5.0


def _enteric(anatomy: Anatomy, finding: Finding, rng: Any) -> Any:
    if finding.place == "esophagus":
        yield _smooth(_centreline(anatomy, ESOPHAGUS, rng.uniform(-15, 40))), 1.9, 2.2
        return
    stomach = anatomy.centre(STOMACH) + rng.normal(0, 5, 3)
    line = _centreline(anatomy, ESOPHAGUS, -60.0)
    below = np.array([[14.0, 5.0, -78.0], [34.0, 30.0, -98.0], stomach])
    yield _smooth(np.vstack((line, below))), 1.9, 2.2


def _central(anatomy: Anatomy, finding: Finding, rng: Any) -> Any:
    vein, cava = anatomy.centre(BRACHIOCEPHALIC[finding.side]), anatomy.centre(VENA_CAVA)
    start = vein + np.array([-12.0 if finding.side == "right" else 38.0, -10.0, 55.0]) + rng.normal(0, 4, 3)
    line = [start, vein + np.array([0 if finding.side == "right" else 12.0, 0, 12.0])]
    if finding.side == "left":
        line.append(anatomy.centre(BRACHIOCEPHALIC["right"]) + np.array([6.0, 0, -14.0]))
    line.append(cava + np.array([0, 0, 18.0]))
    end = np.array([-26.0, 30.0, -16.0]) if finding.place == "right atrium" else cava + np.array([0, 0, -8.0])
    yield _smooth(np.array([*line, end + rng.normal(0, 3, 3)])), 1.2, 9.0


def _pacemaker(anatomy: Anatomy, finding: Finding, rng: Any) -> Any:
    sign = -1.0 if finding.side == "right" else 1.0
    can = np.array([sign * 92.0, 62.0, 88.0]) + rng.normal(0, 6, 3) * (1, 0.2, 1)
    turns = np.linspace(0, 2 * np.pi, 40)
    for share in np.linspace(0.03, 1, 22):  # the can: a disc of rings, each ring as thick as the disc
        ring = can + np.stack((24 * share * np.cos(turns), 0 * turns, 21 * share * np.sin(turns)), -1)
        yield ring, 2.0, 4.0
    cava = anatomy.centre(VENA_CAVA)
    entry = can + np.array([-sign * 6, -25.0, 30.0])
    vein = anatomy.centre(BRACHIOCEPHALIC[finding.side]) + np.array([sign * 22.0, 0, 12.0])
    middle = anatomy.centre(BRACHIOCEPHALIC["right"]) + np.array([6.0, 0, -14.0])
    trunk = [can + np.array([0, 0, 22.0]), entry, vein, middle, cava]
    for end in (
        (np.array([-8.0, 40.0, -30.0]), np.array([44.0, 58.0, -48.0])),
        (np.array([-28.0, 36.0, -8.0]),),
    ):
        yield _smooth(np.array([*trunk, *end]) + rng.normal(0, 1.5, 3)), 1.1, 20.0


def _wires(anatomy: Anatomy, finding: Finding, rng: Any) -> Any:
    points = anatomy.points(STERNUM)
    turns = np.linspace(0, 2 * np.pi, 30)
    for height in np.linspace(points[:, 2].min() + 12, points[:, 2].max() - 8, int(rng.integers(5, 8))):
        level = points[np.abs(points[:, 2] - height) < 4]
        centre = level.mean(0) if len(level) else points.mean(0)
        centre = np.array([centre[0], centre[1] + 4, height]) + rng.normal(0, 1.2, 3)
        wide, tall = rng.uniform(6, 10), rng.uniform(3, 6)
        tilt = rng.normal(0, 0.2)
        ring = np.stack((wide * np.cos(turns), 4 * np.sin(turns), tall * np.sin(turns + tilt)), -1)
        yield centre + ring, 0.8, 28.0


def _clips(anatomy: Anatomy, finding: Finding, rng: Any) -> Any:
    sign = -1.0 if finding.side == "right" else 1.0
    for _ in range(int(rng.integers(4, 9))):
        start = np.array([sign * rng.uniform(112, 140), rng.uniform(-10, 40), rng.uniform(35, 90)])
        way = rng.normal(0, 1, 3) * (1, 0.4, 1)
        yield start + np.linspace(0, 7, 12)[:, None] * way / np.linalg.norm(way), 0.9, 16.0


_COURSES: dict[str, Any] = {
    "endotracheal_tube": _endotracheal,
    "enteric_tube": _enteric,
    "central_line": _central,
    "pacemaker": _pacemaker,
    "sternotomy_wires": _wires,
    "surgical_clips": _clips,
}


def _centreline(anatomy: Anatomy, organ: int, bottom: float) -> np.ndarray:
    """Follow a tube-shaped organ from above the film down to `bottom`, in mm."""
    points = anatomy.points(organ)
    heights = np.unique(points[:, 2])[::-4]
    line = np.array([points[points[:, 2] == height].mean(0) for height in heights if height >= bottom])
    top = line[0] + np.array([0, 0, _TOP - line[0, 2]])
    heights_known = line[::-1, 2]
    end = [np.interp(bottom, heights_known, line[::-1, axis]) for axis in (0, 1)]
    return np.vstack((top, line, [*end, bottom])) if line[-1, 2] - bottom > 1 else np.vstack((top, line))


def _smooth(points: np.ndarray) -> np.ndarray:
    """A curve through `points` with a point every half millimetre."""
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    keep = np.r_[True, np.diff(length) > 1e-6]
    at = np.linspace(0, length[-1], max(int(length[-1] / 0.5), 2))
    return PchipInterpolator(length[keep], points[keep])(at)


def _draw(
    tissue: np.ndarray, extent: np.ndarray, anatomy: Anatomy, points: np.ndarray, radius: float, dense: float
) -> None:
    """Add a tube's matter to the voxels around its line, so that its sum along a ray is right."""
    step = np.linalg.norm(np.diff(points, axis=0), axis=1).mean()
    matter = dense * np.pi * radius**2 * step / float(np.prod(anatomy.spacing))
    index = ((points - anatomy.origin) / anatomy.spacing)[:, ::-1]
    base = np.floor(index).astype(int)
    share = index - base
    for corner in np.ndindex(2, 2, 2):
        at = base + corner
        weight = np.prod(np.where(corner, share, 1 - share), axis=1)
        inside = ((at >= 0) & (at < tissue.shape)).all(1)
        np.add.at(tissue, tuple(at[inside].T), (matter * weight[inside]).astype(np.float32))
        extent[tuple(at[inside].T)] = True
