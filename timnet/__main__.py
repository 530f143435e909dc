"""The command line: `python -m timnet COMMAND ...`, the same functions as the pages.

match, diagnose, import SOURCE, embed, audit, check, label, features, pretrain, evaluate, finetune,
calibrate, curve, export, card, simulate, runs, run.
Exit status 0, or 2 with one sentence on standard error for what cannot be done; never a traceback. 3 where
a check found what --fail-on names, 130 and 143 after Ctrl-C and SIGTERM, 1 for a fault of timnet's own.
`--json` prints one object on standard output.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from timnet import config, files, processes
from timnet.cli.commands import COMMANDS, TRAINING
from timnet.errors import one_line


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    given = list(sys.argv[1:] if words is None else words)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # What pydicom has to say of a file's header is in the film's notes where it matters.
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    if not given or given[0] in ("-h", "--help"):
        print(f"usage: python -m timnet {{{','.join(COMMANDS)}}} ...\n\n{config.RESEARCH_USE}\n")
        for name, command in COMMANDS.items():
            print(f"  {name:<10}{command.__doc__}")
        return 0
    if given[0] not in COMMANDS:
        print(f"timnet: expected one of {', '.join(COMMANDS)}, got {given[0]!r}", file=sys.stderr)
        return 2
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter gets its code, and no error.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with files.private(), _terminable():
            COMMANDS[given[0]](given[1:])
    except (ValueError, OSError) as error:
        print(f"timnet: {_sentence(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("timnet: stopped", file=sys.stderr)
        return 130
    except Terminated:
        print(
            "timnet: stopped by SIGTERM; what can be resumed goes on with the same command", file=sys.stderr
        )
        return 143
    except Exception as error:
        if os.environ.get("TIMNET_DEBUG"):
            raise
        reason = f"{type(error).__name__}: {_sentence(error)}"
        print(f"timnet: unexpected error, TIMNET_DEBUG=1 shows where: {reason}", file=sys.stderr)
        return 1
    return 0


class Terminated(BaseException):
    """Raised where the process was asked to end by SIGTERM."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the command as an exception does, so that it cleans up and says so."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        name = f"{Path(str(error.filename)).name}: " if error.filename else ""
        return one_line(f"{name}{error.strerror}")
    return one_line(error)


def command() -> None:
    """Do what the words of the terminal ask and end: what `timnet` on the PATH calls."""
    if sys.argv[1:2] and sys.argv[1] in TRAINING:
        processes.keep_memory()
    sys.exit(main())


if __name__ == "__main__":
    command()
