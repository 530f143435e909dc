"""The child that decodes for `sandbox`: it limits itself, reads requests on its input and answers each.

A request is a line of JSON and a film's bytes; an answer a line of JSON and raw pixels, or a reason.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
from collections.abc import Collection
from typing import BinaryIO

from timnet.films import read
from timnet.films.film import Admit, FilmError

MEMORY_BYTES = 2 * 2**30
CPU_SECONDS = 20
READY = "ready"
_FACTS = (
    "rows", "columns", "bits", "spacing_mm", "view", "notes", "body_part", "orientation", "aspect",
)  # fmt: skip
"""What of a film an answer holds beside its pixels."""


def limit() -> None:
    """Limit this process: memory, computing time from now on, no core dump, no file written."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
    for what, soft in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
        # The hard limit of computing stays: the next film has seconds of its own.
        resource.setrlimit(what, (most, hard if what == resource.RLIMIT_CPU else most))


def answer(
    data: bytes,
    out: BinaryIO,
    *,
    window: int = 0,
    admit: Collection[Admit] = (),
    invert: bool = False,
    side: int | None = None,
    remark: str | None = None,
) -> bool:
    """Decode the bytes and write the reply: a line of JSON, then the pixels in rows.

    Pixels are float32, or with a side those of a pixel cache. Returns whether this process is fit for another
    film: not after a decoder's panic or when memory ran out.
    """
    is_fit = True
    body = memoryview(b"")
    try:
        film = read.read_film(data, window=window, admit=admit, invert=invert)
        said = None
        if remark is not None:
            module, _, function = remark.partition(":")
            said = getattr(importlib.import_module(module), function)(film)
        pixels = film.pixels if side is None else read.letterboxed(film, side)
        body = pixels.data.cast("B")
        fields: dict[str, object] = {name: getattr(film, name) for name in _FACTS}
        fields["remark"] = said
    except (FilmError, MemoryError) as error:
        cause = error.__context__ if isinstance(error, FilmError) else error
        is_fit = cause is None or (isinstance(cause, Exception) and not isinstance(cause, MemoryError))
        reason = error.reason if isinstance(error, FilmError) else "it needs more memory than is available"
        fields = {"reason": reason}
    head = {**fields, "body": len(body), "is_last": not is_fit}
    out.write(json.dumps(head).encode() + b"\n")
    out.write(body)
    out.flush()
    return is_fit


def main() -> None:
    """Answer requests: each a line of JSON and a film's bytes on the standard input.

    The argument `ready` has what most films need imported before there are bytes.
    """
    limit()
    # pydicom imports these for its sample downloads where they are installed: a fifth of the child's time,
    # and no business of a decoder.
    sys.modules.update({"requests": None, "tqdm": None, "ssl": None})  # type: ignore[dict-item]
    if READY in sys.argv[1:]:
        importlib.import_module("timnet.films.dicom")
    # Decoders print: what they say goes where nobody listens, the reply keeps the pipe to itself.
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        while line := sys.stdin.buffer.readline():
            request = json.loads(line)
            data = sys.stdin.buffer.read(request.pop("bytes"))
            limit()
            if not answer(data, out, **request):
                break


if __name__ == "__main__":
    main()
