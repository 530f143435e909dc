"""The inputs of fuzz.py: each a function of a random generator alone."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data
from PIL import Image
from pydicom import uid
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests")]

import radiographs  # noqa: E402
from wrong_values import WRONG, places  # noqa: E402

Rng = np.random.Generator

KEYWORDS = """
    SOPClassUID Modality SpecificCharacterSet BodyPartExamined ViewPosition PatientOrientation ImageLaterality
    Rows Columns SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames BitsAllocated
    BitsStored HighBit PixelRepresentation PixelPaddingValue PixelPaddingRangeLimit RescaleSlope
    RescaleIntercept RescaleType WindowCenter WindowWidth WindowCenterWidthExplanation VOILUTFunction
    VOILUTSequence ModalityLUTSequence PresentationLUTShape PixelIntensityRelationship PixelSpacing
    ImagerPixelSpacing EstimatedRadiographicMagnificationFactor PixelAspectRatio ShutterShape
    ShutterLeftVerticalEdge ShutterRightVerticalEdge ShutterUpperHorizontalEdge ShutterLowerHorizontalEdge
    CenterOfCircularShutter RadiusOfCircularShutter VerticesOfThePolygonalShutter ShutterPresentationValue
    BurnedInAnnotation PatientName PatientID PatientAge PatientBirthDate StudyDate StudyInstanceUID PixelData
    SmallestImagePixelValue LossyImageCompression"""
TEXTS = (
    "", " ", "0", "1", "-1", "2", "3", "8", "12", "16", "255", "4095", "65535", "-32768", "4294967295",
    "1e400", "nan", "inf", "-inf", "0,5", "1.5", "1\\2", "1\\2\\3", "\\", "0\\0", "-5\\5", "L\\F", "R\\H",
    "A\\F", "X\\Y", "PA", "LATERAL", "MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL_422", "PALETTE COLOR",
    "SIGMOID", "LINEAR_EXACT", "RECTANGULAR", "CIRCULAR", "POLYGONAL", "RECTANGULAR\\CIRCULAR", "INVERSE",
    "ISO 2022 IR 87", "ISO_IR 192", "unknown", "058Y", "20240230", "Müller^Jörg", "\x00", "\x00\x00", "\r\n",
    "x" * 70, "9" * 400, "1\\" * 3000 + "1", "☃",
)  # fmt: skip


def pick(rng: Rng, options: Any) -> Any:
    """Return one of several."""
    return options[int(rng.integers(len(options)))]


def damaged(data: bytes, rng: Rng, whole: float = 0.3) -> bytes:
    """Return bytes as they are, with bits flipped in the beginning or anywhere, cut, or overwritten."""
    if rng.random() < whole or not data:
        return data
    spoilt, kind = bytearray(data), int(rng.integers(5))
    if kind == 0:
        return data[: int(rng.integers(len(data)))]
    end = min(len(data), 1200) if kind == 1 else len(data)
    if kind == 4:
        start, length = int(rng.integers(end)), int(rng.integers(1, 64))
        spoilt[start : start + length] = rng.bytes(int(rng.integers(80)))
        return bytes(spoilt)
    for place in rng.integers(end, size=int(rng.integers(1, 9))):
        spoilt[place] ^= 1 << int(rng.integers(8))
    return bytes(spoilt)


def dicom(rng: Rng) -> bytes:
    """Return an uncompressed DICOM film, some of whose attributes are lost or hold bytes of any kind."""
    bits = pick(rng, (8, 10, 12, 16))
    stored = radiographs.quantised(bits)
    if rng.random() < 0.2:
        stored = stored.astype(f"i{stored.dtype.itemsize}")
    window = radiographs.full_window(bits) if rng.random() < 0.5 else {}
    film = radiographs.several() if rng.random() < 0.15 else radiographs.dataset(stored, bits, **window)
    film["PixelData"].VR = "OW"
    syntax = pick(rng, (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian))
    implicit, order = syntax == uid.ImplicitVRLittleEndian, ">" if syntax == uid.ExplicitVRBigEndian else "<"
    elements = {}
    for element in film:
        alone = Dataset()
        alone.add(element)
        elements[element.tag] = radiographs.bare(alone, implicit, order == "<")
    for keyword in rng.choice(KEYWORDS.split(), int(rng.integers(0, 5))):
        tag = Tag(tag_for_keyword(str(keyword)))
        elements[tag] = element_of(tag, odd_value(tag, order, implicit, rng), order, implicit)
        if rng.random() < 0.1:
            del elements[tag]
    head = radiographs.written(film, syntax)
    head = head[: 132 + 12 + int.from_bytes(head[140:144], "little")]
    return damaged(head + b"".join(elements[tag] for tag in sorted(elements)), rng, 0.7)


def element_of(tag: BaseTag, value: bytes, order: str, implicit: bool) -> bytes:
    """Return an element of these bytes (PS3.5 section 7.1), which pydicom would check."""
    value += b" " * (len(value) % 2)
    head = struct.pack(f"{order}HH", tag.group, tag.element)
    vr = dictionary_VR(tag).split(" ")[0].encode()
    if implicit:
        return head + struct.pack(f"{order}I", len(value)) + value
    if vr in (b"OB", b"OW", b"SQ"):
        return head + vr + struct.pack(f"{order}HI", 0, len(value)) + value
    return head + vr + struct.pack(f"{order}H", len(value)) + value


def odd_value(tag: BaseTag, order: str, implicit: bool, rng: Rng) -> bytes:
    """Return bytes for an attribute: tables, numbers or texts, which its type need not allow."""
    vr, kind = dictionary_VR(tag).split(" ")[0], rng.random()
    if vr == "SQ" and kind < 0.8:
        three = [
            int(pick(rng, numbers)) for numbers in ((0, 1, 256, 4096), (0, 1, 63488), (0, 8, 12, 16, 17))
        ]
        inside = {"LUTDescriptor": struct.pack(f"{order}3H", *three), "LUTExplanation": b"NORMAL"}
        inside["LUTData"] = rng.bytes(int(pick(rng, (0, 1, 256, 512, 4096, 8192))))
        tags = sorted(Tag(tag_for_keyword(name)) for name in inside if rng.random() < 0.9)
        found = {Tag(tag_for_keyword(name)): value for name, value in inside.items()}
        item = b"".join(element_of(each, found[each], order, implicit) for each in tags)
        return (struct.pack(f"{order}HHI", 0xFFFE, 0xE000, len(item)) + item) * int(rng.integers(3))
    if vr in ("US", "SS", "OW", "UL") and kind < 0.8:
        numbers = [
            int(pick(rng, (0, 1, 2, 8, 12, 16, 24, 4095, 32768, 65535))) for _ in range(int(rng.integers(4)))
        ]
        return struct.pack(f"{order}{len(numbers)}H", *numbers)
    return rng.bytes(int(rng.integers(40))) if kind > 0.95 else pick(rng, TEXTS).encode()


def structured(rng: Rng) -> bytes:
    """Return a structured report, damaged or not."""
    items = [radiographs.item("TEXT", "Findings", report(rng)[:60_000]) for _ in range(int(rng.integers(3)))]
    return damaged(radiographs.written(radiographs.structured(items)), rng, 0.6)


@cache
def _samples() -> list[bytes]:
    folder = Path(pydicom.data.__file__).parent
    return [path.read_bytes() for path in sorted(folder.rglob("*.dcm"))]


def sample(rng: Rng) -> bytes:
    """Return a file of pydicom's package, which has most transfer syntaxes, damaged."""
    return damaged(pick(rng, _samples()), rng, 0.05)


