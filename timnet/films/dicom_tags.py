"""The tags of a DICOM file as a table in which nothing that could name a person is shown.

Owns which values may be seen: a list of technical ones. Everything else in the file is listed by name alone,
be it an identifier of PS3.15 Annex E, a UID, a date, free text or a private tag, whose name is hidden too.
Refuses deflated files, which inflate a thousandfold, and what is no DICOM.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from pydicom import dcmread
from pydicom.datadict import dictionary_description, dictionary_has_tag
from pydicom.dataelem import DataElement
from pydicom.uid import DeflatedExplicitVRLittleEndian

from timnet.films.film import FilmError, guarded, silent

HIDDEN = "hidden"
LONGEST = 64
"""Characters of a value that are shown; a technical value is short."""

SHOWN = frozenset(
    (
        "Modality", "PresentationIntentType", "BodyPartExamined", "ViewPosition", "PatientOrientation",
        "Laterality", "ImageLaterality", "PatientSex", "Manufacturer", "ManufacturerModelName", "KVP",
        "ExposureTime", "XRayTubeCurrent", "Exposure", "ExposureInuAs", "DistanceSourceToDetector",
        "DistanceSourceToPatient", "EstimatedRadiographicMagnificationFactor", "Grid", "FilterType",
        "FocalSpots", "DetectorType", "DetectorConfiguration", "Sensitivity", "RelativeXRayExposure",
        "PlateType", "PhosphorType", "ExposureIndex", "TargetExposureIndex", "DeviationIndex",
        "ImagerPixelSpacing", "PixelSpacing", "PixelAspectRatio", "BurnedInAnnotation", "SamplesPerPixel",
        "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns",
        "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SmallestImagePixelValue",
        "LargestImagePixelValue", "PixelPaddingValue", "PixelIntensityRelationship",
        "PixelIntensityRelationshipSign", "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope",
        "RescaleType", "VOILUTFunction", "PresentationLUTShape", "LossyImageCompression",
        "LossyImageCompressionRatio", "PatientIdentityRemoved", "QualityControlImage",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Tag:
    """One tag of a file: its number, its name in the standard, and its value or `HIDDEN`."""

    number: str
    name: str
    value: str


def read(data: bytes, name: str) -> list[Tag]:
    """Return the tags of a DICOM file in their order, pixels left out.

    Raises:
        FilmError: deflated, or not readable as DICOM.
    """
    if DeflatedExplicitVRLittleEndian.encode() in data:
        raise FilmError(name, "expected a DICOM file that is not deflated, got a deflated one")
    with silent(), guarded(name, "the file"):
        dataset = dcmread(io.BytesIO(data), force=True, stop_before_pixels=True)
        return [_tag(element) for element in dataset]


def _tag(element: DataElement) -> Tag:
    number = f"({element.tag.group:04X},{element.tag.elem:04X})"
    # A private tag's name is whatever its maker wrote: it is left out as well.
    known = not element.tag.is_private and dictionary_has_tag(element.tag)
    title = dictionary_description(element.tag) if known else "Private tag"
    if element.keyword not in SHOWN or element.VR == "SQ":
        return Tag(number, title, HIDDEN)
    value = " ".join(str(element.value).split())
    return Tag(number, title, value if len(value) <= LONGEST else HIDDEN)
