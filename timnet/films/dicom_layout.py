"""How a DICOM file says that its image lies: orientation and view, and the shape of its pixels.

Each function appends to `notes` what a reader should know. A value that cannot be used is ignored, with a
note.
"""

from __future__ import annotations

import math
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from timnet.films import hanging
from timnet.films.dicom_headers import numbers
from timnet.films.film import MAX_ASPECT
from timnet.films.hanging import Orientation, View

SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
TAGS = ("ViewPosition", "ViewCodeSequence", "PatientOrientation", *SPACINGS, "PixelAspectRatio")

_HIGHEST_MM = 100.0
_SQUARE = 1e-3  # a pixel that is less oblong than this is square: a spacing is often rounded


def hanging_of(dataset: Dataset, notes: list[str]) -> tuple[Orientation | None, View | None]:
    """Return the orientation and the view, lateral where either says so; note what a reader should know."""
    values = _several(dataset.get("PatientOrientation"))
    orientation = hanging.orientation_of(values)
    if orientation is None and any(str(value).strip() for value in values):
        notes.append("PatientOrientation is ignored: expected two perpendicular directions such as L\\F")
    view = hanging.view_of(" ".join(map(str, _several(dataset.get("ViewPosition")))) or _view_code(dataset))
    if orientation is None:
        return None, view
    stated = "\\".join(orientation)
    if hanging.is_lateral(orientation):
        if view not in (None, "LATERAL"):
            notes.append(f"orientation in the file is {stated}, that of a lateral image: view {view} ignored")
        return orientation, "LATERAL"
    if view == "LATERAL":
        notes.append(f"orientation in the file is {stated}, its view lateral: right and left are not marked")
    elif not hanging.is_frontal(orientation):
        notes.append(f"orientation in the file is {stated}: that of no frontal or lateral image")
    elif orientation != hanging.USUAL:
        notes.append(
            f"orientation in the file is {stated}, not L\\F: shown as stored, read in the usual hanging"
        )
    return orientation, view


def _view_code(dataset: Dataset) -> str:
    """Return the meaning of the first view code (PS3.3 C.8.11.5), which DX files have in place of a word."""
    for item in _several(dataset.get("ViewCodeSequence")):
        return str(item.get("CodeMeaning") or "") if isinstance(item, Dataset) else ""
    return ""


def pixel_shape(dataset: Dataset, notes: list[str]) -> tuple[tuple[float, float] | None, float]:
    """Return row and column spacing in mm, and the height of a pixel over its width.

    Source: PS3.3 10.7.1.3 (spacing), C.7.6.3.1.7 (aspect ratio, which counts where there is no spacing).
    """
    for keyword in (*SPACINGS, "PixelAspectRatio"):
        try:
            if not any(str(value).strip() for value in _several(dataset.get(keyword))):
                continue
            pair = numbers(dataset, keyword)
        except (ValueError, TypeError, OverflowError):
            pair = []
        if pair == [0, 0] and keyword in SPACINGS:
            continue  # how scanners write a spacing that they do not know
        highest = math.inf if keyword == "PixelAspectRatio" else _HIGHEST_MM
        if len(pair) == 2 and all(0 < length < highest for length in pair):
            aspect = pair[0] / pair[1]
            if 1 / MAX_ASPECT <= aspect <= MAX_ASPECT:
                aspect = 1.0 if abs(aspect - 1) < _SQUARE else aspect
                if aspect != 1:
                    notes.append(
                        f"pixels are {aspect:.3g} times as high as wide: laid out by their true shape"
                    )
                return (pair[0], pair[1]) if keyword in SPACINGS else None, aspect
        expected = f"two positive numbers, neither over {MAX_ASPECT:g} times the other"
        notes.append(f"{keyword} is ignored: expected {expected}")
    return None, 1.0


def _several(value: Any) -> list[Any]:
    """Return the values of an attribute, none where it is missing or empty."""
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, (MultiValue, Sequence)) else [value]