def png(rng: Rng) -> bytes:
    """Return a PNG of any colour type and depth, with odd, damaged, doubled or lost chunks."""
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    colour = pick(rng, list(depths))
    depth, channels = pick(rng, depths[colour]), {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    rows, columns = (int(each) for each in rng.integers(1, 60, 2))
    row = -(-columns * channels * depth // 8)
    pixels = b"".join(bytes([int(rng.integers(5))]) + rng.bytes(row) for _ in range(rows))
    interlaced = int(rng.random() < 0.1)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", columns, rows, depth, colour, 0, 0, interlaced))]
    palette = rng.bytes(3 * int(rng.integers(1, 257)))
    odd = {b"PLTE": palette, b"tRNS": rng.bytes(int(rng.integers(8))), b"gAMA": rng.bytes(4),
           b"eXIf": b"MM\0*" + rng.bytes(40), b"acTL": rng.bytes(8), b"iCCP": b"x\0\0" + rng.bytes(30),
           b"zTXt": b"Raw profile type exif\0\0" + zlib.compress(rng.bytes(30)), b"pHYs": rng.bytes(9),
           b"cHRM": rng.bytes(int(rng.integers(40))), b"juNK": rng.bytes(5)}  # fmt: skip
    wanted = [name for name in odd if rng.random() < (0.9 if name == b"PLTE" and colour == 3 else 0.06)]
    chunks += [(name, odd[name]) for name in wanted]
    squeezed = zlib.compress(pixels, 1)
    cut = int(rng.integers(len(squeezed)))
    chunks += [(b"IDAT", squeezed[:cut]), (b"IDAT", squeezed[cut:]), (b"IEND", b"")]
    if rng.random() < 0.3:
        place = int(rng.integers(len(chunks)))
        name, content = chunks[place]
        chunks[place : place + 1] = pick(rng, ([], [chunks[place]] * 2, [(name, damaged(content, rng, 0))]))
    wrong, data = 7 * int(rng.random() < 0.05), b"\x89PNG\r\n\x1a\n"
    for name, content in chunks:
        checksum = struct.pack(">I", zlib.crc32(name + content) ^ wrong)
        data += struct.pack(">I", len(content)) + name + content + checksum
    return damaged(data, rng, 0.7)


@cache
def _jpegs() -> list[bytes]:
    """Return demo films as usual encoders write them: baseline, optimised, progressive, with restarts."""
    made = []
    for path in sorted((ROOT / "assets" / "demo" / "films").glob("*.jpg"))[:6]:
        grey = Image.open(path).convert("L")
        made.append(path.read_bytes())
        for mode, quality, how in (
            ("L", 95, {}), ("L", 75, {"optimize": True}), ("L", 85, {"progressive": True}), ("RGB", 90, {}),
            ("RGB", 80, {"subsampling": 0, "progressive": True}), ("L", 90, {"restart_marker_rows": 1}),
            ("CMYK", 90, {}),
        ):  # fmt: skip
            file = io.BytesIO()
            grey.convert(mode).save(file, "JPEG", quality=quality, **how)
            made.append(file.getvalue())
    return made


def jpeg(rng: Rng) -> tuple[bytes, bytes]:
    """Return a JPEG, and the same with a bit flipped or cut, with or without an end marker."""
    sound = pick(rng, _jpegs())
    if rng.random() < 0.75:
        spoilt = bytearray(sound)
        spoilt[int(rng.integers(2, len(sound)))] ^= 1 << int(rng.integers(8))
        return sound, bytes(spoilt)
    cut = sound[: int(rng.integers(len(sound) // 10, len(sound) - 2))]
    return sound, cut + (b"\xff\xd9" if rng.random() < 0.5 else b"")


def table(rng: Rng) -> tuple[str, bytes, dict[str, Any]]:
    """Return a table's file name and content, and columns to name."""
    columns = ["path", "text", "patient", "study", "split", "view", "sex", "age", "Effusion", "Ödem"]
    columns = [name for name in columns if rng.random() < 0.9] + ["path"] * int(rng.random() < 0.05)
    cells = (
        "", "0", "1", "-1", "0,5", "Yes", "nein", "NaN", "NA", "train", "TEST", "valid", "PA", "lateral",
        "058Y", "411", "F", "männlich", "p1", "Müller", '"', 'a "b" c', "a\nb", "=1+1", "\x00", "\u202e",
        "../x.png", "/etc/passwd", "C:\\x.png", "http://x/y.png", "No effusion.", "x" * 3000,
    )  # fmt: skip
    mark, end = pick(rng, ",,;\t|:"), pick(rng, ("\n", "\n", "\r\n", "\r"))
    quote = pick(rng, ('"', '"', "'", ""))
    lines = [mark.join(columns)]
    for i in range(int(rng.integers(0, 30))):
        row = [
            f"films/s{i:05}.jpg" if name == "path" and rng.random() < 0.8 else pick(rng, cells)
            for name in columns
        ]
        row = row[: int(rng.integers(len(row) + 1))] if rng.random() < 0.05 else row
        row += ["more"] * int(rng.integers(1, 2000)) if rng.random() < 0.02 else []
        lines.append(
            mark.join(f"{quote}{each.replace(quote, quote * 2)}{quote}" if quote else each for each in row)
        )
    before = pick(rng, ("", "", "", f"sep={mark}{end}", end * 3, "# a title" + end, "\ufeff"))
    text = before + end.join(lines) + end * int(rng.integers(3))
    if rng.random() < 0.15:
        place = int(rng.integers(len(text) + 1))
        text = text[:place] + pick(rng, ('"', "'", "\0", mark * 500, end, "\x1a")) + text[place:]
    encodings = "utf-8 utf-8 utf-8-sig utf-16 utf-16-le utf-16-be latin-1 cp1252 utf-32 cp037"
    data = damaged(text.encode(pick(rng, encodings.split()), "replace"), rng, 0.8)
    packed: dict[str, Callable[[bytes], bytes]] = {
        "": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zip": _zipped
    }  # fmt: skip
    ending = pick(rng, ("", "", "", ".zst", *packed))
    packing = packed.get(ending, bytes) if rng.random() < 0.9 else pick(rng, list(packed.values()))
    name = pick(rng, ("pairs", "labels", "TABLE")) + pick(rng, (".csv", ".tsv", ".CSV")) + ending
    fields = {
        each: pick(rng, columns or ["path"]) for each in ("text", "patient", "age") if rng.random() < 0.1
    }
    return name, damaged(packing(data), rng, 0.9), fields


def _zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pairs.csv", data)
    return file.getvalue()


def report(rng: Rng) -> str:
    """Return a report of headers, sentences and junk; one in six is of 100,000 characters."""
    pieces = (
        "FINDINGS:", "Impression:", "**Findings**", "1. ", "- ", "\n\n", "\n", "\t", " ", ". ", ": ",
        "_" * 40, "findings", "INDICATION: cough", "Dr. Jörg Müller", "MRN ", "ID", "ext", "No evidence of ",
        "has not ", "right pleural effusion", "left", "bilateral", "is not seen.", "There is no ",
        "12 March 2024", "1/2/03", "4711", "cc: ", "/Signed/", "Read by: ", "MD", "é", "e\u0301", "ﬁ", "☃",
        "\u202e", "\x00", "\ud800", "\u2028", "a", "A", "'s", "-", "(", ")", "[", "]", "|", "0", "99 cm",
        "e.g.", "vs.", "...", "?", "!",
    )  # fmt: skip
    some = [pick(rng, pieces) for _ in range(int(rng.integers(1, 12)))]
    if rng.random() < 1 / 6:
        return ("".join(some) * 100_000)[:100_000]
    return "".join(pick(rng, some) for _ in range(int(rng.integers(0, 300))))


def spoilt(data: bytes, rng: Rng) -> bytes:
    """Return a JSON file with a value or two of it replaced, lost or renamed, or with its text damaged."""
    if rng.random() < 0.15:
        return damaged(data, rng, 0)
    if rng.random() < 0.02:
        return pick(rng, (b"", b"[" * 100_000, b"{}", b"null", b"\xff\xfe{", b'{"a":1,"a":2}'))
    content = json.loads(data)
    for _ in range(int(rng.integers(1, 3))):
        *inside, last = pick(rng, [path for path in places(content) if path] or [("x",)])
        inner = content
        for key in inside:
            inner = inner[key]
        if isinstance(inner, dict) and rng.random() < 0.2:
            value = inner.pop(last, None)
            inner |= {pick(rng, ("x", "", f"{last}_")): value} if rng.random() < 0.5 else {}
        else:
            inner[last] = pick(rng, (*WRONG, -0.0, 2, 1e308, -(2**70), "☃", "match", "..", [0.5] * 50))
    return json.dumps(content, ensure_ascii=bool(rng.random() < 0.5)).encode("utf-8", "surrogatepass")


def query(rng: Rng) -> str:
    """Return words for a search box."""
    pieces = (
        "effusion", "no", "(", ")", '"', "-", "*", ":", "^", "NEAR", "NEAR(", "AND", "OR", "NOT", "and",
        "not", "findings:", "{", "}", "+", "'", ";", "--", "\0", "\n", "é", "☃", "\ud800", "%", "_", "\\",
        "oedema*", "-x", '-"', "-(", "a" * 90, "0", ".", ",", "<", "=", "|",
    )  # fmt: skip
    joined = pick(rng, ("", " ", " "))
    return joined.join(pick(rng, pieces) for _ in range(int(rng.integers(0, pick(rng, (4, 12, 260))))))


def archive(rng: Rng) -> bytes:
    """Return a ZIP archive of odd names and packings, damaged or not."""
    names = (
        "film.png", "a/b.png", "../x.png", "/etc/x", "C:\\x", "a\\..\\..\\x", "", ".", "..", "a/", "a//b",
        "./a", "\0", "x" * 300, "a/" * 400 + "b", "Ü.png", "U\u0308.png", "FILM.PNG", "pairs.csv",
        "__MACOSX/x", ".x/y", "con", "a\nb", "a:b", " ", "a /b", "☃" * 120,
    )  # fmt: skip
    film, file = png(rng), io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for _ in range(int(rng.integers(0, 6))):
            entry = zipfile.ZipInfo(pick(rng, names) or "x")
            methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
            entry.compress_type = pick(rng, methods)
            entry.external_attr = 0o120777 << 16 if rng.random() < 0.05 else 0
            packed.writestr(entry, pick(rng, (b"", film, bytes(10**6), b"path,text\n", _zipped(b"x"))))
    data = bytearray(damaged(file.getvalue(), rng, 0.5))
    if rng.random() < 0.3:
        # A name, method, flag, size or checksum of one header.
        found = data.find(pick(rng, (b"PK\x01\x02", b"PK\x03\x04")))
        place = found + int(rng.integers(4, 46))
        if found >= 0 and place < len(data):
            data[place] = int(pick(rng, (0, 1, 8, 9, 12, 14, 64, 99, 127, 255)))
    return bytes(data)


def words(rng: Rng, place: Path) -> list[str]:
    """Return words for the command line that start no training, whatever they are."""
    film, table = str(place / "cohort/films/s00003.jpg"), str(place / "cohort/pairs.csv")
    values = (
        "", " ", "-", "--", "-1", "0", "nan", "inf", "1e999", "none", "x" * 5000, "☃", "\udcff", "a\0b",
        "a/../b", "/dev/null/x", "~nobody/x", "--json", "--help", "--name", "--a=b", "val", film, str(place),
        table, "open-cxr", "demo-findings",
    )  # fmt: skip
    sources = ("csv", "dicom", "mimic", "open_i", "nih", "mendeley", "page", "open-i", "")
    some = (
        "match",
        "diagnose",
        "evaluate",
        "calibrate",
        "embed",
        "features",
        "pretrain",
        "finetune",
        "curve",
    )
    begin = pick(rng, (
        ["match", film], ["diagnose", film], ["run", film], ["runs"], [], ["☃"], [pick(rng, some)],
        *[[pick(rng, (*some, "export", "run")), "none"]] * 5,
        ["simulate", str(place / "sim"), "--ct", "none"],
        *[["import", pick(rng, sources), pick(rng, ("none", str(place / "cohort")))]] * 4,
    ))  # fmt: skip
    options = (
        "--findings", "--checkpoint", "--json", "--anyway", "--cam", "--name", "--table", "--text", "--task",
        "--labels", "--mapping", "--outside", "--split", "--seed", "--held-out", "--epochs", "--fraction",
        "--initialisation", "--preset", "--batch", "--side", "--onnx", "--reports", "--frame", "--fractions",
        "--learning-rate", "--mode", "--out", "--ray", "--strict", "--seeds",
    )  # fmt: skip
    more: list[str] = []
    for _ in range(int(rng.integers(0, 5))):
        more += [pick(rng, options)] + [pick(rng, values)] * int(rng.random() < 0.8)
    return [*begin, *more]
