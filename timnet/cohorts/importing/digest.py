"""The digest of an import: one value of all its records, so that the same export is known again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from timnet.cohorts import schema
from timnet.cohorts.records import CohortError, Skipped, StudyRecord


def check_source(name: str) -> str:
    """Return a label source's name; CohortError if it is blank or one of timnet's own."""
    if not name.strip() or name in (schema.APP, schema.REPORT):
        raise CohortError(f"label source: expected a reader's own name, got {name[:80]!r}")
    return name


def new_digest(record: StudyRecord | Skipped) -> bytes:
    """Return the digest of one record."""
    return hashlib.sha256(repr(record).encode(errors="surrogatepass")).digest()


def digest_of(records: Iterable[StudyRecord | Skipped]) -> str:
    """Return what `Draft.digest` returns of a draft of these records."""
    return digest_of_all(map(new_digest, records))


def digest_of_all(digests: Iterable[bytes]) -> str:
    """Return the digest of records' digests, in order."""
    joined = hashlib.sha256()
    for digest in digests:
        joined.update(digest)
    return joined.hexdigest()
