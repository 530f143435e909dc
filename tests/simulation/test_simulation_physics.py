"""Geometry against formulas, exposure against Beer and Lambert, shapes that never fold."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from timnet.simulation import beam, chest, detector
from timnet.simulation.anatomy import Anatomy
from timnet.simulation.beam import Beam

STILL = chest.Chest((1.0, 1.0, 1.0), 1.0, 1.0, (0.0, 0.0), np.zeros((3, 5, 5, 5)), 1.0, 0.0, 0.0)


def phantom(value, spacing=(2.0, 2.0, 2.0), shape=(121, 121, 121)):
    """An anatomy whose tissue is value(x, y, z), mm from the middle."""
    origin = tuple(-s * (n - 1) / 2 for s, n in zip(spacing, shape[::-1], strict=True))
    none = np.zeros(shape, np.uint8)
    empty = Anatomy(none.astype(np.float32), none, none, none, none.astype(np.float32), origin, spacing)
    x, y, z = empty.axes()
    tissue = np.broadcast_to(value(x, y, z), shape).astype(np.float32).copy()
    return Anatomy(tissue, none, none, none, none.astype(np.float32), origin, spacing)


def film_of(anatomy, aim, side=101, steps=240):
    path = beam.rays(anatomy, aim, STILL, chest.Posture())
    return beam.integrate(torch.from_numpy(anatomy.tissue)[None], path, aim.pixels(side), steps)[0].numpy()


def test_rays_through_a_ball_are_as_long_as_its_chords():
    radius = 60.0
    ball = phantom(lambda x, y, z: np.clip((radius - np.sqrt(x * x + y * y + z * z)) / 2 + 0.5, 0, 1))
    water = film_of(ball, Beam(width=200, height=200, distance=1e7))
    at = (np.arange(101) + 0.0) / 100 * 200 - 100
    off = np.hypot(at[:, None], at[None, :])
    chord = 2 * np.sqrt(np.clip(radius**2 - off**2, 0, None))
    inner = off < radius - 6
    assert np.abs(water - chord)[inner].max() < 2.0
    assert water[off > radius + 6].max() == 0


@pytest.mark.parametrize(("view", "sign"), [("PA", 1.0), ("AP", -1.0)])
@pytest.mark.parametrize("depth", [-50.0, 0.0, 50.0])
def test_what_is_nearer_the_source_is_larger(view, sign, depth):
    side, distance, off = 201, 1000.0, 50.0
    rod = phantom(lambda x, y, z: np.exp(-((x - off) ** 2 + (y - depth) ** 2 + z**2) / (2 * 3.0**2)))
    water = film_of(rod, Beam(view=view, width=200, height=200, distance=distance), side)
    column = np.average(np.arange(side), weights=water.sum(0))
    # Similar triangles, scaled to the plane through the lungs (depth 0).
    expected = off * distance / (distance + sign * depth)
    assert abs((column / (side - 1) - 0.5) * 200 - expected) < 0.6


def test_columns_run_to_the_patients_left_and_rows_downwards():
    spot = phantom(lambda x, y, z: np.exp(-((x - 40) ** 2 + y**2 + (z - 30) ** 2) / 50))
    row, column = np.unravel_index(film_of(spot, Beam(width=200, height=200)).argmax(), (101, 101))
    assert column > 60 and row < 40
    forward = phantom(lambda x, y, z: np.exp(-(x**2 + (y - 40) ** 2 + z**2) / 50))
    lateral = film_of(forward, Beam("LATERAL", 200, 200))
    assert np.unravel_index(lateral.argmax(), lateral.shape)[1] > 60


def test_a_film_has_square_pixels_whatever_its_format():
    assert Beam(width=300, height=400).pixels(200) == (200, 150)
    ball = phantom(lambda x, y, z: np.where(x * x + y * y + z * z < 50**2, 1.0, 0.0))
    seen = film_of(ball, Beam(width=240, height=160, distance=1e7), 120) > 1
    assert abs(np.ptp(np.flatnonzero(seen.any(0))) - np.ptp(np.flatnonzero(seen.any(1)))) <= 2


def test_an_ideal_film_is_linear_in_the_water_crossed():
    water = np.tile(np.linspace(30, 250, 200), (64, 1))
    ideal = detector.Exposure(
        scatter=0.0, quanta=1e13, blur=1e-3, low=0.0, high=100.0, curve=1.0, toe=0.0, edge=(0.0, 5.0)
    )
    film = detector.expose(water, ideal, 1.0, np.random.default_rng(0)).astype(float)
    expected = 255 * (water - 30) / 220
    assert np.abs(film - expected).max() <= 1.0


def test_noise_follows_the_number_of_quanta():
    water = np.tile(np.r_[np.full(40, 30.0), np.full(120, 120.0), np.full(40, 250.0)], (200, 1))
    spreads = []
    for quanta in (1e4, 4e4):
        exposure = detector.Exposure(
            scatter=0.0, quanta=quanta, blur=1e-3, low=0, high=100, curve=1, toe=0, edge=(0, 5)
        )
        film = detector.expose(water, exposure, 1.0, np.random.default_rng(0)).astype(float)
        spreads.append(film[:, 60:140].std() / (film[:, 170:].mean() - film[:, :30].mean()))
    assert 1.6 < spreads[0] / spreads[1] < 2.4  # the square root of four


def test_scatter_fills_what_is_dense():
    water = np.full((120, 120), 60.0)
    water[40:80, 40:80] = 200
    share = 0.5
    exposure = detector.Exposure(
        scatter=share, quanta=1e13, blur=1e-3, low=0, high=100, curve=1, toe=0, edge=(0, 5)
    )
    film = detector.expose(water, exposure, 1.0, np.random.default_rng(0)).astype(float) / 255
    primary = np.exp(-exposure.attenuation * water)
    spread = ndimage.gaussian_filter(np.minimum(primary, 0.3), 35, mode="nearest")
    density = -np.log(primary + share / (1 - share) * spread)
    expected = (density - density.min()) / np.ptp(density)
    assert np.abs(film - expected).max() < 2 / 255
    # Without scatter the dense square would be twice as far from its surroundings.
    assert density[60, 60] - density[0, 0] < 0.5 * exposure.attenuation * (200 - 60)


def test_a_film_is_white_where_much_was_crossed_and_black_beyond_the_collimator():
    water = np.tile(np.linspace(30, 250, 200), (200, 1))
    film = detector.expose(
        water, detector.Exposure(borders=(0.05, 0.1, 0.05, 0.0)), 1.0, np.random.default_rng(0)
    )
    assert film[100, 180] > film[100, 60] > film[100, 20]
    assert not film[:20].any() and not film[:, :10].any() and not film[:, 190:].any()


@pytest.mark.parametrize("seed", range(12))
def test_no_chest_folds(seed):
    rng = np.random.default_rng(seed)
    build = chest.draw(rng, age=int(rng.integers(20, 90)))
    posture = chest.Posture((25.0, -15.0), 1.8, 14.0 if seed % 2 else -20.0, 1.15)
    lattice = np.stack(np.meshgrid(*[np.linspace(-125, 125, 26)] * 3, indexing="ij"), -1)
    lattice = lattice * np.array([1.0, 0.65, 1.0]) * build.scale
    source = chest.at_rest(lattice, build, posture)
    steps = [np.gradient(source, axis=axis) for axis in range(3)]
    volume = np.linalg.det(np.stack(steps, -1))
    cell = np.prod([10.0, 6.5, 10.0])
    assert (volume > 0.02 * cell).mean() > 0.999


def test_a_chest_at_rest_is_the_ct_itself():
    points = np.random.default_rng(0).uniform(-100, 100, (50, 3))
    assert np.allclose(chest.at_rest(points, STILL, chest.Posture()), points, atol=1e-9)


def test_a_larger_heart_is_drawn_from_nearer_its_centre():
    edge = np.array([chest.HEART]) + np.array([chest.HEART_AXES[0] * 1.3, 0, 0])
    moved = chest.at_rest(edge, STILL, chest.Posture(heart=1.5))
    assert chest.HEART[0] < moved[0, 0] < edge[0, 0]
    far = np.array([[24.0, 28.0, 130.0]])
    assert np.allclose(chest.at_rest(far, STILL, chest.Posture(heart=1.5)), far)


def test_a_build_is_the_same_for_the_same_seed():
    first, again = (chest.draw(np.random.default_rng(3), 60) for _ in range(2))
    assert np.array_equal(first.bend, again.bend) and first.scale == again.scale
