"""Several processes are one: same loss, gradients and running means, same run from the command line."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from timnet import __main__ as command
from timnet import config
from timnet.model.branches import ImageBranch, TextBranch
from timnet.model.timnet import TIMNet
from timnet.training import distributed, loop, objectives, runs, worker
from timnet.training.recipes import pretrain

SWAPPED = " with swapped reports"
NAMES = ("all-pairs", "pairs", "sigmoid", "infonce", f"all-pairs{SWAPPED}", f"sigmoid{SWAPPED}")
FILMS = (7, 2)
"""Of a batch: shares that differ by one, and a process that has none where there are three."""


@given(rows=st.integers(0, 40), processes=st.integers(1, 9))
def test_every_row_is_one_process_s_and_shares_differ_by_one_at_most(rows, processes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "count", lambda: processes)
        taken = []
        for each in range(processes):
            patch.setattr(distributed, "number", lambda each=each: each)
            taken.append(list(range(rows))[distributed.share(rows)])
    assert [row for rows_of in taken for row in rows_of] == list(range(rows))
    assert max(map(len, taken)) - min(map(len, taken)) <= 1


def objective(name: str, chunk: int = 0) -> objectives.MatchObjective:
    torch.manual_seed(0)
    timnet = TIMNet(
        ImageBranch("resnet18", width=8, joint=16),
        TextBranch(12, width=8, joint=16),
        16,
        objectives.head(name),
    )
    return objectives.MatchObjective(timnet, name, chunk).double()


def batch(films: int, mine: slice) -> dict[str, object]:
    draw = torch.Generator().manual_seed(films)
    shown = torch.rand(films, 1, 32, 32, dtype=torch.float64, generator=draw)
    states = torch.randn(films, 5, 12, dtype=torch.float64, generator=draw)
    lengths = torch.randint(1, 6, (films, 1), generator=draw)
    own = torch.eye(films, dtype=torch.bool)
    return {
        "films": shown[mine],
        "text": (states[mine], (torch.arange(5) < lengths).long()[mine]),
        "own": own,
        "false_negative": (torch.rand(films, films, generator=draw) < 0.3) & ~own & (films > 2),
        "positive": (torch.arange(films) % 2 == 0)[mine],
        "of": films,
    }


def with_swapped(plain: dict[str, object], films: int, mine: slice) -> dict[str, object]:
    """Return a batch where every second film has its own report with the sides swapped behind the others."""
    draw = torch.Generator().manual_seed(films + 1000)
    states = torch.randn(films, 5, 12, dtype=torch.float64, generator=draw)
    twins = torch.arange(films) % 2 == 1
    own_states, own_mask = plain["text"]
    rows = twins[mine].nonzero()[:, 0]
    return {
        **plain,
        "text": (
            torch.cat([own_states, states[mine][rows]]),
            torch.cat([own_mask, torch.ones(len(rows), 5, dtype=torch.long)]),
        ),
        "mirrors": rows,
        "mirrored": int(twins.sum()),
    }


def learned(name: str, films: int) -> dict[str, torch.Tensor]:
    """Return loss, gradients and buffers of a step of this process's rows."""
    on = loop.accelerator("fp32")
    module = objective(name.removesuffix(SWAPPED))
    distributed.shared_norms(module, on.device)
    module.train()
    prepared = on.prepare(module)
    shown = batch(films, mine := distributed.share(films))
    loss = prepared(with_swapped(shown, films, mine) if name.endswith(SWAPPED) else shown)
    on.backward(loss)
    gradients = {key: value.grad for key, value in module.named_parameters()}
    return {"loss": torch.tensor(distributed.mean(loss)), **gradients, **dict(module.named_buffers())}


def process(number: int, count: int, port: int, folder: str) -> None:
    """Be one of several processes; the first leaves what it learned."""
    names = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    os.environ.update({name: str(value) for name, value in names.items()})
    os.environ.update({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"})
    distributed.join()
    told = {f"{name} {films}": learned(name, films) for name in NAMES for films in FILMS}
    if not number:
        torch.save(told, f"{folder}/told.pt")
    distributed.leave()


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


@pytest.mark.whole
def test_processes_together_have_the_loss_gradients_and_running_means_of_one(tmp_path):
    count = 3  # neither 7 films nor 2 can be dealt out evenly
    spawn, port = multiprocessing.get_context("spawn"), free_port()
    started = [spawn.Process(target=process, args=(n, count, port, str(tmp_path))) for n in range(count)]
    for each in started:
        each.start()
    for each in started:
        each.join(300)
    assert [each.exitcode for each in started] == [0] * count
    told = torch.load(tmp_path / "told.pt")
    for name in NAMES:
        for films in FILMS:
            expected = learned(name, films)
            assert told[f"{name} {films}"].keys() == expected.keys()
            for key, value in expected.items():
                torch.testing.assert_close(
                    told[f"{name} {films}"][key], value, rtol=1e-7, atol=1e-10, msg=f"{name} {films} {key}"
                )


@pytest.mark.whole
def test_a_run_that_one_process_began_goes_on_in_two_as_it_would_have_in_one(
    cohort_folder, tiny_bert, tmp_path, monkeypatch
):
    monkeypatch.setenv("TIMNET_SNAPSHOT_SECONDS", "0")
    settings = config.Pretrain(
        cohorts=(str(cohort_folder),), side=32, width=8, tokens=16, epochs=2, batch=28, precision="fp32",
        text_encoder=str(tiny_bert), evaluate_every=0,
    )  # fmt: skip
    one, part = tmp_path / "one", tmp_path / "part"
    worker.prepare(settings, one)
    assert worker.work(one, pretrain.train).name == "done"

    def stopping(event):
        if event["event"] == "snapshot" and event["step"] == 1:
            worker.cancel(part)

    worker.prepare(settings, part)
    assert worker.work(part, pretrain.train, stopping).name == "cancelled"
    words = [
        "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}", "-m", "timnet",
        "pretrain", str(cohort_folder), "--side", "32", "--width", "8", "--tokens", "16", "--epochs", "2",
        "--batch", "28", "--precision", "fp32", "--text-encoder", str(tiny_bert), "--evaluate-every", "0",
        "--out", str(part),
    ]  # fmt: skip
    ended = subprocess.run(
        [sys.executable, *words], cwd=config.REPOSITORY, env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    logs = [runs.events(folder) for folder in (one, part)]
    assert logs[1]["processes"].max() == 2
    losses = [log.loc[log["event"] == "epoch", ["epoch", "step", "loss"]] for log in logs]
    assert losses[0]["step"].tolist() == losses[1]["step"].tolist()
    # Sums in another order, also by the number of threads, which Adam's first steps make the most of.
    assert losses[1]["loss"].tolist() == pytest.approx(losses[0]["loss"].tolist(), rel=5e-4)
    assert (part / "model.json").is_file() and not (part / runs.SNAPSHOTS).exists()


def test_a_fine_tuning_is_one_process_s(monkeypatch, capsys, tmp_path):
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    assert command.main(["finetune", "c", "--task", "t", "--out", str(tmp_path / "run")]) == 2
    assert "expected one process" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
