"""Many X-rays read by one network into one table: decoded ahead by child processes, a forward a batch.

Owns the run: a row an X-ray, in the order of the list, read or refused with its sentence. What is done is
kept in a part file beside the table, batch by batch: a run that was stopped goes on behind the last whole
batch, and as batches stand where they stood, ends with the same table. The table appears whole or not at all.
Its numbers are those of `Reader.read`; it holds nothing of a report.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from timnet import __version__, config, spreadsheet
from timnet.checkpoints import ClassifierSpec
from timnet.cohorts import decode_pool
from timnet.cohorts.listed import Listed, Listing, digest_of
from timnet.cohorts.records import CohortError, Progress
from timnet.errors import TimnetError
from timnet.films import sandbox
from timnet.films.film import FilmError, file_name
from timnet.films.sandbox import Row
from timnet.reader import Reader
from timnet.reading import ReadingError, findings_of, not_alone, verdict

BATCH = 16
"""X-rays in one forward. A run that was stopped goes on at a multiple of it."""
_AHEAD = 2 * BATCH
"""X-rays that may wait, decoded, for their turn."""
_DECIMALS = 6
_DOUBT = "timnet.films.frontal_check:doubt"
MATCH = "match probability"


class BatchError(TimnetError):
    """A table that cannot be written; the message says why."""


@dataclass(frozen=True)
class Answer:
    """What came of one X-ray: its numbers, or why it was refused."""

    numbers: list[float] | None = None
    """The match, or one a label."""
    refused: str = ""
    doubt: str = ""
    notes: str = ""
    sha256: str = ""
    section: str = ""
    """Which section of the report was read."""


@dataclass(frozen=True)
class Summary:
    """How a run ended."""

    xrays: int
    refused: int
    resumed: int
    """How many an earlier run had left."""


def run(
    listing: Listing,
    reader: Reader,
    out: Path,
    *,
    matched: bool,
    anyway: bool = False,
    invert: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Read X-rays into a table; go on where a run of the same request was stopped.

    Args:
        listing: the X-rays.
        reader: a TIMNet where they are matched with findings, else a classifier.
        out: the table: .csv, .jsonl or .parquet.
        matched: match them with their findings.
        anyway: read also those that do not look like frontal chest films.
        invert: turn their greys against what the files state.
        progress: called with how many of this run's X-rays are done, and how many they are.

    Raises:
        TableError: no such kind of table.
        BatchError: another run writes it, or an earlier one's part is of another request.
        ReadingError: the reader is of the other kind.
        OSError: the disk is full or read-only.
    """
    write = spreadsheet.writer(out)
    if matched:
        _ = reader.matcher
    elif not isinstance(reader.spec, ClassifierSpec):
        raise not_alone(reader.name)
    facts = [digest_of(listing.xrays), reader.weights_sha256, repr(reader.certainty), matched, anyway, invert]
    request = hashlib.sha256(json.dumps([*facts, __version__, BATCH]).encode()).hexdigest()
    with _part(out, request) as (part, answers):
        resumed = len(answers)
        for batch in _read(listing.xrays[resumed:], reader, matched, anyway, invert):
            answers += batch
            part.write(b"".join(json.dumps(asdict(each)).encode() + b"\n" for each in batch))
            part.flush()
            if progress:
                progress(len(answers) - resumed, len(listing.xrays) - resumed)
        write(table(listing, answers, reader, matched))
    return Summary(len(answers), sum(each.numbers is None for each in answers), resumed)


def table(listing: Listing, answers: Sequence[Answer], reader: Reader, matched: bool) -> pd.DataFrame:
    """Return one row an X-ray: its name, numbers and words, why it was refused, and what it comes from."""
    first: dict[str, Any] = {"film": [each.name for each in listing.xrays]}
    last: dict[str, Any] = {
        "refused": [each.refused for each in answers],
        "doubt": [each.doubt for each in answers],
        "notes": [each.notes for each in answers],
        "film sha256": [each.sha256 for each in answers],
        "network": reader.name,
        "weights sha256": reader.weights_sha256,
        "trust": reader.trust,
        "cohort": listing.cohort,
        "timnet": __version__,
        "note": config.RESEARCH_USE,
    }
    numbers: dict[str, Any] = {}
    labels = (MATCH,) if matched else reader.spec.labels  # type: ignore[union-attr]
    for at, label in enumerate(labels):
        # A label of the name of another column keeps both.
        name = f"label {label}" if label in first | last else label
        given = [None if each.numbers is None else each.numbers[at] for each in answers]
        numbers[name] = pd.Series(given, dtype=float)
        if not matched:
            numbers[f"{name}: word"] = [
                "" if number is None else verdict(reader.certainty, reader.card, label, number)
                for number in given
            ]
    if matched:
        numbers["section read"] = [each.section for each in answers]
    return pd.DataFrame(first | numbers | last)


