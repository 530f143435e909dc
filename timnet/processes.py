"""Processes of their own: a command of timnet goes on while the page that started it is closed; no torch.

Whether one is at work is read off a lock that it holds until it ends, never off a process id, and how far it
is off its log.

One that trains keeps the memory that it frees, on large pages: glibc gives every large block back to the
kernel, a training step frees and takes the same hundreds of megabytes again, and the kernel hands them out
anew in pages of 4 KiB, each zeroed: a good part of the step (`benchmarks/allocator_speed.py`). glibc reads
its tunables once, as a process starts, so whoever starts one sets them. Elsewhere nothing reads them.
"""

from __future__ import annotations

import fcntl
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from timnet import config

VARIABLE = "GLIBC_TUNABLES"
TUNABLES = {
    "glibc.malloc.mmap_max": "0",
    "glibc.malloc.trim_threshold": str(2**40),
    "glibc.malloc.hugetlb": "1",
}
"""No block of its own for a large allocation, nothing given back, and huge pages asked for by madvise."""
_TAIL = 2**16
"""Bytes of a log that are read from its end."""


def start(
    words: Sequence[str],
    log: IO[bytes],
    output: IO[bytes] | None = None,
    lock: IO[bytes] | None = None,
    trains: bool = False,
    niceness: int = 0,
) -> None:
    """Start `python -m timnet WORDS` in a session of its own, and return at once.

    Args:
        words: of the command.
        log: takes the errors, and the output where nothing else does.
        output: takes what the command prints.
        lock: held until the process has ended, whatever becomes of this one.
        trains: whether it keeps the memory that it frees.
        niceness: lets pages stay quick while it works.
    """
    process = subprocess.Popen(
        [*(["nice", "-n", str(niceness)] if niceness else []), sys.executable, "-m", "timnet", *words],
        cwd=config.REPOSITORY,
        env=environment(os.environ) if trains else None,
        stdin=subprocess.DEVNULL,
        stdout=output or log,
        stderr=log,
        pass_fds=[lock.fileno()] if lock else [],
        start_new_session=True,
    )
    # Somebody has to take a finished child off the system's list; the process itself needs no watching.
    threading.Thread(target=process.wait, daemon=True).start()


@contextmanager
def hold(lock: Path) -> Iterator[IO[bytes] | None]:
    """Hold a lock until the block ends, or the process started with it ends; None if it is held."""
    with lock.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield file


def is_held(lock: Path) -> bool:
    """Return whether a process holds a lock; askers share it among themselves."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def tail(log: Path, lines: int = 1) -> str:
    """Return the last lines of a log; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - _TAIL, 0))
            text = file.read().decode("utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose processes keep their memory; tunables that it sets stay as they are."""
    before = given.get(VARIABLE, "")
    named = {each.partition("=")[0] for each in before.split(":")}
    ours = [f"{name}={value}" for name, value in TUNABLES.items() if name not in named]
    return {**given, VARIABLE: ":".join(filter(None, [before, *ours]))}


def keep_memory() -> None:
    """Begin this process again where it does not keep its memory yet; all it has done until then is lost."""
    wanted = environment(os.environ)
    if wanted != dict(os.environ) and platform.libc_ver()[0] == "glibc":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, sys.orig_argv, wanted)
