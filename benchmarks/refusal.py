"""How often is a frontal chest film refused, and how often is anything else let through?

Frontal films: those of real data sets beside the repository, of patients that the detector's fit
(assets/chest/fit.py) has not seen, and the demo cohort's test films. Everything else: real lateral films,
axial and coronal CT slices, pydicom's test files, sample pictures of packages, and pages, noise and drawings
made here by other means than those of the fit. Headers are not asked: the figures are those of the pixels
alone.

    .venv/bin/python benchmarks/refusal.py --data FOLDER --pictures FOLDER...
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, UnidentifiedImageError
from scipy import ndimage, stats

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "assets" / "chest")]

import fit  # noqa: E402

from timnet.films import frontal_check  # noqa: E402
from timnet.films.film import FilmError  # noqa: E402
from timnet.films.read import read_film  # noqa: E402

NAMES = ("frontal", "lateral", "other")
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Picture:
    """Greys in [0, 1] with a name."""

    name: str
    pixels: np.ndarray


def main() -> None:
    """Print a line a source and both rates with their intervals; write them as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with mendeley_v2, nih_1k, covid_notes and others")
    parser.add_argument("--ct", type=Path, default=ROOT / "build" / "ct")
    parser.add_argument(
        "--pictures", type=Path, nargs="*", default=[], help="more folders of non-chest pictures"
    )
    parser.add_argument("--most", type=int, default=10_000, help="films of a source at most")
    parser.add_argument("--out", type=Path, help="file for the figures as JSON")
    words = parser.parse_args()
    fields: dict[str, object] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "sources": {}}
    for kind, sources in (("frontal", frontals(words.data)), ("other", others(words))):
        counts = []
        for name, pictures in sources:
            found = [judged(each) for _, each in zip(range(words.most), pictures, strict=False)]
            refused = sum(why != "" for _, why in found)
            if not found:
                continue
            counts.append((refused, len(found)))
            wrong = [each for each, why in found if (why != "") == (kind == "frontal")]
            # No names of films: a file's name is its patient's in some sources.
            fields["sources"][name] = {"kind": kind, "pictures": len(found), "refused": refused}  # type: ignore[index]
            print(f"{kind:8}{refused:6} of {len(found):6} refused  {name}  {wrong[:4]}", flush=True)
        refused, number = (sum(column) for column in zip(*counts, strict=True))
        interval = stats.binomtest(refused, number).proportion_ci(0.95, "wilson")
        fields[kind] = [refused / number, interval.low, interval.high, number]
        print(
            f"{kind}: refused {refused / number:.2%} ({interval.low:.2%} to {interval.high:.2%}) of {number}"
        )
    if words.out:
        words.out.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def judged(picture: Picture) -> tuple[str, str]:
    """Return a picture's name and why it is doubted."""
    p_3 = frontal_check.probabilities(np.ascontiguousarray(picture.pixels, dtype=np.float32))
    doubted = p_3[frontal_check.FRONTAL] < frontal_check.least()
    return picture.name, NAMES[
        1 + int(p_3[frontal_check.OTHER] >= p_3[frontal_check.LATERAL])
    ] if doubted else ""


def frontals(data: Path | None) -> Iterator[tuple[str, Iterator[Picture]]]:
    """Yield sources of frontal films that the fit has not seen."""
    demo = pd.read_csv(ROOT / "assets" / "demo" / "studies.csv")
    demo = demo[(demo["split"] == "test") & (demo["view"] != "LATERAL")]
    yield "demo cohort, test (simulated)", files(ROOT / "assets" / "demo" / path for path in demo["path"])
    if data is None:
        return
    yield "Mendeley-V2, test", files(sorted((data / "mendeley_v2" / "test").glob("*/*.jpeg")))
    table = pd.read_csv(data / "nih_1k" / "labels.csv")
    kept = [fit.held_out(f"nih {who}") for who in table["patient_id"]]
    yield "NIH ChestX-ray14, held-out patients", files(data / "nih_1k" / path for path in table[kept]["path"])
    table = pd.read_csv(data / "covid_notes" / "pairs.csv")
    paths = table[table["frontal"] == 1]["path"]
    yield "covid-chestxray-dataset, frontal", files(data / "covid_notes" / path for path in paths)
    yield "VQA-RAD, chest", files(sorted((data / "vqa_rad_chest" / "images").iterdir()))
    yield "DICOM", files(sorted((data / "dicom_chest").glob("*.dcm")))


