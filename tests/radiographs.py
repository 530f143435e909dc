"""DICOM radiographs that tests build with pydicom, one tag at a time."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

SCENE = np.random.default_rng(7).random((24, 20))
SCENE[0, :2] = 0, 1


def dataset(stored: np.ndarray, bits: int = 16, **tags: object) -> Dataset:
    """Return a CR radiograph of the stored values; a tag given as None is left out."""
    made = Dataset()
    made.SOPClassUID = uid.ComputedRadiographyImageStorage
    made.SOPInstanceUID = "1.2.3"
    made.PatientName = "DOE^JANE"
    made.PatientID = "4711"
    made.Modality = "CR"
    made.Rows, made.Columns = stored.shape[:2]
    made.SamplesPerPixel = 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.PixelRepresentation = int(stored.dtype.kind == "i")
    made.BitsAllocated = 8 * stored.dtype.itemsize
    made.BitsStored, made.HighBit = bits, bits - 1
    made.PixelData = stored.tobytes()
    for keyword, value in tags.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    return made


def written(made: Dataset, syntax: str = uid.ExplicitVRLittleEndian) -> bytes:
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    pydicom.dcmwrite(file, made, enforce_file_format=True)
    return file.getvalue()


def bare(made: Dataset, implicit: bool = True, little: bool = True) -> bytes:
    """Write the data set alone: no preamble, no file meta."""
    file = io.BytesIO()
    pydicom.dcmwrite(file, made, implicit_vr=implicit, little_endian=little, force_encoding=True)
    return file.getvalue()


def compressed(made: Dataset, frame: bytes, syntax: str) -> bytes:
    made.PixelData = encapsulate([frame])
    made["PixelData"].is_undefined_length = True
    return written(made, syntax)


def full_window(bits: int) -> dict[str, object]:
    return {"WindowCenter": 2 ** (bits - 1), "WindowWidth": 2**bits}


def quantised(bits: int) -> np.ndarray:
    return np.rint(SCENE * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)


def lookup(entries: np.ndarray, first: int, bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


def deflated(content: bytes) -> bytes:
    file = written(dataset(quantised(12), 12), uid.DeflatedExplicitVRLittleEndian)
    start = 132 + 12 + int.from_bytes(file[140:144], "little")
    squeezer = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS)
    return file[:start] + squeezer.compress(content) + squeezer.flush()


def several(**tags: object) -> Dataset:
    curve = np.rint(np.linspace(0, 1, 4096) ** 2 * 4095)
    table = lookup(curve, 0, 12)
    table.LUTExplanation = "DETAIL"
    empty = Dataset()
    empty.LUTExplanation = "EMPTY"
    return dataset(
        quantised(12),
        12,
        VOILUTSequence=[empty, table],
        WindowCenter=[900, 2048],
        WindowWidth=[700, 4096],
        WindowCenterWidthExplanation=["BONE", "WIDE"],
        **tags,
    )


def concept(meaning: str) -> list[Dataset]:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = "1", "99TEST", meaning
    return [made]


def item(kind: str, name: str, value: object = None, relation: str = "CONTAINS") -> Dataset:
    """Return one content item of a structured report; the value of a CONTAINER is its items."""
    made = Dataset()
    made.RelationshipType, made.ValueType = relation, kind
    if name:
        made.ConceptNameCodeSequence = concept(name)
    if kind == "CONTAINER":
        made.ContentSequence = value
    elif kind == "TEXT":
        made.TextValue = value
    elif kind == "CODE":
        made.ConceptCodeSequence = concept(str(value))
    elif kind == "PNAME":
        made.PersonName = value
    elif kind == "NUM":
        number = Dataset()
        number.NumericValue, number.MeasurementUnitsCodeSequence = value, concept("mm")
        made.MeasuredValueSequence = [number]
    return made


def structured(items: list[Dataset], **tags: object) -> Dataset:
    """Return a Basic Text SR document."""
    made = item("CONTAINER", "Chest X-ray report", items)
    del made.RelationshipType
    made.SOPClassUID = uid.BasicTextSRStorage
    made.SOPInstanceUID = "1.2.9"
    made.Modality = "SR"
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return made