def _read(
    xrays: Sequence[Listed], reader: Reader, matched: bool, anyway: bool, invert: bool
) -> Iterator[list[Answer]]:
    """Yield the answers batch by batch; while the network reads one, children decode the next."""
    with decode_pool.Pool() as pool:
        waiting: deque[Future[Row | Answer]] = deque()
        sent = iter(xrays)
        for start in range(0, len(xrays), BATCH):
            batch = xrays[start : start + BATCH]
            while len(waiting) < len(batch) + _AHEAD and (following := next(sent, None)) is not None:
                waiting.append(pool.submit(_row, following, reader.spec.side, anyway, invert))
            rows = [waiting.popleft().result() for _ in batch]
            yield _answers(reader, batch, rows, matched)


def _row(xray: Listed, side: int, anyway: bool, invert: bool) -> Row | Answer:
    """Return an X-ray as the network takes it, or why it is refused."""
    if xray.fault:
        return Answer(refused=f"{file_name(xray.name)}: {xray.fault}")
    try:
        data = xray.fetch()
        row = sandbox.read_row(
            data, name=xray.name, side=side, admit=xray.admit, remark=_DOUBT, invert=invert
        )
    except (FilmError, CohortError) as error:
        return Answer(refused=str(error))
    except OSError as error:
        return Answer(refused=f"{file_name(xray.name)}: {error.strerror or type(error).__name__}")
    if _doubt(row) and not anyway:
        return Answer(
            refused=f"{file_name(xray.name)}: {row.remark}", doubt=_doubt(row), sha256=row.film.sha256
        )
    return row


def _doubt(row: Row) -> str:
    # The child does not know what this site refuses.
    return (row.remark or "") if config.refusing() else ""


def _answers(
    reader: Reader, batch: Sequence[Listed], rows: Sequence[Row | Answer], matched: bool
) -> list[Answer]:
    answers = [each if isinstance(each, Answer) else Answer() for each in rows]
    texts, read, sections = [], [], {}
    for at, (xray, row) in enumerate(zip(batch, rows, strict=True)):
        if isinstance(row, Answer):
            continue
        if matched:
            try:
                extract = findings_of(xray.findings)
            except ReadingError as error:
                answers[at] = Answer(refused=f"{file_name(xray.name)}: {error}", sha256=row.film.sha256)
                continue
            texts.append(extract.findings)
            sections[at] = extract.section
        read.append((at, row))
    if read:
        numbers_BL = reader.numbers(np.stack([row.row_SS for _, row in read]), texts)
        for (at, row), numbers_L in zip(read, numbers_BL.round(_DECIMALS).tolist(), strict=True):
            notes = "; ".join(row.film.notes)
            answers[at] = Answer(numbers_L, "", _doubt(row), notes, row.film.sha256, sections.get(at, ""))
    return answers


@contextmanager
def _part(out: Path, request: str) -> Iterator[tuple[BinaryIO, list[Answer]]]:
    """Open the part file of a table behind its last whole batch, with its answers; drop it at a good end."""
    path = out.with_name(f"{out.name}.part")
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BatchError(f"{out.name}: another command is writing it") from None
        file.seek(0)
        lines = file.read().splitlines(keepends=True)
        if not lines:
            file.write(request.encode() + b"\n")
        elif lines[0] != request.encode() + b"\n":
            raise BatchError(
                f"{path.name}: expected the part of this command, got that of another (X-rays, network or "
                "options differ); remove it or choose another --out"
            )
        # A kill may have cut the last batch short.
        whole = lines[1 : 1 + (len(lines) - 1) // BATCH * BATCH]
        if whole and not whole[-1].endswith(b"\n"):
            whole = whole[:-BATCH]
        if lines:
            file.truncate(sum(map(len, [lines[0], *whole])))
        answers = [Answer(**json.loads(line)) for line in whole]
        try:
            yield file, answers
        except BaseException:
            if not answers:
                path.unlink(missing_ok=True)
            raise
        path.unlink(missing_ok=True)
