"""Fit what a checkpoint's numbers mean on held-out films, and measure on others whether they hold.

Owns which films: validation for the fit, test for the check, never a training film. The match gets a line
(Platt) fitted to true pairs and mismatched ones of equal weight, as many true as mismatched: one half is
then as likely matched as not. Each label gets a temperature and a zone. Refuses a match that does not rise
with its logit: there is nothing to calibrate.

Shapes: P pairs, N films, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from timnet import checkpoints
from timnet.checkpoints import TimnetSpec
from timnet.cohorts import store, tasks
from timnet.cohorts.pairs import Pairs, Progress, collect
from timnet.counting import counted
from timnet.evaluation import held_out, metrics, subgroups
from timnet.evaluation.calibration import measures, record
from timnet.evaluation.calibration.measures import CalibrationError
from timnet.evaluation.calibration.probability import Line, said
from timnet.evaluation.calibration.record import MATCH, Certainty
from timnet.evaluation.predictions import TEST, VALIDATION, Predictions
from timnet.model import devices, weights

FIT, CHECK = "val", "test"
NEGATIVES = 20
_HOW_MATCH = (
    "a line on the logit (Platt) fitted to true pairs and up to 20 mismatched reports a film, both kinds of "
    "equal weight: 0.5 is as likely matched as mismatched when half of the pairs shown are true ones"
)
_HOW_LABELS = (
    "a temperature a label; the zone of `not sure` lies between the probabilities that keep 90 % sensitivity "
    "and 90 % specificity on the X-rays of the fit, the operating point maximises their sum (Youden)"
)
_BATCH = 64


def fitted(
    folder: Path, cohorts: Sequence[str], seed: int = 0, progress: Progress | None = None
) -> Certainty:
    """Fit whatever a checkpoint says, and check it.

    Raises:
        ValueError: no checkpoint or cohort there, or nothing to fit on; the message says which.
    """
    if isinstance(checkpoints.describe(folder), TimnetSpec):
        return match(folder, cohorts, seed, progress)
    kept = predicted(folder, _one(cohorts), progress)
    return of_predictions(kept, checkpoints.weights_sha256(folder), Path(cohorts[0]).name)


def match(folder: Path, cohorts: Sequence[str], seed: int = 0, progress: Progress | None = None) -> Certainty:
    """Fit the match probability of a TIMNet on validation pairs and check it on test pairs.

    Raises:
        CheckpointError: no TIMNet there. CohortError: no such cohort, or too few pairs.
        CalibrationError: its logits are not larger for true pairs.
    """
    spec = checkpoints.describe(folder)
    pairs = collect(cohorts, (FIT, CHECK), spec.side, views="frontal")
    fit, check = ([int(i) for i in np.flatnonzero(pairs.split == part)] for part in (FIT, CHECK))
    if len(fit) < 2:
        raise CalibrationError(f"{', '.join(cohorts)}: expected pairs in the {FIT} split, got {len(fit)}")
    logit_N, y_N, weight_N = _logits(folder, pairs, fit, NEGATIVES, seed, progress)
    slope, offset = line(y_N, logit_N, weight_N)
    fitted = Line(slope, offset, films=len(y_N), positives=int(y_N.sum()))
    if len(check) > 1:
        # One mismatched report a film: as many true as mismatched pairs, as in the fit.
        logit_N, y_N, _ = _logits(folder, pairs, check, 1, seed, progress)
        fitted = replace(
            fitted,
            films_checked=len(check),
            error_before=measures.expected_error(y_N, said(Line(), logit_N)),
            error_after=measures.expected_error(y_N, said(fitted, logit_N)),
        )
    named = ", ".join(Path(name).name for name in cohorts)
    return Certainty(
        checkpoints.weights_sha256(folder),
        f"{counted(len(fit), 'validation pair')} of {named}",
        f"{counted(len(check), 'test pair')} of {named}, one mismatched report per X-ray",
        _HOW_MATCH,
        {MATCH: fitted},
    )


def line(
    y_N: NDArray[np.float64], logit_N: NDArray[np.float64], weight_N: NDArray[np.float64]
) -> tuple[float, float]:
    """Return slope and offset of the weighted logistic regression of truth on logits, without penalty.

    Raises:
        CalibrationError: truth does not rise with the logit.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    model.fit(logit_N[:, None], y_N, sample_weight=weight_N)
    slope, offset = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:
        raise CalibrationError("match: expected larger logits for true pairs, got none: nothing to calibrate")
    return slope, offset


