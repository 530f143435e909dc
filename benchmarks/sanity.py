"""Do a classifier's maps point at the findings of simulated films, and do they depend on what it learned?

Films of the demo cohort's test split, of which the shipped classifier has seen none, with the exact masks of
their findings (assets/demo/truth.jsonl.gz). The same is asked of the same network with all weights drawn
anew, and of a random order of the pixels.

    .venv/bin/python benchmarks/sanity.py --checkpoint demo-findings --findings 60
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet import config  # noqa: E402
from timnet.cohorts.films import Letterbox, read_film  # noqa: E402
from timnet.cohorts.readers import demo  # noqa: E402
from timnet.evaluation import cam, sanity  # noqa: E402
from timnet.model import weights  # noqa: E402
from timnet.model.classifier import Classifier  # noqa: E402

TOLERANCE = 0.1
"""Of the square's side: how far a map's highest point may lie from the finding, as in twins.py."""
WITHOUT_PLACE = ("support_devices", "edema", "emphysema", "fibrosis", "cardiomegaly")
"""Of the whole film, of both lungs, or of a size rather than a place: pointing says nothing there."""


@dataclass(frozen=True)
class Case:
    """One finding on one letterboxed film."""

    film_SS: NDArray[np.float32]
    mask_SS: NDArray[np.bool_]
    box_SS: NDArray[np.bool_]
    label: int


def main() -> None:
    """Print one line a question, and the figures as JSON."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--checkpoint", default="demo-findings")
    asked.add_argument("--findings", type=int, default=60)
    asked.add_argument("--steps", type=int, default=10)
    asked.add_argument("--seed", type=int, default=0)
    words = asked.parse_args()
    folder = weights.checkpoint_folder(words.checkpoint)
    if folder is None:
        raise SystemExit(f"{words.checkpoint}: no checkpoint of that name or path")
    network, spec = weights.load_classifier(folder)
    forgotten = sanity.randomised(network, words.seed)
    assert isinstance(forgotten, Classifier)
    cases = [case for case, _ in zip(found(spec), range(words.findings), strict=False)]
    rng = np.random.default_rng(words.seed)
    rows = []
    for case in cases:
        maps = {"own": heat(network, case), "forgotten": heat(forgotten, case)}
        maps["random"] = rng.random(case.film_SS.shape, dtype=np.float32)
        rows.append(answers(network, case, maps, words.steps))
    table = pd.DataFrame(rows)
    told = {
        "checkpoint": words.checkpoint, "weights_sha256": weights.weights_sha256(folder),
        "findings": len(cases), "steps": words.steps, "seed": words.seed,
    } | {name: interval(table[name].to_numpy(), rng) for name in table}  # fmt: skip
    for question, answer in told.items():
        print(f"{question}: {answer}")
    print(json.dumps(told))


def found(spec: weights.ClassifierSpec) -> Iterator[Case]:
    """Return the test films' findings that have a place and a label of the classifier's, one a kind."""
    root = config.DEMO
    studies = pd.read_csv(root / demo.TABLE)
    truth = demo.truth(root)
    for path in studies[(studies["split"] == "test") & (studies["view"] != "LATERAL")]["path"]:
        kinds = {each.kind for each in truth[path].findings} & set(spec.labels) - set(WITHOUT_PLACE)
        film = read_film(root / path)
        letterbox = Letterbox(film.rows, film.columns, spec.side)
        square = np.rint(letterbox.apply(film.pixels) * 255).astype(np.float32) / 255
        for kind in sorted(kinds):
            mask, box = np.zeros((2, film.rows, film.columns), np.float32)
            for each in truth[path].findings:
                if each.kind == kind and each.box:
                    mask += each.mask()
                    left, top, right, bottom = each.box
                    box[top:bottom, left:right] = 1
            # A cell of the square belongs to the finding when the finding touches half of it, or else most.
            covered = letterbox.apply(np.minimum(mask, 1))
            inside = covered >= min(0.5, covered.max())
            if mask.any():
                yield Case(square, inside, letterbox.apply(box) >= 0.5, spec.labels.index(kind))


def heat(network: Classifier, case: Case) -> NDArray[np.float32]:
    """Return the evidence map of the finding's label over the square."""
    with torch.no_grad():
        grid_1Chw = network.grid(torch.from_numpy(case.film_SS)[None, None])
    maps_1Lhw = cam.evidence(grid_1Chw, network.head)[1]
    side = case.film_SS.shape[0]
    wide = F.interpolate(maps_1Lhw, size=(side, side), mode="bilinear", align_corners=False)
    return wide[0, case.label].numpy()


def answers(
    network: Classifier, case: Case, maps: dict[str, NDArray[np.float32]], steps: int
) -> dict[str, float]:
    """Return every question's number for one finding."""

    def score(films_KSS: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.no_grad():
            logits_KL = network(torch.from_numpy(films_KSS)[:, None])
        return logits_KL[:, case.label].double().sigmoid().numpy()

    tolerance = TOLERANCE * case.film_SS.shape[0]
    told = {
        "a random point in the mask": float(case.mask_SS.mean()),
        "a random point near the mask": float(sanity.widened(case.mask_SS, tolerance).mean()),
        "rank correlation of own and forgotten map": sanity.similarity(maps["own"], maps["forgotten"]),
    }
    for name, map_SS in maps.items():
        if name != "random":
            told[f"highest point in the mask, {name}"] = sanity.pointing(map_SS, case.mask_SS)
            told[f"highest point in the box, {name}"] = sanity.pointing(map_SS, case.box_SS | case.mask_SS)
            told[f"highest point near the mask, {name}"] = sanity.pointing(map_SS, case.mask_SS, tolerance)
        told[f"area under deletion, {name}"] = sanity.area(
            sanity.deletion(score, case.film_SS, map_SS, steps)
        )
        told[f"area under insertion, {name}"] = sanity.area(
            sanity.insertion(score, case.film_SS, map_SS, steps)
        )
    return told


def interval(values: NDArray[np.float64], rng: np.random.Generator) -> str:
    """Return the mean with its 95 % bootstrap interval over findings."""
    known = values[~np.isnan(values)]
    means = rng.choice(known, (2000, len(known))).mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{known.mean():.3f} ({low:.3f} to {high:.3f}) of {len(known)}"


if __name__ == "__main__":
    main()