def others(words: argparse.Namespace) -> Iterator[tuple[str, Iterator[Picture]]]:
    """Yield sources of what is no frontal chest film."""
    if words.data is not None:
        table = pd.read_csv(words.data / "covid_notes" / "pairs.csv")
        paths = table[table["view"] == "L"]["path"]
        yield "lateral films, real", files(words.data / "covid_notes" / path for path in paths)
    demo = pd.read_csv(ROOT / "assets" / "demo" / "studies.csv")
    demo = demo[(demo["split"] != "train") & (demo["view"] == "LATERAL")]
    yield "lateral films, simulated", files(ROOT / "assets" / "demo" / path for path in demo["path"])
    if words.ct.is_dir():
        yield "CT slices, axial", slices(words.ct, 0)
        yield "CT slices, coronal", slices(words.ct, 1)
    yield "pydicom's test files", dicoms()
    specs = [find_spec(name) for name in ("sklearn", "matplotlib", "streamlit", "networkx")]
    folders = [Path(spec.origin).parent for spec in specs if spec is not None and spec.origin]
    found = [path for folder in (*folders, *words.pictures) for path in sorted(folder.rglob("*"))]
    yield "sample pictures of packages", files(path for path in found if path.suffix.lower() in _PICTURES)
    yield "digits (sklearn)", digits()
    yield "pages, drawings, noise, charts", drawn(150)


def files(paths: Iterator[Path] | list[Path]) -> Iterator[Picture]:
    """Yield what can be read of picture files and DICOM films, of 24 pixels and more."""
    for path in paths:
        if path.suffix.lower() in (".gif", ".tif", ".tiff", ".webp"):
            try:
                pixels = np.asarray(Image.open(path).convert("L"), np.float32) / 255
            except UnidentifiedImageError:
                continue
        else:
            try:
                pixels = read_film(path, admit=("first-frame", "any-modality")).pixels
            except FilmError:
                continue
        if min(pixels.shape) >= 24 and pixels.std() > 0:
            yield Picture(path.name, pixels)


def dicoms() -> Iterator[Picture]:
    """Yield one of each picture among pydicom's test files: they repeat a few in many encodings."""
    folder = Path(find_spec("pydicom").origin).parent / "data" / "test_files"  # type: ignore[union-attr, arg-type]
    seen: set[bytes] = set()
    for each in files(sorted(folder.rglob("*.dcm"))):
        small = Image.fromarray(each.pixels).resize((8, 8), Image.Resampling.BOX)
        key = np.rint(np.asarray(small) * 20).tobytes()
        if key not in seen:
            seen.add(key)
            yield each


def slices(ct: Path, axis: int) -> Iterator[Picture]:
    """Yield every third slice of the CT in a lung and a soft-tissue window."""
    from timnet.simulation import anatomy

    whole = anatomy.load(ct)
    volume = whole.tissue + whole.bone
    for i in range(6, volume.shape[axis] - 6, 3 if axis == 0 else 5):
        cut = np.take(volume, i, axis)
        cut = cut if axis == 0 else cut[::-1]
        for low, high in ((0.0, 1.1), (0.85, 1.25)):
            yield Picture(
                f"{'axial' if axis == 0 else 'coronal'} {i}", np.clip((cut - low) / (high - low), 0, 1)
            )


def digits() -> Iterator[Picture]:
    """Yield hand-written digits."""
    from sklearn.datasets import load_digits

    for i, image in enumerate(load_digits().images[:100]):
        yield Picture(
            f"digit {i}", np.asarray(Image.fromarray(image.astype(np.float32) / 16).resize((64, 64)))
        )


def drawn(number: int) -> Iterator[Picture]:
    """Yield pages of Pillow's own letters, polygons, gradients, rings, checks and kinds of noise."""
    for i in range(number):
        rng = np.random.default_rng((99, i))
        canvas = Image.new("L", (200, 240), int(rng.integers(256)))
        pen = ImageDraw.Draw(canvas)
        kind = i % 6
        if kind == 0:
            for top in range(8, 236, 12):
                pen.text(
                    (8, top), "".join(chr(c) for c in rng.integers(33, 122, int(rng.integers(5, 34)))), 0
                )
        elif kind == 1:
            for _ in range(int(rng.integers(2, 20))):
                points = rng.integers(0, 240, (int(rng.integers(3, 7)), 2))
                pen.polygon([tuple(map(int, point)) for point in points], fill=int(rng.integers(256)))
        pixels = np.asarray(canvas, np.float32) / 255
        rows, columns = np.mgrid[:240, :200] / 240
        if kind == 2:
            pixels = rng.random((240, 200)).astype(np.float32)
            pixels = ndimage.gaussian_filter(pixels, float(rng.uniform(0, 12)))
        elif kind == 3:
            pixels = np.sin(np.hypot(rows - rng.random(), columns - rng.random()) * rng.uniform(5, 90))
        elif kind == 4:
            pixels = rows * rng.normal() + columns * rng.normal() + 0.02 * rng.random((240, 200))
        elif kind == 5:
            size = int(rng.integers(6, 60))
            pixels = ((rows * 240 // size + columns * 240 // size) % 2) + 0.05 * rng.random((240, 200))
        spread = float(pixels.max() - pixels.min()) or 1.0
        yield Picture(f"drawn {kind} {i}", ((pixels - pixels.min()) / spread).astype(np.float32))


if __name__ == "__main__":
    main()
