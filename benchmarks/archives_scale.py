"""How long does an import of CheXpert, PadChest, VinDr-CXR or RSNA's challenge take, beside MIMIC's?

Writes each archive's published layout with small images of its own format, imports it in a process of its own
as a user would, and removes it again. One study is one image, but for PadChest's every third, which has two.

    .venv/bin/python benchmarks/archives_scale.py 20000 --place /mnt/scratch
"""

from __future__ import annotations

import argparse
import csv
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from cohort_scale import SIDE, jpeg, marked, peak_mib, processor_seconds
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["TIMNET_DEMO"] = "none"

from timnet.cohorts.readers import padchest, rsna, vindr  # noqa: E402
from timnet.cohorts.tasks import CHEXPERT14  # noqa: E402


def table(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    """Write a CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def keep(path: Path, data: bytes) -> None:
    """Write a film."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def dicom(rng: np.random.Generator, number: int) -> bytes:
    """Return a small film of 12 bits, of its own UID."""
    made = pydicom.Dataset()
    made.SOPClassUID = pydicom.uid.ComputedRadiographyImageStorage
    made.SOPInstanceUID = f"1.2.{number}"
    made.Modality, made.PatientSex, made.PatientAge, made.ViewPosition = "CR", "F", "061Y", "PA"
    made.Rows = made.Columns = SIDE
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    made.PixelData = rng.integers(0, 4096, (SIDE, SIDE)).astype(np.uint16).tobytes()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    file = io.BytesIO()
    pydicom.dcmwrite(file, made, enforce_file_format=True)
    return file.getvalue()


def png(rng: np.random.Generator) -> bytes:
    """Return a small film of 16 bits."""
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 65536, (SIDE, SIDE)).astype(np.uint16)).save(file, format="PNG")
    return file.getvalue()


def write_chexpert(root: Path, size: int, rng: np.random.Generator) -> None:
    """Write CheXpert-v1.0-small."""
    films = [jpeg(rng) for _ in range(64)]
    parts: dict[str, list[list[Any]]] = {"train": [], "valid": []}
    for number in range(size):
        part = "valid" if number % 100 == 0 else "train"
        path = f"{part}/patient{number // 3:05}/study{number % 3 + 1}/view1_frontal.jpg"
        keep(root / path, marked(films[number % 64], path))
        values = rng.choice(["", "1.0", "0.0", "-1.0"], 14, p=(0.75, 0.12, 0.09, 0.04)).tolist()
        parts[part].append([f"CheXpert-v1.0-small/{path}", "Male", 50, "Frontal", "AP", *values])
    for part, rows in parts.items():
        table(root / f"{part}.csv", ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT14], rows)


