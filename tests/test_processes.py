"""Commands in processes of their own, and how those that train hold their memory."""

import os
import platform
import subprocess
import sys
from typing import Any

import pytest

from timnet import config, processes
from timnet.training import grids, worker

# Takes, fills and frees a block of 64 MiB; prints how often the kernel had to hand out pages the second time.
FAULTS = """
import ctypes, resource
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(64 << 20)
    ctypes.memset(block, 1, 64 << 20)
    libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the tunables are glibc's")


def faults(environment: dict[str, str]) -> int:
    ran = subprocess.run([sys.executable, "-c", FAULTS], env=environment, check=True, capture_output=True)
    return int(ran.stdout)


def bare() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != processes.VARIABLE}


@glibc
def test_a_block_that_was_freed_is_taken_again_without_the_kernel():
    pages = (64 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert faults(bare()) > pages / 1024, "glibc holds freed blocks by itself here: nothing to set"
    assert faults(processes.environment(bare())) < 8


def test_what_is_set_already_stays():
    told = processes.environment({"A": "b", processes.VARIABLE: "glibc.malloc.mmap_max=7:glibc.rtld.nns=4"})
    assert told["A"] == "b"
    parts = told[processes.VARIABLE].split(":")
    assert parts[:2] == ["glibc.malloc.mmap_max=7", "glibc.rtld.nns=4"]
    assert {each.partition("=")[0] for each in parts[2:]} == set(processes.TUNABLES) - {
        "glibc.malloc.mmap_max"
    }
    assert processes.environment(told) == told


@glibc
def test_a_training_by_hand_begins_again_with_it_and_another_command_does_not(tmp_path):
    # A module found before any other tells of the process that a command ended up in.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        f"print('held' if 'mmap_max' in os.environ.get({processes.VARIABLE!r}, '') else 'bare', "
        "os.getpid(), file=sys.stderr)\n"
    )
    told = {
        **bare(),
        "PYTHONPATH": str(tmp_path),
        "TIMNET_HOME": str(tmp_path),
        "TIMNET_CHECKPOINTS": str(tmp_path),
    }

    def starts(*words: str) -> list[tuple[str, str]]:
        command = [sys.executable, "-m", "timnet", *words]
        ran = subprocess.run(command, cwd=config.REPOSITORY, env=told, capture_output=True, text=True)
        lines = [line.split() for line in ran.stderr.splitlines()]
        return [(line[0], line[1]) for line in lines if line[0] in ("held", "bare")]

    (first, one), (second, two) = starts("run", str(tmp_path / "none"))
    assert (first, second) == ("bare", "held")
    assert one == two, "the same process goes on, for whoever watches it"
    assert [kind for kind, _ in starts("runs")] == ["bare"]


def test_workers_and_grids_are_started_with_it(tmp_path, monkeypatch):
    started: list[dict[str, str]] = []

    class Started:
        def __init__(self, words: list[str], **told: dict[str, str]) -> None:
            started.append(told["env"])

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", Started)
    monkeypatch.delenv(processes.VARIABLE, raising=False)
    asked = config.Finetune(cohort="demo", task="Opacity")
    worker.submit(asked, tmp_path)
    grids.start(grids.Grid(asked, ("base",), (1.0,), 1), tmp_path)
    assert started == [processes.environment(os.environ)] * 2


def test_a_lock_is_held_until_the_process_started_with_it_has_ended(tmp_path, monkeypatch):
    lock, popen, started = tmp_path / ".lock", subprocess.Popen, []

    def waiting(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        code = "import sys; print('one\\ntwo', file=sys.stderr); sys.stdin.read()"
        process = popen([command[0], "-c", code], **(options | {"stdin": subprocess.PIPE}))
        started.append(process)
        return process

    monkeypatch.setattr(subprocess, "Popen", waiting)
    assert not processes.is_held(lock)
    with processes.hold(lock) as held, (tmp_path / "log").open("wb") as log:
        processes.start(["runs"], log, lock=held)
    assert processes.is_held(lock)
    with processes.hold(lock) as held:
        assert held is None
    started[0].stdin.close()
    started[0].wait()
    assert not processes.is_held(lock)
    assert [processes.tail(tmp_path / "log", lines) for lines in (1, 9)] == ["two", "one\ntwo"]
    assert processes.tail(tmp_path / "none") == ""
