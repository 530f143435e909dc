"""Tests of a TIMNet on held-out pairs: true pairs against mismatched, left against right, and retrieval.

- `evaluate`, Table I: with one mismatched report a film, as in the paper, and with up to twenty, which is
  steadier on few films.
- `laterality`: a film's own report against the same with its sides swapped, of films whose report puts
  something on one side alone (`reports.edits.misplaced`). Half would be chance if wording alone were never
  preferred; it is, so the same choice is put to other patients' films, and what counts is by how much a film
  prefers its own report oftener than they do.
- `recall`: is a film's report among the first found for it, and the other way round? Looked for within a
  source alone, whose style tells nothing then, among all its distinct findings or all its films; right is
  what has the same wording. Ties count against the network. Beside each share stands what an order drawn at
  random would reach.

Intervals come from a bootstrap over the films' patients. Shapes: N films or pairs, M distinct findings, D
joint width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from timnet.cohorts.pairs import Pairs
from timnet.evaluation import metrics, subgroups
from timnet.evaluation.calibration import probability
from timnet.model.timnet import TIMNet

LATERALITY, CHOSEN = "own report, not the same with sides swapped", "chosen"
BY_OTHERS = "the same by other patients' films"
GAIN = "own report less other patients' films"
DRAWS = 1000
AT = (1, 5, 10)
POOL = 1000
"""Most films of a source among which is looked; of more, so many are drawn."""
REPORT, FILM = "report for a film", "film for a report"
NEGATIVES = 20
ONE, MANY = "1 mismatched report a film", f"up to {NEGATIVES} mismatched reports a film"
OTHER = f"up to {NEGATIVES} reports with other labels a film"


@torch.inference_mode()
def evaluate(
    timnet: TIMNet,
    v_image_ND: Tensor,
    v_text_ND: Tensor,
    pairs: Pairs,
    chosen: list[int],
    seed: int,
    line: probability.Line = probability.PLAIN,
) -> pd.DataFrame:
    """Return the metrics table of `chosen` pairs, whose vectors stand in the same order.

    Probabilities are those of `line`, the match's calibration.

    Rows are labelled ONE, MANY and, for the pairs whose labels are all known, OTHER.
    """
    tables = []
    kinds = [(ONE, 1, False), (MANY, NEGATIVES, False), (OTHER, NEGATIVES, True)]
    if len(np.unique(pairs.labels[chosen][pairs.labels[chosen] >= 0])) < 2:
        kinds.pop()
    for label, number, other in kinds:
        items = [pair for pair in chosen if pairs.labels[pair] >= 0] if other else chosen
        film, true_N1, p_N1 = _drawn(
            timnet, v_image_ND, v_text_ND, pairs, chosen, items, seed, line, number, other
        )
        patients = pairs.patient[film].astype(str).tolist()
        tables.append(metrics.evaluate(true_N1, p_N1, patients, [label], seed))
    return pd.concat(tables, ignore_index=True)


@torch.inference_mode()
def by_group(
    timnet: TIMNet,
    v_image_ND: Tensor,
    v_text_ND: Tensor,
    pairs: Pairs,
    chosen: list[int],
    seed: int,
    line: probability.Line = probability.PLAIN,
) -> pd.DataFrame:
    """Return the area of MANY by the films' sex, age and view (`subgroups.evaluate`); as of `evaluate`."""
    film, true_N1, p_N1 = _drawn(
        timnet, v_image_ND, v_text_ND, pairs, chosen, chosen, seed, line, NEGATIVES, False
    )
    source_N, row_N = pairs.source[film], pairs.row[film]
    groups: dict[str, NDArray[Any]] = {}
    for source, cohort in enumerate(pairs.cohorts):
        of_N = source_N == source
        for kind, names in subgroups.of_films(cohort, row_N[of_N]).items():
            groups.setdefault(kind, np.empty(len(film), object))[of_N] = names
    patients = pairs.patient[film].astype(str).tolist()
    return subgroups.evaluate(groups, true_N1, p_N1, patients, [MANY], seed, film)


