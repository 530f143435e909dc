"""Does an audit put planted errors first? Recall in the head of the list and auROC, by kind of error.

Errors are planted in the pairs of a cohort's split, in memory: reports of two patients swapped, sides
swapped, a positive sentence left out, a positive sentence of another patient added. In a round a hundredth of
the pairs get one, those that can carry it; rounds are drawn anew and the whole list is ranked each time. A
real error among the others counts as false here. Intervals: a bootstrap over the patients of the errors.

    .venv/bin/python benchmarks/audit.py open_i --checkpoint open-i --keep
    .venv/bin/python benchmarks/audit.py open_i --split val --variants --keep   # which score is best
    .venv/bin/python benchmarks/audit.py --time --keep   # random vectors, 10,000 and 227,835 studies
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet import checkpoints  # noqa: E402
from timnet.cohorts.pairs import Pairs, collect  # noqa: E402
from timnet.evaluation import held_out  # noqa: E402
from timnet.evaluation.audit import scores  # noqa: E402
from timnet.evaluation.metrics import resamples  # noqa: E402
from timnet.model import weights  # noqa: E402
from timnet.model.branches import ImageBranch, TextBranch, seeded  # noqa: E402
from timnet.model.timnet import COSINE, DIFFERENCE, TIMNet  # noqa: E402
from timnet.reports import assertion, edits, report_text  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "audit.json"
REPORT, SIDE, DELETED, ADDED = "swapped report", "swapped sides", "sentence left out", "sentence added"
KINDS = (REPORT, SIDE, DELETED, ADDED)
SHARE, HEADS = 0.01, (0.01, 0.05, 0.10)
DRAWS = 1000
SIZES = (10_000, 227_835)
Score = Callable[[pd.DataFrame], NDArray[np.float64]]


def main() -> None:
    """Print a table of planted errors, or of times, and keep it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", nargs="?")
    parser.add_argument("--checkpoint", default="open-i")
    parser.add_argument("--split", default="test")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--variants", action="store_true", help="compare scores")
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--keep", action="store_true")
    words = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    if words.time:
        name, rows = "time", timed()
    elif words.cohort:
        name = f"{words.cohort} {words.split} by {words.checkpoint}{', scores' if words.variants else ''}"
        rows = planted(words)
    else:
        raise SystemExit("cohort: expected a name, or --time")
    for row in rows:
        print(json.dumps(row))
    if words.keep:
        kept: dict[str, Any] = {"machine": machine(), "rows": rows}
        if not words.time:
            sha256 = checkpoints.weights_sha256(checkpoints.named(words.checkpoint))
            kept |= {"rounds": words.rounds, "seed": words.seed, "weights_sha256": sha256}
        content = json.loads(RESULT.read_text()) if RESULT.is_file() else {"what": __doc__.splitlines()[0]}
        RESULT.write_text(json.dumps(content | {name: kept}, indent=1) + "\n", encoding="utf-8")


def planted(words: argparse.Namespace) -> list[dict[str, Any]]:
    """Return recall and auROC by kind of error, of the audit's own score or of each variant."""
    folder = checkpoints.named(words.checkpoint)
    side = checkpoints.describe(folder).side
    pairs = collect([words.cohort], [words.split], side, measuring=True, views="frontal")
    chosen = np.flatnonzero(pairs.held_out)
    loaded = weights.load_timnet(folder)
    timnet, v_image, v_text = held_out.vectors(loaded, pairs, chosen.tolist())
    table, wrong = changed(pairs, chosen)
    texts = list(dict.fromkeys(text for kind in wrong.values() for text in kind.values()))
    print(f"{len(chosen)} pairs; changed texts: {len(texts)}", file=sys.stderr)
    v_changed = held_out._texts(loaded, texts, None) if texts else v_text[:0]
    reports = torch.cat([v_text, v_changed]).numpy().astype(np.float16)
    row_of = {text: len(chosen) + at for at, text in enumerate(texts)}
    films = v_image.numpy().astype(np.float16)
    variants = VARIANTS if words.variants else {"misfit": VARIANTS[CHOSEN]}
    results = []
    for kind in KINDS:
        rounds: dict[str, list[pd.DataFrame]] = {name: [] for name in variants}
        rng = np.random.default_rng(words.seed)
        for _ in range(words.rounds):
            now, is_wrong = draw(kind, table, wrong, row_of, rng)
            if is_wrong is None:
                break
            standing = scores.standings(timnet, films, reports, now)
            for name, score in variants.items():
                errors = found(score(standing), is_wrong)
                rounds[name].append(errors.assign(patient=now["patient"][is_wrong].to_numpy()))
        for name, each in rounds.items():
            results.append({"kind": kind, "score": name, **summed(each, words.seed)})
    return results


