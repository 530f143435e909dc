"""Does a matching network prefer the right words, and does its map point at the right place?

Twins are films from the same seeds with and without one finding, or with it on the other side. Their chests,
places and phrasings are used by no training: patients come from a seed of their own, and reports from the
phrasings kept for tests. The same is asked of the same network with all weights drawn anew, which knows
nothing. Films are kept under build/twins/, so that another checkpoint is asked in a minute; making them needs
the CT of `make ct`.

    .venv/bin/python benchmarks/twins.py --checkpoint open-cxr --studies 24
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import map_measures
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet.evaluation.calibration.record import MATCH  # noqa: E402
from timnet.films.film import Film  # noqa: E402
from timnet.films.read import read_film  # noqa: E402
from timnet.model.timnet import TIMNet  # noqa: E402
from timnet.reader import Reader  # noqa: E402
from timnet.reports import edits  # noqa: E402
from timnet.reports import report_text as sections  # noqa: E402
from timnet.simulation import anatomy, facts, reports  # noqa: E402
from timnet.simulation.cohort import jpeg  # noqa: E402
from timnet.simulation.facts import Case, Finding  # noqa: E402
from timnet.simulation.film import mirrored, simulate  # noqa: E402

SIDE, PATIENTS = 256, 990_000_000
DILATION = 0.1
"""Of the film's longer side: how far a map's peak may lie from the finding."""
PRESENCE = ("pleural_effusion", "cardiomegaly", "consolidation")
LATERALITY = ("pleural_effusion", "consolidation", "pneumothorax")
POINTING = "peak of the match map within the dilated mask"
ALONE = "the same, of the match by itself"
FIRST = 3000
"""Cases to point at are drawn from this number on: on earlier ones it was chosen what a map compares with."""
CT, KEPT = ROOT / "build" / "ct", ROOT / "build" / "twins"

Table = dict[str, dict[str, str]]
"""Question -> network -> answer."""


@dataclass(frozen=True)
class Twin:
    """A simulated film, and where its first finding lies (nowhere without one)."""

    film: Film
    mask_HW: NDArray[np.bool_]


@dataclass(frozen=True)
class Question:
    """A film, the text that is its own, and its twin's."""

    twin: Twin
    own: str
    other: str


def main() -> None:
    """Print one line a question, and the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="open-cxr")
    parser.add_argument("--studies", type=int, default=24)
    parser.add_argument("--films", type=int, default=300, help="with one finding, to point at")
    parser.add_argument("--seed", type=int, default=0, help="of the weights drawn anew")
    parser.add_argument("--ct", type=Path, default=CT)
    words = parser.parse_args()
    torch.set_num_threads(1)
    table = answers(readers(words.checkpoint, words.seed), words.ct, words.studies, words.films)
    print(markdown(table))
    print(json.dumps({"checkpoint": words.checkpoint, "studies": words.studies, "table": table}))


def readers(checkpoint: str, seed: int) -> dict[str, Reader]:
    """Return a matching checkpoint's reader, and one of the same network with its weights drawn anew."""
    own = Reader.load(checkpoint)
    forgotten = map_measures.randomised(own.matcher.timnet, seed)
    assert isinstance(forgotten, TIMNet)
    return {
        "own": own,
        "forgotten": replace(own, _network=forgotten, _matcher=replace(own.matcher, timnet=forgotten)),
    }


