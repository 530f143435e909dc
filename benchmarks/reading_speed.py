"""How long does a reading take, and what do its maps cost beside the forward pass?

Cases that are compared are timed in turn, round by round, so that a busy machine slows both sides alike; a
ratio is the median of the rounds' ratios. Maps of 14 classes stand against pytorch-grad-cam, called once a
class as it is made to be, and must equal it after its own scaling. Uploads take the page's way: a child
process decodes the bytes, then the film goes through the network at 224 pixels with a text of 60 words.

    .venv/bin/python benchmarks/reading_speed.py
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, JPEG2000Lossless
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet.checkpoints import ClassifierSpec  # noqa: E402
from timnet.evaluation.maps import cam  # noqa: E402
from timnet.films import sandbox  # noqa: E402
from timnet.films.film import Film  # noqa: E402
from timnet.films.letterbox import Letterbox  # noqa: E402
from timnet.films.read import read_film  # noqa: E402
from timnet.model import weights  # noqa: E402
from timnet.model.classifier import Classifier  # noqa: E402
from timnet.reader import Reader  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "reading_speed.json"
DEMO = ROOT / "assets" / "demo" / "films"
SIDE, CLASSES = 224, 14
ROWS, COLUMNS, GRAIN = 3056, 2544, 8.0
"""Of the uploaded film, and the deviation of its noise in steps of 12 bits: without it JPEG 2000 would have
an easy time."""
WORDS = (
    "The heart is mildly enlarged and the mediastinal contours are stable. There is a small left pleural "
    "effusion with adjacent basal atelectasis. Patchy opacity in the right lower lung may reflect early "
    "consolidation. No pneumothorax is seen on either side. The pulmonary vessels are not congested. A "
    "central venous catheter ends in the superior vena cava. No acute fracture is identified."
)  # fmt: skip
SECOND = "The lungs are clear. The heart is normal in size. No pleural effusion or pneumothorax."
CHOOSING = 2.0
"""Seconds between a page's opening and the upload."""
Spent = tuple[float, float]
"""Seconds on the clock, and of the processor."""
BARS = {
    "grad_cam_calls_over_all_maps": "at least 30",
    "largest_difference_after_scaling": "at most 1e-4",
    "match_with_map_over_forward": "at most 1.15",
    "uncompressed_upload_seconds": "under 1",
    "jpeg_2000_upload_seconds": "under 2",
    "second_question_seconds": "under 0.3",
}


