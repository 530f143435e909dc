"""What tests share: a small synthetic export, the cohort imported from it, and the real data where they lie.

The synthetic films hold a planted blob where the report speaks of an opacity; the report names its side as a
radiologist does, the patient's right being the left of the image.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from timnet.cohorts.readers import csv_table

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: more threads than cores wait for each other.
    os.environ["OMP_NUM_THREADS"] = "1"
# Tests say themselves which cohorts there are.
os.environ["TIMNET_DEMO"] = "none"
# The synthetic films are no chests, and films of noise are read in passing.
os.environ["TIMNET_REFUSE"] = "never"

SYNTHETIC_LABELS = ("No Finding", "Opacity", "Left opacity")
NUM_PATIENTS = 60  # two studies each, one film a study
ROWS, COLUMNS = 96, 80
LONGEST = (
    "test_demo_pretraining",
    "test_distributed",
    "test_fresh_clone",
    "test_hard_negatives",
    "test_recipes",
)
BLOB = {"right": (40, 22), "left": (40, 58)}  # centre: row, column


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is opt-in unless its marker is asked for by name; files that take minutes come first."""
    # Last, one of them would keep a single worker busy while the others have nothing left to do.
    items.sort(key=lambda item: item.path.parent.name != "e2e" and item.path.stem not in LONGEST)
    # Its first test needs a server that has served no page yet.
    items.sort(key=lambda item: item.path.name != "test_flows.py")
    for item in items:
        for marker in ("slow", "gpu", "whole"):
            if item.get_closest_marker(marker) and marker not in config.option.markexpr:
                item.add_marker(pytest.mark.skip(reason=f"opt-in: pytest -m {marker}"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give all browser tests to one worker: one server and one browser serve them."""
    from xdist.scheduler import LoadFileScheduling

    class OneBrowser(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            is_browser = nodeid.startswith("tests/e2e/")
            return "tests/e2e" if is_browser else str(super()._split_scope(nodeid))

    return OneBrowser(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session", autouse=True)
def no_ones_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests cache out of the cohorts of this computer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMNET_HOME", str(tmp_path_factory.mktemp("cohorts")))
        yield


@pytest.fixture(scope="session")
def csv_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with films.csv and 120 PNG films of 96 x 80; half show a blob. Do not write into it."""
    root = tmp_path_factory.mktemp("export")
    (root / "films").mkdir()
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:ROWS, :COLUMNS]
    rows = []
    for study in range(2 * NUM_PATIENTS):
        patient, positive, side = study // 2, rng.random() < 0.5, ("left", "right")[study % 2]
        film = rng.normal(90, 12, (ROWS, COLUMNS)) + 0.3 * x
        if positive:
            row, column = BLOB[side]
            film += 120 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 7.0**2))
        path = f"films/{study:03}.png"
        Image.fromarray(np.clip(film, 0, 255).astype(np.uint8)).save(root / path)
        rows.append(
            {
                "path": path,
                "report": _report(positive, side, rng),
                "patient": f"patient{patient:02}",
                "study": f"study{study:03}",
                "view": "PA" if study % 3 else "AP",
                "sex": "FM"[patient % 2],
                "age": 30 + patient,
                "No Finding": int(not positive),
                "Opacity": int(positive),
                # Known where there is an opacity; uncertain or blank elsewhere.
                "Left opacity": int(side == "left") if positive else ("", "-1", "0")[study % 3],
            }
        )
    with (root / "films.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return root


@pytest.fixture(scope="session")
def cohort_folder(csv_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the cohort `synthetic`, imported from `csv_root`; its parent can serve as TIMNET_HOME."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMNET_HOME", str(home))
        csv_table.run(csv_root, "synthetic", labels=SYNTHETIC_LABELS)
    return home / "synthetic"


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a random two-layer BERT with the shipped tokenizer into a folder."""
    import torch
    from transformers import BertConfig, BertModel

    from timnet import config

    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    shape = BertConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, vocab_size=30522
    )
    BertModel(shape, add_pooling_layer=False).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(config.TEXT_ENCODER / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoints `timnet` and `classifier`, tiny and random. Do not write into it."""
    from timnet import config
    from timnet.checkpoints import ClassifierSpec, TimnetSpec
    from timnet.model import encoders, weights

    folder = tmp_path_factory.mktemp("networks")
    shape: dict[str, Any] = {"backbone": "resnet18", "side": 64, "width": 16, "normalisation": "film"}
    timnet = TimnetSpec(
        **shape,
        tokens=48,
        padding="masked",
        text_encoder="assets/text-encoder",
        text_encoder_sha256=encoders.fingerprint(config.TEXT_ENCODER),
        text_width=384,
        map_scale=0.01,
    )
    classifier = ClassifierSpec(**shape, task="all", labels=("Effusion", "Edema"), map_scale=0.01)
    weights.save_checkpoint(folder / "timnet", weights.build_timnet(timnet, seed=0), timnet)
    weights.save_checkpoint(folder / "classifier", weights.build_classifier(classifier, seed=0), classifier)
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data sets, beside the repository; skips where there is none."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data sets are not beside the repository (shared/data)")
    return folder


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `simulate` writes it, of eight films with a square each, made without the simulation."""
    root = tmp_path_factory.mktemp("simulated")
    (root / "films").mkdir()
    rng, rows, lines = np.random.default_rng(0), [], []
    for study in range(8):
        kind = ("pleural_effusion", "no_finding")[study % 2]
        name, top = f"s{study:05}.jpg", 10 + study
        Image.fromarray(rng.integers(0, 255, (60, 50), dtype=np.uint8)).save(root / "films" / name)
        rows.append(
            {
                "path": f"films/{name}",
                "study": f"s{study:05}",
                "patient": f"p{study:05}",
                "split": ("train", "test")[study // 4],
                "view": "PA",
                "age": 50 + study,
                "report": ("FINDINGS: Small right effusion.", "FINDINGS: Clear lungs.")[study % 2]
                + f" {study}",
                "pleural_effusion": int(kind == "pleural_effusion"),
                "support_devices": 0,
                "no_finding": int(kind == "no_finding"),
            }
        )
        # Rows top to top + 3, columns 5 to 9 of 50, as run lengths: outside first.
        lengths = [50 * top + 5, 5, *[45, 5] * 3]
        finding = {
            "kind": kind, "side": "right", "place": "", "severity": 1, "size_mm": 0.0, "variant": "upright",
            "box": [5, top, 10, top + 4], "mask": [*lengths, 60 * 50 - sum(lengths)],
        }  # fmt: skip
        film = {
            "film": name, "study": f"s{study:05}", "view": "PA", "rows": 60, "columns": 50,
            "spacing_mm": 5.2, "cardiothoracic": 0.45, "findings": [finding] if study % 2 == 0 else [],
        }  # fmt: skip
        lines.append(json.dumps(film) + "\n")
    with (root / "studies.csv").open("w", newline="") as stream:
        written = csv.DictWriter(stream, list(rows[0]))
        written.writeheader()
        written.writerows(rows)
    (root / "truth.jsonl.gz").write_bytes(gzip.compress("".join(lines).encode()))
    return root


@pytest.fixture(scope="session")
def ct_folder() -> Path:
    """The CT that films are simulated from; skips where it was not fetched."""
    folder = Path(__file__).resolve().parents[1] / "build" / "ct"
    if not (folder / "mask.nii.gz").is_file():
        pytest.skip("the CT is not here (make ct)")
    return folder


def _report(positive: bool, side: str, rng: np.random.Generator) -> str:
    heart = ("The heart is normal in size.", "Heart size is within normal limits.")[rng.integers(2)]
    if positive:
        seen = (f"There is an opacity in the {side} lung.", f"Opacity is seen in the {side} mid lung.")[
            rng.integers(2)
        ]
        return f"INDICATION: Cough.\n\nFINDINGS: {seen} {heart}\n\nIMPRESSION: Opacity in the {side} lung."
    clear = ("The lungs are clear.", "No focal opacity.")[rng.integers(2)]
    return f"INDICATION: Cough.\n\nFINDINGS: {clear} {heart}\n\nIMPRESSION: No acute disease."
