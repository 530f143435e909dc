"""Decode in a child process under memory, CPU and wall limits: uploads, and the films of imports and cohorts.

Owns the children and what is believed of their answers (`sandbox_child` gives them). A decoder that crashes,
hangs or asks for gigabytes ends the child, never the app or an import, and each such end is one sentence in a
FilmError. Bytes go in and the film comes out through pipes, as a line of JSON and raw pixels: nothing of a
patient reaches an argument, a log or a file, and nothing that the child sends is ever executed. A child
answers one upload; for films of a cohort children are used again, because starting one takes longer than
decoding most films.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from timnet.films import hanging, read
from timnet.films.film import MAX_ASPECT, MAX_PIXELS, Admit, Film, FilmError, check_size, file_name
from timnet.films.hanging import View
from timnet.films.sandbox_child import CPU_SECONDS, READY

WALL_SECONDS = 20

_ROOT = Path(__file__).resolve().parents[2]
# As isolated as -I, which would ignore PYTHONPATH as well: no user site, no working folder, no bytecode.
_COMMAND = (sys.executable, "-P", "-s", "-B", "-m", "timnet.films.sandbox_child")
# One thread: each thread of a linear algebra library reserves address space, which is limited.
# GNU libc keeps up to 64 MB for the next film: having them from the system anew takes a fifth of the time.
_ENVIRONMENT = {
    "PYTHONPATH": str(_ROOT),
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
}
_LONGEST_HEADER = 64 * 2**10
_MOST_IDLE = 8
"""Children kept for the next films of a cohort: as many as an import has at work."""

_spares: list[subprocess.Popen[bytes]] = []
"""At most one child that has had no bytes yet."""
_idle: list[subprocess.Popen[bytes]] = []
"""Children that have decoded films of cohorts and wait for the next."""
_lock = threading.Lock()


class _Endless(FilmError):
    """A decoder that took too long: nothing to try again."""


def prepare() -> None:
    """Start a child for the next upload, if none is waiting; returns at once."""
    with _lock:
        while _spares and _spares[0].poll() is not None:
            _spares.pop()
        if not _spares:
            _spares.append(_start(READY))


def read_untrusted(
    data: bytes,
    *,
    name: str,
    window: int = 0,
    admit: Collection[Admit] = (),
    invert: bool = False,
    reuse: bool = False,
) -> Film:
    """Decode bytes in a child process: the same film, or the same reason, as `read_film`.

    Args:
        data, name, window, admit, invert: as of `read_film`.
        reuse: for films of a cohort: use a child that has decoded others, and keep it for the next.

    Raises:
        FilmError: what `read_film` refuses, and also a decoder that crashed or ran out of memory or time.
    """
    name = file_name(name)
    request: dict[str, object] = {"window": window, "admit": list(admit), "invert": invert}
    with _answered(data, name, request, reuse) as (fields, body):
        pixels = np.frombuffer(body, dtype=np.float32).reshape(fields["rows"], fields["columns"])
        if not (pixels.min() >= 0 and pixels.max() <= 1):
            raise ValueError("greys outside 0 to 1")
        return _film(fields, pixels)


@dataclass(frozen=True)
class Row:
    """A film as a cohort's pixel cache holds it."""

    row_SS: np.ndarray
    """uint8 (side, side)."""
    film: Film
    """What is known of the film; its pixels are those of `row_SS`."""
    rows: int
    columns: int
    remark: str | None


def read_row(
    data: bytes,
    *,
    name: str,
    side: int,
    admit: Collection[Admit] = (),
    remark: str | None = None,
    invert: bool = False,
) -> Row:
    """Decode and letterbox a film of a cohort in a child process.

    Args:
        data, name, admit, invert: as of `read_film`.
        side: of the square, in pixels.
        remark: `module:function` of timnet that is called with the film and returns a sentence or None.

    Raises:
        FilmError: as for `read_untrusted`.
    """
    name = file_name(name)
    request = {"admit": list(admit), "side": side, "remark": remark, "invert": invert}
    with _answered(data, name, request, reuse=True) as (fields, body):
        row_SS = np.frombuffer(body, dtype=np.uint8).reshape(side, side)
        said = None if fields["remark"] is None else str(fields["remark"])[:500]
        return Row(row_SS, _film(fields, row_SS), fields["rows"], fields["columns"], said)


