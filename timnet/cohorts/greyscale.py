"""The grey scale of a DICOM image: stored values become greys in [0, 1], bone bright.

Owns modality LUT (PS3.3 C.11.1), VOI LUT or window (C.11.2), polarity (C.7.6.3.1.2) and padding
(C.7.5.1.1.2), in the order of PS3.4 Annex N; pydicom does the arithmetic. Refuses an image of one value and a
rescale that is not a number; a window that cannot be used gives way to percentiles, and a note says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing

from timnet.cohorts.films import ONE_GREY, FilmError
from timnet.cohorts.headers import numbers, word

PERCENTILES = (0.5, 99.5)
LEAST_GREYS = 0.01
"""A window that makes all but this share of the film plain black or white is not used."""
TAGS = (
    "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction", "VOILUTSequence",
    "RescaleIntercept", "RescaleSlope", "ModalityLUTSequence", "PresentationLUTShape",
)  # fmt: skip

_JUST_GREY = 1 / 512


@dataclass(frozen=True)
class Window:
    """One way, among those that a file offers, to map its values to greys: a window, or a lookup table."""

    centre: float
    """After the rescale; nan for a table."""
    width: float
    function: str
    """LINEAR, LINEAR_EXACT, SIGMOID (PS3.3 C.11.2.1), TABLE, or what the file says instead."""
    explanation: str
    """The file's own words, which are free text: may be empty."""

    def __str__(self) -> str:
        if self.function == "TABLE":
            return "VOI lookup table of the file"
        shape = "" if self.function == "LINEAR" else f", {self.function}"
        return f"window {self.centre:g}/{self.width:g}{shape}"


