"""Do maps point at the findings of simulated films, do they follow what the network learned, do words count?

Two parts, one command. A classifier's maps on films of the demo cohort's test split, of which the shipped
classifier has seen none, with the exact masks and boxes of their findings (assets/demo/truth.jsonl.gz):
pointing game, deletion, insertion. Then the matching network's twins (twins.py). The same is asked of the
same networks with all weights drawn anew; for the maps, of random orders of the pixels, too: of noise, and of
maps as smooth as the network's own. Deletion and insertion are compared with the latter finding by finding.

    .venv/bin/python benchmarks/sanity.py
    .venv/bin/python benchmarks/sanity.py --only-maps     # prints the classifier's part, keeps nothing
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import map_measures
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
import twins
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet import checkpoints, config  # noqa: E402
from timnet.checkpoints import ClassifierSpec  # noqa: E402
from timnet.cohorts.readers import demo  # noqa: E402
from timnet.evaluation.maps import cam  # noqa: E402
from timnet.films.letterbox import Letterbox  # noqa: E402
from timnet.films.read import read_film  # noqa: E402
from timnet.model import weights  # noqa: E402
from timnet.model.classifier import Classifier  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "sanity.json"
TOLERANCE = 0.1
"""Of the square's side: how far a map's highest point may lie from the finding, as in twins.py."""
WITHOUT_PLACE = ("support_devices", "edema", "emphysema", "fibrosis", "cardiomegaly")
"""Of the whole film, of both lungs, or of a size rather than a place: pointing says nothing there."""
DRAWN, SMOOTH = "a random order", "a smooth random order"
ORDERS = 4
"""Smooth random maps a finding, whose areas are averaged."""
LESS = "own less a smooth random order, paired"


@dataclass(frozen=True)
class Case:
    """One finding on one letterboxed film."""

    film_SS: NDArray[np.float32]
    mask_SS: NDArray[np.bool_]
    box_SS: NDArray[np.bool_]
    label: int


def main() -> None:
    """Print a table a part, and keep the figures with the machine they are of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classifier", default="demo-findings")
    parser.add_argument("--matching", default="open-cxr")
    parser.add_argument("--findings", type=int, default=40)
    parser.add_argument("--studies", type=int, default=24, help="twins a question")
    parser.add_argument("--films", type=int, default=300, help="with one finding, for the match map")
    parser.add_argument("--steps", type=int, default=8, help="of a deletion or insertion curve")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ct", type=Path, default=twins.CT)
    parser.add_argument("--only-maps", action="store_true")
    words = parser.parse_args()
    torch.set_num_threads(1)
    begun = time.perf_counter()
    fields = {"what": __doc__.splitlines()[0], "findings": words.findings, "studies": words.studies}
    fields |= {"films": words.films}
    fields |= {"steps": words.steps, "seed": words.seed, "machine": machine()}
    tables: dict[str, twins.Table] = {"maps": maps(words.classifier, words.findings, words.steps, words.seed)}
    print(twins.markdown(tables["maps"]))
    print(f"maps: {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    if words.only_maps:
        return
    if (words.ct / "mask.nii.gz").is_file() or twins.KEPT.is_dir():
        readers = twins.readers(words.matching, words.seed)
        tables["twins"] = twins.answers(readers, words.ct, words.studies, words.films)
        print(twins.markdown(tables["twins"]))
    else:
        print("twins: left out, the CT is not here (make ct)", file=sys.stderr)
    for name in (words.classifier, words.matching):
        folder = checkpoints.checkpoint_folder(name)
        fields |= {name: checkpoints.weights_sha256(folder) if folder else None}
    fields |= tables | {"seconds": round(time.perf_counter() - begun)}
    RESULT.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def maps(checkpoint: str, findings: int, steps: int, seed: int) -> twins.Table:
    """Ask a classifier's maps, and those of the same network with its weights drawn anew."""
    folder = checkpoints.checkpoint_folder(checkpoint)
    if folder is None:
        raise SystemExit(f"{checkpoint}: no checkpoint of that name or path")
    network, spec = weights.load_classifier(folder)
    if not isinstance(network, Classifier):
        raise SystemExit(f"{checkpoint}: expected a classifier with layers of its own, got a linear probe")
    forgotten = map_measures.randomised(network, seed)
    assert isinstance(forgotten, Classifier)
    rng = np.random.default_rng(seed)
    rows = []
    for case in spread(found(spec), findings):
        drawn = {"own": heat(network, case), "forgotten": heat(forgotten, case)}
        drawn[DRAWN] = rng.random(case.film_SS.shape, dtype=np.float32)
        rows.append(answers(network, case, drawn, steps, rng))
    table: twins.Table = {}
    for question, name in rows[0]:
        values = [row[question, name] for row in rows]
        shown = difference(values) if question.endswith(LESS) else twins.interval(values)
        table.setdefault(question, {})[name] = shown
    return table


def difference(values: list[float]) -> str:
    """Return the mean of paired differences with its 95 % bootstrap interval over findings."""
    drawn = np.random.default_rng(0).choice(values, (2000, len(values))).mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{np.mean(values):+.3f} ({low:+.3f} to {high:+.3f})"


def spread(cases: Iterator[Case], number: int) -> list[Case]:
    """Return so many cases, every label in its turn, so that no common finding speaks for all."""
    by_label: dict[int, list[Case]] = {}
    for case in cases:
        by_label.setdefault(case.label, []).append(case)
    turns = (group[turn] for turn in range(number) for group in by_label.values() if turn < len(group))
    return [case for case, _ in zip(turns, range(number), strict=False)]


def found(spec: ClassifierSpec) -> Iterator[Case]:
    """Return the test films' findings that have a place and a label of the classifier's, one a kind."""
    root = config.DEMO
    studies = pd.read_csv(root / demo.TABLE)
    truth = demo.truth(root)
    for path in studies[(studies["split"] == "test") & (studies["view"] != "LATERAL")]["path"]:
        kinds = {each.kind for each in truth[path].findings} & set(spec.labels) - set(WITHOUT_PLACE)
        if not kinds:
            continue
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
    return enlarged(maps_1Lhw[0, case.label], case.film_SS.shape[0])


def enlarged(map_hw: torch.Tensor, side: int) -> NDArray[np.float32]:
    """Return a map of the last grid over the square, as it is shown."""
    wide = F.interpolate(map_hw[None, None], size=(side, side), mode="bilinear", align_corners=False)
    return wide[0, 0].numpy()


def smooth(network: Classifier, side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a map of random evidence on the network's last grid: as smooth as its own maps."""
    with torch.no_grad():
        grid_1Chw = network.grid(torch.zeros(1, 1, side, side))
    return enlarged(torch.from_numpy(rng.random(grid_1Chw.shape[2:], dtype=np.float32)), side)


def answers(
    network: Classifier,
    case: Case,
    drawn: dict[str, NDArray[np.float32]],
    steps: int,
    rng: np.random.Generator,
) -> dict[tuple[str, str], float]:
    """Return every question's number for one finding, by question and map."""

    def score(films_KSS: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.no_grad():
            logits_KL = network(torch.from_numpy(films_KSS)[:, None])
        return logits_KL[:, case.label].double().sigmoid().numpy()

    tolerance = TOLERANCE * case.film_SS.shape[0]
    regions = {"in the mask": case.mask_SS, "in the box": case.box_SS | case.mask_SS}
    regions["near the mask"] = map_measures.widened(case.mask_SS, tolerance)
    fields: dict[tuple[str, str], float] = {}
    for where, region_SS in regions.items():
        for name, map_SS in drawn.items():
            # What a map without preference scores, exactly, instead of one draw of it.
            hit = float(region_SS.mean()) if name == DRAWN else map_measures.pointing(map_SS, region_SS)
            fields[f"highest point {where}", name] = hit
    orders = [smooth(network, case.film_SS.shape[0], rng) for _ in range(ORDERS)]
    for way, better in ((map_measures.deletion, "lower"), (map_measures.insertion, "higher")):
        question = f"area under {way.__name__} ({better} is better)"
        for name, map_SS in drawn.items():
            fields[question, name] = map_measures.area(way(score, case.film_SS, map_SS, steps))
        areas = [map_measures.area(way(score, case.film_SS, map_SS, steps)) for map_SS in orders]
        fields[question, SMOOTH] = float(np.mean(areas))
        fields[f"{way.__name__}: {LESS}", "own"] = fields[question, "own"] - fields[question, SMOOTH]
    alike = map_measures.similarity(drawn["own"], drawn["forgotten"])
    fields["rank correlation with the own map", "forgotten"] = alike
    return fields


def machine() -> dict[str, object]:
    """Return what the figures were measured on."""
    fields: dict[str, object] = {"system": platform.platform(), "cores": os.cpu_count()}
    return fields | {"threads": torch.get_num_threads(), "load": round(os.getloadavg()[0], 1)}


if __name__ == "__main__":
    main()