def changed(pairs: Pairs, chosen: NDArray[np.int64]) -> tuple[pd.DataFrame, dict[str, dict[int, str]]]:
    """Return the pairs as a table, and for each kind the changed findings of those that can carry it."""
    texts = [pairs.texts[number] for number in pairs.text[chosen]]
    rows = np.arange(len(chosen))
    table = pd.DataFrame(
        {
            "study": [f"{number:06d}" for number in pairs.study[chosen]],
            "patient": pairs.patient[chosen],
            "film": rows,
            "report": rows,
            "text": pd.Series(texts, dtype=object),
        }
    )
    positive = [[each for each in report_text.sentences(text) if is_positive(each)] for text in texts]
    rng = np.random.default_rng(0)
    given = [(row, sentence) for row, result in enumerate(positive) for sentence in result]
    wrong: dict[str, dict[int, str]] = {SIDE: {}, DELETED: {}, ADDED: {}}
    for row, text in enumerate(texts):
        if (twin := edits.misplaced(text)) is not None:
            wrong[SIDE][row] = twin
        sentences = report_text.sentences(text)
        if positive[row] and len(sentences) > 1:
            left = positive[row][rng.integers(len(positive[row]))]
            wrong[DELETED][row] = " ".join(each for each in sentences if each != left)
        others = [sentence for other, sentence in given if sentence not in sentences and other != row]
        if others:
            place = rng.integers(len(sentences) + 1)
            added = others[rng.integers(len(others))]
            wrong[ADDED][row] = " ".join([*sentences[:place], added, *sentences[place:]])
    return table, wrong


def is_positive(sentence: str) -> bool:
    """Tell whether a sentence asserts a finding: one of FOUND outside a denial."""
    return any(word in assertion.asserted(sentence).casefold() for word in FOUND)


FOUND = (
    "effusion", "pneumothora", "consolidat", "opacit", "atelecta", "edema", "cardiomegaly", "enlarged",
    "nodul", "mass", "fractur", "emphysem", "infiltrat", "fibros", "scar", "granuloma", "hernia", "congesti",
    "pneumonia", "thickening", "hyperinflat", "hyperexpan", "tube", "catheter", "pacemaker", "degenerative",
    "scoliosis",
)  # fmt: skip


def draw(
    kind: str,
    table: pd.DataFrame,
    wrong: dict[str, dict[int, str]],
    row_of: dict[str, int],
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, NDArray[np.bool_] | None]:
    """Plant errors of one kind in a hundredth of the pairs; None where none can be planted."""
    number = max(round(SHARE * len(table)), 2)
    report, text = table["report"].to_numpy().copy(), table["text"].to_numpy().copy()
    is_wrong = np.zeros(len(table), bool)
    if kind == REPORT:
        order = rng.permutation(len(table))
        for one, other in zip(order[::2], order[1::2], strict=False):
            if is_wrong.sum() >= number:
                break
            if table["patient"][one] == table["patient"][other] or text[one] == text[other]:
                continue
            report[[one, other]], text[[one, other]] = report[[other, one]], text[[other, one]]
            is_wrong[[one, other]] = True
    else:
        able = list(wrong[kind])
        if len(able) < 2:
            return table, None
        for row in rng.choice(able, min(number, len(able)), replace=False):
            text[row] = wrong[kind][row]
            report[row], is_wrong[row] = row_of[text[row]], True
    return table.assign(report=report, text=text), is_wrong


