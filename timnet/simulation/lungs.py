"""Findings of the lung itself: consolidation, atelectasis, nodule, mass, oedema, emphysema, fibrosis.

Owns how each looks in three dimensions. Every function changes `tissue` in place and returns the finding's
extent as a boolean volume of the same shape; positions are in mm as Anatomy says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from timnet.simulation.anatomy import LOBE_IDS, Anatomy
from timnet.simulation.chest import DOME
from timnet.simulation.facts import Finding

WATER = 1.03
ZONES = {"upper zone": (66.0, 112.0), "mid zone": (18.0, 66.0), "lower zone": (-30.0, 18.0)}
"""Heights between which a zone lies, mm; what lies lower hides behind the diaphragm."""
SIDE = {"right": 1, "left": 2}
HILUM = {"right": (-46.0, -6.0, 26.0), "left": (44.0, -6.0, 32.0)}
# Where a lobe without air is drawn to: upper lobes upwards and inwards, the others to the heart's border.
_COLLAPSED = {
    ("right", "upper lobe"): (-34.0, 5.0, 88.0),
    ("right", "middle lobe"): (-42.0, 48.0, -12.0),
    ("right", "lower lobe"): (-34.0, -42.0, -22.0),
    ("left", "upper lobe"): (38.0, 40.0, 58.0),
    ("left", "lower lobe"): (36.0, -46.0, -30.0),
}


def consolidate(tissue: np.ndarray, anatomy: Anatomy, finding: Finding, rng: Any) -> np.ndarray:
    """Fill part of a lobe with fluid, sharp at the fissure and ragged elsewhere."""
    lobe = anatomy.organs == LOBE_IDS[finding.side, finding.place]
    low = {1: 23.0, 2: 33.0, 3: 46.0}[finding.severity]
    radii = low * rng.uniform(1.0, 1.35) * np.exp(rng.normal(0, 0.18, 3))
    centre = _within(anatomy, lobe & (anatomy.depth > 8), rng, above=-26.0)
    radius, box = _radius(anatomy, centre, radii, 1.7)
    ragged = radius + 0.3 * _noise(radius.shape, anatomy, 9.0, rng)
    share = _fall(ragged, 0.82, 1.2) * _closed(lobe[box]) * (anatomy.lungs[box] > 0)
    share = share * np.clip(0.92 + 0.14 * _noise(radius.shape, anatomy, 5.0, rng), 0.4, 1.0)
    return _fill(tissue, box, share * rng.uniform(0.9, 1.0))


def collapse(tissue: np.ndarray, anatomy: Anatomy, finding: Finding, rng: Any) -> np.ndarray:
    """Take the air out of a lobe, or of a thin plate of lung for the linear variant."""
    if finding.variant == "linear":
        return _plate(tissue, anatomy, finding, rng)
    lobe = _closed(anatomy.organs == LOBE_IDS[finding.side, finding.place]) * (anatomy.lungs > 0)
    x, y, z = anatomy.axes()
    tx, ty, tz = _COLLAPSED[finding.side, finding.place]
    distance = np.sqrt((x - tx) ** 2 + ((y - ty) * 0.8) ** 2 + ((z - tz) * 0.8) ** 2)
    inside = lobe > 0.5
    reach = np.quantile(
        distance[inside], {2: rng.uniform(0.3, 0.45), 3: rng.uniform(0.5, 0.7)}[finding.severity]
    )
    everything = tuple(slice(0, n) for n in tissue.shape)
    share = lobe * np.clip((reach + 8 - distance) / 16, 0, 1)
    return _fill(tissue, everything, share * rng.uniform(0.72, 0.92))


def _plate(tissue: np.ndarray, anatomy: Anatomy, finding: Finding, rng: Any) -> np.ndarray:
    lung = (anatomy.lungs == SIDE[finding.side]) & (anatomy.depth > 12)
    low, high = ZONES[finding.place]
    centre = _within(anatomy, lung, rng, above=low, below=high)
    length = {1: rng.uniform(22, 32), 2: rng.uniform(32, 45)}[min(finding.severity, 2)]
    box = _radius(anatomy, centre, np.array([length, 40.0, 32.0]), 1.2)[1]
    x, y, z = anatomy.within(box).axes()
    tilt = np.deg2rad(rng.normal(0, 16)) + (0.25 if finding.side == "right" else -0.25)
    along = (x - centre[0]) * np.cos(tilt) + (z - centre[2]) * np.sin(tilt)
    across = -(x - centre[0]) * np.sin(tilt) + (z - centre[2]) * np.cos(tilt)
    across = across + 0.004 * along**2 * rng.uniform(-1, 1)
    thick = rng.uniform(2.4, 4.5)
    share = np.clip(1.4 - np.abs(across) / thick, 0, 1) * _fall(
        np.hypot(along / length, (y - centre[1]) / rng.uniform(22, 38)), 0.75, 1.1
    )
    share = share * (anatomy.lungs[box] == SIDE[finding.side])
    return _fill(tissue, box, share * 0.95)


def grow(tissue: np.ndarray, anatomy: Anatomy, finding: Finding, rng: Any) -> np.ndarray:
    """Put in a nodule or mass of `size_mm`, round with a lobed and finely ragged edge."""
    low, high = ZONES[finding.place]
    radius_mm = finding.size_mm / 2
    lung = (anatomy.lungs == SIDE[finding.side]) & (anatomy.depth > min(0.6 * radius_mm, 18))
    # What lies on the hilum or behind the heart is in the volume but on no film.
    lung &= np.abs(anatomy.axes()[0]) > 56
    centre = _within(anatomy, lung, rng, above=low, below=high)
    radii = radius_mm * np.exp(rng.normal(0, 0.06, 3))
    radius, box = _radius(anatomy, centre, radii, 1.5)
    lobed = radius + 0.13 * _noise(radius.shape, anatomy, max(radius_mm * 0.5, 3.0), rng)
    share = _fall(lobed, 0.92, 1.12) * (anatomy.lungs[box] > 0)
    # Many nodules hold some calcium; a mass is soft tissue.
    return _fill(tissue, box, share, rng.uniform(1.1, 1.6) if finding.kind == "nodule" else 1.08)


def flood(tissue: np.ndarray, anatomy: Anatomy, finding: Finding, rng: Any) -> np.ndarray:
    """Oedema: full vessels; from severity 2 septal lines and haze; at 3 fluid around the hila."""
    lung = anatomy.lungs > 0
    x, y, z = anatomy.axes()
    near = np.maximum(*(np.exp(-squared(x, y, z, HILUM[side], (52, 60, 58))) for side in SIDE))
    fuller = ndimage.maximum_filter(tissue, (1, 3, 3))
    gain = (0.45 + 0.4 * (z > 20)) * {1: 0.7, 2: 0.85, 3: 0.85}[finding.severity]
    tissue[lung] += (gain * (fuller - tissue))[lung]
    share = 0.08 * near * finding.severity
    if finding.severity >= 2:
        septa = _ridges(tissue.shape, anatomy, 3.5, rng) * np.exp(-anatomy.depth / 26) * (z < 55)
        share = share + 0.34 * septa + 0.09
    if finding.severity == 3:
        clouds = np.clip(0.55 + 0.5 * _noise(tissue.shape, anatomy, 11.0, rng), 0, 1)
        share = share + rng.uniform(0.5, 0.75) * near * clouds * np.clip(anatomy.depth / 14, 0, 1)
    _fill(tissue, tuple(slice(0, n) for n in tissue.shape), np.clip(share, 0, 0.9) * lung)
    return lung & ((near > 0.35) | (finding.severity == 2) & (z < 40) & (anatomy.depth < 30))


def empty(tissue: np.ndarray, anatomy: Anatomy, finding: Finding, rng: Any) -> np.ndarray:
    """Emphysema: less lung in the lung, thinner vessels, most in the upper zones."""
    lung = anatomy.lungs > 0
    z = anatomy.axes()[2]
    loss = {1: 0.3, 2: 0.45, 3: 0.6}[finding.severity] * (0.75 + 0.25 * np.clip((z + 20) / 90, 0, 1))
    patchy = np.clip(loss * (1 + 0.3 * _noise(tissue.shape, anatomy, 12.0, rng)), 0, 0.85)
    thin = np.where(tissue > 0.4, 0.55 * patchy, patchy)
    tissue[lung] -= (thin * tissue)[lung]
    return lung


def scar(tissue: np.ndarray, anatomy: Anatomy, finding: Finding, rng: Any) -> np.ndarray:
    """Fibrosis: a net of thickened septa below the pleura, most at the bases."""
    lung = anatomy.lungs > 0
    z = anatomy.axes()[2]
    where = np.exp(-anatomy.depth / 24) * np.clip((60 - z) / 85, 0.06, 1) * lung
    net = _ridges(tissue.shape, anatomy, {1: 3.0, 2: 3.6, 3: 4.4}[finding.severity], rng)
    amount = {1: 0.5, 2: 0.75, 3: 1.0}[finding.severity]
    share = where * (amount * net + 0.16 * amount)
    _fill(tissue, tuple(slice(0, n) for n in tissue.shape), np.clip(share, 0, 0.9))
    return lung & (where > 0.3) & (z > min(DOME.values()) - 25)


def _fill(
    tissue: np.ndarray, box: tuple[slice, ...], share: np.ndarray, density: float = WATER
) -> np.ndarray:
    """Replace a share of each voxel, never thinning what is there; return where it was seen."""
    tissue[box] += share * np.maximum(density - tissue[box], 0)
    extent = np.zeros(tissue.shape, bool)
    extent[box] = share > 0.4
    return extent


def _within(
    anatomy: Anatomy, where: np.ndarray, rng: Any, above: float = -1e3, below: float = 1e3
) -> np.ndarray:
    """Draw a point of `where` between two heights, in mm."""
    heights = anatomy.axes()[2][:, 0, 0]
    inside = np.flatnonzero((heights > above) & (heights < below))
    first, last = inside[0], inside[-1] + 1
    candidates = np.flatnonzero(where[first:last])
    if not len(candidates):
        candidates, first = np.flatnonzero(where), 0
    index = np.array(np.unravel_index(rng.choice(candidates), where.shape))
    index[0] += first
    return np.asarray(anatomy.origin) + index[::-1] * np.asarray(anatomy.spacing)


def squared(x: Any, y: Any, z: Any, centre: Any, radii: Any) -> np.ndarray:
    """Return the squared ellipsoidal radius, 1 on the surface."""
    return sum(((axis - c) / r) ** 2 for axis, c, r in zip((x, y, z), centre, radii, strict=True))


def _radius(
    anatomy: Anatomy, centre: np.ndarray, radii: np.ndarray, reach: float
) -> tuple[np.ndarray, tuple[slice, ...]]:
    """Return the ellipsoidal radius (1 at `radii`) in a box `reach` times as large, and the box."""
    axes = anatomy.axes()
    box = []
    for axis, c, r in zip(axes, centre, radii, strict=True):
        near = np.flatnonzero(np.abs(axis.ravel() - c) <= reach * r)
        box.append(slice(near[0], near[-1] + 1))
    parts = [axis.ravel()[b] for axis, b in zip(axes, box, strict=True)]
    inside = squared(parts[0][None, None], parts[1][None, :, None], parts[2][:, None, None], centre, radii)
    return np.sqrt(inside), tuple(box[::-1])


def _noise(shape: tuple[int, ...], anatomy: Anatomy, width_mm: float, rng: Any) -> np.ndarray:
    """Smooth noise of unit variance with structures of about `width_mm`."""
    factors = [max(1, int(width_mm / step / 1.2)) for step in anatomy.spacing[::-1]]
    coarse = rng.standard_normal([n // f + 4 for n, f in zip(shape, factors, strict=True)]).astype(np.float32)
    coarse = ndimage.gaussian_filter(coarse, 0.8)
    fine = coarse
    for axis, (count, factor) in enumerate(zip(shape, factors, strict=True)):
        at = np.arange(count, dtype=np.float32) / factor + 1
        low = at.astype(int)
        share = (at - low).reshape([-1 if a == axis else 1 for a in range(3)])
        share = share * share * (3 - 2 * share)
        fine = np.take(fine, low, axis) * (1 - share) + np.take(fine, low + 1, axis) * share
    return fine / max(float(fine.std()), 1e-6)


def _ridges(shape: tuple[int, ...], anatomy: Anatomy, width_mm: float, rng: Any) -> np.ndarray:
    """A net of thin sheets, 0 to 1: where smooth noise crosses zero."""
    return np.clip(1 - np.abs(_noise(shape, anatomy, width_mm, rng)) / 0.35, 0, 1)


def _fall(radius: np.ndarray, inner: float, outer: float) -> np.ndarray:
    share = np.clip((outer - radius) / (outer - inner), 0, 1)
    return share * share * (3 - 2 * share)


def _closed(lobe: np.ndarray) -> np.ndarray:
    """A lobe with its vessels, edges softened by a voxel."""
    return np.clip(ndimage.uniform_filter(lobe.astype(np.float32), 5) * 2.2, 0, 1)
