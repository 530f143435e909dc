"""Batches: every film once an epoch, films as they lie in the cache, changes that keep laterality."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from timnet.model import devices
from timnet.training import augment, batches, estimates


@given(films=st.integers(2, 60), batch=st.integers(2, 20), seed=st.integers(0, 99), epoch=st.integers(0, 5))
def test_an_epoch_takes_every_film_once_in_as_many_steps_as_announced(films, batch, seed, epoch):
    made = list(batches.orders(range(100, 100 + films), batch, seed, epoch))
    assert sorted(row for rows in made for row in rows) == list(range(100, 100 + films))
    assert len(made) == estimates.steps_an_epoch(films, batch)
    assert all(2 <= len(rows) <= batch + 1 for rows in made)


@given(films=st.integers(2, 60), batch=st.integers(2, 20), epoch=st.integers(0, 5))
def test_only_full_batches_are_kept_where_the_last_is_dropped(films, batch, epoch):
    made = list(batches.orders(range(films), batch, 0, epoch, drop_last=True))
    assert [len(rows) for rows in made] == [batch] * (films // batch) or films < batch
    assert len(made) == estimates.steps_an_epoch(films, batch, drop_last=True) >= 1
    assert len({row for rows in made for row in rows}) == sum(len(rows) for rows in made)


def test_every_film_has_its_turn_over_the_epochs():
    seen = {
        row for epoch in range(20) for rows in batches.orders(range(26), 16, 0, epoch, True) for row in rows
    }
    assert seen == set(range(26))


def test_epochs_differ_and_repeat_with_the_seed():
    first, again = list(batches.orders(range(20), 4, 1, 0)), list(batches.orders(range(20), 4, 1, 0))
    assert first == again
    assert first != list(batches.orders(range(20), 4, 1, 1))
    assert first != list(batches.orders(range(20), 4, 2, 0))


def test_films_come_as_they_lie_in_the_cache():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    made = batches.films(pixels, [3, 1], torch.device("cpu"))
    assert made.shape == (2, 1, 8, 8)
    torch.testing.assert_close(made[0, 0], torch.from_numpy(pixels[3].astype(np.float32) / 255))


def test_films_on_the_device_are_those_of_the_cache_and_no_others(monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (2500, 8, 8), dtype=np.uint8)
    on, rows = torch.device("cpu"), np.array([2499, 7, 7, *range(100, 1300)])
    room = len(set(rows.tolist())) * 64 / batches.ROOM
    monkeypatch.setattr(devices, "free", lambda on: room)
    moved: list[tuple[int, int | None]] = []
    held = batches.resident(pixels, rows, on, lambda *told: moved.append(told))
    assert moved == [(1024, 1202), (1202, 1202)]
    assert isinstance(held, batches.Resident) and held.films_MSS.nbytes == 1202 * 64
    asked = [7, 2499, 1299, 100, 7]
    made, expected = (batches.films(source, asked, on) for source in (held, pixels))
    assert torch.equal(made, expected) and made.stride() == expected.stride()
    with pytest.raises(IndexError):
        batches.films(held, [8], on)
    monkeypatch.setattr(devices, "free", lambda on: room - 1)
    assert batches.resident(pixels, rows, on) is pixels


def test_a_processor_reads_the_cache_as_it_is():
    pixels = np.zeros((4, 8, 8), np.uint8)
    assert batches.resident(pixels, np.arange(4), torch.device("cpu")) is pixels


def test_forward_keeps_the_order_and_tells_how_far_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 8, 8), dtype=np.uint8)
    told: list[tuple[int, int | None]] = []
    rows = [8, 0, 4, 2, 6]
    out = batches.forward(
        lambda x: x.mean((2, 3)), pixels, rows, torch.device("cpu"), False, lambda *t: told.append(t), batch=2
    )
    np.testing.assert_allclose(out[:, 0], pixels[rows].mean((1, 2)) / 255, rtol=1e-5)
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_no_change_drawn_changes_nothing():
    films = torch.rand(2, 1, 16, 16)
    torch.testing.assert_close(augment.apply(films, torch.zeros(2, 6)), films, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("erase", [False, True])
def test_changed_films_lie_channels_last_as_a_convolution_reads_it_from_their_strides(erase):
    films = torch.rand(3, 1, 16, 16)
    changed = augment.apply(films, augment.draw(3, torch.Generator().manual_seed(0), erase))
    assert changed.stride() == (256, 1, 16, 1)
    assert torch.conv2d(changed, torch.rand(4, 1, 3, 3)).stride()[1] == 1


def test_a_left_marker_stays_on_the_left():
    film = torch.zeros(50, 1, 32, 32)
    film[:, :, 14:18, 4:8] = 1
    moved = augment.apply(film, augment.draw(50, torch.Generator().manual_seed(0)))
    moved = moved - moved.amin((2, 3), keepdim=True)
    columns = torch.arange(32.0)
    centre = (moved.sum((1, 2)) * columns).sum(1) / moved.sum((1, 2, 3))
    peak = moved.flatten(1).argmax(1) % 32
    assert (peak < 14).all()
    assert centre.median() < 16


def test_a_quarter_turn_moves_a_point_where_geometry_says():
    film = torch.zeros(1, 1, 33, 33)
    film[0, 0, 16, 28] = 1
    turned = augment.apply(film, torch.tensor([[math.pi / 2, 0, 0, 0, 0, 0]]))
    assert divmod(int(turned.flatten().argmax()), 33) in {(4, 16), (28, 16)}


def test_films_stay_in_range_and_draws_within_their_limits():
    drawn = augment.draw(1000, torch.Generator().manual_seed(1))
    limits = [math.radians(20), 0.20, 0.12, 0.12, 0.40, 0.16]
    for column, limit in zip(drawn.unbind(1), limits, strict=True):
        assert column.abs().max() <= limit
        assert column.mean() == pytest.approx(0, abs=limit / 10)
    moved = augment.apply(torch.rand(1000, 1, 8, 8), drawn)
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_what_is_drawn_for_erasing_leaves_the_other_changes_as_they_were():
    plain, more = (augment.draw(5, torch.Generator().manual_seed(3), erase) for erase in (False, True))
    assert torch.equal(more[:, :6], plain) and more.shape == (5, 12)
    assert not torch.equal(more[0, 6:], more[1, 6:])


def test_a_rectangle_is_the_films_mean_and_covers_what_was_drawn():
    films = torch.rand(1, 1, 20, 20)
    unmoved, half = [0.0] * 6, films.mean()
    covered = augment.apply(films, torch.tensor([[*unmoved, 7, 0, 0.25, 0.5, 0.2, 0.3]]))
    inside = torch.zeros(20, 20, dtype=torch.bool)
    inside[10:16, 5:9] = True
    assert torch.allclose(covered[0, 0, inside], half, atol=1e-5)
    torch.testing.assert_close(covered[0, 0, ~inside], films[0, 0, ~inside], atol=1e-5, rtol=1e-5)
    # What lies outside the film covers nothing.
    beside = augment.apply(films, torch.tensor([[*unmoved, 7, 0, -0.3, 0.5, 0.3, 0.3]]))
    torch.testing.assert_close(beside, films, atol=1e-5, rtol=1e-5)


def test_noise_has_its_deviation_and_is_a_films_own_wherever_it_stands():
    films, changes = torch.full((3, 1, 64, 64), 0.5), torch.zeros(3, 12)
    changes[:, 6], changes[:, 7] = torch.tensor([1.0, 2.0, 2.0**24 - 1]), 0.05
    noisy = augment.apply(films, changes)
    assert noisy.std((1, 2, 3)).tolist() == pytest.approx([0.05] * 3, rel=0.05)
    assert not torch.equal(noisy[0], noisy[1])
    assert torch.equal(augment.apply(films[2:], changes[2:]), noisy[2:])


def test_erased_films_stay_in_range_and_an_eighth_is_the_most_that_is_covered():
    drawn = augment.draw(2000, torch.Generator().manual_seed(1), erase=True)
    moved = augment.apply(torch.rand(2000, 1, 8, 8), drawn)
    assert moved.min() >= 0 and moved.max() <= 1
    assert (drawn[:, 10] * drawn[:, 11]).max() < 1 / 8 < 1.05 * augment.PATCH**2
