"""How a process that trains holds its memory: what is freed stays its own, on large pages; no torch.

glibc gives every large block back to the kernel when it is freed. A training step frees and takes the same
hundreds of megabytes again, and the kernel hands them out anew in pages of 4 KiB, each zeroed: a good part
of the step (`benchmarks/allocator_speed.py`). glibc reads its tunables once, as a process starts, so whoever
starts one sets them. Elsewhere than under glibc nothing reads them.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping

VARIABLE = "GLIBC_TUNABLES"

TUNABLES = {
    "glibc.malloc.mmap_max": "0",
    "glibc.malloc.trim_threshold": str(2**40),
    "glibc.malloc.hugetlb": "1",
}
"""No block of its own for a large allocation, nothing given back, and huge pages asked for by madvise."""


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose processes hold their memory; tunables that it sets stay as they are."""
    told = given.get(VARIABLE, "")
    named = {each.partition("=")[0] for each in told.split(":")}
    ours = [f"{name}={value}" for name, value in TUNABLES.items() if name not in named]
    return {**given, VARIABLE: ":".join(filter(None, [told, *ours]))}


def adopt() -> None:
    """Begin this process again where its memory is not held yet; all it has done until then is lost."""
    wanted = environment(os.environ)
    if wanted != dict(os.environ) and platform.libc_ver()[0] == "glibc":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, sys.orig_argv, wanted)
