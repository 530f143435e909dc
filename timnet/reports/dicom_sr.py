"""DICOM structured reports: the content tree (PS3.3 C.17.3) becomes the text of a report.

Owns which items speak of the study (TEXT, CODE and NUM under their headings) and which of its circumstances
(observers, dates, references), which are left out. Headings that `reports` knows keep their names, so that
findings and impression are found again. Refuses nothing: a tree without text gives "".
"""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from timnet.reports import report_text

_CIRCUMSTANCES = ("HAS OBS CONTEXT", "HAS ACQ CONTEXT", "HAS CONCEPT MOD")
_DEEPEST = 16  # the standard sets no limit, a hostile file none either


def text(dataset: Dataset) -> str:
    """Return the report of a structured report's data set, a heading or statement a line."""
    return "\n".join(_lines(dataset, "", _DEEPEST))


def _lines(parent: Dataset, section: str, deepest: int) -> Iterator[str]:
    if not deepest:
        return
    for item in parent.get("ContentSequence") or ():
        if str(item.get("RelationshipType") or "") in _CIRCUMSTANCES:
            continue
        name = _meaning(item, "ConceptNameCodeSequence")
        name = name[:1].upper() + name[1:]  # as `reports` wants headings
        kind, inside = item.get("ValueType"), section
        if kind == "CONTAINER":
            inside = name or section
            if name:
                yield f"{name}:"
        elif said := _said(item):
            if kind == "NUM" and name:
                yield f"{name}: {said}"
            elif report_text.is_header(name) and name.rstrip("s") != section.rstrip("s"):
                inside = name
                yield f"{name}: {said}"
            else:
                yield said
        yield from _lines(item, inside, deepest - 1)


def _said(item: Dataset) -> str:
    kind = item.get("ValueType")
    if kind == "TEXT":
        return "\n".join(line.strip() for line in str(item.get("TextValue") or "").splitlines())
    if kind == "CODE":
        return _meaning(item, "ConceptCodeSequence")
    if kind == "NUM":
        for value in item.get("MeasuredValueSequence") or ():
            unit = _meaning(value, "MeasurementUnitsCodeSequence")
            return f"{value.get('NumericValue') or 0:g} {unit}".strip()
    return ""


def _meaning(item: Dataset, sequence: str) -> str:
    for concept in item.get(sequence) or ():
        return str(concept.get("CodeMeaning") or "").strip()
    return ""
