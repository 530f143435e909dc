"""From ray sums to a film: beam, scatter, quanta, detector and the processing of a digital radiograph.

Owns what varies from one exposure to the next. A film is uint8, bone bright, its collimated border black,
with the technologist's side marker; positions of pixels never move here, so masks stay true.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage


@dataclass(frozen=True)
class Exposure:
    """How a film was exposed and processed.

    Attributes:
        attenuation: of water for this beam, 1/mm. bone: factor on calcium (1 at the CT's energy; less at high
            kVp). scatter: share of scattered quanta behind the chest. quanta: per pixel in air at 1 mm.
        blur: detector and focus, mm. shading: slope of the field along columns and rows (heel effect).
        low, high: percentiles of the chest between which the look-up table is laid. floor: how far below the
            first it begins, as a share of the span: what keeps lungs grey. curve: exponent of the table. toe:
            steepness of its S shape. edge: gain and width (mm) of the edge enhancement.
        borders: share of the film cut off by the collimator at left, top, right, bottom.
        marker: letters, and their place as a share of the film (column, row); size likewise.
    """

    attenuation: float = 0.018
    bone: float = 0.8
    scatter: float = 0.3
    quanta: float = 4e4
    blur: float = 0.5
    shading: tuple[float, float] = (0.0, 0.0)
    low: float = 1.0
    high: float = 99.5
    floor: float = 0.0
    curve: float = 1.0
    toe: float = 0.5
    edge: tuple[float, float] = (0.5, 12.0)
    borders: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    marker: tuple[str, float, float, float] | None = None


def draw(rng: Any, view: str) -> Exposure:
    """Draw an exposure; a bedside (AP) film has more scatter, fewer quanta and looser collimation."""
    bedside = view == "AP"
    letters = str(rng.choice(("R", "L", "R PA", "L AP", "PORTABLE") if bedside else ("R", "L")))
    letters = letters.replace("PA", "AP") if bedside else letters
    column = 0.06 if "R" in letters.split() or letters == "PORTABLE" else 0.88
    return Exposure(
        attenuation=float(rng.uniform(0.0165, 0.0205)),
        bone=float(rng.uniform(1.5, 3.2)),
        scatter=float(rng.uniform(0.3, 0.6) if bedside else rng.uniform(0.15, 0.4)),
        quanta=float(10 ** rng.uniform(4.3, 5.6)),
        blur=float(rng.uniform(0.1, 0.5)),
        shading=(float(rng.normal(0, 0.06)), float(rng.normal(0, 0.06))),
        low=float(rng.uniform(0.2, 3.0)),
        high=float(rng.uniform(98.5, 99.95)),
        floor=float(rng.uniform(0.05, 0.4)),
        curve=float(rng.uniform(0.7, 1.3)),
        toe=float(rng.uniform(0.2, 1.0)),
        edge=(float(rng.uniform(0.6, 2.2)), float(rng.uniform(4.0, 16.0))),
        borders=tuple(float(max(0.0, rng.normal(-0.01, 0.025))) for _ in range(4)),  # type: ignore[arg-type]
        marker=(
            letters,
            column + float(rng.normal(0, 0.02)),
            float(rng.uniform(0.04, 0.2)),
            float(rng.uniform(0.035, 0.06)),
        )
        if rng.random() < 0.8
        else None,
    )


def expose(water_mm: np.ndarray, exposure: Exposure, pixel_mm: float, rng: Any) -> np.ndarray:
    """Return the film of a chest of which each ray crosses `water_mm` of water; uint8, same shape.

    Beer-Lambert for the primary quanta; scatter as the primary spread over 35 mm, in the given share of the
    total; Poisson noise by its normal limit; then the logarithm, as detectors report it.
    """
    primary = np.exp(-exposure.attenuation * water_mm)
    rows, columns = (np.linspace(-1, 1, count) for count in primary.shape)
    field = np.exp(exposure.shading[0] * columns[None, :] + exposure.shading[1] * rows[:, None])
    share = exposure.scatter / (1 - exposure.scatter)
    spread = ndimage.gaussian_filter(np.minimum(primary, 0.3), 35 / pixel_mm, mode="nearest")
    quanta = (primary + share * spread) * field * exposure.quanta * pixel_mm**2
    quanta = quanta + np.sqrt(np.maximum(quanta, 0)) * rng.standard_normal(quanta.shape)
    quanta = ndimage.gaussian_filter(np.maximum(quanta, 1.0), exposure.blur / pixel_mm)
    return _processed(-np.log(quanta), water_mm > 25, exposure, pixel_mm)


def _processed(density: np.ndarray, body: np.ndarray, exposure: Exposure, pixel_mm: float) -> np.ndarray:
    gain, width = exposure.edge
    density = density + gain * (density - ndimage.gaussian_filter(density, width / pixel_mm))
    inside = density[body] if body.any() else density
    low, high = np.percentile(inside, (exposure.low, exposure.high))
    low -= exposure.floor * (high - low)
    value = np.clip((density - low) / max(high - low, 1e-6), 0, 1)
    smooth = value * value * (3 - 2 * value)
    value = ((1 - exposure.toe) * value + exposure.toe * smooth) ** exposure.curve
    film = Image.fromarray((255 * value + 0.5).astype(np.uint8))
    _mark(film, exposure.marker)
    pixels = np.array(film)
    height, across = pixels.shape
    left, top, right, bottom = exposure.borders
    pixels[: round(top * height)] = 0
    pixels[height - round(bottom * height) :] = 0
    pixels[:, : round(left * across)] = 0
    pixels[:, across - round(right * across) :] = 0
    return pixels


def _mark(film: Image.Image, marker: tuple[str, float, float, float] | None) -> None:
    if marker is None:
        return
    letters, column, row, size = marker
    pen = ImageDraw.Draw(film)
    font = ImageFont.load_default(max(size * film.height, 6.0))
    width = pen.textlength(letters, font=font)
    column = min(max(column * film.width, 2), film.width - width - 2)
    pen.text((column, row * film.height), letters, fill=245, font=font)