def _z(standing: pd.DataFrame, kind: str) -> NDArray[np.float64]:
    return scores._z(standing, kind)


def _centred(standing: pd.DataFrame) -> NDArray[np.float64]:
    """Return the logit without what film and report add to every logit."""
    return (2 * standing["logit"] - standing["mean_reports"] - standing["mean_films"]).to_numpy()


CHOSEN = "z by film and by report"
VARIANTS: dict[str, Score] = {
    "logit": lambda s: s["logit"].to_numpy(),
    "z by film": lambda s: _z(s, "reports"),
    "z by report": lambda s: _z(s, "films"),
    CHOSEN: lambda s: _z(s, "reports") + _z(s, "films"),
    "centred by film and by report": _centred,
    "percentile by film": lambda s: s["share_reports"].to_numpy(),
    "percentile by report": lambda s: s["share_films"].to_numpy(),
    "percentiles, both": lambda s: (s["share_reports"] + s["share_films"]).to_numpy(),
}
"""Scores, low for a misfit."""


def found(score_P: NDArray[np.float64], is_wrong_P: NDArray[np.bool_]) -> pd.DataFrame:
    """Return a row an error: the share of right pairs behind it, a tie counting half, and in which heads."""
    right, false = np.sort(score_P[~is_wrong_P]), score_P[is_wrong_P]
    below, upto = np.searchsorted(right, false, "left"), np.searchsorted(right, false, "right")
    rank = pd.Series(score_P).rank(method="average").to_numpy()[is_wrong_P]
    table = {f"recall at {head:.0%}": (rank <= head * len(score_P)).astype(float) for head in HEADS}
    return pd.DataFrame({"auROC": 1 - (below + upto) / 2 / len(right)} | table)


def summed(rounds: list[pd.DataFrame], seed: int) -> dict[str, Any]:
    """Return means over the errors of all rounds with 95 % intervals by resampling patients."""
    if not rounds:
        return {"errors": 0}
    errors = pd.concat(rounds, ignore_index=True)
    patients = errors.pop("patient").astype(str)
    weights_DE = np.concatenate(list(resamples(patients.tolist(), seed, DRAWS)))
    row: dict[str, Any] = {"rounds": len(rounds), "errors": len(errors), "patients": int(patients.nunique())}
    for name in errors:
        values = errors[name].to_numpy()
        low, high = np.percentile(weights_DE @ values / weights_DE.sum(1), [2.5, 97.5])
        row[str(name)] = [round(float(value), 3) for value in (values.mean(), low, high)]
    return row


def timed() -> list[dict[str, Any]]:
    """Return the seconds and the memory of a ranking of random vectors, by head and number of studies."""
    rows = []
    for head in (COSINE, DIFFERENCE):
        with seeded(0):
            image, text = ImageBranch(width=8, joint=512), TextBranch(24, width=8, joint=512)
            timnet = TIMNet(image, text, head=head).eval()
        for number in SIZES:
            rng = np.random.default_rng(0)
            films = rng.standard_normal((number, 512), np.float32).astype(np.float16)
            reports = rng.standard_normal((number, 512), np.float32).astype(np.float16)
            at = np.arange(number)
            pairs = pd.DataFrame(
                {"study": [f"s{row}" for row in at], "patient": at // 2, "film": at, "report": at, "text": at}
            )
            begun, used = time.perf_counter(), time.process_time()
            scores.rank(timnet, films, reports, pairs)
            rows.append(
                {
                    "head": head,
                    "studies": number,
                    "seconds": round(time.perf_counter() - begun, 1),
                    "processor_seconds": round(time.process_time() - used, 1),
                    "peak_MB_with_vectors": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                }
            )
            print(json.dumps(rows[-1]), file=sys.stderr)
    return rows


def machine() -> dict[str, Any]:
    """Return what the figures were measured on, and how busy it was."""
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    main()
