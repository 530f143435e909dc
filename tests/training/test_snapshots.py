"""Snapshots: what went in comes out, a damaged one is never taken, and a run goes on as if never stopped."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import time
from dataclasses import replace

import pytest
import torch

from timnet import config, files
from timnet.training import loop, runs, snapshots
from timnet.training.events import EVENTS, Cancelled, Events
from timnet.training.snapshots import SnapshotError, Snapshots
from timnet.training.state import Parts, Place

SETTINGS = config.Finetune(cohort="somewhere", task="Opacity")
ORIGIN = snapshots.origin(SETTINGS, "films", "fp32")
EPOCHS, STEPS = 4, 5


class Net(torch.nn.Module):
    """Everything that has a state of its own: convolutions, batch norm, dropout."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4)
        self.drop = torch.nn.Dropout(0.5)
        self.last = torch.nn.Linear(4, 1)

    def forward(self, batch):
        features = self.drop(self.norm(self.conv(batch["x"])).relu().mean((2, 3)))
        return (self.last(features).squeeze(1) - batch["y"]).square().mean() * batch["factor"]


def parts():
    """Return a network with Adam, a falling rate and weights in channels-last order."""
    torch.manual_seed(0)
    net = Net().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05, fused=True)
    return Parts(net, optimizer, loop.cosine(optimizer, EPOCHS * STEPS), loop.accelerator("fp32"))


def batches(epoch, done=0):
    """Draw an epoch's batches; the third of the second one gives no finite loss."""
    generator = torch.Generator().manual_seed(epoch)
    for i in range(STEPS):
        x, y = torch.rand(4, 3, 8, 8, generator=generator), torch.rand(4, generator=generator)
        if i >= done:
            yield {"x": x, "y": y, "rows": [i], "factor": math.nan if (epoch, i) == (1, 2) else 1.0}


def train(run, source=batches, found=None, **options):
    moved = parts()
    kept = Snapshots(run, ORIGIN, found)
    loop.fit(
        moved.objective, source, moved.optimizer, moved.on, Events(run, **options),
        epochs=EPOCHS, steps=STEPS, scheduler=moved.scheduler, kept=kept,
    )  # fmt: skip
    return moved


def losses(run):
    """Return what a run told of its losses, without times."""
    rows = [json.loads(line) for line in (run / EVENTS).read_text().splitlines()]
    told = ("event", "epoch", "step", "loss", "reason")
    return [
        {key: row.get(key) for key in told} for row in rows if row["event"] in ("step", "epoch", "refused")
    ]


def equal(left, right):
    """Say whether two trees of tensors and plain values are the same, bit for bit and in layout."""
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right) and left.stride() == right.stride() and left.dtype == right.dtype
    if isinstance(left, dict):
        return list(left) == list(right) and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return type(left) is type(right) and all(map(equal, left, right)) and len(left) == len(right)
    return type(left) is type(right) and left == right


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run's folder, in which a snapshot is taken after every step and every step is told."""
    monkeypatch.setenv("TIMNET_SNAPSHOT_SECONDS", "0")
    monkeypatch.setattr(loop, "TELL_SECONDS", 0)
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def three(run):
    """A run with snapshots of steps 1, 2 and 3; returns their files, oldest first."""
    moved, kept = parts(), Snapshots(run, ORIGIN)
    for step in (1, 2, 3):
        kept.write(moved, Place(batch=step, step=step))
    return sorted((run / runs.SNAPSHOTS).glob("*.safetensors"))


def test_every_part_comes_back_bit_for_bit_and_in_its_layout(run):
    moved = train(run)
    place = Place(epoch=2, batch=3, step=13, refused=1, losses=0.1 + 0.2, counted=2)
    random.random()
    Snapshots(run, ORIGIN).write(moved, place)
    found = snapshots.newest(run)
    assert found.place == place
    assert found.origin == ORIGIN
    assert equal(found.state, moved.state())
    assert found.state["optimizer"]["state"][0]["exp_avg"].is_contiguous(memory_format=torch.channels_last)
    fresh = parts()
    torch.manual_seed(1)
    random.seed(1)
    assert not equal(fresh.state(), moved.state())
    assert Snapshots(run, ORIGIN, found).restore(fresh) == place
    assert equal(fresh.state(), moved.state())


