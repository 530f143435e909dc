"""How badly each report fits its own film, among other patients' reports and films: the order of an audit.

Owns the misfit of a pair. A logit alone says little: some films get high logits with every report, and a
common wording fits every film. So the own logit s is standardised twice, by the logits of this film with
other patients' reports and by those of this report with other patients' films:

    z = ((s - mean_reports) / sd_reports + (s - mean_films) / sd_films) / 2,   misfit = Phi(-z)

Phi is the normal distribution: 0.5 is a pair that fits no better than a stranger's, 1 the worst. Others are a
seeded sample, one a patient and no two reports of the same wording, never of the pair's own patient or very
wording; it depends on the names of the studies alone, not on their order. Logits closer than TIE are equal.
Of eight scores this one found most swapped reports in the first tenth of Open-i's validation pairs, by a
margin within the intervals (benchmarks/audit.py --variants): z or percentile, by film, by report or by both.

Shapes: P pairs, N films, M reports, D joint width, K sampled, c pairs of a chunk.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from timnet.cohorts.records import CohortError, Progress
from timnet.evaluation.calibration.probability import PLAIN, Line, said
from timnet.model.timnet import COSINE, TIMNet

SAMPLE, COSTLY_SAMPLE = 512, 20
"""Others that a pair is held against: of a cosine head, and of one whose every pair costs two layers."""
CHUNK = 1024
TIE = 1e-3
"""Difference of logits below which two are equal: vectors are kept in half precision."""
FEWEST = 2
"""Others below which there is no deviation to go by."""

_OTHERS = ["others_reports", "others_films"]
Rows = NDArray[np.int64]


@torch.inference_mode()
def rank(
    timnet: TIMNet,
    films_ND: NDArray[np.float16],
    reports_MD: NDArray[np.float16],
    pairs: pd.DataFrame,
    *,
    line: Line = PLAIN,
    sample: int | None = None,
    seed: int = 0,
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return the pairs with their misfit, the worst first.

    Args:
        films_ND, reports_MD: kept vectors; memory-mapped ones are read chunk by chunk.
        pairs: a row a pair: study, patient, film and report (rows of the vectors), text (equal where the
            findings are); other columns are kept.
        line: the match's calibration.
        sample: others that a pair is held against; by default as many as the head can afford.
        chunk: pairs at a time; it changes nothing but memory.

    Returns:
        pairs with logit, probability, among_reports (the share of other patients' reports that fit this film
        worse, a tie counting half), among_films (the same of films, for this report) and misfit in 0..1.

        A pair with fewer than FEWEST others of another patient and wording is left out.

    Raises:
        CohortError: every pair is.
    """
    return ranked(standings(timnet, films_ND, reports_MD, pairs, sample, seed, chunk, progress), line)


