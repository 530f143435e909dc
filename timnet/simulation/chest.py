"""Many chests from one: how a patient's build, breath and disease move each point of the chest at rest.

Owns the smooth map from a point of the standing patient back to the point of the CT that lies there. Every
part of it keeps neighbours neighbours (no folding), so that a finding put into the CT stays whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

APEX, DOME = 118.0, {"right": -30.0, "left": -42.0}
"""Heights of the lungs' tops and of the diaphragm in the CT, mm."""
HEART, HEART_AXES = (24.0, 28.0, -18.0), (64.0, 54.0, 54.0)
_WALL = (150.0, 100.0)
_REACH = 230.0


@dataclass(frozen=True)
class Chest:
    """One patient's build, the same in all their studies.

    Attributes:
        scale: size against the CT along x, y, z. habitus: thickness of what lies outside the ribs, 1 as in
            the CT. heart: width of the heart against the CT. domes: mm that the diaphragm (right, left)
            stands higher than in the CT. bend: displacement in mm on a coarse lattice over the chest, (3, 5,
            5, 5). bone, lung: density against the CT, a factor and an addition. breast: mm of soft
            tissue in front of the lower chest (0 for none).
    """

    scale: tuple[float, float, float]
    habitus: float
    heart: float
    domes: tuple[float, float]
    bend: np.ndarray
    bone: float
    lung: float
    breast: float


@dataclass(frozen=True)
class Posture:
    """How this film finds the chest: breath and what disease does to its shape.

    Attributes:
        domes: mm that the diaphragm (right, left) stands higher. heart: factor on the heart's width.
        shift: mm that the mediastinum lies further to the patient's left. barrel: factor on the depth of the
            chest and its height (hyperinflation).
    """

    domes: tuple[float, float] = (0.0, 0.0)
    heart: float = 1.0
    shift: float = 0.0
    barrel: float = 1.0


def draw(rng: Any, age: int) -> Chest:
    """Draw a build; bones thin and the heart widens with age, within what is normal."""
    size = rng.normal(1.0, 0.06)
    # Width, depth and height vary apart from each other too: slender, stocky and barrel-shaped chests.
    scale = tuple(float(np.clip(size * rng.normal(1.0, 0.075), 0.76, 1.24)) for _ in range(3))
    return Chest(
        scale=scale,  # type: ignore[arg-type]
        habitus=float(np.clip(rng.lognormal(0.0, 0.32), 0.55, 2.0)),
        heart=float(np.clip(rng.normal(0.86 + 0.0008 * (age - 50), 0.045), 0.76, 0.95)),
        domes=(float(rng.normal(2, 7)), float(rng.normal(2, 7))),
        bend=rng.normal(0, 1, (3, 5, 5, 5)) * np.array([5.0, 4.5, 6.0])[:, None, None, None],
        bone=float(np.clip(rng.normal(1.0 - 0.003 * max(age - 45, 0), 0.08), 0.6, 1.25)),
        lung=float(rng.normal(0.0, 0.018)),
        breast=float(max(rng.normal(12, 20), 0.0)),
    )


def at_rest(points: np.ndarray, chest: Chest, posture: Posture) -> np.ndarray:
    """Return the points of the CT that lie at `points` of the patient; both (..., 3) mm as x, y, z."""
    x, y, z = np.moveaxis(np.asarray(points, np.float64) / np.asarray(chest.scale), -1, 0)
    y, z = y / posture.barrel, z / (1 + 0.5 * (posture.barrel - 1))
    x, y = _thinner(x, y, chest.habitus)
    x, y, z = _bent(x, y, z, chest.bend)
    right = 1 / (1 + np.exp(x / 14))
    domes = (np.add(chest.domes, posture.domes)) / chest.scale[2]
    for name, dome, share in (("right", domes[0], right), ("left", domes[1], 1 - right)):
        depth = np.clip((APEX - z) / (APEX - DOME[name]), 0, 1)
        z = z - dome * share * depth
    # The spine (behind y = -40) stays where it is.
    x = x - posture.shift * np.exp(-((x / 60) ** 2)) / (1 + np.exp(-(y + 40) / 10))
    return np.stack(_wider_heart(x, y, z, chest.heart * posture.heart), -1)


def _thinner(x: np.ndarray, y: np.ndarray, habitus: float) -> tuple[np.ndarray, np.ndarray]:
    radius = np.hypot(x / _WALL[0], y / _WALL[1])
    inner = np.where(radius > 0.9, 0.9 + (radius - 0.9) / habitus, radius)
    factor = inner / np.maximum(radius, 1e-6)
    return x * factor, y * factor


def _bent(x: np.ndarray, y: np.ndarray, z: np.ndarray, bend: np.ndarray) -> tuple[np.ndarray, ...]:
    lattice = np.stack([(axis / _REACH + 1) * 2 for axis in (x, y, z)])
    return tuple(
        axis + ndimage.map_coordinates(part, lattice, order=3, mode="nearest")
        for axis, part in zip((x, y, z), bend, strict=True)
    )


def _wider_heart(x: np.ndarray, y: np.ndarray, z: np.ndarray, factor: float) -> tuple[np.ndarray, ...]:
    """Points around the heart are drawn from nearer to its centre, less and less out to 2.6 of its radii."""
    offsets = [axis - centre for axis, centre in zip((x, y, z), HEART, strict=True)]
    radius = np.sqrt(sum((o / a) ** 2 for o, a in zip(offsets, HEART_AXES, strict=True)))
    fall = np.clip((2.6 - radius) / (2.6 - 1.3), 0, 1)
    pull = (1 / factor - 1) * fall * fall * (3 - 2 * fall)
    # Wider rather than taller: the heart rests on the diaphragm.
    parts = zip((x, y, z), offsets, (1.0, 0.8, 0.55), strict=True)
    return tuple(axis + offset * pull * share for axis, offset, share in parts)