def windows(dataset: Dataset) -> tuple[Window, ...]:
    """Return the file's lookup tables and then its windows, each in the file's order."""
    tables = [
        Window(math.nan, math.nan, "TABLE", _said(table.get("LUTExplanation")))
        for table in dataset.get("VOILUTSequence") or ()
        if table.get("LUTDescriptor") is not None and table.get("LUTData") is not None
    ]
    words = dataset.get("WindowCenterWidthExplanation") or ()
    words = [words] if isinstance(words, str) else list(words)
    pairs = list(zip(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth"), strict=False))
    words += [""] * (len(pairs) - len(words))
    function = word(dataset, "VOILUTFunction") or "LINEAR"
    return (
        *tables,
        *(Window(*pair, function, _said(said)) for pair, said in zip(pairs, words, strict=False)),
    )


def _said(words: object) -> str:
    return "".join(character for character in str(words or "") if character.isprintable()).strip()[:64]


def render(dataset: Dataset, stored: np.ndarray, name: str, window: int = 0) -> tuple[np.ndarray, list[str]]:
    """Map stored values to float32 in [0, 1] by a table of all that can occur, and say how it was done.

    Raises:
        FilmError: one value only, or a rescale that is not a number.
    """
    low = int(stored.min())
    # The integers that numpy counts and looks up with: of any other kind it makes a copy each time.
    offsets = np.subtract(stored, low, dtype=np.intp).ravel()
    count = np.bincount(offsets)
    values = np.arange(low, low + count.size, dtype=np.int32)
    notes = []

    padding = _padding(dataset, values)
    if count[padding].any():
        share = 100 * count[padding].sum() / stored.size
        notes.append(f"padding value left out ({share:.1f} % of the image)")
    used = (count > 0) & ~padding
    if used.sum() < 2:
        raise FilmError(name, ONE_GREY)

    physical = np.asarray(apply_modality_lut(values, dataset), dtype=np.float64)
    if not np.isfinite(physical).all():
        raise FilmError(name, "expected finite grey values, got a rescale that is not a number")
    if np.ptp(physical[used]) == 0:
        raise FilmError(name, ONE_GREY)
    greys, note = _values_of_interest(dataset, physical, window)
    if greys is not None:
        is_between = used & (greys > _JUST_GREY) & (greys < 1 - _JUST_GREY)
        if count[is_between].sum() < LEAST_GREYS * count[used].sum() or np.ptp(greys[used]) == 0:
            greys, note = None, f"{note} leaves hardly any greys"
    if greys is None:
        bottom, top = np.percentile(physical[used], PERCENTILES, weights=count[used], method="inverted_cdf")
        if bottom == top:
            bottom, top = physical[used].min(), physical[used].max()
        greys = np.clip((physical - bottom) / (top - bottom), 0.0, 1.0)
        note = f"{note}: {PERCENTILES[0]} to {PERCENTILES[1]} percentile used"
    notes.append(note)

    if word(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        greys = 1.0 - greys
        notes.append("inverted: MONOCHROME1")
    elif word(dataset, "PresentationLUTShape") == "INVERSE":
        # PS3.3 C.8.11.3: INVERSE belongs to MONOCHROME1. Polarity follows one attribute, or it turns twice.
        notes.append("the file is MONOCHROME2 and asks for INVERSE as well: not inverted")
    greys[padding] = 0.0
    return greys.astype(np.float32).take(offsets).reshape(stored.shape), notes


def _values_of_interest(dataset: Dataset, physical: np.ndarray, index: int) -> tuple[np.ndarray | None, str]:
    """Return greys in [0, 1] by one of the file's windows, and a note; None where it is not usable."""
    offered = windows(dataset)
    if not offered:
        return None, "no window in the file"
    if not 0 <= index < len(offered):
        return None, f"no window number {index + 1} among the {len(offered)} of the file"
    window = offered[index]
    words = str(window)
    if len(offered) > 1:
        words += f", {'the first' if index == 0 else f'number {index + 1}'} of {len(offered)}"
    tables = sum(window.function == "TABLE" for window in offered)
    if window.function == "TABLE":
        return _looked_up(dataset, physical, index), words
    dataset.VOILUTFunction = window.function
    try:
        # The output of values far below and far above the window is its output range.
        bottom, top = apply_windowing(np.array([-1e15, 1e15]), dataset, index - tables)
        greys = (apply_windowing(physical, dataset, index - tables) - bottom) / (top - bottom)
    except ValueError:
        # PS3.3 C.11.2.1.2: a width below 1 (LINEAR) or an unknown function means nothing.
        return None, f"unusable {words}"
    return (np.clip(greys, 0.0, 1.0), words) if np.isfinite(greys).all() else (None, f"unusable {words}")


def _looked_up(dataset: Dataset, physical: np.ndarray, index: int) -> np.ndarray:
    # Tables without entries are not counted, so pydicom's index would be another.
    dataset.VOILUTSequence = [
        table
        for table in dataset.VOILUTSequence
        if table.get("LUTDescriptor") is not None and table.get("LUTData") is not None
    ]
    table = dataset.VOILUTSequence[index]
    entries, first, bits = (int(number) for number in table.LUTDescriptor)
    # pydicom indexes with the integer type of the table's entries, which wraps around when a table of 8 bits
    # has more than 256 of them: entries called 16 bits wide and indices inside the table keep it exact.
    table.LUTDescriptor = [entries, first, 16]
    inside = np.clip(np.rint(physical), first, first + (entries or 2**16) - 1).astype(np.int32)
    output = np.asarray(apply_voi(inside, dataset, index), dtype=np.float64)
    return np.clip(output / (2**bits - 1), 0.0, 1.0)


def _padding(dataset: Dataset, values: np.ndarray) -> np.ndarray:
    """Return which stored values are padding; files get its sign and high bits wrong, so low bits decide."""
    start, stop = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    if not isinstance(start, int):
        return np.zeros(values.shape, dtype=bool)
    ends = np.array([start, stop if isinstance(stop, int) else start]) % 2**dataset.BitsStored
    if dataset.get("PixelRepresentation") == 1:
        ends[ends >= 2 ** (dataset.BitsStored - 1)] -= 2**dataset.BitsStored
    return (values >= ends.min()) & (values <= ends.max())
