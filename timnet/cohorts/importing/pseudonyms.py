"""Pseudonyms: identifiers become keyed hashes, with a key that never lies beside what it protects.

Owns the key and HMAC-SHA256 over it (RFC 2104), cut to 64 bits. The same key gives the same pseudonyms, so a
patient stays one patient over several imports; without it they cannot be traced or guessed. Refuses a key
among the cohorts, one that others can read, and one that is short enough to be tried out.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from pathlib import Path

from timnet import config
from timnet.cohorts.records import CohortError

LEAST_CHARACTERS = 16
_DIGITS = 16


def key_path() -> Path:
    """Return where the key lies: `timnet/key` in the user's configuration folder."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "timnet" / "key"


def read_key() -> bytes:
    """Return the key: ``TIMNET_KEY``, or the one of `key_path`, which is made at its first use.

    Raises:
        CohortError: the key is short, lies among the cohorts, can be read by others, or cannot be made.
    """
    given = os.environ.get("TIMNET_KEY")
    if given is not None:
        return _checked(given.encode(), "TIMNET_KEY")
    path = key_path()
    if path.resolve().is_relative_to(config.home()):
        raise CohortError(
            "key: expected its folder outside that of the cohorts (TIMNET_HOME), got one inside"
        )
    try:
        if not path.exists():
            _make(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise CohortError(f"key: expected {path} to be readable by its owner only (chmod 600)")
        return _checked(path.read_bytes().strip(), str(path))
    except OSError as error:
        raise CohortError(f"key: {path} cannot be used: {error.strerror}") from None


def pseudonym(key: bytes, kind: str, value: str) -> str:
    """Return 16 hexadecimal digits that stand for an identifier of a kind, such as patient or study."""
    return hmac.new(key, f"{kind}\0{value.strip()}".encode(), hashlib.sha256).hexdigest()[:_DIGITS]


def _checked(key: bytes, place: str) -> bytes:
    if len(key) < LEAST_CHARACTERS:
        raise CohortError(f"key: expected at least {LEAST_CHARACTERS} characters in {place}, got {len(key)}")
    return key


def _make(path: Path) -> None:
    """Write a new key: it appears whole, and one that another process made meanwhile stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # mkstemp gives mode 0600.
    descriptor, part = tempfile.mkstemp(prefix=".key-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)
    except FileExistsError:
        return
    finally:
        Path(part).unlink()