@contextmanager
def _answered(
    data: bytes, name: str, request: dict[str, object], reuse: bool
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield a child's answer; what makes no sense in it, also to the block, is one sentence."""
    kind = read.recognise(data, name)
    waiting = _idle if reuse else _spares
    child = _take(waiting)
    is_new, keep = child is None, False
    child = child or _start()
    try:
        try:
            answer = _ask(child, name, data, request)
        except FilmError as error:
            if is_new or isinstance(error, _Endless):
                raise
            # Killed or crashed where it may have suffered from an earlier film: a new one decides.
            _end(child)
            child = _start()
            answer = _ask(child, name, data, request)
        fields, body = answer
        keep = reuse and not fields.get("is_last")
        if "reason" in fields:
            raise FilmError(name, str(fields["reason"])[:500])
        check_size(name, fields["rows"], fields["columns"])
        yield fields | {"kind": kind, "sha256": hashlib.sha256(data).hexdigest()}, body
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, FilmError):
            raise
        keep = False
        raise FilmError(name, "the file is damaged: its decoder's answer makes no sense") from None
    finally:
        with _lock:
            if keep and len(_idle) < _MOST_IDLE and child.poll() is None:
                _idle.append(child)
            else:
                keep = False
        if not keep:
            _end(child)


def _ask(
    child: subprocess.Popen[bytes], name: str, data: bytes, request: dict[str, object]
) -> tuple[dict[str, Any], bytes]:
    """Send one request and return the answer: its line of JSON and what follows it."""
    assert child.stdin is not None and child.stdout is not None
    timed_out = threading.Event()

    def stop() -> None:
        timed_out.set()
        child.kill()

    timer = threading.Timer(WALL_SECONDS, stop)
    timer.daemon = True
    timer.start()
    try:
        with suppress(OSError):  # it may have ended: how, its code says
            child.stdin.write(json.dumps(request | {"bytes": len(data)}).encode() + b"\n")
            child.stdin.write(data)
            child.stdin.flush()
        line = child.stdout.readline(_LONGEST_HEADER)
        if line.endswith(b"\n"):
            fields = json.loads(line)
            size = int(fields["body"])
            if not 0 <= size <= 4 * MAX_PIXELS:
                raise ValueError("an answer of another size")
            body = child.stdout.read(size)
            if len(body) == size:
                return fields, body
        elif len(line) == _LONGEST_HEADER:
            raise ValueError("an answer without an end")
        child.wait()
    finally:
        timer.cancel()
    if timed_out.is_set():
        raise _Endless(name, f"expected a film that decodes within {WALL_SECONDS} seconds")
    if child.returncode == -signal.SIGXCPU:
        raise _Endless(name, f"expected a film that decodes within {CPU_SECONDS} seconds of computing")
    raise FilmError(name, _ending(child.returncode))


def _start(*words: str) -> subprocess.Popen[bytes]:
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    return subprocess.Popen(
        (*_COMMAND, *words), cwd=_ROOT, env=_ENVIRONMENT, stdin=pipe, stdout=pipe, stderr=nothing
    )


def _take(waiting: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes] | None:
    """Take a child that waits; None where there is none that lives."""
    with _lock:
        while waiting:
            child = waiting.pop()
            if child.poll() is None:
                return child
            _close(child)
    return None


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    _close(child)


def _close(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout):
        with suppress(OSError):  # what was not sent is lost with the child
            pipe.close()  # type: ignore[union-attr]


def release() -> None:
    """End the children that wait for films of cohorts."""
    while child := _take(_idle):
        _end(child)


@atexit.register
def _dismiss() -> None:
    """End all children that wait: they would end by themselves, but a process leaves no other behind."""
    release()
    while child := _take(_spares):
        _end(child)


def _ending(code: int) -> str:
    if code < 0:
        return f"the file is damaged: its decoder crashed ({signal.Signals(-code).name})"
    return f"the file could not be decoded (the decoder ended with code {code})"


def _film(fields: dict[str, Any], pixels: np.ndarray) -> Film:
    """Rebuild the film, believing nothing: the child has run a decoder on hostile bytes."""
    if fields["view"] not in (None, *get_args(View)):
        raise ValueError("unknown view")
    orientation, aspect = fields["orientation"], float(fields["aspect"])
    if orientation is not None and (orientation := hanging.orientation_of(orientation)) is None:
        raise ValueError("unknown orientation")
    if not 1 / MAX_ASPECT <= aspect <= MAX_ASPECT:
        raise ValueError("pixels of an impossible shape")
    spacing = None
    if fields["spacing_mm"] is not None:
        row, column = fields["spacing_mm"]
        spacing = float(row), float(column)
    notes = tuple(str(note) for note in fields["notes"])
    part = None if fields["body_part"] is None else str(fields["body_part"])[:16]
    return Film(
        pixels,
        fields["kind"],
        fields["sha256"],
        int(fields["bits"]),
        spacing,
        fields["view"],
        notes,
        part,
        orientation,
        aspect,
    )
