"""One simulated study: a case, a chest and an exposure become a film, with the exact place of each finding.

Owns the order of things: findings go into the CT at rest, the chest moves, rays are summed, the film is
exposed. The same seeds give the same film; two cases with the same seeds differ only by their findings, which
is what makes counterfactual twins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from timnet.simulation import beam, bones, chest, detector, devices, lungs, pleura
from timnet.simulation.anatomy import HEART, Anatomy
from timnet.simulation.facts import Case, Finding

_STEPS, _MASK_STEPS = 96, 48
_TOWARDS = {"right": -1.0, "left": 1.0}


@dataclass(frozen=True)
class Simulated:
    """A film with its truth.

    Attributes:
        pixels: uint8 (rows, columns), bone bright. masks: bool (findings, rows, columns), as in the case.
        spacing_mm: of a pixel at the plane through the lungs. cardiothoracic: heart's over chest's width.
    """

    case: Case
    pixels: np.ndarray
    masks: np.ndarray
    spacing_mm: float
    cardiothoracic: float

    def boxes(self) -> list[tuple[int, int, int, int] | None]:
        """Return left, top, right, bottom (exclusive) in pixels for each finding; None if out of sight."""
        return [_box(mask) for mask in self.masks]


def simulate(
    anatomy: Anatomy, case: Case, patient: int, study: int, side: int = 320, view: str | None = None
) -> Simulated:
    """Make the film of `case`.

    Args:
        patient: seed of the build, the same for all studies of one patient.
        study: seed of everything else: where in its place a finding lies, posture, exposure, noise.
        side: pixels of the longer side. view: another than the case's (LATERAL).
    """
    view = view or case.view
    build = chest.draw(np.random.default_rng((7, patient)), case.age)
    stream = [np.random.default_rng((part, patient, study)) for part in range(4)]
    exposure = detector.draw(stream[0], view)
    posture, aim = _posture(case, stream[1], (patient, study)), _beam(build, view, stream[1])
    tissue, bone = _patient(anatomy, build)
    extents = []
    for finding in case.findings:
        # A stream of its own, so that taking a finding out leaves the others where they are.
        seed = (5, patient, study, *finding.kind.encode(), *finding.variant.encode())
        extents.append(_put(tissue, bone, anatomy, finding, np.random.default_rng(seed)))
    volume = torch.from_numpy(tissue + bone * (build.bone * exposure.bone))[None]
    path = beam.rays(anatomy, aim, build, posture)
    steps, size = (140 if view == "LATERAL" else _STEPS), aim.pixels(side)
    water = beam.integrate(volume, path, size, steps)[0].numpy()
    pixels = detector.expose(water, exposure, aim.width / size[1], stream[2])
    shadows = _shadows([*map(_every_second, extents), *_heart_and_lungs(anatomy)], path, size)
    return Simulated(case, pixels, shadows[:-2], aim.width / size[1], _ratio(shadows[-2], shadows[-1]))


def without(case: Case, finding: Finding) -> Case:
    """Return the same case without one of its findings."""
    return replace(case, findings=tuple(other for other in case.findings if other != finding))


def mirrored(finding: Finding) -> Finding:
    """Return the finding on the other side; the right middle lobe's becomes the left upper lobe's."""
    side = {"right": "left", "left": "right"}.get(finding.side, finding.side)
    place = "upper lobe" if finding.place == "middle lobe" else finding.place
    return replace(finding, side=side, place=place)


def _patient(anatomy: Anatomy, build: chest.Chest) -> tuple[np.ndarray, np.ndarray]:
    tissue, bone = anatomy.tissue.copy(), anatomy.bone.copy()
    box = anatomy.box("both")
    part = tissue[box]
    aerated = (anatomy.lungs[box] > 0) & (part < 0.5)
    part[aerated] = np.maximum(part[aerated] + build.lung, 0.01)
    if build.breast > 3:
        chest_wall = int((40 - anatomy.origin[1]) / anatomy.spacing[1])
        front = (slice(0, tissue.shape[0]), slice(chest_wall, tissue.shape[1]), slice(0, tissue.shape[2]))
        skin = anatomy.within(front)
        part = tissue[front]
        x, y, z = skin.axes()
        for sign in (-1.0, 1.0):
            radii = (56.0, build.breast + 14, 50.0)
            swell = np.clip(1.4 * (1 - lungs.squared(x, y, z, (sign * 66.0, 76.0, 4.0), radii)), 0, 1)
            outside = (part < 0.3) & (skin.lungs == 0)
            part[outside] = np.maximum(part, 0.94 * swell)[outside]
    return tissue, bone


def _posture(case: Case, rng: Any, seed: tuple[int, int]) -> chest.Posture:
    """Breath, and what the findings do to heart, diaphragm and mediastinum."""
    breath = rng.normal(-8, 7) if case.view == "PA" else rng.normal(3, 8)
    domes = {"right": breath + rng.normal(0, 3), "left": breath + rng.normal(0, 3)}
    heart, shift, barrel = 1.0, rng.normal(0, 1.5), 1.0
    for finding in case.findings:
        push = _TOWARDS.get(finding.side, 0.0)
        own = np.random.default_rng((6, *seed, *finding.kind.encode()))
        if finding.kind == "cardiomegaly":
            heart = {1: 1.32, 2: 1.52, 3: 1.8}[finding.severity] + own.normal(0, 0.03)
        elif finding.kind == "edema":
            heart = max(heart, 1.08)
        elif finding.kind == "atelectasis" and finding.variant == "lobar":
            shift += push * {2: 6.0, 3: 13.0}[finding.severity]
            rise = 16.0 if finding.place == "lower lobe" else 8.0
            domes[finding.side] += rise * own.uniform(0.8, 1.4)
        elif finding.kind == "pleural_effusion" and finding.severity == 3 and finding.side != "both":
            shift -= push * own.uniform(6, 12)
        elif finding.kind == "pneumothorax" and finding.variant == "tension":
            shift -= push * own.uniform(14, 22)
            domes[finding.side] -= own.uniform(12, 22)
        elif finding.kind == "emphysema":
            barrel = 1 + 0.055 * finding.severity
            heart = min(heart, 0.94)
            domes = {name: min(dome, -4.0) - 8.0 * finding.severity for name, dome in domes.items()}
        elif finding.kind == "fibrosis":
            domes = {name: dome + 5.0 * finding.severity for name, dome in domes.items()}
    return chest.Posture((domes["right"], domes["left"]), float(heart), float(shift), barrel)


def _beam(build: chest.Chest, view: str, rng: Any) -> beam.Beam:
    across, tall = 252 * build.scale[0], 262 * build.scale[2]
    width, height = across * rng.uniform(1.1, 1.4), tall * rng.uniform(1.04, 1.3)
    centre = (float(rng.normal(0, 6)), float(rng.normal(4, 6)))
    if view == "LATERAL":
        angles = rng.normal(0, 2.5, 3)
        return beam.Beam(view, max(width, 300.0), max(height, 300.0), centre, 1700.0, tuple(angles))
    loose = view == "AP"
    angles = rng.normal(0, (6.0, 3.5, 6.0) if loose else (3.0, 1.6, 3.0))
    distance = rng.uniform(950, 1250) if loose else rng.uniform(1600, 1850)
    return beam.Beam(view, float(width), float(height), centre, float(distance), tuple(angles))


def _put(tissue: np.ndarray, bone: np.ndarray, anatomy: Anatomy, finding: Finding, rng: Any) -> np.ndarray:
    if finding.kind == "cardiomegaly":
        return anatomy.organs == HEART
    if finding.kind == "support_devices":
        return devices.place(tissue, anatomy, finding, rng)
    if finding.kind == "fracture":
        return bones.fracture(tissue, bone, anatomy, finding, rng)
    extent = np.zeros(tissue.shape, bool)
    box = anatomy.box(finding.side)
    extent[box] = _PUT[finding.kind](tissue[box], anatomy.within(box), finding, rng)
    return extent


_PUT: dict[str, Any] = {
    "pleural_effusion": pleura.effuse,
    "pneumothorax": pleura.deflate,
    "consolidation": lungs.consolidate,
    "atelectasis": lungs.collapse,
    "nodule": lungs.grow,
    "mass": lungs.grow,
    "edema": lungs.flood,
    "emphysema": lungs.empty,
    "fibrosis": lungs.scar,
}


def _shadows(extents: list[np.ndarray], path: beam.Rays, size: tuple[int, int]) -> np.ndarray:
    """Return where each extent falls on the film: rays that cross a seventh of its longest crossing."""
    volume = torch.from_numpy(np.stack(extents))
    depth = beam.integrate(volume, path, (max(size[0] // 2, 48), max(size[1] // 2, 48)), _MASK_STEPS)
    full = torch.nn.functional.interpolate(depth[None], size, mode="bilinear", align_corners=False)[0]
    longest = full.amax((1, 2), keepdim=True)
    return ((full > longest / 7) & (full > 0)).numpy()


def _every_second(extent: np.ndarray) -> np.ndarray:
    """Every second voxel: the counts are odd, so both grids span the same box."""
    return extent[::2, ::2, ::2].astype(np.float32)


@lru_cache(maxsize=4)
def _heart_and_lungs(anatomy: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    return _every_second(anatomy.organs == HEART), _every_second(anatomy.lungs > 0)


def _ratio(heart: np.ndarray, lung: np.ndarray) -> float:
    """Cardiothoracic ratio: the heart from its left to its right end over both lungs likewise."""
    widths = [np.ptp(np.flatnonzero(shadow.any(0))) + 1 if shadow.any() else 0 for shadow in (heart, lung)]
    return float(widths[0] / widths[1]) if widths[1] else 0.0


def _box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