def answers(fields: Mapping[str, Reader], ct: Path, studies: int, films: int) -> Table:
    """Ask every question of every network; one mean with its interval over studies for each."""
    table: Table = {}
    for name, kinds, twins in (("text", PRESENCE, presence), ("side", LATERALITY, laterality)):
        for kind in kinds:
            begun = time.perf_counter()
            right: dict[str, list[float]] = {each: [] for each in fields}
            for number in range(studies):
                questions = list(twins(ct, kind, number))
                for each, reader in fields.items():
                    right[each].append(float(np.mean([prefers(reader, question) for question in questions])))
            question = f"prefers the right {name}: {kind}"
            table[question] = {each: interval(values) for each, values in right.items()}
            print(f"{question}: {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return table | pointing(fields, ct, films)


def presence(ct: Path, kind: str, number: int) -> Iterator[Question]:
    """With and without: of two reports, the film's own should match better."""
    cases = Case(60, "PA", (one(kind, number),)), Case(60, "PA", ())
    texts = [report(case, number) for case in cases]
    yield Question(twin(ct, cases[0], number), texts[0], texts[1])
    yield Question(twin(ct, cases[1], number), texts[1], texts[0])


def laterality(ct: Path, kind: str, number: int) -> Iterator[Question]:
    """Left and right: the report that names the side should match better than the same report mirrored."""
    finding = one(kind, number)
    for each in (finding, mirrored(finding)):
        case = Case(60, "PA", (each,))
        text = report(case, number)
        yield Question(twin(ct, case, number), text, edits.mirrored(text))


def prefers(reader: Reader, question: Question) -> float:
    """Return 1 where the film's own text matches better than its twin's, 0 where not; a tie counts half."""
    vectors_2D = reader.matcher.text_vectors([question.own, question.other])
    own, other = reader.matches(reader.see(question.twin.film), vectors_2D)
    return 0.5 if own == other else float(own > other)


def pointing(fields: Mapping[str, Reader], ct: Path, films: int) -> Table:
    """Films with one finding: is the highest point of the match map in its mask, dilated?"""
    hits: dict[str, dict[str, list[float]]] = {
        POINTING: {each: [] for each in (*fields, "a random point")},
        ALONE: {each: [] for each in fields},
    }
    kinds: dict[str, dict[str, list[float]]] = {}
    number = FIRST
    while len(hits[POINTING]["a random point"]) < films:
        number += 1
        case = facts.draw(np.random.default_rng((17, number)))
        if len(case.findings) != 1 or case.findings[0].kind == "support_devices":
            continue
        made = twin(ct, case, number)
        if not made.mask_HW.any():
            continue
        tolerance = DILATION * max(made.mask_HW.shape)
        for each, reader in fields.items():
            reading = reader.read(made.film, report(case, number))
            for question, maps in ((POINTING, reading.maps), (ALONE, reading.alone)):
                heat_HW = replace(reading, maps=maps).heat(MATCH)
                hit = map_measures.pointing(heat_HW, made.mask_HW, tolerance)
                hits[question][each].append(hit)
                if question == POINTING:
                    of_kind = kinds.setdefault(f"peak of the match map, by kind: {case.findings[0].kind}", {})
                    of_kind.setdefault(each, []).append(hit)
        near_HW = ndimage.distance_transform_edt(~made.mask_HW) <= tolerance
        hits[POINTING]["a random point"].append(float(near_HW.mean()))
    counted = {f"{kind} ({len(next(iter(of.values())))} films)": of for kind, of in sorted(kinds.items())}
    return {
        question: {each: interval(values) for each, values in of.items()}
        for question, of in (hits | counted).items()
    }


def one(kind: str, number: int) -> Finding:
    """Draw a single finding of a kind."""
    rng = np.random.default_rng((19, number))
    while True:
        for finding in facts.draw(rng, normal=0.0).findings:
            if finding.kind == kind and finding.side != "both":
                return finding


def report(case: Case, number: int) -> str:
    """Return the findings of the case's report in phrasings that no training has seen."""
    return sections.findings(reports.write(case, np.random.default_rng((23, number)), "test"))


def twin(ct: Path, case: Case, number: int) -> Twin:
    """Return the film of a case as it would come from a file; made once."""
    name = hashlib.sha256(f"{simulation()} {SIDE} {number} {case!r}".encode()).hexdigest()
    place = KEPT / f"{name[:24]}.npz"
    if not place.is_file():
        made = simulate(chest(ct), case, PATIENTS + number, number, SIDE)
        mask = made.masks[0] if len(made.masks) else np.zeros(made.pixels.shape, bool)
        KEPT.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(f".{os.getpid()}")
        with part.open("wb") as file:
            np.savez_compressed(file, film=np.frombuffer(jpeg(made.pixels, 90), np.uint8), mask=mask)
        part.replace(place)
    with np.load(place) as kept:
        return Twin(read_film(kept["film"].tobytes()), kept["mask"])


@cache
def simulation() -> str:
    """Return the sha256 of the simulation's source: films of another one are not used."""
    files = sorted((ROOT / "timnet" / "simulation").glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


@cache
def chest(ct: Path) -> anatomy.Anatomy:
    """Return the chest that films are made from."""
    return anatomy.load(ct)


def interval(values: list[float]) -> str:
    """Return the mean with its 95 % bootstrap interval over studies; of what is defined."""
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    means = np.random.default_rng(0).choice(known, (2000, len(known))).mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{known.mean():.2f} ({low:.2f} to {high:.2f})"


def markdown(table: Table) -> str:
    """Return a table as the documents hold it."""
    columns = list(dict.fromkeys(name for row in table.values() for name in row))
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    lines += [[question, *(row.get(name, "") for name in columns)] for question, row in table.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