def test_what_json_cannot_hold_is_refused_not_bent(run):
    moved = parts()
    moved.optimizer.param_groups[0]["when"] = run
    with pytest.raises(TypeError, match="tensors and plain values"):
        Snapshots(run, ORIGIN).write(moved, Place())


@pytest.mark.parametrize("stop", range(EPOCHS * STEPS))
def test_a_run_stopped_before_any_step_ends_as_if_it_had_never_been(run, tmp_path, stop):
    whole = tmp_path / "whole"
    whole.mkdir()
    expected = train(whole)
    log = Events(run)

    def until(epoch, done):
        for i, batch in enumerate(batches(epoch, done), start=done):
            log.cancelled = epoch * STEPS + i == stop
            yield batch

    moved = parts()
    with pytest.raises(Cancelled):
        loop.fit(
            moved.objective, until, moved.optimizer, moved.on, log,
            epochs=EPOCHS, steps=STEPS, scheduler=moved.scheduler, kept=Snapshots(run, ORIGIN),
        )  # fmt: skip
    found = snapshots.newest(run)
    assert found.place.step == stop
    torch.manual_seed(99)
    resumed = train(run, found=found)
    assert equal(resumed.state(), expected.state())
    assert losses(run) == losses(whole)


def test_batches_done_are_left_out_not_computed(run):
    asked = []

    def source(epoch, done):
        asked.append((epoch, done))
        yield from batches(epoch, done)

    moved = parts()
    Snapshots(run, ORIGIN).write(moved, Place(epoch=1, batch=4, step=9))
    train(run, source, snapshots.newest(run))
    assert asked == [(1, 4), (2, 0), (3, 0)]


def test_the_time_left_counts_the_steps_of_this_start_alone(run):
    Snapshots(run, ORIGIN).write(parts(), Place(epoch=2, batch=0, step=10))
    told = []

    def slow(epoch, done):
        for batch in batches(epoch, done):
            time.sleep(0.05)
            yield batch

    train(run, slow, snapshots.newest(run), listen=told.append)
    first = next(event for event in told if event["event"] == "step")
    # Nine steps of 0.05 s or a little more; counted over all eleven it would be a twentieth of a second.
    assert first["step"] == 11
    assert 0.4 < first["eta_seconds"] < 10


def test_three_snapshots_stay(run):
    train(run)
    names = sorted(path.name for path in (run / runs.SNAPSHOTS).iterdir())
    assert [name.split(".")[0] for name in names[::2]] == [name.split(".")[0] for name in names[1::2]]
    assert names[::2] == [
        "epoch00003-step000000000019.json",
        "epoch00003-step000000000020.json",
        "epoch00004-step000000000020.json",
    ]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


def without_manifest(path):
    path.with_suffix(".json").unlink()


def broken_manifest(path):
    path.with_suffix(".json").write_text('{"sha256": ')


def flipped_manifest(path):
    manifest = path.with_suffix(".json")
    told = json.loads(manifest.read_text())
    first = told["sha256"][0]
    manifest.write_text(json.dumps(told | {"sha256": ("0" if first != "0" else "1") + told["sha256"][1:]}))


DAMAGES = (truncate, flip, empty, without_manifest, broken_manifest, flipped_manifest)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_snapshot_is_named_and_the_one_before_taken(run, three, caplog, damage):
    damage(three[2])
    assert snapshots.newest(run).place.step == 2
    assert three[2].name in caplog.text
    assert three[1].name not in caplog.text
    damage(three[1])
    assert snapshots.newest(run).place.step == 1
    damage(three[0])
    assert snapshots.newest(run) is None
    assert three[0].name in caplog.text


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_whose_newest_snapshot_is_damaged_still_ends_the_same(run, tmp_path, damage):
    whole = tmp_path / "whole"
    whole.mkdir()
    expected = train(whole)
    with pytest.raises(Cancelled):
        train(run, lambda epoch, done: cut_at(epoch, done, run, 8))
    (run / "cancel").unlink()
    damage(max((run / runs.SNAPSHOTS).glob("*.safetensors")))
    found = snapshots.newest(run)
    assert found.place.step == 7
    assert equal(train(run, found=found).state(), expected.state())
    assert losses(run) == losses(whole)


def cut_at(epoch, done, run, step):
    for i, batch in enumerate(batches(epoch, done), start=done):
        if epoch * STEPS + i == step:
            (run / "cancel").touch()
        yield batch


