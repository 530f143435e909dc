"""Does a matching network prefer the right words, and does its map point at the right place?

Twins are films from the same seeds with and without one finding, or with it on the other side. Their chests,
places and phrasings are used by no training: patients come from a seed of their own, and reports from the
phrasings kept for tests. Needs the CT of `make ct`.

    .venv/bin/python benchmarks/twins.py --checkpoint open-cxr --studies 60
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet.cohorts import edits  # noqa: E402
from timnet.cohorts.films import Film, read_film  # noqa: E402
from timnet.reader import MATCH, Reader  # noqa: E402
from timnet.simulation import anatomy, facts, reports  # noqa: E402
from timnet.simulation.cohort import jpeg  # noqa: E402
from timnet.simulation.facts import Case, Finding  # noqa: E402
from timnet.simulation.film import Simulated, mirrored, simulate  # noqa: E402

SIDE, PATIENTS = 256, 990_000_000
DILATION = 0.1
"""Of the film's longer side: how far a map's peak may lie from the finding."""


def main() -> None:
    """Print one line a question, and the figures as JSON."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--checkpoint", default="open-cxr")
    asked.add_argument("--studies", type=int, default=60)
    asked.add_argument("--ct", type=Path, default=ROOT / "build" / "ct")
    words = asked.parse_args()
    chest = anatomy.load(words.ct)
    reader = Reader.load(words.checkpoint)
    told = {"checkpoint": words.checkpoint, "studies": words.studies}
    for kind in ("pleural_effusion", "cardiomegaly", "consolidation"):
        told[f"prefers the right text: {kind}"] = presence(reader, chest, kind, words.studies)
    for kind in ("pleural_effusion", "consolidation", "pneumothorax"):
        told[f"prefers the right side: {kind}"] = laterality(reader, chest, kind, words.studies)
    told["peak of the match map within the dilated mask"] = pointing(reader, chest, words.studies)
    for question, answer in told.items():
        print(f"{question}: {answer}")
    print(json.dumps(told))


def presence(reader: Reader, chest: anatomy.Anatomy, kind: str, studies: int) -> str:
    """With and without: of two reports, the film's own should match better."""
    right = []
    for number in range(studies):
        finding = one(kind, number)
        cases = (Case(60, "PA", (finding,)), Case(60, "PA", ()))
        texts = [report(case, number) for case in cases]
        for film, own, other in ((0, 0, 1), (1, 1, 0)):
            seen = as_film(simulate(chest, cases[film], PATIENTS + number, number, SIDE))
            right.append(match(reader, seen, texts[own]) > match(reader, seen, texts[other]))
    return share(right)


def laterality(reader: Reader, chest: anatomy.Anatomy, kind: str, studies: int) -> str:
    """Left and right: the report that names the side should match better than the same report mirrored."""
    right = []
    for number in range(studies):
        finding = one(kind, number)
        for each in (finding, mirrored(finding)):
            case = Case(60, "PA", (each,))
            text = report(case, number)
            seen = as_film(simulate(chest, case, PATIENTS + number, number, SIDE))
            right.append(match(reader, seen, text) > match(reader, seen, edits.mirrored(text)))
    return share(right)


def pointing(reader: Reader, chest: anatomy.Anatomy, studies: int) -> str:
    """Films with one finding: is the highest point of the match map in its mask, dilated?"""
    hits, chance, number = [], [], 0
    while len(hits) < 2 * studies:
        number += 1
        case = facts.draw(np.random.default_rng((17, number)))
        if len(case.findings) != 1 or case.findings[0].kind == "support_devices":
            continue
        made = simulate(chest, case, PATIENTS + number, number, SIDE)
        seen = as_film(made)
        heat = reader.read(seen, report(case, number)).heat(MATCH)
        distance = ndimage.distance_transform_edt(~made.masks[0]) if made.masks[0].any() else None
        if distance is None:
            continue
        near = distance <= DILATION * max(made.pixels.shape)
        hits.append(bool(near[np.unravel_index(heat.argmax(), heat.shape)]))
        chance.append(near.mean())
    return f"{share(hits)}; a random point: {np.mean(chance):.2f}"


def one(kind: str, number: int) -> Finding:
    """Draw a single finding of a kind."""
    rng = np.random.default_rng((19, number))
    while True:
        for finding in facts.draw(rng, normal=0.0).findings:
            if finding.kind == kind and finding.side != "both":
                return finding


def report(case: Case, number: int) -> str:
    """Return the case's report in phrasings that no training has seen."""
    return reports.write(case, np.random.default_rng((23, number)), "test")


def as_film(made: Simulated) -> Film:
    """Return a film as it would come from a file."""
    return read_film(jpeg(made.pixels, 90))


def match(reader: Reader, film: Film, text: str) -> float:
    """Return the match probability."""
    found = reader.read(film, text).match
    assert found is not None
    return found


def share(right: list[bool]) -> str:
    """Return the share of right answers with its 95 % Wilson interval."""
    count, mean, z = len(right), float(np.mean(right)), 1.96
    middle = (mean + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(mean * (1 - mean) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return f"{mean:.2f} ({middle - half:.2f} to {middle + half:.2f}) of {count}"


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
