"""Display shutters of a DICOM image (PS3.3 C.7.6.11): what lies outside them is not part of the film.

Owns which pixels the shapes leave visible, and the grey of the others. Several shapes leave what is inside
all of them. A shape that cannot be used is ignored, with a note. Numbers of rows and columns begin at 1, and
the edges that a rectangle names are hidden themselves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset

from timnet.films.dicom_headers import numbers, words

TAGS = (
    "ShutterShape", "ShutterLeftVerticalEdge", "ShutterRightVerticalEdge", "ShutterUpperHorizontalEdge",
    "ShutterLowerHorizontalEdge", "CenterOfCircularShutter", "RadiusOfCircularShutter",
    "VerticesOfThePolygonalShutter", "ShutterPresentationValue", "ShutterOverlayGroup",
)  # fmt: skip
_EDGES = TAGS[1:5]
_LEAST = 0.01
"""Share of the image that a shutter must leave."""


def visible(
    dataset: Dataset, rows: int, columns: int, aspect: float
) -> tuple[NDArray[np.bool_] | None, list[str]]:
    """Return which pixels (rows, columns) the file's shutters leave, None for all, and notes.

    `aspect` is the height of a pixel over its width.
    """
    inside, notes, used = np.ones((rows, columns), dtype=bool), list[str](), list[str]()
    for shape in words(dataset, "ShutterShape"):
        reason = ""
        if shape == "RECTANGULAR":
            left, right, upper, lower = ((numbers(dataset, edge) or [np.nan])[0] for edge in _EDGES)
            if left < right and upper < lower:
                inside &= _between(rows, upper, lower)[:, None] & _between(columns, left, right)
            else:
                reason = "expected four edges in order"
        elif shape == "CIRCULAR":
            centre, radius = numbers(dataset, "CenterOfCircularShutter"), numbers(dataset, TAGS[6])
            if len(centre) == 2 and len(radius) == 1 and radius[0] > 0:
                # The radius counts pixels along a row, which may be higher than wide.
                down = (np.arange(1, rows + 1) - centre[0]) * aspect
                across = np.arange(1, columns + 1) - centre[1]
                inside &= down[:, None] ** 2 + across**2 <= radius[0] ** 2
            else:
                reason = "expected a centre and a radius"
        elif shape == "POLYGONAL":
            corners = numbers(dataset, "VerticesOfThePolygonalShutter")
            if len(corners) >= 6 and len(corners) % 2 == 0:
                canvas = Image.new("1", (columns, rows))
                points = [(column - 1, row - 1) for row, column in zip(*[iter(corners)] * 2, strict=True)]
                ImageDraw.Draw(canvas).polygon(points, fill=1, outline=1)
                inside &= np.asarray(canvas)
            else:
                reason = f"expected three corners or more, got {len(corners) / 2:g}"
        elif shape == "BITMAP":
            reason = "an overlay, which is not read"
        else:
            reason = "expected RECTANGULAR, CIRCULAR or POLYGONAL"
        if reason:
            notes.append(f"display shutter {shape} ignored: {reason}")
        else:
            used.append(shape)
    if used and inside.mean() < _LEAST:
        notes.append(f"display shutter {' and '.join(used)} ignored: it leaves hardly any of the image")
    elif used and not inside.all():
        notes.append(f"display shutter {' and '.join(used)}: {1 - inside.mean():.1%} of the image hidden")
        return inside, notes
    return None, notes


def grey(dataset: Dataset) -> float:
    """Return the grey in [0, 1] of what is hidden: a P-value of 16 bits, black where none is stated."""
    value = numbers(dataset, "ShutterPresentationValue")
    return value[0] / 65535 if len(value) == 1 and 0 <= value[0] <= 65535 else 0.0


def _between(length: int, low: float, high: float) -> NDArray[np.bool_]:
    places = np.arange(1, length + 1)
    return (places > low) & (places < high)