def test_a_damaged_snapshot_goes_when_the_run_goes_on_and_half_written_files_too(run, three):
    flip(three[2])
    half = three[2].with_name(f".{three[2].name}.4711")
    half.touch()
    Snapshots(run, ORIGIN, snapshots.newest(run))
    assert sorted((run / runs.SNAPSHOTS).glob("*.safetensors")) == three[:2]
    assert not half.exists() and not three[2].with_suffix(".json").exists()


def test_a_run_without_a_good_snapshot_starts_anew_and_tells_nothing_twice(run, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    expected = train(whole)
    train(run)
    for path in (run / runs.SNAPSHOTS).glob("*.safetensors"):
        flip(path)
    found = snapshots.newest(run)
    assert found is None
    assert equal(train(run, found=found).state(), expected.state())
    assert losses(run) == losses(whole)


@pytest.mark.parametrize(("part", "told"), [("settings", "settings"), ("films", "films or labels")])
def test_a_snapshot_of_other_settings_or_films_is_refused(run, three, part, told):
    with pytest.raises(SnapshotError, match=rf"^run: its {told} are no longer those"):
        Snapshots(run, replace(ORIGIN, **{part: "others"}), snapshots.newest(run))
    assert three[2].exists()


def test_a_snapshot_of_other_code_is_taken_with_a_warning(run, three, caplog):
    Snapshots(run, replace(ORIGIN, code="newer"), snapshots.newest(run))
    assert "another version of the code" in caplog.text


def test_a_snapshot_of_another_network_is_refused(run, three):
    moved = parts()
    moved.objective.last = torch.nn.Linear(5, 1)
    with pytest.raises(SnapshotError, match="does not fit its network"):
        Snapshots(run, ORIGIN, snapshots.newest(run)).restore(moved)


def test_a_full_disk_is_one_sentence_and_the_last_good_snapshot_stays(run, three, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_whole", full)
    kept = Snapshots(run, ORIGIN, snapshots.newest(run))
    with pytest.raises(SnapshotError, match=r"^run: the snapshot of step 4 cannot be written: No space left"):
        kept.write(parts(), Place(batch=4, step=4))
    assert snapshots.newest(run).place.step == 3


def test_a_disk_that_is_really_full_leaves_the_last_good_snapshot(run, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here ({mounted.stderr.strip()})")
    try:
        kept, moved = Snapshots(small, ORIGIN), parts()
        with pytest.raises(SnapshotError, match="No space left on device"):
            for step in range(20):
                kept.write(moved, Place(batch=step, step=step))
                (small / f"ballast{step}").write_bytes(os.urandom(4096))
        last = snapshots.newest(small)
        assert last.place.step >= 1
        assert equal(last.state["objective"], dict(moved.objective.state_dict()))
        assert not [path for path in (small / runs.SNAPSHOTS).iterdir() if path.name.startswith(".")]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_snapshots_keep_to_their_share_of_the_time(run, monkeypatch):
    monkeypatch.delenv("TIMNET_SNAPSHOT_SECONDS")
    now = [1000.0]
    monkeypatch.setattr(snapshots.time, "monotonic", lambda: now[0])
    kept = Snapshots(run, ORIGIN)
    now[0] += snapshots.EPOCH_SECONDS - 1
    assert not kept.due() and not kept.due(epoch_end=True)
    now[0] += 2
    assert kept.due(epoch_end=True) and not kept.due()
    now[0] += snapshots.SECONDS
    assert kept.due()

    def slow(path, data):
        now[0] += 2.0

    monkeypatch.setattr(files, "write_whole", slow)
    assert kept.write(parts(), Place(step=1)) == pytest.approx(4)
    now[0] += 4 / snapshots.SHARE - 1
    assert not kept.due() and not kept.due(epoch_end=True)
    now[0] += 2
    assert kept.due() and kept.due(epoch_end=True)


@pytest.mark.parametrize("asked", ["soon", "-1", "nan", "inf"])
def test_seconds_that_are_none_are_refused(run, monkeypatch, asked):
    monkeypatch.setenv("TIMNET_SNAPSHOT_SECONDS", asked)
    with pytest.raises(config.ConfigError, match=r"^TIMNET_SNAPSHOT_SECONDS: expected seconds"):
        Snapshots(run, ORIGIN)
