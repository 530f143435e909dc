"""A cohort's vectors on disk: the network's own, built in order, resumed, and never of another checkpoint."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from timnet import checkpoints
from timnet.__main__ import main
from timnet.cohorts import vectors
from timnet.cohorts.records import CohortError
from timnet.cohorts.store import Cohort
from timnet.evaluation.calibration import fit
from timnet.model import devices, embed, weights


@pytest.fixture(scope="module")
def cohort(cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """A copy of the synthetic cohort, to write beside."""
    folder = tmp_path_factory.mktemp("searched") / "synthetic"
    shutil.copytree(cohort_folder, folder)
    return Cohort.open(folder)


@pytest.fixture(scope="module")
def built(cohort: Cohort, networks: Path) -> vectors.Vectors:
    embed.build(cohort, networks / "timnet")
    return vectors.load(vectors.place(cohort, networks / "timnet"))


def test_vectors_are_those_of_the_network_in_the_order_of_films_and_reports(cohort, networks, built):
    timnet, spec, encoder = weights.load_timnet(networks / "timnet")
    reports = vectors.reports(cohort)
    assert built.films_ND.shape == (len(cohort), 512) and built.reports_MD.shape == (len(reports), 512)
    rows = [0, 57, len(cohort) - 1]
    with torch.inference_mode():
        films = torch.from_numpy(cohort.pixels(spec.side)[rows].copy()).unsqueeze(1).float() / 255
        np.testing.assert_allclose(built.films_ND[rows], timnet.image(films)[1], atol=2e-3)
        rows = [0, 33, len(reports) - 1]
        states = encoder.states(reports["findings"][rows].tolist(), spec.tokens)
        np.testing.assert_allclose(
            built.reports_MD[rows], timnet.text.project(*states.batch([0, 1, 2])), atol=2e-3
        )
    of_films = cohort.films()
    assert (of_films["study"][reports["film"]].to_numpy() == reports["study"].to_numpy()).all()


def test_a_build_that_was_interrupted_goes_on_and_ends_the_same(cohort, networks, built, monkeypatch):
    folder = vectors.place(cohort, networks / "timnet")
    whole = np.array(built.films_ND), np.array(built.reports_MD)
    shutil.rmtree(folder)

    def stop(done: int, total: int | None) -> None:
        if done >= 64:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed.build(cohort, networks / "timnet", stop)
    state = vectors.state(folder)
    assert (state.name, state.done) == ("stopped", 64)
    with pytest.raises(CohortError, match="found none or only a part"):
        vectors.load(folder)
    told: list[int] = []
    embed.build(cohort, networks / "timnet", lambda done, _: told.append(done))
    assert told[0] == 96 and vectors.state(folder).name == "complete"
    again = vectors.load(folder)
    np.testing.assert_array_equal(again.films_ND, whole[0])
    np.testing.assert_array_equal(again.reports_MD, whole[1])


def test_the_networks_of_embed_and_calibrate_go_to_the_gpu_where_there_is_one(
    cohort, networks, monkeypatch, tmp_path
):
    """Without one here: the device that is found must be the one that the films and the networks go to."""
    moved = []
    device = torch.device("cpu")
    monkeypatch.setattr(devices, "device", lambda: device)
    module, tensor = torch.nn.Module.to, torch.Tensor.to

    def record(to):
        def wrapped(self, *args, **options):
            if args and args[0] is device:
                moved.append(type(self).__name__)
            return to(self, *args, **options)

        return wrapped

    monkeypatch.setattr(torch.nn.Module, "to", record(module))
    monkeypatch.setattr(torch.Tensor, "to", record(tensor))
    shutil.rmtree(vectors.place(cohort, networks / "timnet"), ignore_errors=True)
    embed.build(cohort, networks / "timnet")
    assert {"TIMNet", "PlainBert", "Tensor"} <= set(moved)
    # Films, and a text's states and mask, batch by batch.
    batches = -(-len(cohort) // 32)
    assert moved.count("Tensor") >= 3 * batches
    moved.clear()
    spec = checkpoints.describe(networks / "classifier")
    spec = replace(spec, labels=("Opacity",))
    weights.save_checkpoint(tmp_path / "c", weights.build_classifier(spec, seed=0), spec)
    fit.predicted(tmp_path / "c", str(cohort.folder))
    assert {"Classifier", "Tensor"} <= set(moved)


def test_another_checkpoint_or_a_changed_cohort_has_vectors_of_its_own(cohort, networks, tmp_path):
    other = tmp_path / "timnet"
    shutil.copytree(networks / "timnet", other)
    told = json.loads((other / "model.json").read_text())
    (other / "model.json").write_text(json.dumps(told | {"weights_sha256": "0" * 64}))
    first = vectors.place(cohort, networks / "timnet")
    assert vectors.place(cohort, other) != first
    assert vectors.state(vectors.place(cohort, other)).name == "none"
    with pytest.raises(CohortError, match="expected a checkpoint"):
        vectors.place(cohort, tmp_path)


def test_two_builders_do_not_write_into_each_other(tmp_path):
    with vectors.building(tmp_path / "v", 3, 2, 4) as build:
        build.append(np.ones((3, 4), np.float32))
        assert vectors.state(tmp_path / "v") == vectors.State("building", 3, 5)
        with pytest.raises(CohortError, match="being built now"), vectors.building(tmp_path / "v", 3, 2, 4):
            pass
    assert vectors.state(tmp_path / "v").name == "stopped"


def test_a_build_counts_as_running_from_its_start_to_the_end_of_its_process(cohort, networks, monkeypatch):
    folder = vectors.place(cohort, networks / "timnet")
    shutil.rmtree(folder, ignore_errors=True)
    popen, started = subprocess.Popen, []

    def quick(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        code = "import sys; print('timnet: out of luck', file=sys.stderr); sys.stdin.read()"
        process = popen([command[0], "-c", code], **(options | {"stdin": subprocess.PIPE}))
        started.append(process)
        return process

    monkeypatch.setattr(subprocess, "Popen", quick)
    vectors.start(cohort, networks / "timnet")
    vectors.start(cohort, networks / "timnet")
    assert len(started) == 1 and vectors.state(folder).name == "building"
    started[0].stdin.close()
    started[0].wait()
    assert vectors.state(folder) == vectors.State("stopped", message="out of luck")


def test_vectors_under_an_older_key_are_removed_and_those_of_others_stay(tmp_path):
    keys = ["a" * 16, "b" * 16]
    kept = [f"net-{keys[0]}", f"net-2-{keys[1]}", f"other-{keys[1]}", "net-notes"]
    for name in [*kept, f"net-{keys[1]}"]:
        (tmp_path / name).mkdir()
    vectors.remove_older(tmp_path / kept[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_the_command_prepares_a_cohort_and_a_classifier_is_refused(cohort, networks, capsys):
    assert main(["embed", str(cohort.folder), "--checkpoint", str(networks / "timnet")]) == 0
    assert "ready for searches" in capsys.readouterr().out
    assert main(["embed", str(cohort.folder), "--checkpoint", str(networks / "classifier")]) == 2
    assert main(["embed", str(cohort.folder), "--checkpoint", "nothing"]) == 2


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e6])
def test_vectors_that_are_not_finite_are_not_kept(tmp_path, wrong):
    with (
        vectors.building(tmp_path / "v", 2, 1, 4) as build,
        pytest.raises(CohortError, match=r"^v: expected finite vectors"),
        np.errstate(over="ignore"),
    ):
        build.append(np.full((2, 4), wrong, np.float32))
    assert vectors.state(tmp_path / "v").done == 0


@pytest.mark.parametrize("damage", ["nan", "header"])
def test_kept_vectors_that_are_damaged_are_refused_and_made_anew(tmp_path, damage):
    folder = tmp_path / "v"

    def made() -> None:
        with vectors.building(folder, 2, 1, 4) as build:
            build.append(np.ones((2, 4), np.float32))
            build.append(np.ones((1, 4), np.float32))

    made()
    path = folder / "films.npy"
    if damage == "nan":
        np.save(path, np.full((2, 4), np.nan, np.float16))
    else:
        path.write_bytes(b"x" * 40)
    with pytest.raises(CohortError, match=r"^v: .*; they are made anew"):
        vectors.load(folder)
    assert vectors.state(folder).name == "stopped"
    made()
    assert (vectors.load(folder).films_ND == 1).all()


def test_a_full_disk_ends_a_build_in_one_sentence(tmp_path):
    """Written through a memory map, the same disk ended the process by SIGBUS."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here ({mounted.stderr.strip()})")
    try:
        with (
            vectors.building(small / "v", 4096, 8, 512) as build,
            pytest.raises(CohortError, match=r"^v: vectors cannot be written: No space left on device$"),
        ):
            while build.done < 4096:
                build.append(np.ones((32, 512), np.float32))
        assert 0 < vectors.state(small / "v").done < 4096
    finally:
        subprocess.run(["umount", str(small)], check=True)