def write_padchest(root: Path, size: int, rng: np.random.Generator) -> None:
    """Write PadChest's table and films of 16 bits."""
    names, rows = [f"finding {number}" for number in range(192)], []
    for number in range(size):
        said = str([f"finding {int(each)}" for each in rng.geometric(0.05, 2) % len(names)])
        for view in ("PA", "L")[: 1 + (number % 3 == 0)]:
            image = f"{number:06}_{view}.png"
            keep(root / str(number % 54) / image, png(rng))
            rows.append(
                [image, number % 54, 20140915, f"s{number}", f"p{number // 2}", 1930.0, "F", view,
                 f"sin hallazg patolog {number} .", "Physician" if number % 4 == 0 else "RNN_model", said]
            )  # fmt: skip
    header = ["ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "PatientBirth",
              "PatientSex_DICOM", "Projection", "Report", "MethodLabel", "Labels"]  # fmt: skip
    table(root / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", header, rows)
    assert set(padchest._KEYS) <= set(header)


def write_vindr(root: Path, size: int, rng: np.random.Generator) -> None:
    """Write PhysioNet's VinDr-CXR: three readers of an image of train, a consensus of one of test."""
    parts: dict[str, list[list[Any]]] = {"train": [], "test": []}
    boxes: list[list[Any]] = []
    for number in range(size):
        part, image = "test" if number % 6 == 0 else "train", f"{number:032x}"
        keep(root / part / f"{image}.dicom", dicom(rng, number))
        for reader in ("R1", "R2", "R3") if part == "train" else ("",):
            values = (rng.random(len(vindr.LABELS)) < 0.1).astype(int).tolist()
            parts[part].append([image, *filter(None, [reader]), *values])
            if part == "train":
                boxes.append([image, reader, "Cardiomegaly", 1, 2, 30.5, 40])
    for part, rows in parts.items():
        keys = ["image_id", "rad_id"] if part == "train" else ["image_id"]
        table(root / f"annotations/image_labels_{part}.csv", [*keys, *vindr.LABELS], rows)
    header = ["image_id", "rad_id", "class_name", "x_min", "y_min", "x_max", "y_max"]
    table(root / "annotations/annotations_train.csv", header, boxes)


def write_rsna(root: Path, size: int, rng: np.random.Generator) -> None:
    """Write RSNA's stage 2: a quarter of the films has boxes."""
    rows, classes = [], []
    for number in range(size):
        image, has_box = f"{number:08x}", number % 4 == 0
        keep(root / f"stage_2_train_images/{image}.dcm", dicom(rng, number))
        for left in (264.0, 562.0) if has_box else (None,):
            rows.append([image, *([left, 152.0, 213.0, 379.0, 1] if has_box else ["", "", "", "", 0])])
            classes.append([image, "Lung Opacity" if has_box else list(rsna.CLASSES)[number % 2]])
    table(root / "stage_2_train_labels.csv", ["patientId", *rsna._SIDES, "Target"], rows)
    table(root / "stage_2_detailed_class_info.csv", ["patientId", "class"], classes)


WRITERS = {"chexpert": write_chexpert, "padchest": write_padchest, "vindr": write_vindr, "rsna": write_rsna}


def measure(kind: str, size: int, place: Path) -> dict[str, Any]:
    """Return the figures of one archive, in a folder that the caller removes."""
    os.environ["TIMNET_HOME"] = str(place / "home")
    (place / "export").mkdir()
    WRITERS[kind](place / "export", size, np.random.default_rng(0))
    reader = importlib.import_module(f"timnet.cohorts.readers.{kind}")
    began = time.monotonic()
    read = sum(1 for _ in reader.read(place / "export"))
    fields: dict[str, Any] = {
        "archive": kind,
        "studies": size,
        "read_seconds": round(time.monotonic() - began, 1),
    }
    began, busy = time.monotonic(), processor_seconds()
    summary = reader.run(place / "export", "scale")
    assert summary.studies == size == read and not summary.skipped, summary
    return fields | {
        "films": summary.films,
        "import_seconds": round(time.monotonic() - began, 1),
        "import_processor_seconds": round(processor_seconds() - busy, 1),
        "peak_mib": peak_mib(),
        "load_average": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Measure each archive in a process of its own, and write the figures down."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("size", type=int, nargs="?", default=20_000)
    parser.add_argument("--place", type=Path, default=None)
    parser.add_argument("--one", choices=WRITERS)
    arguments = parser.parse_args()
    items = []
    for kind in [arguments.one] if arguments.one else WRITERS:
        with tempfile.TemporaryDirectory(dir=arguments.place) as place:
            if arguments.one:
                print(json.dumps(measure(kind, arguments.size, Path(place))))
                return
            script = [sys.executable, __file__, str(arguments.size), "--one", kind, "--place", place]
            ended = subprocess.run(script, stdout=subprocess.PIPE, text=True, check=True)
        items.append(json.loads(ended.stdout.splitlines()[-1]))
        print(items[-1], flush=True)
        path = ROOT / "benchmarks" / "results" / "archives_scale.json"
        path.write_text(json.dumps(items, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
