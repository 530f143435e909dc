"""Decode uploads at arm's length: a child process under memory, CPU and wall limits makes the film.

Owns the child's command, limits and reply. A decoder that crashes, hangs or asks for gigabytes ends the
child, never the app, and each such end is one sentence in a FilmError. Bytes go in and the film comes out
through pipes, as a line of JSON and raw float32: nothing of a patient reaches an argument, a log or a file,
and nothing that the child sends is ever executed. Each child answers once; one may be started before there is
an upload, for its imports take longer than most films.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO, get_args

import numpy as np

from timnet.cohorts import films
from timnet.cohorts.films import Admit, Film, FilmError, Kind

MEMORY_BYTES = 2 * 2**30
CPU_SECONDS = 20
WALL_SECONDS = 20

_ROOT = Path(__file__).resolve().parents[2]
# As isolated as -I, which would ignore PYTHONPATH as well: no user site, no working folder, no bytecode.
_COMMAND = (sys.executable, "-P", "-s", "-B", "-m", "timnet.cohorts.decoding")
# One thread: each thread of a linear algebra library reserves address space, which MEMORY_BYTES limits.
_ENVIRONMENT = {"PYTHONPATH": str(_ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
# The pixels begin at a multiple of this, so that they can be used where they arrive.
_ALIGNMENT = 16
_LONGEST_HEADER = 64 * 2**10
_READY = "ready"

_spares: list[subprocess.Popen[bytes]] = []
"""At most one child that has had no bytes yet."""
_lock = threading.Lock()


def prepare() -> None:
    """Start a child for the next upload, if none is waiting; returns at once."""
    with _lock:
        while _spares and _spares[0].poll() is not None:
            _spares.pop()
        if not _spares:
            _spares.append(_start("0", _READY))


def read_untrusted(data: bytes, *, name: str, window: int = 0, admit: Collection[Admit] = ()) -> Film:
    """Decode bytes from outside in a child process: the same film, or the same reason, as `read_film`.

    Raises:
        FilmError: what `read_film` refuses, and also a decoder that crashed or ran out of memory or time.
    """
    name = films.file_name(name)
    kind = films.recognise(data, name)
    waiting = None if window or admit else _waiting()
    with waiting or _start(str(window), *admit) as child:
        try:
            reply, _ = child.communicate(data, timeout=WALL_SECONDS)
        except subprocess.TimeoutExpired:
            raise FilmError(name, f"expected a film that decodes within {WALL_SECONDS} seconds") from None
        finally:
            child.kill()
    if child.returncode != 0:
        raise FilmError(name, _ending(child.returncode))
    try:
        return _film(reply, kind, hashlib.sha256(data).hexdigest(), name)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, FilmError):
            raise
        raise FilmError(name, "the file is damaged: its decoder's answer makes no sense") from None


def _start(*words: str) -> subprocess.Popen[bytes]:
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    return subprocess.Popen(
        (*_COMMAND, *words), cwd=_ROOT, env=_ENVIRONMENT, stdin=pipe, stdout=pipe, stderr=nothing
    )


def _waiting() -> subprocess.Popen[bytes] | None:
    """Take the child that waits; None where there is none that lives."""
    with _lock:
        child = _spares.pop() if _spares else None
    return child if child and child.poll() is None else None


@atexit.register
def _dismiss() -> None:
    """End the child that waits: it would end by itself, but a process leaves no other behind."""
    child = _waiting()
    if child:
        child.kill()
        child.communicate()


def _ending(code: int) -> str:
    if code == -signal.SIGXCPU:
        return f"expected a film that decodes within {CPU_SECONDS} seconds of computing"
    if code < 0:
        return f"the file is damaged: its decoder crashed ({signal.Signals(-code).name})"
    return f"the file could not be decoded (the decoder ended with code {code})"


def _film(reply: bytes, kind: Kind, sha256: str, name: str) -> Film:
    """Rebuild the film, believing nothing: the child has run a decoder on hostile bytes."""
    end = reply.index(b"\n", 0, _LONGEST_HEADER) + 1
    fields = json.loads(reply[:end])
    if "reason" in fields:
        raise FilmError(name, str(fields["reason"])[:500])
    shape = int(fields["rows"]), int(fields["columns"])
    films.check_size(name, *shape)
    pixels = np.frombuffer(reply, dtype=np.float32, offset=end).reshape(shape)
    if not (pixels.min() >= 0 and pixels.max() <= 1):
        raise ValueError("greys outside 0 to 1")
    if fields["view"] not in (None, "PA", "AP", "LATERAL"):
        raise ValueError("unknown view")
    spacing = None
    if fields["spacing_mm"] is not None:
        row, column = fields["spacing_mm"]
        spacing = float(row), float(column)
    notes = tuple(str(note) for note in fields["notes"])
    part = None if fields["body_part"] is None else str(fields["body_part"])[:16]
    return Film(pixels, kind, sha256, int(fields["bits"]), spacing, fields["view"], notes, part)


def limit() -> None:
    """Put this process under the limits: memory, computing time, no core dump, no file written."""
    # Imported here: the module is Unix only, and the parent has no use for it.
    import resource

    # A second more of computing until SIGKILL, so that the parent hears of SIGXCPU, which names the reason.
    for what, soft, hard in (
        (resource.RLIMIT_AS, MEMORY_BYTES, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS, CPU_SECONDS + 1),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_FSIZE, 0, 0),
    ):
        given = resource.getrlimit(what)[1]
        most = hard if given == resource.RLIM_INFINITY else min(hard, given)
        resource.setrlimit(what, (min(soft, most), most))


def answer(data: bytes, out: BinaryIO, window: int, admit: Collection[Admit]) -> None:
    """Decode the bytes and write the reply: a padded line of JSON, then the pixels as float32 in rows."""
    try:
        film = films.read_film(data, window=window, admit=admit)
    except (FilmError, MemoryError) as error:
        reason = error.reason if isinstance(error, FilmError) else "it needs more memory than is available"
        out.write(json.dumps({"reason": reason}).encode() + b"\n")
        return
    fields = {
        "rows": film.rows,
        "columns": film.columns,
        "bits": film.bits,
        "spacing_mm": film.spacing_mm,
        "view": film.view,
        "notes": film.notes,
        "body_part": film.body_part,
    }
    header = json.dumps(fields).encode()
    out.write(header + b" " * (-(len(header) + 1) % _ALIGNMENT) + b"\n")
    out.write(film.pixels.data)


def main() -> None:
    """Answer one request: bytes on the standard input, the reply on the standard output.

    Arguments: the window's number, then what is admitted; `ready` to import what most films need before
    there are bytes.
    """
    limit()
    window, admit = int(sys.argv[1]), [word for word in get_args(Admit) if word in sys.argv[2:]]
    # pydicom imports these for its sample downloads where they are installed: a fifth of the child's time,
    # and no business of a decoder.
    sys.modules.update({"requests": None, "tqdm": None, "ssl": None})  # type: ignore[dict-item]
    if _READY in sys.argv[2:]:
        importlib.import_module("timnet.cohorts.dicom")
    # Decoders print: what they say goes where nobody listens, the reply keeps the pipe to itself.
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        answer(sys.stdin.buffer.read(), out, window, admit)


if __name__ == "__main__":
    main()