def _drawn(
    timnet: TIMNet,
    v_image_ND: Tensor,
    v_text_ND: Tensor,
    pairs: Pairs,
    chosen: list[int],
    items: list[int],
    seed: int,
    line: probability.Line,
    number: int,
    other: bool,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the film of every true and mismatched pair drawn, whether it is true, and its probability."""
    place, rng = {pair: i for i, pair in enumerate(chosen)}, np.random.default_rng(seed)
    drawn = {(pair, pair) for pair in items}
    for _ in range(number):
        drawn.update(pairs.mismatched(items, rng, other))
    film, report = (list(side) for side in zip(*sorted(drawn), strict=True))
    logits = timnet.match(v_image_ND[[place[i] for i in film]], v_text_ND[[place[i] for i in report]])
    p_N = probability.probabilities([line] * len(logits), logits.double().cpu().numpy())
    true_N = (np.array(film) == np.array(report)).astype(float)
    return np.array(film), true_N[:, None], p_N[:, None]


@torch.inference_mode()
def laterality(
    timnet: TIMNet,
    v_image_ND: Tensor,
    v_own_ND: Tensor,
    v_swapped_ND: Tensor,
    patients: Sequence[str],
    seed: int,
) -> pd.DataFrame:
    """Return how often a report scores above its swapped twin by its own film and by others; a tie is half.

    Returns:
        Rows LATERALITY, BY_OTHERS and GAIN, the difference: label, metric, value with its 95 % interval low,
        high (a bootstrap over patients), n; LATERALITY alone for one patient, no row where nothing can be
        asked.
    """
    if not len(patients):
        return pd.DataFrame(columns=["label", "metric", "value", "low", "high", "n"])
    own_NN, swapped_NN = (timnet.match_all(v_image_ND, each).float() for each in (v_own_ND, v_swapped_ND))
    won_NN = ((own_NN > swapped_NN).double() + (own_NN == swapped_NN).double() / 2).cpu().numpy()
    whose_N = np.asarray(patients)
    other_NN = whose_N[:, None] != whose_N[None, :]
    columns = {LATERALITY: won_NN.diagonal()}
    if other_NN.any(0).all():
        columns[BY_OTHERS] = (won_NN * other_NN).sum(0) / other_NN.sum(0)
        columns[GAIN] = columns[LATERALITY] - columns[BY_OTHERS]
    weights_DN = _weights(patients, seed)
    rows = []
    for label, won_N in columns.items():
        rows.append({"label": label, "metric": CHOSEN, **_mean(won_N, weights_DN), "n": len(won_N)})
    return pd.DataFrame(rows)


@torch.inference_mode()
def recall(
    timnet: TIMNet, v_image_ND: Tensor, v_text_ND: Tensor, pairs: Pairs, chosen: list[int], seed: int
) -> pd.DataFrame:
    """Return recall at 1, 5 and 10 both ways over `chosen` pairs, whose vectors stand in the same order.

    Returns:
        label (REPORT or FILM), metric (R@1 ...), value with its 95 % interval low and high (a bootstrap over
        patients), chance, n asked for, candidates (the mean number of those looked through).
    """
    parts = []
    for source in np.unique(pairs.source[chosen]):
        places = np.flatnonzero(pairs.source[chosen] == source)
        if len(places) > POOL:
            places = np.sort(np.random.default_rng(seed).choice(places, POOL, replace=False))
        parts.append(_ranks(timnet, v_image_ND, v_text_ND, pairs, np.asarray(chosen), places))
    request = pd.concat(parts, ignore_index=True)
    rows: list[dict[str, Any]] = []
    for label, part in request.groupby("label", sort=False):
        weights_DN = _weights(part["patient"].astype(str), seed)
        for k in AT:
            hit_N = (part["rank"] < k).to_numpy(float)
            rows.append(
                {
                    "label": label,
                    "metric": f"R@{k}",
                    **_mean(hit_N, weights_DN),
                    "chance": chance(part["candidates"].to_numpy(), part["right"].to_numpy(), k).mean(),
                    "n": len(part),
                    "candidates": part["candidates"].mean(),
                }
            )
    return pd.DataFrame(rows)


def chance(candidates_N: NDArray[np.int64], right_N: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return how likely a random order of candidates has one of the right ones among its first k."""
    missed = np.ones(len(candidates_N))
    for drawn in range(k):
        left = candidates_N - drawn
        missed *= np.clip(left - right_N, 0, None) / np.clip(left, 1, None)
    return 1 - missed


def _ranks(
    timnet: TIMNet,
    v_image_ND: Tensor,
    v_text_ND: Tensor,
    pairs: Pairs,
    chosen: NDArray[np.int64],
    places: NDArray[np.int64],
) -> pd.DataFrame:
    """Return how many wrong candidates stand before the first right one, for each film and each wording."""
    text, patient = pairs.text[chosen[places]], pairs.patient[chosen[places]]
    _, first, wording = np.unique(text, return_index=True, return_inverse=True)
    score_NM = timnet.match_all(v_image_ND[places], v_text_ND[places[first]]).float().cpu().numpy()
    right_NM = wording[:, None] == np.arange(len(first))[None, :]
    tables = []
    for label, score, right, whose in (
        (REPORT, score_NM, right_NM, patient),
        (FILM, score_NM.T, right_NM.T, patient[first]),
    ):
        best = np.where(right, score, -np.inf).max(1, keepdims=True)
        tables.append(
            pd.DataFrame(
                {
                    "label": label,
                    "rank": ((score >= best) & ~right).sum(1),
                    "right": right.sum(1),
                    "candidates": right.shape[1],
                    "patient": whose,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _weights(patients: Iterable[str], seed: int) -> NDArray[np.float64]:
    """Return how often each film counts in each of DRAWS resamples of its patients."""
    return np.concatenate(list(metrics.resamples(list(patients), seed, DRAWS)))


def _mean(values_N: NDArray[Any], weights_DN: NDArray[np.float64]) -> dict[str, float]:
    """Return the mean of values with its 95 % interval."""
    low, high = np.percentile(weights_DN @ values_N / weights_DN.sum(1), [2.5, 97.5])
    return {"value": values_N.mean(), "low": low, "high": high}
