"""Lookup tables of a DICOM image (PS3.3 C.11.1.1 and C.11.2.1.1), as files really hold them.

Owns the sign of a table's first value, which follows the pixels' and not the value representation that a
writer chose, entries of 8 bits packed two to a word, and tables whose entries use other bits than they say.
Refuses a table that cannot be read; callers say so in a note.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from timnet.counting import counted
from timnet.errors import TimnetError


class TableError(TimnetError):
    """A table that cannot be used; the message says why."""


@dataclass(frozen=True)
class Table:
    """Entry i is for the value `first` + i; values beyond either end take that end's entry."""

    entries: NDArray[np.float64]
    first: int
    top: float
    """The entry that stands for white."""
    note: str

    def __call__(self, values: NDArray[np.floating | np.integer]) -> NDArray[np.float64]:
        """Return the entries of values."""
        places = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1)
        return self.entries[places.astype(np.intp)]


def table(item: Dataset, low: float, high: float, is_signed: bool, is_little: bool) -> Table:
    """Read an item of a Modality or VOI LUT Sequence.

    Args:
        item: with LUT Descriptor and LUT Data.
        low: the smallest, and `high` the largest, of the values that are looked up.
        is_signed: whether these values are.
        is_little: byte order of the file.

    Raises:
        TableError: no three numbers describe it, or it has fewer entries than they say.
    """
    try:
        count, first, bits = (int(number) & 0xFFFF for number in item.LUTDescriptor)
        data = item.LUTData
        count = count or 2**16
        entries = _entries(data, count, bits, is_little)
    except (TypeError, ValueError, AttributeError, OverflowError):
        raise TableError("it is not described by three numbers and a list of entries") from None
    if not 1 <= bits <= 16 or len(entries) < count:
        wanted = counted(count, "entry")
        raise TableError(f"expected {wanted} of 1 to 16 bits, got {len(entries):,} of {bits}")
    entries = entries[:count]
    # Writers take US for SS and the other way round: the sign is the values', unless that misses them all.
    as_signed = first - 2**16 if first >= 2**15 else first
    chosen, other = (as_signed, first) if is_signed else (first, as_signed)
    if not _meets(chosen, count, low, high) and _meets(other, count, low, high):
        chosen = other
    top, peak, note = 2**bits - 1, int(entries.max()), ""
    if peak > top or (peak and peak.bit_length() <= bits - 2):
        note = f", its {bits}-bit entries scaled by the largest, {peak}"
        top = peak
    return Table(entries.astype(np.float64), chosen, float(top), note)


def _meets(first: int, count: int, low: float, high: float) -> bool:
    return first <= high and first + count - 1 >= low


def _entries(data: object, count: int, bits: int, is_little: bool) -> NDArray[np.integer]:
    if isinstance(data, bytes):
        if bits <= 8 and len(data) in (count, count + 1) and len(data) != 2 * count:
            words = np.frombuffer(data[: len(data) // 2 * 2], "<u2" if is_little else ">u2")
            rest = np.frombuffer(data[len(data) // 2 * 2 :], np.uint8)
            return np.concatenate([words.astype("<u2").view(np.uint8), rest])
        return np.frombuffer(data[: len(data) // 2 * 2], "<u2" if is_little else ">u2")
    values = [data] if isinstance(data, int) else list(data)  # type: ignore[call-overload]
    words = (np.array(values, dtype=np.int64) & 0xFFFF).astype("<u2")
    # Two entries of 8 bits to a word, the first in the lower half.
    return words.view(np.uint8) if bits <= 8 and len(words) == (count + 1) // 2 < count else words
