"""The grey scale of a DICOM image: stored values become greys in [0, 1], bone bright.

Owns modality LUT (PS3.3 C.11.1), VOI LUT or window (C.11.2), polarity (C.7.6.3.1.2) and padding
(C.7.5.1.1.2), in the order of PS3.4 Annex N, and what display shutters hide, which counts nowhere. Refuses an
image of one value and a rescale that is not a number; a window that cannot be used gives way to percentiles,
and a note says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from timnet.counting import counted
from timnet.films import dicom_lookup_tables, dicom_shutters
from timnet.films.dicom_headers import numbers, word
from timnet.films.film import INVERTED, ONE_GREY, FilmError

PERCENTILES = (0.5, 99.5)
LEAST_GREYS = 0.01
"""A window that makes all but this share of the film plain black or white is not used."""
TAGS = (
    "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction", "VOILUTSequence",
    "RescaleIntercept", "RescaleSlope", "ModalityLUTSequence", "PresentationLUTShape",
    "PixelPaddingValue", "PixelPaddingRangeLimit", *dicom_shutters.TAGS,
)  # fmt: skip
NUMERIC = (
    "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope", "PixelPaddingValue",
    "PixelPaddingRangeLimit", *dicom_shutters.TAGS[1:9],
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
        if _is_table(table)
    ]
    words = dataset.get("WindowCenterWidthExplanation") or ()
    words = list(words) if isinstance(words, (MultiValue, list)) else [words]
    pairs = list(zip(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth"), strict=False))
    words += [""] * (len(pairs) - len(words))
    function = word(dataset, "VOILUTFunction") or "LINEAR"
    return (
        *tables,
        *(Window(*pair, function, _said(said)) for pair, said in zip(pairs, words, strict=False)),
    )


def _said(words: object) -> str:
    return "".join(character for character in str(words or "") if character.isprintable()).strip()[:64]


def render(
    dataset: Dataset,
    stored: np.ndarray,
    name: str,
    window: int = 0,
    invert: bool = False,
    aspect: float = 1.0,
) -> tuple[np.ndarray, list[str]]:
    """Map stored values to float32 in [0, 1] by a table of all that can occur, and say how it was done.

    Args:
        dataset: settled (`headers.settle`).
        stored: (rows, columns) integers.
        name: of the file, for messages.
        window: which of `windows` to use.
        invert: turn the greys against what the file states; padding and what a shutter hides stay.
        aspect: height of a pixel over its width.

    Raises:
        FilmError: one value only, or a rescale that is not a number.
    """
    low = int(stored.min())
    # The integers that numpy counts and looks up with: of any other kind it makes a copy each time.
    offsets = np.subtract(stored, low, dtype=np.intp).ravel()
    rows, columns = stored.shape
    visible, notes = dicom_shutters.visible(dataset, rows, columns, aspect)
    length = int(offsets.max()) + 1
    count = np.bincount(offsets if visible is None else offsets[visible.ravel()], minlength=length)
    values = np.arange(low, low + count.size, dtype=np.int32)

    padding = _padding(dataset, values)
    if count[padding].any():
        share = 100 * count[padding].sum() / stored.size
        notes.append(f"padding value left out ({share:.1f} % of the image)")
    used = (count > 0) & ~padding
    if used.sum() < 2:
        raise FilmError(name, ONE_GREY)

    physical = _physical(dataset, values, name, notes)
    if np.ptp(physical[used]) == 0:
        raise FilmError(name, ONE_GREY)
    greys, note = _greys(dataset, physical, np.where(used, count, 0), window)
    notes.append(note)

    is_inverse = word(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    if is_inverse != invert:
        greys = 1.0 - greys
    if invert:
        notes.append(INVERTED)
    elif is_inverse:
        notes.append("inverted: MONOCHROME1")
    elif word(dataset, "PresentationLUTShape") == "INVERSE":
        # PS3.3 C.8.11.3: INVERSE belongs to MONOCHROME1. Polarity follows one attribute, or it turns twice.
        notes.append("the file is MONOCHROME2 and asks for INVERSE as well: not inverted")
    greys[padding] = 0.0
    pixels = greys.astype(np.float32).take(offsets).reshape(stored.shape)
    if visible is not None:
        pixels[~visible] = dicom_shutters.grey(dataset)
    return pixels, notes


def _greys(dataset: Dataset, physical: np.ndarray, count: np.ndarray, window: int) -> tuple[np.ndarray, str]:
    """Return greys by the window or table that was chosen, else by percentiles, and words for it.

    `count`: how many pixels of the film have each value.
    """
    used = count > 0
    greys, note = _values_of_interest(dataset, physical, window)
    if greys is not None:
        is_between = (greys > _JUST_GREY) & (greys < 1 - _JUST_GREY)
        if count[is_between].sum() < LEAST_GREYS * count.sum() or np.ptp(greys[used]) == 0:
            greys, note = None, f"{note} leaves hardly any greys"
    if greys is None:
        bottom, top = np.percentile(physical[used], PERCENTILES, weights=count[used], method="inverted_cdf")
        if bottom == top:
            bottom, top = physical[used].min(), physical[used].max()
        greys = np.clip((physical - bottom) / (top - bottom), 0.0, 1.0)
        note = f"{note}: {PERCENTILES[0]} to {PERCENTILES[1]} percentile used"
    return greys, note


def _physical(dataset: Dataset, values: np.ndarray, name: str, notes: list[str]) -> np.ndarray:
    """Return what the modality LUT or the rescale makes of stored values (PS3.3 C.11.1)."""
    sequence = dataset.get("ModalityLUTSequence")
    if sequence:
        is_signed, is_little = bool(dataset.PixelRepresentation), _is_little(dataset)
        try:
            table = dicom_lookup_tables.table(
                sequence[0], float(values[0]), float(values[-1]), is_signed, is_little
            )
        except dicom_lookup_tables.TableError as error:
            raise FilmError(name, f"ModalityLUTSequence cannot be read: {error}") from None
        return table(values)
    slope, intercept = (
        numbers(dataset, "RescaleSlope") or [1.0],
        numbers(dataset, "RescaleIntercept") or [0.0],
    )
    for keyword, stated in (("RescaleSlope", slope), ("RescaleIntercept", intercept)):
        if len(stated) != 1:
            raise FilmError(name, f"{keyword}: expected one number, got {counted(len(stated), 'value')}")
    if slope[0] == 0:
        raise FilmError(name, "RescaleSlope: expected a number other than 0, got 0")
    with np.errstate(over="ignore", invalid="ignore"):
        physical = values * slope[0] + intercept[0]
        is_usable = bool(np.isfinite(physical).all() and np.isfinite(np.ptp(physical)))
    if not is_usable or (np.ptp(physical) == 0 and values.size > 1):
        raise FilmError(
            name, "RescaleSlope and RescaleIntercept: expected finite greys that differ, got others"
        )
    return physical


def _is_little(dataset: Dataset) -> bool:
    return dataset.original_encoding[1] is not False


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
    if window.function == "TABLE":
        return _looked_up(dataset, physical, index, words)
    function = window.function
    if function == "LINEAR" and 0 < window.width < 1:
        # PS3.3 C.11.2.1.2.1 wants a width of 1 or more; with values of fractions no other line can be meant.
        function = "LINEAR_EXACT"
        words += ", read as LINEAR_EXACT: the width is below 1"
    greys = _windowed(physical, window.centre, window.width, function)
    return greys, words if greys is not None else f"unusable {words}"


def _windowed(x: np.ndarray, centre: float, width: float, function: str) -> np.ndarray | None:
    """Return greys in [0, 1] by PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 or C.11.2.1.3.2; None without a meaning."""
    if width <= 0:
        return None
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        if function == "LINEAR" and width == 1:
            greys = (x > centre - 0.5).astype(np.float64)
        elif function == "LINEAR":
            greys = (x - (centre - 0.5)) / (width - 1) + 0.5
        elif function == "LINEAR_EXACT":
            greys = (x - centre) / width + 0.5
        elif function == "SIGMOID":
            greys = 1 / (1 + np.exp(-4 * (x - centre) / width))
        else:
            return None
    return np.clip(greys, 0.0, 1.0) if np.isfinite(greys).all() else None


def _looked_up(
    dataset: Dataset, physical: np.ndarray, index: int, words: str
) -> tuple[np.ndarray | None, str]:
    item = [item for item in dataset.VOILUTSequence if _is_table(item)][index]
    low, high = float(physical.min()), float(physical.max())
    is_signed = low < 0 or bool(dataset.PixelRepresentation and "ModalityLUTSequence" not in dataset)
    try:
        table = dicom_lookup_tables.table(item, low, high, is_signed, _is_little(dataset))
    except dicom_lookup_tables.TableError as error:
        return None, f"unusable {words} ({error})"
    return np.clip(table(physical) / table.top, 0.0, 1.0), words + table.note


def _is_table(item: Dataset) -> bool:
    """Say whether an item of a VOI LUT Sequence holds a table at all."""
    return all(item.get_item(keyword) is not None for keyword in ("LUTDescriptor", "LUTData"))


def _padding(dataset: Dataset, values: np.ndarray) -> np.ndarray:
    """Return which stored values are padding; files get its sign and high bits wrong, so low bits decide."""
    start, stop = numbers(dataset, "PixelPaddingValue"), numbers(dataset, "PixelPaddingRangeLimit")
    if len(start) != 1 or start[0] != int(start[0]):
        return np.zeros(values.shape, dtype=bool)
    stop = stop if len(stop) == 1 and stop[0] == int(stop[0]) else start
    ends = np.array([int(start[0]), int(stop[0])]) % 2**dataset.BitsStored
    if dataset.get("PixelRepresentation") == 1:
        ends[ends >= 2 ** (dataset.BitsStored - 1)] -= 2**dataset.BitsStored
    return (values >= ends.min()) & (values <= ends.max())