@torch.inference_mode()
def standings(
    timnet: TIMNet,
    films_ND: NDArray[np.float16],
    reports_MD: NDArray[np.float16],
    pairs: pd.DataFrame,
    sample: int | None = None,
    seed: int = 0,
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return the pairs in their order with logit, and mean, sd and share below it of both kinds of others."""
    number = sample or (SAMPLE if timnet.head == COSINE else COSTLY_SAMPLE)
    film_P, report_P = (pairs[name].to_numpy(np.int64) for name in ("film", "report"))
    patient_P, text_P = (pd.factorize(pairs[name])[0] for name in ("patient", "text"))
    by_film_K, by_report_K = sampled(pairs, number, seed, ("patient",)), sampled(pairs, number, seed)
    of_reports_KD, of_films_KD = _rows(reports_MD, report_P[by_report_K]), _rows(films_ND, film_P[by_film_K])
    parts = []
    for at in range(0, len(pairs), chunk):
        rows = slice(at, at + chunk)
        v_image_cD, v_text_cD = _rows(films_ND, film_P[rows]), _rows(reports_MD, report_P[rows])
        own_c = timnet.match(v_image_cD, v_text_cD)
        table = {"logit": own_c.double().numpy()}
        for kind, chosen_K, logits_cK in (
            ("reports", by_report_K, timnet.match_all(v_image_cD, of_reports_KD)),
            ("films", by_film_K, timnet.match_all(of_films_KD, v_text_cD).T),
        ):
            other_cK = (patient_P[rows, None] != patient_P[chosen_K]) & (
                text_P[rows, None] != text_P[chosen_K]
            )
            for name, values in _standing(own_c, logits_cK, torch.from_numpy(other_cK)).items():
                table[f"{name}_{kind}"] = values
        parts.append(pd.DataFrame(table))
        if progress is not None:
            progress(min(at + chunk, len(pairs)), len(pairs))
    found = pd.concat(parts).set_index(pairs.index) if parts else pd.DataFrame()
    if not len(found) or found[_OTHERS].min(axis=1).max() < FEWEST:
        raise CohortError(
            f"audit: expected at least {FEWEST + 1} reports of other patients and wording, got fewer: "
            "nothing to hold a report against"
        )
    return pd.concat([pairs, found], axis=1)


def ranked(standing: pd.DataFrame, line: Line = PLAIN) -> pd.DataFrame:
    """Return pairs of `standings` that have others, with probability and misfit, the worst first."""
    standing = standing[standing[_OTHERS].min(axis=1) >= FEWEST]
    z_P = (_z(standing, "reports") + _z(standing, "films")) / 2
    table = standing.drop(
        columns=[name for name in standing if str(name).startswith(("mean_", "sd_", "others_"))]
    )
    table = table.rename(columns={"share_reports": "among_reports", "share_films": "among_films"})
    table["probability"] = said(line, standing["logit"])
    table["misfit"] = stats.norm.sf(z_P)
    # Beyond Phi's last digit the order is still that of z.
    table = table.assign(z=z_P).sort_values(["z", "study", "film"], kind="stable").drop(columns="z")
    return table.reset_index(drop=True)


def sampled(
    pairs: pd.DataFrame, number: int, seed: int, apart: tuple[str, ...] = ("patient", "text")
) -> Rows:
    """Return the places (K,) of up to `number` pairs, no two alike in `apart`, whatever the rows' order."""
    named = pairs["study"].astype(str).to_numpy(object)
    keys = pd.util.hash_array(named, hash_key=f"{seed % 10**16:016d}", categorize=False)
    chosen = pairs[list(apart)].reset_index(drop=True).iloc[np.lexsort((pairs["film"], keys))]
    for name in apart:
        chosen = chosen.drop_duplicates(name)
    return chosen.index[:number].to_numpy(np.int64)


def _z(standing: pd.DataFrame, kind: str) -> NDArray[np.float64]:
    """Return by how many deviations the own logit lies above the mean of others; equal is 0."""
    above_P = (standing["logit"] - standing[f"mean_{kind}"]).to_numpy(float)
    above_P = np.where(np.abs(above_P) < TIE, 0.0, above_P)
    return above_P / np.maximum(standing[f"sd_{kind}"].to_numpy(float), TIE)


def _standing(own_c: Tensor, logits_cK: Tensor, other_cK: Tensor) -> dict[str, NDArray[np.float64]]:
    """Return mean, deviation, number and share below the own logit of those that are others."""
    number_c = other_cK.sum(1)
    divisor_c = number_c.clamp(min=1)
    above_cK = logits_cK - own_c[:, None]
    kept_cK = above_cK * other_cK
    mean_c = kept_cK.sum(1) / divisor_c
    square_c = ((above_cK - mean_c[:, None]).square_() * other_cK).sum(1)
    below_cK = (above_cK < TIE).float() + (above_cK <= -TIE).float()
    table = {
        "mean": mean_c.double() + own_c.double(),
        "sd": (square_c.double() / (number_c - 1).clamp(min=1)).sqrt(),
        "share": (below_cK * other_cK).sum(1).double() / 2 / divisor_c,
        "others": number_c,
    }
    return {name: values.numpy() for name, values in table.items()}


def _rows(vectors_ND: NDArray[np.float16], rows: Rows) -> Tensor:
    return torch.from_numpy(vectors_ND[rows]).float()
