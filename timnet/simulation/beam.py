"""X-rays through the chest: from source to detector, water-equivalent millimetres along every ray.

Owns the geometry of a film: view, distance, magnification, how the patient stands. The film's pixels are
measured at the plane through the middle of the lungs; its columns run towards the patient's left as on a
light box, its rows downwards; of a lateral film the columns run forwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from timnet.simulation.anatomy import Anatomy
from timnet.simulation.chest import Chest, Posture, at_rest

_NODES = (13, 25, 25)  # depth, rows, columns of the lattice on which the chest's shape is worked out
_AT_ONCE = 6  # planes sampled at once: a block that stays in a processor's cache


@dataclass(frozen=True)
class Beam:
    """Where the film, the source and the patient are.

    Attributes:
        view: PA (source behind), AP (source in front) or LATERAL (source at the right side).
        width, height: mm that the film covers at the plane through the lungs.
        centre: mm of its middle there, along columns and upwards.
        distance: mm from the source to that plane.
        angles: degrees the patient is turned about the long axis, leans sideways, leans forward.
    """

    view: str = "PA"
    width: float = 360.0
    height: float = 360.0
    centre: tuple[float, float] = (0.0, 0.0)
    distance: float = 1700.0
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def pixels(self, side: int) -> tuple[int, int]:
        """Return rows and columns of a film whose longer side has `side` square pixels."""
        longer = max(self.width, self.height)
        return round(side * self.height / longer), round(side * self.width / longer)

    def points(self, depths: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return patient points (D, H, W, 3) in mm on the rays.

        Args:
            depths: mm from the plane through the lungs towards the patient's front (lateral: left).
            rows, columns: place on the film, 0 to 1.
        """
        along = self.centre[0] + (columns - 0.5) * self.width
        up = self.centre[1] - (rows - 0.5) * self.height
        away = depths if self.view != "AP" else -depths
        spread = (self.distance + away)[:, None, None] / self.distance
        shape = (len(depths), len(rows), len(columns))
        u = np.broadcast_to(along[None, None, :] * spread, shape)
        v = np.broadcast_to(up[None, :, None] * spread, shape)
        d = np.broadcast_to(depths[:, None, None], shape)
        points = np.stack((d, u, v) if self.view == "LATERAL" else (u, d, v), -1)
        return points @ _rotation(self.angles)


def _rotation(angles: tuple[float, float, float]) -> np.ndarray:
    turn, lean, nod = np.deg2rad(angles)
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(lean), 0, np.sin(lean)], [0, 1, 0], [-np.sin(lean), 0, np.cos(lean)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(nod), -np.sin(nod)], [0, np.sin(nod), np.cos(nod)]])
    return about_z @ about_y @ about_x


@dataclass(frozen=True)
class Rays:
    """The lattice of CT points under a film, in units of the volume's own half width (-1 to 1)."""

    nodes: torch.Tensor  # (D, 3, H, W) float32
    span: float  # mm along the depth axis


def rays(anatomy: Anatomy, beam: Beam, chest: Chest, posture: Posture) -> Rays:
    """Return where the film's rays run through the CT, for `integrate`."""
    reach = 205.0 * chest.scale[0] if beam.view == "LATERAL" else 150.0 * chest.scale[1] * posture.barrel
    depths = np.linspace(-reach, reach, _NODES[0])
    grid = beam.points(depths, np.linspace(0, 1, _NODES[1]), np.linspace(0, 1, _NODES[2]))
    index = (at_rest(grid, chest, posture) - anatomy.origin) / anatomy.spacing
    units = index / ((np.array(anatomy.tissue.shape[::-1]) - 1) / 2) - 1
    nodes = torch.from_numpy(np.ascontiguousarray(units.transpose(0, 3, 1, 2), dtype=np.float32))
    return Rays(nodes, 2 * reach)


def integrate(volume: torch.Tensor, path: Rays, size: tuple[int, int], steps: int) -> torch.Tensor:
    """Return the sum along each ray in volume units times mm, (C, rows, columns) of a volume (C, Z, Y, X).

    The volume is sampled trilinearly at the middle of `steps` equal lengths; outside it is 0.
    """
    layers = F.interpolate(path.nodes, size=size, mode="bilinear", align_corners=True)
    layers = layers.permute(0, 2, 3, 1).contiguous()
    where = (torch.arange(steps) + 0.5) / steps * (len(layers) - 1)
    low = where.floor().long().clamp(max=len(layers) - 2)
    share = (where - low).view(-1, 1, 1, 1)
    total = torch.zeros(len(volume), *size)
    for start in range(0, steps, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        grid = torch.lerp(layers[low[part]], layers[low[part] + 1], share[part])
        sampled = F.grid_sample(volume[None], grid[None], align_corners=True, padding_mode="zeros")
        total += sampled[0].sum(1)
    return total * (path.span / steps)