def of_predictions(kept: Predictions, weights_sha256: str, cohort: str) -> Certainty:
    """Fit every label of a classifier on validation films and check it on test films."""
    fit, check = kept.part(VALIDATION), kept.part(TEST)
    lines = {}
    for column, label in enumerate(kept.labels):
        y_N, logit_N = fit.known(column)
        fitted = Line(films=len(y_N), positives=int(y_N.sum()))
        if why := record.too_few(y_N):
            lines[label] = replace(fitted, why=why)
            continue
        temperature = measures.temperature(y_N, logit_N)
        fitted = replace(fitted, slope=1 / temperature)
        fitted = record.zoned(fitted, y_N, said(fitted, logit_N))
        y_N, logit_N = check.known(column)
        if len(y_N):
            fitted = replace(
                fitted,
                films_checked=len(y_N),
                error_before=measures.expected_error(y_N, said(Line(), logit_N)),
                error_after=measures.expected_error(y_N, said(fitted, logit_N)),
            )
        lines[label] = fitted
    return Certainty(
        weights_sha256,
        f"{counted(len(fit.film_N), 'validation X-ray')} of {cohort}",
        f"{counted(len(check.film_N), 'test X-ray')} of {cohort}",
        _HOW_LABELS,
        lines,
    )


def measure_groups(
    folder: Path, cohorts: Sequence[str], seed: int = 0, progress: Progress | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a classifier's metrics on a cohort's test films, and its auROC there by sex, age and view.

    Raises:
        ValueError: no classifier or cohort there, or none of its labels; the message says which.
    """
    kept = predicted(folder, _one(cohorts), progress).part(TEST)
    cohort = store.Cohort.open(store.find(cohorts[0]))
    table = metrics.evaluate(kept.truth_NL, kept.p_NL, kept.patients(cohort), kept.labels, seed)
    return table, subgroups.of_predictions(kept, cohort, seed)


def _one(cohorts: Sequence[str]) -> str:
    if len(cohorts) != 1:
        raise CalibrationError(f"cohorts: expected one for a classifier, got {len(cohorts)}")
    return cohorts[0]


@torch.inference_mode()
def predicted(folder: Path, name: str, progress: Progress | None = None) -> Predictions:
    """Return what a classifier says of a cohort's validation and test films that have its labels.

    Raises:
        CheckpointError: no classifier there. CohortError: no such cohort, or none of its labels.
    """
    classifier, spec = weights.load_classifier(folder)
    device = devices.device()
    classifier.to(device)
    cohort = store.Cohort.open(store.find(name))
    targets = tasks.targets(cohort, ",".join(spec.labels), views="frontal")
    split_N = cohort.films()["split"].to_numpy()
    rows = np.flatnonzero(np.isin(split_N, (FIT, CHECK)) & ~np.isnan(targets.y_NL).all(1))
    pixels_NSS = cohort.pixels(spec.side, checked=True)
    logits = []
    for start in range(0, len(rows), _BATCH):
        part = torch.from_numpy(pixels_NSS[rows[start : start + _BATCH]]).to(device)
        logits.append(classifier(part.unsqueeze(1).float() / 255).double().cpu().numpy())
        if progress is not None:
            progress(min(start + _BATCH, len(rows)), len(rows))
    return Predictions(
        cohort.fingerprint,
        spec.labels,
        rows,
        split_N[rows] == FIT,
        targets.y_NL[rows].astype(float),
        np.concatenate(logits) if logits else np.empty((0, len(spec.labels))),
    )


def _logits(
    folder: Path, pairs: Pairs, chosen: list[int], negatives: int, seed: int, progress: Progress | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return logits, truth and weights of true and mismatched pairs; either kind weighs as much in all."""
    timnet, v_image_PD, v_text_PD = held_out.vectors(weights.load_timnet(folder), pairs, chosen, progress)
    rng, place = np.random.default_rng(seed), {pair: i for i, pair in enumerate(chosen)}
    drawn = {(pair, pair) for pair in chosen}
    for _ in range(negatives):
        drawn.update(pairs.mismatched(chosen, rng))
    film, report = (np.array([place[i] for i in side]) for side in zip(*sorted(drawn), strict=True))
    with torch.inference_mode():
        logit_N = timnet.match(v_image_PD[film], v_text_PD[report]).double().numpy()
    y_N = (film == report).astype(float)
    share = y_N.mean()
    return logit_N, y_N, np.where(y_N == 1, 0.5 / share, 0.5 / (1 - share))