class Tapped(torch.nn.Module):
    """A classifier whose grid is a layer of its own, which the library can hook."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier, self.tap = classifier, torch.nn.Identity()

    def forward(self, x_B1SS: Tensor) -> Tensor:
        """Return the logits (B, L)."""
        return self.classifier.head(self.tap(self.classifier.grid(x_B1SS)).mean((2, 3)))


def main() -> None:
    """Measure, print one line a figure, and keep the figures with the machine they are of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="open-cxr")
    parser.add_argument("--rounds", type=int, default=15)
    words = parser.parse_args()
    # One thread: a page's other visitors have the other core.
    torch.set_num_threads(1)
    loaded = Reader.load(words.checkpoint)
    reader = replace(loaded, spec=replace(loaded.spec, side=SIDE))
    film = read_film(sorted(DEMO.glob("*.jpg"))[0])
    rows = (
        all_maps(film, words.rounds) | match(reader, film, words.rounds) | uploads(reader, film, words.rounds)
    )
    for name, value in rows.items():
        print(f"{name}: {value}" + (f" (bar: {BARS[name]})" if name in BARS else ""))
    machine: dict[str, Any] = {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    machine |= {"processor": processor(), "load": round(os.getloadavg()[0], 1)}
    fields = {
        "what": __doc__.splitlines()[0],
        "side": SIDE,
        "rounds": words.rounds,
        "words": len(WORDS.split()),
    }
    fields |= {"checkpoint": words.checkpoint, "bars": BARS, "machine": machine, "figures": rows}
    RESULT.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def all_maps(film: Film, rounds: int) -> dict[str, Any]:
    """Compare the maps of every class from one forward with one call of the library a class."""
    shape = ClassifierSpec(
        backbone="resnet18", side=SIDE, width=512, normalisation="film", task="all",
        labels=tuple(f"class {number}" for number in range(CLASSES)), map_scale=1.0,
    )  # fmt: skip
    classifier = weights.build_classifier(shape, seed=0).eval()
    assert isinstance(classifier, Classifier)
    tapped, x = Tapped(classifier).eval(), square(film)

    def ours() -> Tensor:
        with torch.no_grad():
            grid_1Chw = classifier.grid(x)
        return cam.evidence(grid_1Chw, classifier.head)[1]

    with GradCAM(tapped, [tapped.tap]) as library:

        def calls() -> list[Any]:
            return [library(x, [ClassifierOutputTarget(label)])[0] for label in range(CLASSES)]

        times = in_turn({"ours": ours, "calls": calls}, rounds)
        # The library blows its maps up to the film; at the grid itself both can be compared cell by cell.
        library.get_target_width_height = lambda tensor: None
        expected = np.stack(calls())
    return {
        "grad_cam_calls_over_all_maps": ratio(times, "calls", "ours"),
        "largest_difference_after_scaling": float(np.abs(scaled(ours()[0].numpy()) - expected).max()),
        "all_maps_seconds": middle(times["ours"]),
        "grad_cam_calls_seconds": middle(times["calls"]),
    }


def match(reader: Reader, film: Film, rounds: int) -> dict[str, Any]:
    """Compare a match with its map, and a whole reading, with the forward passes that either needs."""
    timnet, x = reader.matcher.timnet, square(film)

    def forward(texts: list[str]) -> Callable[[], Tensor]:
        def run() -> Tensor:
            with torch.no_grad():
                return timnet.match(timnet.image(x)[1], reader.matcher.text_vectors(texts))

        return run

    def mapped() -> Tensor:
        with torch.no_grad():
            grid_1Chw = timnet.image.grid(x)
        v_text_1D = reader.matcher.text_vectors([WORDS])
        return cam.evidence(grid_1Chw, lambda pooled: timnet.match(timnet.image.fc(pooled), v_text_1D)[None])[
            1
        ]

    small = replace(film, pixels=x[0, 0].numpy())
    items = [WORDS, *(sentence for sentence, _ in reader.read(small, WORDS).sentences)]
    cases: dict[str, Callable[[], Any]] = {
        "forward": forward([WORDS]),
        "with map": mapped,
        "forward of all sentences": forward(items),
        "reading": lambda: reader.read(small, WORDS),
    }
    times = in_turn(cases, rounds)
    return {
        "match_with_map_over_forward": ratio(times, "with map", "forward"),
        "reading_over_forward_of_its_sentences": ratio(times, "reading", "forward of all sentences"),
        "forward_seconds": middle(times["forward"]),
        "match_with_map_seconds": middle(times["with map"]),
    }


def uploads(reader: Reader, film: Film, rounds: int) -> dict[str, Any]:
    """Time an upload from its bytes to the Reading, and a second question about the same film."""
    dataset = radiograph(film)
    plain = stored(dataset)
    dataset.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg")
    packed = stored(dataset)

    def reading(data: bytes) -> Callable[[], Any]:
        return lambda: reader.read(reader.see(sandbox.read_untrusted(data, name="film")), WORDS)

    seen = reader.see(sandbox.read_untrusted(plain, name="film"))
    cases: dict[str, Callable[[], Any]] = {
        "plain": reading(plain),
        "packed": reading(packed),
        "second": lambda: reader.read(seen, SECOND),
        "decoded": lambda: sandbox.read_untrusted(plain, name="film"),
    }
    times = in_turn(cases, rounds, opened)
    return {
        "uncompressed_upload_seconds": middle(times["plain"]),
        "uncompressed_upload_slowest_seconds": slowest(times["plain"]),
        "uncompressed_upload_processor_seconds": computing(times["plain"]),
        "uncompressed_decoding_seconds": middle(times["decoded"]),
        "jpeg_2000_upload_seconds": middle(times["packed"]),
        "jpeg_2000_upload_slowest_seconds": slowest(times["packed"]),
        "jpeg_2000_upload_processor_seconds": computing(times["packed"]),
        "second_question_seconds": middle(times["second"]),
        "uncompressed_megabytes": round(len(plain) / 1e6, 1),
        "jpeg_2000_megabytes": round(len(packed) / 1e6, 1),
    }


def opened() -> None:
    """Do what a page does while somebody chooses a file, and let it come to an end."""
    sandbox.prepare()
    time.sleep(CHOOSING)


def in_turn(
    cases: dict[str, Callable[[], Any]], rounds: int, before: Callable[[], None] = lambda: None
) -> dict[str, list[Spent]]:
    """Return what each case took, round by round, after one that does not count; `before` each, untimed."""
    times: dict[str, list[Spent]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, case in cases.items():
            before()
            begun, used = time.perf_counter(), processor_seconds()
            case()
            if number:
                times[name].append((time.perf_counter() - begun, processor_seconds() - used))
    return times


def processor_seconds() -> float:
    """Return what this process and its children have computed."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def ratio(times: dict[str, list[Spent]], above: str, below: str) -> float:
    """Return the median over rounds of how much longer one case took than another."""
    one, other = ([seconds for seconds, _ in times[name]] for name in (above, below))
    return round(float(np.median(np.divide(one, other))), 3)


def middle(spent: list[Spent]) -> float:
    """Return the median of the seconds."""
    return round(float(np.median([seconds for seconds, _ in spent])), 4)


def slowest(spent: list[Spent]) -> float:
    """Return the most seconds."""
    return round(max(seconds for seconds, _ in spent), 3)


def computing(spent: list[Spent]) -> float:
    """Return the median of the processor seconds: what it would take if nothing else ran."""
    return round(float(np.median([used for _, used in spent])), 2)


def square(film: Film) -> Tensor:
    """Return a film as a network of side 224 takes it, (1, 1, S, S)."""
    px_SS = Letterbox(film.rows, film.columns, SIDE).apply(film.pixels)
    return torch.from_numpy(np.rint(px_SS * 255).astype(np.float32) / 255)[None, None]


def scaled(maps_Lhw: np.ndarray) -> np.ndarray:
    """Scale each map to 0..1 as the library does."""
    positive = np.maximum(maps_Lhw, 0)
    low, high = positive.min((1, 2), keepdims=True), positive.max((1, 2), keepdims=True)
    return (positive - low) / (high - low + 1e-7)


def radiograph(film: Film) -> Dataset:
    """Return a film as a digital radiograph of 3056 rows, 2544 columns and 12 bits, with grain."""
    large = Image.fromarray(film.pixels).resize((COLUMNS, ROWS), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).normal(0, GRAIN, (ROWS, COLUMNS))
    dataset, dataset.file_meta = Dataset(), FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3.4"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", "PA"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = ROWS, COLUMNS, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.WindowCenter, dataset.WindowWidth, dataset.PixelSpacing = 2048, 4096, [0.139, 0.139]
    dataset.PixelData = np.clip(np.asarray(large) * 3800 + 100 + grain, 0, 4095).astype("<u2").tobytes()
    return dataset


def stored(dataset: Dataset) -> bytes:
    """Return a data set as the bytes of a file."""
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def processor() -> str:
    """Return the processor's name where the system tells it."""
    result = Path("/proc/cpuinfo")
    lines = result.read_text().splitlines() if result.is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "not known")


if __name__ == "__main__":
    main()
